import type { Position } from '../../model/position.ts';

/**
 * The highest source position that each key has reached in a target lane, for the newest keys: two tables, of which the older is thrown away as a whole when the
 * newer is full. Typed columns and no map, because where each record has a key of its own a map would make objects for each.
 */
export class KeyOrder {
  readonly #mask: number;
  readonly #most: number;
  #young: Table;
  #old: Table;
  #slot = 0;

  /** `most`: how many of the newest keys are remembered for sure. */
  constructor(most: number) {
    this.#most = most;
    let size = 4;
    while (size < 2 * most) size *= 2;
    this.#mask = size - 1;
    this.#young = table(size);
    this.#old = table(size);
  }

  /**
   * Takes a record of a source lane with a key (a number that stands for it). False when a record of the same lane and key with a higher position has
   * come before; `behind` is then that position.
   */
  take(lane: number, key: number, major: number, minor: number, index: number): boolean {
    if (!this.#find(this.#young, lane, key)) this.#bring(lane, key);
    const { young, slot } = { young: this.#young, slot: this.#slot };
    const order = (young.major[slot] ?? 0) - major || (young.minor[slot] ?? 0) - minor || (young.index[slot] ?? 0) - index;
    if (order > 0) return false;
    young.major[slot] = major;
    young.minor[slot] = minor;
    young.index[slot] = index;
    return true;
  }

  /** After `take` said false: the higher position that came before. */
  get behind(): Position {
    const { major, minor, index } = this.#young;
    return { major: major[this.#slot] ?? 0, minor: minor[this.#slot] ?? 0, index: index[this.#slot] ?? 0 };
  }

  /** Puts a key into the newer table, with what the older one knows of it. */
  #bring(lane: number, key: number): void {
    if (this.#young.count >= this.#most) {
      const emptied = this.#old;
      emptied.lane.fill(-1);
      emptied.count = 0;
      this.#old = this.#young;
      this.#young = emptied;
    }
    const known = this.#find(this.#old, lane, key) ? this.#slot : -1;
    this.#find(this.#young, lane, key);
    const { young, slot } = { young: this.#young, slot: this.#slot };
    young.count++;
    young.lane[slot] = lane;
    young.key[slot] = key;
    young.major[slot] = known < 0 ? -1 : (this.#old.major[known] ?? -1);
    young.minor[slot] = known < 0 ? -1 : (this.#old.minor[known] ?? -1);
    young.index[slot] = known < 0 ? -1 : (this.#old.index[known] ?? -1);
  }

  /** Sets `#slot` to the key's, or to the free one where it belongs. */
  #find(where: Table, lane: number, key: number): boolean {
    let slot =
      (Math.imul(key | 0, 0x9e3779b1) ^ Math.imul((key / 0x1_0000_0000) | 0, 0x85ebca6b) ^ Math.imul(lane, 0xc2b2ae35)) >>> 7;
    for (slot &= this.#mask; ; slot = (slot + 1) & this.#mask) {
      this.#slot = slot;
      if (where.lane[slot] === -1) return false;
      if (where.lane[slot] === lane && where.key[slot] === key) return true;
    }
  }
}

interface Table {
  count: number;
  readonly lane: Int32Array;
  readonly key: Float64Array;
  readonly major: Float64Array;
  readonly minor: Float64Array;
  readonly index: Int32Array;
}

function table(size: number): Table {
  return {
    count: 0,
    lane: new Int32Array(size).fill(-1),
    key: new Float64Array(size),
    major: new Float64Array(size),
    minor: new Float64Array(size),
    index: new Int32Array(size),
  };
}
