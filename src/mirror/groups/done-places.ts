import { comparePositions, type Position } from '../../model/position.ts';
import type { DoneRange } from '../../spi/groups.ts';
import type { IndexEntry } from '../../spi/state-store.ts';
import { type Part, sizeOf, targetOf } from './done-records.ts';

/** Places of a partition that are done, at or after the first that is not. */
export class DonePlaces {
  readonly #from: Position;
  readonly #ranges: DoneRange[] = [];

  constructor(from: Position) {
    this.#from = from;
  }

  /** Whether a place lies at or after the beginning. */
  isAtOrBefore(place: Position | undefined): boolean {
    return place !== undefined && comparePositions(this.#from, place) <= 0;
  }

  /** False when the whole entry lies before the beginning. Asked of very many, most of which do. */
  isReachedBy(entry: IndexEntry): boolean {
    const { target } = entry;
    const from = this.#from;
    if (target.minor < 0) return target.major + sizeOf(entry) > from.major;
    return target.major > from.major || (target.major === from.major && target.minor >= from.minor);
  }

  /** Adds parts of an entry, as far as they lie at or after the beginning; tells whether any did. */
  add(entry: IndexEntry, parts: readonly Part[]): boolean {
    let added = false;
    for (const { from, to } of parts) {
      const low = Math.max(from, this.#firstNumber(entry));
      if (low >= to) continue;
      added = true;
      const whole = low === 0 && to === sizeOf(entry) && entry.target.minor >= 0 && entry.target.index < 0;
      const records = Number.isFinite(to) ? to - low : 1;
      const { target } = entry;
      const end = whole || !Number.isFinite(to) ? { ...target, minor: target.minor + 1, index: -1 } : targetOf(entry, to);
      this.#ranges.push({ from: targetOf(entry, low), to: end, records });
    }
    return added;
  }

  /** The lowest `most` ranges, neighbours joined, and how many records the others hold. */
  take(most: number): { readonly done: DoneRange[]; readonly others: number } {
    const joined: DoneRange[] = [];
    for (const range of this.#ranges.sort((a, b) => comparePositions(a.from, b.from) || comparePositions(b.to, a.to))) {
      const last = joined.at(-1);
      const gap = last === undefined ? 1 : comparePositions(range.from, last.to);
      if (last === undefined || gap > 0) joined.push(range);
      // What is indexed twice, because a look at the target has found it again, counts once.
      else if (comparePositions(range.to, last.to) > 0)
        joined[joined.length - 1] = { from: last.from, to: range.to, records: last.records + added(range, last.to) };
    }
    return { done: joined.slice(0, most), others: joined.slice(most).reduce((sum, { records }) => sum + records, 0) };
  }

  /** The number of an entry's first record that lies at or after the beginning. */
  #firstNumber(entry: IndexEntry): number {
    const { target } = entry;
    const from = this.#from;
    if (comparePositions(targetOf(entry, 0), from) >= 0) return 0;
    if (target.minor < 0) return from.major - target.major;
    if (from.major !== target.major || from.minor !== target.minor) return Number.POSITIVE_INFINITY;
    return Math.max(0, from.index) - Math.max(0, target.index);
  }
}

/** Records of a range that lie at or after a place inside it. */
function added(range: DoneRange, from: Position): number {
  if (comparePositions(range.from, from) >= 0) return range.records;
  const sameEntry = range.from.minor < 0 || (range.from.minor === from.minor && range.from.major === from.major);
  const skipped = range.from.minor < 0 ? from.major - range.from.major : Math.max(0, from.index) - Math.max(0, range.from.index);
  return sameEntry ? Math.max(0, range.records - skipped) : 0;
}
