import type { WindowIds } from '../../lib/window-ids.ts';
import type { Clock } from '../../spi/clock.ts';
import type { DedupWindows, WindowReport } from '../../spi/dedup-window.ts';
import { topicText } from '../documents.ts';
import type { LocalWindow } from './local-window.ts';

/** Where windows that live inside a process come from. */
export interface WindowSource {
  /** The window of that name, made when there is none. `now` in milliseconds since 1970. */
  get(name: string, now: number): LocalWindow;
  /** Runs a change, and keeps the facts of the window after it. */
  change(doing: string, name: string, work: () => WindowReport): Promise<WindowReport>;
  forget(name: string): Promise<void>;
}

export function localWindows(source: WindowSource, clock: Clock): DedupWindows {
  return {
    open(cluster, topic, owner, limits) {
      const name = topicText(cluster, topic);
      const change = (doing: string, work: (window: LocalWindow, now: number) => WindowReport): Promise<WindowReport> =>
        source.change(doing, name, () => {
          const now = clock.now();
          return work(source.get(name, now), now);
        });
      return {
        claim: (ids: WindowIds) => change('claiming ids', (window, now) => window.claim(ids, owner, limits, now)),
        async confirm(ids: WindowIds) {
          const report = await change('confirming ids', (window, now) => window.confirm(ids, limits, now));
          source.get(name, clock.now()).free(ids, undefined);
          return report;
        },
        release: (ids: WindowIds) =>
          change('releasing ids', (window, now) => {
            window.free(ids, owner);
            return window.report(now);
          }),
        report: () => change('asking a window', (window, now) => window.report(now)),
      };
    },
    forget: (cluster, topic) => source.forget(topicText(cluster, topic)),
  };
}
