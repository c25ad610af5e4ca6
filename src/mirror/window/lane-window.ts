import { IsthmusError, toIsthmusError } from '../../errors.ts';
import type { WindowIds } from '../../lib/window-ids.ts';
import type { DedupRule } from '../../model/mirror-spec.ts';
import type { Clock } from '../../spi/clock.ts';
import type { DedupWindow, WindowReport } from '../../spi/dedup-window.ts';
import type { Log } from '../../spi/log.ts';

const FIRST_RETRY_MILLIS = 50;
const MAX_RETRY_MILLIS = 1_000;
/** While a mirror goes on without its window, the store is asked so often whether it is back: each time costs up to its time limit. */
const TRY_AGAIN_MILLIS = 2_000;

export interface LaneWindowParts {
  readonly window: DedupWindow;
  readonly onStateLoss: DedupRule['onStateLoss'];
  readonly clock: Clock;
  readonly log: Log;
  /** Ends all waiting. */
  readonly signal: AbortSignal;
  readonly onTrouble: (error: IsthmusError | undefined) => void;
}

/** A dedup window as a lane uses it: it waits for the store, or goes on without, as the mirror's rule says. */
export class LaneWindow {
  readonly #parts: LaneWindowParts;
  #withoutUntil = Number.NEGATIVE_INFINITY;
  #epoch: string | undefined;
  /** Whether records are checked now; false while the mirror goes on without the store. */
  inForce = true;

  constructor(parts: LaneWindowParts) {
    this.#parts = parts;
  }

  /** Claims ids; false when the mirror goes on without: then nothing is known of them. Rejects when the signal aborts. */
  async claim(ids: WindowIds): Promise<boolean> {
    const { window, onStateLoss, clock } = this.#parts;
    const mayGoOn = onStateLoss === 'continue';
    if (mayGoOn && clock.monotonic() < this.#withoutUntil) return false;
    const claimed = await this.#ask(() => window.claim(ids), mayGoOn);
    if (this.inForce !== claimed) this.#parts.log.warn(claimed ? 'window-in-force' : 'window-not-in-force');
    this.inForce = claimed;
    if (!claimed) this.#withoutUntil = clock.monotonic() + TRY_AGAIN_MILLIS;
    return claimed;
  }

  /** Says that ids are in the target, until the store has heard it. Rejects when the signal aborts. */
  async confirm(ids: WindowIds): Promise<void> {
    await this.#ask(() => this.#parts.window.confirm(ids), false);
  }

  /** Gives claims back; when that fails, they end by themselves. Never rejects. */
  async release(ids: WindowIds): Promise<void> {
    try {
      this.#hear(await this.#parts.window.release(ids));
    } catch (error) {
      this.#parts.log.info('claims-not-released', { ids: ids.count, detail: toIsthmusError(error).message });
    }
  }

  /** Asks until there is an answer; only once where somebody can go on without. */
  async #ask(question: () => Promise<WindowReport>, once: boolean): Promise<boolean> {
    const { clock, signal, onTrouble } = this.#parts;
    for (let wait = FIRST_RETRY_MILLIS; ; wait = Math.min(MAX_RETRY_MILLIS, wait * 2)) {
      if (signal.aborted) throw signal.reason;
      try {
        this.#hear(await question());
        if (wait > FIRST_RETRY_MILLIS) onTrouble(undefined);
        return true;
      } catch (raw) {
        const error = toIsthmusError(raw);
        if (!error.retryable) throw error;
        if (once) return false;
        onTrouble(new IsthmusError('STATE_UNAVAILABLE', `asking the dedup window: ${error.message}`));
      }
      await clock.sleep(wait, signal);
    }
  }

  #hear({ lossEpoch, completeMillis }: WindowReport): void {
    if (this.#epoch !== undefined && this.#epoch !== lossEpoch)
      this.#parts.log.error('window-lost-ids', { completeMillis, detail: 'what came another way before that may come again' });
    this.#epoch = lossEpoch;
  }
}
