import { advancePosition, comparePositions, type Position } from '../../model/position.ts';
import { MAX_ROUND_RECORDS } from '../recovery.ts';
import type { SourceLane, TargetLane } from './lane-state.ts';
import type { AuditDeps } from './plan.ts';
import { Ranges } from './ranges.ts';

const PAGE = 1_000;
const MAX_PAGES = 2_000;

/** What is known about records that the target may have had and has deleted since. */
export interface TargetFloor {
  /** Stored once, for sure, and deleted by the target since. */
  readonly expired: Ranges;
  /** A record at or after this one was not deleted by the target, so if it is not there it was never stored. `undefined` = not known of any. */
  readonly sureFrom: Position | undefined;
  /** The lane's first record that the mirror has taken, as far as anybody knows. */
  readonly started: Position | undefined;
}

/**
 * Tells deleted records from lost ones. Targets delete from their beginning: what comes well after the first record of the lane that is still there was not
 * deleted. About what lies before it the position index knows where it was stored.
 */
export async function targetFloor(lane: SourceLane, targets: readonly TargetLane[], deps: AuditDeps): Promise<TargetFloor> {
  const expired = new Ranges();
  const { from, to, partitions } = lane.scope;
  const seen = [...lane.heads.values()].map(({ first }) => first);
  const fed = targets.filter(({ number }) => partitions.includes(number));
  if (fed.every(untouched)) return { expired, sureFrom: from, started: extreme(seen, -1) };
  // Deleting may have begun inside a round, whose records lie in any order; those of later rounds have higher positions.
  const enough = sureFrom(fed, from, (number) => {
    const head = lane.heads.get(number);
    return head !== undefined && head.records > MAX_ROUND_RECORDS ? head.highest : undefined;
  });
  const firstKept = new Map<number, Position>();
  let started: Position | undefined;
  for (let page = 0, next = from; page < MAX_PAGES; page++) {
    const entries = await deps.readIndex(lane.id, next, to, PAGE);
    let last = next;
    for (const { runs, partition, target } of entries) {
      const begin = targets[partition]?.begin;
      for (const { first, count } of runs) {
        const end = advancePosition(first, count);
        started = extreme([first, ...(started === undefined ? [] : [started])], -1);
        if (comparePositions(end, last) > 0) last = end;
        if (begin !== undefined && isBefore(target, begin)) expired.add(first, end);
        else if (!firstKept.has(partition)) firstKept.set(partition, first);
      }
    }
    const over = entries.length < PAGE || comparePositions(last, next) <= 0;
    if (over || (enough !== undefined && comparePositions(last, enough) > 0)) break;
    next = last;
  }
  const byIndex = sureFrom(fed, from, (number) => firstKept.get(number));
  const known = (places: readonly (Position | undefined)[]): Position[] => places.filter((place) => place !== undefined);
  return { expired, sureFrom: extreme(known([byIndex, enough]), -1), started: extreme(known([started, ...seen]), -1) };
}

/** From where on nothing can have been deleted in any of the lanes, when that is known of each. */
function sureFrom(
  fed: readonly TargetLane[],
  from: Position,
  placeIn: (number: number) => Position | undefined,
): Position | undefined {
  const places: Position[] = [];
  for (const target of fed) {
    const place = untouched(target) ? from : placeIn(target.number);
    if (place === undefined) return undefined;
    places.push(place);
  }
  return extreme(places, 1);
}

/** A lane of offsets that still has the very first one. */
function untouched({ begin }: TargetLane): boolean {
  return begin.minor < 0 && begin.major <= 0;
}

/** Whether a stored entry is deleted: places are compared by entry. */
function isBefore(target: Position, begin: Position): boolean {
  return comparePositions({ ...target, index: -1 }, { ...begin, index: -1 }) < 0;
}

/** The highest (1) or lowest (-1). */
function extreme(places: readonly Position[], sign: 1 | -1): Position | undefined {
  let best: Position | undefined;
  for (const place of places) if (best === undefined || sign * comparePositions(place, best) > 0) best = place;
  return best;
}
