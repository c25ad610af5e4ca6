import { IsthmusError, toIsthmusError } from '../../errors.ts';
import type { WindowIds } from '../../lib/window-ids.ts';
import type { DedupRule } from '../../model/mirror-spec.ts';
import type { Clock } from '../../spi/clock.ts';
import type { DedupWindow, WindowReport } from '../../spi/dedup-window.ts';
import type { Log } from '../../spi/log.ts';
import type { StoredIds } from './stored-ids.ts';
import { type TrustParts, WindowTrust } from './window-trust.ts';

const FIRST_RETRY_MILLIS = 50;
const MAX_RETRY_MILLIS = 1_000;
/** While a mirror goes on without its window, the store is asked so often whether it is back: each time costs up to its time limit. */
const TRY_AGAIN_MILLIS = 2_000;

export interface LaneWindowParts {
  readonly window: DedupWindow;
  readonly windowMillis: number;
  /** `undefined` where ids cannot be read from the target. */
  readonly stored: StoredIds | undefined;
  readonly memory: TrustParts['memory'];
  readonly onStateLoss: DedupRule['onStateLoss'];
  readonly clock: Clock;
  readonly log: Log;
  /** Ends all waiting. */
  readonly signal: AbortSignal;
  readonly onTrouble: (error: IsthmusError | undefined) => void;
}

/** A dedup window as a lane uses it: it waits for the store, and for what the store has lost to be in it again, or goes on without, as the mirror's rule says. */
export class LaneWindow {
  readonly #parts: LaneWindowParts;
  #withoutUntil = Number.NEGATIVE_INFINITY;
  readonly #trust: WindowTrust;
  #epoch: string | undefined;
  /** Whether records are checked now; false while the mirror goes on without the store. */
  inForce = true;

  constructor(parts: LaneWindowParts) {
    this.#parts = parts;
    this.#trust = new WindowTrust({ ...parts, ask: (question) => this.#askUntil(question) });
  }

  /** Claims ids; false when the mirror goes on without: then nothing is known of them. Rejects when the signal aborts. */
  async claim(ids: WindowIds): Promise<boolean> {
    const { window, onStateLoss, clock } = this.#parts;
    const mayGoOn = onStateLoss === 'continue';
    if (mayGoOn && clock.monotonic() < this.#withoutUntil) return false;
    const claimed = mayGoOn ? await this.#try(() => window.claim(ids)) : await this.#claimTrusted(ids);
    if (this.inForce !== claimed) this.#parts.log.warn(claimed ? 'window-in-force' : 'window-not-in-force');
    this.inForce = claimed;
    if (!claimed) this.#withoutUntil = clock.monotonic() + TRY_AGAIN_MILLIS;
    return claimed;
  }

  /** Says that ids are in the target, until the store has heard it. Rejects when the signal aborts. */
  async confirm(ids: WindowIds): Promise<void> {
    await this.#askUntil(() => this.#parts.window.confirm(ids));
  }

  /** Gives claims back; when that fails, they end by themselves. Never rejects. */
  async release(ids: WindowIds): Promise<void> {
    try {
      this.#hear(await this.#parts.window.release(ids));
    } catch (error) {
      this.#parts.log.info('claims-not-released', { ids: ids.count, detail: toIsthmusError(error).message });
    }
  }

  /** What is fresh to a window that has lost ids may be in the target all the same. */
  async #claimTrusted(ids: WindowIds): Promise<boolean> {
    const { window } = this.#parts;
    while (!this.#trust.has(await this.#askUntil(() => window.claim(ids)))) {
      // Nothing is held while this waits, or two lanes would wait for each other.
      await this.release(ids);
      this.inForce = false;
      await this.#trust.earn();
      this.inForce = true;
    }
    return true;
  }

  /** Asks once; false when there is no answer, and somebody can go on without. */
  async #try(question: () => Promise<WindowReport>): Promise<boolean> {
    try {
      this.#hear(await question());
      return true;
    } catch (raw) {
      const error = toIsthmusError(raw);
      if (!error.retryable) throw error;
      return false;
    }
  }

  /** Asks until there is an answer. */
  async #askUntil(question: () => Promise<WindowReport>): Promise<WindowReport> {
    const { clock, signal, onTrouble } = this.#parts;
    for (let wait = FIRST_RETRY_MILLIS; ; wait = Math.min(MAX_RETRY_MILLIS, wait * 2)) {
      if (signal.aborted) throw signal.reason;
      try {
        const report = this.#hear(await question());
        if (wait > FIRST_RETRY_MILLIS) onTrouble(undefined);
        return report;
      } catch (raw) {
        const error = toIsthmusError(raw);
        if (!error.retryable) throw error;
        onTrouble(new IsthmusError('STATE_UNAVAILABLE', `asking the dedup window: ${error.message}`));
      }
      await clock.sleep(wait, signal);
    }
  }

  #hear(report: WindowReport): WindowReport {
    const { lossEpoch, completeMillis } = report;
    if (this.#epoch !== undefined && this.#epoch !== lossEpoch)
      this.#parts.log.error('window-lost-ids', { completeMillis, detail: 'what came another way before is not known any more' });
    this.#epoch = lossEpoch;
    return report;
  }
}
