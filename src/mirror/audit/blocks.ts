import type { Position } from '../../model/position.ts';
import { Places } from './places.ts';

/** What tells the blocks of a lane apart when it has been read on both sides. */
interface Side {
  count: Uint32Array;
  low: Uint32Array;
  high: Uint32Array;
}

/**
 * A source lane in blocks of neighbouring records: how many there are in source and target, and the sum (mod 2^64) of their hashes, which does not depend on the
 * order of reading. The source is read first and makes the blocks; a record of the target belongs to the one that its source position falls into.
 *
 * Blocks are stretches of positions and not of time: a target tells each record's position, but the time only of the first record of an entry, so that buckets of
 * time would have other borders on the two sides.
 */
export class Blocks {
  readonly #first = new Places();
  readonly #most: number;
  #size: number;
  #source: Side = side(64);
  #target: Side = side(64);
  #open = -1;
  #hint = 0;

  /** `most`: how many blocks are kept; `size`: records in a block to begin with. */
  constructor(most: number, size: number) {
    // Even, so that merging pairs leaves no single one.
    this.#most = 2 * Math.max(1, Math.floor(most / 2));
    this.#size = size;
  }

  get length(): number {
    return this.#first.length;
  }

  /** Takes the next record of the source. */
  addSource(major: number, minor: number, index: number, low: number, high: number): void {
    if (this.#open < 0 || (this.#source.count[this.#open] ?? 0) >= this.#size) this.#begin(major, minor, index);
    add(this.#source, this.#open, low, high);
  }

  addTarget(block: number, low: number, high: number): void {
    add(this.#target, block, low, high);
  }

  /** The block that a position belongs to; what lies before the first belongs to that. -1 when there are none. */
  blockOf(major: number, minor: number, index: number): number {
    const hint = this.#hint;
    const { length } = this.#first;
    if (
      hint < length &&
      this.#first.compare(hint, major, minor, index) <= 0 &&
      (hint + 1 >= length || this.#first.compare(hint + 1, major, minor, index) > 0)
    )
      return hint;
    if (length === 0) return -1;
    this.#hint = Math.max(0, this.#first.floor(major, minor, index));
    return this.#hint;
  }

  equal(block: number): boolean {
    const [a, b] = [this.#source, this.#target];
    return a.count[block] === b.count[block] && a.low[block] === b.low[block] && a.high[block] === b.high[block];
  }

  sourceCount(block: number): number {
    return this.#source.count[block] ?? 0;
  }

  targetCount(block: number): number {
    return this.#target.count[block] ?? 0;
  }

  firstOf(block: number): Position {
    return this.#first.at(block);
  }

  #begin(major: number, minor: number, index: number): void {
    if (this.#first.length >= this.#most) this.#merge();
    this.#first.push(major, minor, index);
    this.#open = this.#first.length - 1;
    if (this.#open >= this.#source.count.length) {
      const size = 2 * this.#source.count.length;
      this.#source = side(size, this.#source);
      this.#target = side(size, this.#target);
    }
  }

  /** Two neighbours become one, so that a lane of any length takes the same memory. */
  #merge(): void {
    const before = this.#source;
    const merged = side(before.count.length);
    for (let block = 0; block < this.#first.length; block++) {
      merge(merged, block >> 1, before.count[block] ?? 0, before.low[block] ?? 0, before.high[block] ?? 0);
    }
    this.#source = merged;
    this.#first.halve();
    this.#size *= 2;
    this.#open = this.#first.length - 1;
  }
}

function side(size: number, old?: Side): Side {
  const made: Side = { count: new Uint32Array(size), low: new Uint32Array(size), high: new Uint32Array(size) };
  if (old !== undefined) {
    made.count.set(old.count);
    made.low.set(old.low);
    made.high.set(old.high);
  }
  return made;
}

function add(to: Side, block: number, low: number, high: number): void {
  merge(to, block, 1, low, high);
}

function merge(to: Side, block: number, count: number, low: number, high: number): void {
  const sum = (to.low[block] ?? 0) + low;
  to.count[block] = (to.count[block] ?? 0) + count;
  to.low[block] = sum;
  to.high[block] = (to.high[block] ?? 0) + high + (sum > 0xffff_ffff ? 1 : 0);
}
