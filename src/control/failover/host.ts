import type { Clock } from '../../spi/clock.ts';
import type { Checkpoint, MirrorKey, StateStore } from '../../spi/state-store.ts';
import type { MirrorStatus } from '../api.ts';
import type { Ends } from '../clusters.ts';
import type { LinkGroupSync } from '../groups/link-groups.ts';
import type { FailoverKind, FailoverPlan } from './api.ts';
import type { RunHook } from './hooks.ts';

/** Between two looks at what is waited for. */
export const LOOK_MILLIS = 500;

/** What a failover works with. */
export interface FailoverHost {
  readonly ends: Ends;
  readonly store: StateStore;
  readonly clock: Clock;
  readonly sync: LinkGroupSync;
  readonly runHook: RunHook;
  readonly mirrors: () => readonly MirrorStatus[];
  readonly pause: (key: MirrorKey) => Promise<unknown>;
  readonly plan: (kind: FailoverKind) => Promise<FailoverPlan>;
}

/** The checkpoints of all mirrors of the link, by mirror. */
export async function checkpointsOf(host: Pick<FailoverHost, 'mirrors' | 'store'>): Promise<Map<string, readonly Checkpoint[]>> {
  const all = new Map<string, readonly Checkpoint[]>();
  for (const { link, spec } of host.mirrors()) all.set(spec.name, await host.store.loadCheckpoints({ link, mirror: spec.name }));
  return all;
}
