import { advancePosition, BEFORE_ALL, comparePositions, type Position } from '../model/position.ts';
import type { IndexEntry } from '../spi/state-store.ts';

/**
 * Per target partition, the place behind which everything lies that is not safe yet: where a look at the target has to begin.
 *
 * It may pass a stored batch only when the watermark has passed all its records. With several partitions, one that is ahead would
 * otherwise hide stored records behind its place, and they would be written twice.
 */
export class TargetPlaces {
  readonly #places: Map<number, Position>;
  /** Partitions that the lane writes now. */
  readonly #current: ReadonlySet<number>;
  readonly #ahead = new Map<number, { end: Position; target: Position }[]>();

  /** `places` may name partitions that the lane wrote before its routing was changed: they are kept until nothing of theirs is ahead. */
  constructor(places: ReadonlyMap<number, Position>, current: readonly number[]) {
    this.#places = new Map(places);
    this.#current = new Set(current);
  }

  /** Notes what lies in the target, in its order there: batches as they are stored, and before them those that a look has found. */
  stored(stored: IndexEntry): void {
    const last = stored.runs.at(-1);
    let list = this.#ahead.get(stored.partition);
    if (list === undefined) this.#ahead.set(stored.partition, (list = []));
    list.push({ end: last === undefined ? BEFORE_ALL : advancePosition(last.first, last.count), target: lastOf(stored) });
  }

  /**
   * Nothing of the lane is on its way: what it stores from now on lies behind whatever a partition has now. What a look has found there and was not passed yet stays in view. True when
   * the place has moved.
   */
  raise(partition: number, place: Position): boolean {
    const former = this.#places.get(partition);
    const mayMove =
      former !== undefined && (this.#ahead.get(partition)?.length ?? 0) === 0 && comparePositions(place, former) > 0;
    if (mayMove) this.#places.set(partition, place);
    return mayMove;
  }

  /** The places as of a watermark. */
  at(next: Position): Map<number, Position> {
    for (const [partition, list] of this.#ahead) {
      let passed = 0;
      while (passed < list.length && comparePositions(list[passed]?.end ?? next, next) <= 0) passed++;
      const newest = list[passed - 1];
      if (newest !== undefined) this.#places.set(partition, newest.target);
      if (passed > 0) list.splice(0, passed);
    }
    for (const partition of this.#places.keys()) {
      const needed = this.#current.has(partition) || (this.#ahead.get(partition)?.length ?? 0) > 0;
      if (!needed) this.#places.delete(partition);
    }
    return this.#places;
  }
}

/** Where the last record of a batch lies; its entry, where that is the place of all of them. */
export function lastOf({ runs, target }: IndexEntry): Position {
  if (target.minor >= 0) return target;
  return advancePosition(target, Math.max(0, runs.reduce((sum, { count }) => sum + count, 0) - 1));
}
