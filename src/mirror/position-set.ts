import {
  advancePosition,
  BEFORE_ALL,
  comparePositions,
  formatPosition,
  neighbourDistance,
  type Position,
} from '../model/position.ts';
import type { PositionRun } from '../model/provenance.ts';

/** Positions of a lane that the target already has, as merged runs. Asked in ascending order while the lane is read again. */
export class PositionSet {
  #runs: { first: Position; end: Position }[] = [];
  #sorted = true;

  add(run: PositionRun): void {
    this.#runs.push({ first: run.first, end: advancePosition(run.first, run.count) });
    this.#sorted = false;
  }

  /** The end of the highest run, `undefined` when empty. */
  get end(): Position | undefined {
    this.#settle();
    return this.#runs.at(-1)?.end;
  }

  /** The first position of the lowest run, `undefined` when empty. */
  get begin(): Position | undefined {
    this.#settle();
    return this.#runs[0]?.first;
  }

  /** The place behind which the newest `count` positions lie, where there are more than that. Of runs whose ends are of different kinds only one is counted. */
  placeOfNewest(count: number): Position | undefined {
    this.#settle();
    let left = count;
    for (const { first, end } of this.#runs.toReversed()) {
      const positions = neighbourDistance(first, end) ?? 1;
      if (positions > left) return left === 0 ? end : advancePosition(first, positions - left);
      left -= positions;
    }
    return undefined;
  }

  get empty(): boolean {
    return this.#runs.length === 0;
  }

  /** Where the entry begins that comes after the last one of which the set has single records: from there on an entry is in it wholly or not at all. */
  get wholeFrom(): Position {
    this.#settle();
    const last = this.#runs.findLast(({ end }) => end.index >= 0);
    return last === undefined ? BEFORE_ALL : { major: last.end.major, minor: last.end.minor + 1, index: -1 };
  }

  /** Whether all `records` of an entry are in the set, under its own position or one by one. Throws when only some are: it can neither be left out nor be written whole. */
  hasEntry(entry: Position, records: number): boolean {
    if (this.has(entry)) return true;
    const first = this.#runs[this.#firstEndingAfter(entry)];
    const after = { ...entry, minor: entry.minor + 1 };
    if (first === undefined || comparePositions(first.first, after) >= 0) return false;
    const all = comparePositions(first.first, { ...entry, index: 0 }) <= 0;
    if (all && comparePositions(first.end, { ...entry, index: records }) >= 0) return true;
    throw new Error(`the entry ${formatPosition(entry)} is stored in part and was read whole`);
  }

  has(position: Position): boolean {
    this.#settle();
    const run = this.#runs[this.#firstEndingAfter(position)];
    return run !== undefined && comparePositions(run.first, position) <= 0;
  }

  /** The number of the first run that ends behind a position, by halving. */
  #firstEndingAfter(position: Position): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const run = this.#runs[middle];
      if (run !== undefined && comparePositions(run.end, position) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Forgets everything before a position, so that a long-running lane keeps nothing of its recovery. */
  forgetBefore(position: Position): void {
    this.#settle();
    this.#runs = this.#runs.filter((run) => comparePositions(run.end, position) > 0);
  }

  /** Forgets everything from a position on. */
  forgetFrom(position: Position): void {
    this.#settle();
    this.#runs = this.#runs.filter((run) => comparePositions(run.first, position) < 0);
    const last = this.#runs.at(-1);
    if (last !== undefined && comparePositions(last.end, position) > 0) last.end = position;
  }

  #settle(): void {
    if (this.#sorted) return;
    this.#runs.sort((a, b) => comparePositions(a.first, b.first));
    const merged: { first: Position; end: Position }[] = [];
    for (const run of this.#runs) {
      const last = merged.at(-1);
      if (last !== undefined && comparePositions(run.first, last.end) <= 0) {
        if (comparePositions(run.end, last.end) > 0) last.end = run.end;
      } else {
        merged.push({ ...run });
      }
    }
    this.#runs = merged;
    this.#sorted = true;
  }
}
