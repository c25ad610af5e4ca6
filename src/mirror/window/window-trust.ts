import { IsthmusError } from '../../errors.ts';
import { WindowIds } from '../../lib/window-ids.ts';
import { offsetPosition } from '../../model/position.ts';
import type { Clock } from '../../spi/clock.ts';
import { type DedupWindow, Verdict, type WindowReport } from '../../spi/dedup-window.ts';
import type { Log } from '../../spi/log.ts';
import type { StoredIds } from './stored-ids.ts';

/** What was on its way when a window was emptied is in the target after this time, or it is not on its way any more. */
export const SETTLE_MILLIS = 30_000;
const ASK_AGAIN_MILLIS = 1_000;
/** Longer than a question to the store can last. */
const STOP_MILLIS = 4_000;
/** Whoever reads a topic again tells the others so often that he is still at it: far more often than a claim lasts. */
const CLAIM_AGAIN_MILLIS = 20_000;

export interface TrustParts {
  readonly window: DedupWindow;
  readonly windowMillis: number;
  /** `undefined` where ids cannot be read from the target. */
  readonly stored: StoredIds | undefined;
  /** What the lane knew last, over all its attempts. */
  readonly memory: { windowEpoch: string | undefined };
  /** Asks the store until it answers. Rejects when the signal aborts. */
  readonly ask: (question: () => Promise<WindowReport>) => Promise<WindowReport>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly onTrouble: (error: IsthmusError | undefined) => void;
}

/**
 * Whether a window that says "fresh" may be believed. One that was emptied knows nothing of what another way has brought: before it counts again, what the target holds is read
 * into it, by one lane for all. That this is done is an id in the window itself, which goes with it when it is emptied once more.
 *
 * Where the ids cannot be read from the target, a lane that has known the window before ends with WINDOW_LOST, so that a person decides. A lane that begins cannot tell an
 * emptied window from a new one.
 */
export class WindowTrust {
  readonly #parts: TrustParts;
  #earning: Promise<void> | undefined;
  #epoch: string | undefined;
  #told = false;

  constructor(parts: TrustParts) {
    this.#parts = parts;
  }

  has({ lossEpoch }: WindowReport): boolean {
    return this.#epoch === lossEpoch;
  }

  /** Resolves when the window may be believed. */
  earn(): Promise<void> {
    this.#earning ??= this.#earn().finally(() => {
      this.#earning = undefined;
    });
    return this.#earning;
  }

  async #earn(): Promise<void> {
    const { ask, window, windowMillis, memory, onTrouble } = this.#parts;
    for (;;) {
      const { lossEpoch, completeMillis } = await ask(() => window.report());
      if (completeMillis >= windowMillis || (await this.#isRestored(lossEpoch))) {
        this.#epoch = memory.windowEpoch = lossEpoch;
        if (this.#told) onTrouble(undefined);
        this.#told = false;
        return;
      }
    }
  }

  async #isRestored(epoch: string): Promise<boolean> {
    const { stored, ask, window } = this.#parts;
    if (stored === undefined) return this.#isForgiven(epoch);
    const done = restored(epoch);
    await ask(() => window.claim(done));
    const [verdict] = done.verdicts;
    if (verdict === Verdict.stored) return true;
    if (verdict === Verdict.claimed) return this.#await('another lane reads');
    try {
      const empty = await stored.isEmpty();
      if (empty === undefined) {
        await window.release(done);
        return this.#isForgiven(epoch);
      }
      if (!empty) await this.#restore(epoch, stored, done);
      return (await ask(() => window.confirm(done))).lossEpoch === epoch;
    } catch (error) {
      await window.release(done).catch(() => undefined);
      if (error instanceof EmptiedAgain) return false;
      throw error;
    }
  }

  #isForgiven(epoch: string): true {
    const { memory } = this.#parts;
    const known = memory.windowEpoch;
    memory.windowEpoch = epoch;
    if (known !== undefined && known !== epoch) throw lost();
    return true;
  }

  /** Reads what the target holds, and once more what was on its way meanwhile. Where no mirror has ever stored anything, there is nothing to wait for. */
  async #restore(epoch: string, stored: StoredIds, done: WindowIds): Promise<void> {
    const { ask, window, clock, log, signal } = this.#parts;
    let [ids, claimedAt] = [0, clock.monotonic()];
    const take = async (some: WindowIds): Promise<void> => {
      this.#tell('this lane reads');
      // Right before, so that hardly anything comes into a window that was emptied since.
      if ((await ask(() => window.report())).lossEpoch !== epoch) throw new EmptiedAgain();
      await ask(() => window.confirm(some));
      if (clock.monotonic() - claimedAt < CLAIM_AGAIN_MILLIS) return;
      claimedAt = clock.monotonic();
      await ask(() => window.claim(done));
    };
    stored.forget();
    for (;;) {
      const { lossEpoch, completeMillis } = await ask(() => window.report());
      if (lossEpoch !== epoch) return;
      ids += await stored.read(signal, take);
      if (ids === 0) return;
      if (completeMillis >= SETTLE_MILLIS) break;
      await this.#await('this lane reads');
    }
    log.warn('window-restored', { ids });
  }

  async #await(who: string): Promise<false> {
    const { clock, signal } = this.#parts;
    this.#tell(who);
    await clock.sleep(ASK_AGAIN_MILLIS, signal);
    if (signal.aborted) throw signal.reason;
    return false;
  }

  #tell(who: string): void {
    const what = `checking records: their dedup window is new or has lost ids; ${who} what the target holds into it before records go on`;
    this.#told = true;
    this.#parts.onTrouble(new IsthmusError('WINDOW_LOST', what, { retryable: true }));
  }
}

/** The id that says that what the target holds is in a window. */
function restored(epoch: string): WindowIds {
  const ids = new WindowIds();
  ids.addRun(`read from the target ${epoch}`, offsetPosition(0), 1);
  return ids;
}

/**
 * Forgets a window because the source has used positions again: what the target holds under them are other records, and read into the window they would keep the new ones out. So it
 * counts as read. Rejects when the store does not answer, or the signal aborts; it may be repeated.
 */
export async function beginAnew(
  window: DedupWindow,
  forget: () => Promise<void>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const report = async (): Promise<WindowIds> => restored((await window.report()).lossEpoch);
  for (;;) {
    await forget();
    // Nobody begins to read meanwhile, and who was reading has stopped at the end: what he had on its way is forgotten with the rest.
    await window.claim(await report());
    await clock.sleep(STOP_MILLIS, signal);
    if (signal.aborted) throw signal.reason;
    await forget();
    const done = await report();
    await window.claim(done);
    if (done.verdicts[0] === Verdict.stored) return;
    if (done.verdicts[0] === Verdict.claimed) continue;
    await window.confirm(done);
    return;
  }
}

/** Stops reading: the window was emptied once more, maybe because what is read is not to count. */
class EmptiedAgain extends Error {}

function lost(): IsthmusError {
  return new IsthmusError(
    'WINDOW_LOST',
    'checking records: their dedup window has lost ids, which the target does not tell; what came another way before may come again. Restart the mirror to go on',
  );
}
