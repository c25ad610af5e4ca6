import { advancePosition, BEFORE_ALL, comparePositions, countBefore, type Position } from '../../model/position.ts';
import type { PositionRange } from '../../model/progress.ts';
import type { IndexEntry } from '../../spi/state-store.ts';

/** Records number `from` up to `to` of an index entry. `to` is infinite for the rest of an entry that was passed on whole: how many records it has is not known. */
export interface Part {
  readonly from: number;
  readonly to: number;
}

/** What a group has done of a source lane: everything before `next`, and ranges after it. */
export class DoneRecords {
  readonly #ranges: readonly PositionRange[];
  readonly next: Position;
  /** Nothing at or after it is done. */
  readonly end: Position;

  /** `done`: ascending, without overlaps. */
  constructor(next: Position, done: readonly PositionRange[]) {
    this.next = boundary(next);
    this.#ranges = [
      { from: BEFORE_ALL, to: this.next },
      ...done.map(({ from, to }) => ({ from: boundary(from), to: boundary(to) })),
    ];
    this.end = this.#ranges.reduce((end, { to }) => (comparePositions(to, end) > 0 ? to : end), this.next);
  }

  /** The records of an entry that are done, ascending and apart from each other. */
  partsOf(entry: IndexEntry): Part[] {
    const [only] = entry.runs;
    if (only !== undefined && isUnit(entry)) return joined(this.#withinEntry(only.first));
    const parts: Part[] = [];
    let base = 0;
    for (const { first, count } of entry.runs) {
      for (const { from, to } of this.#ranges) {
        const [low, high] = [
          countBefore(first, count, wholeAfter(first, from)),
          countBefore(first, count, wholeBefore(first, to)),
        ];
        if (high > low) parts.push({ from: base + low, to: base + high });
      }
      base += count;
    }
    return joined(parts);
  }

  #withinEntry(entry: Position): Part[] {
    const after = { ...entry, minor: entry.minor + 1 };
    const parts: Part[] = [];
    for (const { from, to } of this.#ranges) {
      if (comparePositions(from, after) >= 0 || comparePositions(to, entry) <= 0) continue;
      const low = comparePositions(from, entry) <= 0 ? 0 : from.index;
      const high = comparePositions(to, after) >= 0 ? Number.POSITIVE_INFINITY : to.index;
      if (high > low) parts.push({ from: low, to: high });
    }
    return parts;
  }
}

/**
 * A batch that was stored is an entry of its own in the target: `target` is then the entry itself, without the number of its first record. Where `target` has a number,
 * the entry there may hold other records, too: so it is with what came from the target.
 */
export function asWhole(entry: IndexEntry): IndexEntry {
  return entry.target.index === 0 ? { ...entry, target: { ...entry.target, index: -1 } } : entry;
}

/** Whether the entry stands for one source entry whose records have the same numbers in the target: one that was passed on whole, or a single message. */
export function isUnit({ runs, target }: IndexEntry): boolean {
  const [only] = runs;
  return (
    runs.length === 1 &&
    only?.count === 1 &&
    only.first.minor >= 0 &&
    only.first.index < 0 &&
    target.minor >= 0 &&
    target.index < 0
  );
}

/** How many records an entry has: infinite where that is not known. */
export function sizeOf(entry: IndexEntry): number {
  return isUnit(entry) ? Number.POSITIVE_INFINITY : entry.runs.reduce((sum, { count }) => sum + count, 0);
}

/** The number of the first record of an entry that is in none of the parts; `undefined` when all are. */
export function firstUndone(entry: IndexEntry, parts: readonly Part[]): number | undefined {
  let first = 0;
  for (const { from, to } of parts) {
    if (from > first) break;
    first = to;
  }
  return first < sizeOf(entry) ? first : undefined;
}

/** Where record number `n` of an index entry lies in the target. The first of a stored entry is the entry's own place. */
export function targetOf({ target }: IndexEntry, n: number): Position {
  if (target.minor < 0) return advancePosition(target, n);
  const index = Math.max(0, target.index) + n;
  return { ...target, index: index === 0 ? -1 : index };
}

/** Counts entries by their beginning: the place before the first record of one is the place before the entry. */
export function boundary(position: Position): Position {
  return position.minor >= 0 && position.index === 0 ? { ...position, index: -1 } : position;
}

/** A boundary inside an entry, for a run of entries: one of which only a part is done does not count. */
function wholeBefore(first: Position, end: Position): Position {
  return first.index < 0 && end.index >= 0 ? { ...end, index: -1 } : end;
}

function wholeAfter(first: Position, begin: Position): Position {
  return first.index < 0 && begin.index >= 0 ? { ...begin, minor: begin.minor + 1, index: -1 } : begin;
}

function joined(parts: Part[]): Part[] {
  const result: Part[] = [];
  for (const part of parts.sort((a, b) => a.from - b.from)) {
    const last = result.at(-1);
    if (last !== undefined && part.from <= last.to)
      result[result.length - 1] = { from: last.from, to: Math.max(last.to, part.to) };
    else result.push(part);
  }
  return result;
}
