import { type ErrorCode, IsthmusError, toIsthmusError } from '../../errors.ts';
import type { Checkpoint } from '../../spi/state-store.ts';
import type { SourceEnds } from '../groups/link-groups.ts';
import { total } from '../status.ts';
import type { LaneRisk } from './api.ts';
import { checkpointsOf, type FailoverHost, LOOK_MILLIS } from './host.ts';
import { lanesAtRisk } from './plan.ts';

/** A source from which nothing has come for so long counts as fenced. */
const STILL_MILLIS = 2_000;
/** A source that is there says nothing for a moment when it is busy. */
const AWAY_MILLIS = 10_000;

/** These say nothing of the source: the state store is away, or a defect is ours. */
const NOT_OF_THE_SOURCE: readonly ErrorCode[] = ['STATE_UNAVAILABLE', 'STATE_DAMAGED', 'INVALID_REQUEST', 'INTERNAL', 'CLOSED'];

type Checkpoints = ReadonlyMap<string, readonly Checkpoint[]>;

/**
 * Knows when the target has everything that the source's applications have written.
 *
 * A source may grow all the time although it is fenced: with what the mirror back brings of the target, which is cut there and never stored. So it is not enough to look where its lanes end. What a checkpoint names as
 * stored (`targets`) changes with every batch: where that stays the same while the checkpoint goes on to where the lanes ended a while later, nothing of what the source has got in the meantime had to be stored.
 */
class Rest {
  #ends = '';
  #stored = '';
  #endsSince = 0;
  #storedSince = 0;
  /** Where the lanes ended when nothing had been stored for a while. */
  #goal: SourceEnds | undefined;

  /** `at`: monotonic milliseconds before `ends` was read; the checkpoints were read after it. Tells the lanes that are behind, and whether all has come. */
  look(at: number, ends: SourceEnds, checkpoints: Checkpoints): { readonly lanes: readonly LaneRisk[]; readonly all: boolean } {
    const lanes = lanesAtRisk(ends, checkpoints);
    const endsNow = JSON.stringify(lanes.map(({ end }) => end));
    const storedNow = JSON.stringify(
      [...checkpoints].map(([name, list]) => [name, list.map(({ lane, targets }) => [lane, targets])]),
    );
    if (endsNow !== this.#ends) [this.#ends, this.#endsSince] = [endsNow, at];
    if (storedNow !== this.#stored) [this.#stored, this.#storedSince, this.#goal] = [storedNow, at, undefined];
    if (at - this.#storedSince >= STILL_MILLIS) this.#goal ??= ends;
    const stands = at - this.#endsSince >= STILL_MILLIS && isStored(lanes);
    return { lanes, all: stands || (this.#goal !== undefined && isStored(lanesAtRisk(this.#goal, checkpoints))) };
  }
}

function isStored(lanes: readonly LaneRisk[]): boolean {
  return lanes.every(({ records }) => records === 0);
}

/** Waits until the target has what the source gives. Rejects where a planned failover cannot get it. */
export async function drain(
  host: FailoverHost,
  planned: boolean,
  limitMillis: number,
  tell: (detail: string) => void,
  signal: AbortSignal,
): Promise<string> {
  const { clock } = host;
  const deadline = clock.monotonic() + limitMillis;
  const rest = new Rest();
  let answered = clock.monotonic();
  let behind: readonly LaneRisk[] = [];
  while (true) {
    if (signal.aborted) throw new IsthmusError('CLOSED', 'draining: it was called off');
    const at = clock.monotonic();
    try {
      const { lanes, all } = rest.look(at, await host.sync.sourceEnds(), await checkpointsOf(host));
      answered = at;
      if (all) return `the target has all of the source's ${lanes.length} lanes`;
      behind = lanes.filter(({ records }) => records !== 0);
      tell(
        behind.length > 0
          ? `${behind.length} of ${lanes.length} lanes are still behind${countText(behind.map(({ records }) => records))}`
          : 'the target has all; waiting until nothing more comes from the source',
      );
    } catch (raw) {
      const error = toIsthmusError(raw);
      const ofSource = !NOT_OF_THE_SOURCE.includes(error.code);
      if (ofSource && !planned)
        return `the source does not answer: what it has beyond the checkpoints stays behind (${error.message})`;
      if (ofSource ? at - answered > AWAY_MILLIS : !error.retryable || at > deadline) throw drainError(error, ofSource);
      tell(ofSource ? `the source does not answer: ${error.message}` : error.message);
    }
    if (clock.monotonic() > deadline && answered === at) return ended(planned, behind.length, limitMillis);
    await clock.sleep(LOOK_MILLIS, signal);
  }
}

function drainError(error: IsthmusError, ofSource: boolean): IsthmusError {
  const text = ofSource
    ? `draining: the source does not answer any more; begin an unplanned failover if it is lost: ${error.message}`
    : `draining: ${error.message}`;
  return new IsthmusError(ofSource ? 'CONNECT_FAILED' : error.code, text, { cause: error });
}

/** The time is over. */
function ended(planned: boolean, behind: number, limitMillis: number): string {
  const after = `after ${limitMillis / 1_000} s`;
  if (!planned) return `${behind} lanes were still behind ${after}: what they have stays behind`;
  throw new IsthmusError(
    'CONFLICT',
    `draining: ${after} ${behind === 0 ? 'the source still gets records of its own: is it fenced?' : `${behind} lanes are behind; see \`isthmus lanes\``}`,
  );
}

function countText(records: readonly (number | null)[]): string {
  const all = total(records);
  return all === null ? '' : ` by ${all} records`;
}

/** Waits until the checkpoints have reached where the source ended when it was looked at. Gives the lanes that have not after a while. */
export async function untilStored(
  host: FailoverHost,
  ends: SourceEnds,
  limitMillis: number,
  signal: AbortSignal,
): Promise<LaneRisk[]> {
  const { clock } = host;
  const deadline = clock.monotonic() + limitMillis;
  while (true) {
    const behind = lanesAtRisk(ends, await checkpointsOf(host)).filter(({ records }) => records !== 0);
    if (behind.length === 0 || signal.aborted || clock.monotonic() >= deadline) return behind;
    await clock.sleep(LOOK_MILLIS, signal);
  }
}
