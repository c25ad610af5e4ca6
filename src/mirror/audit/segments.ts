import type { Position } from '../../model/position.ts';
import { Places } from './places.ts';

/**
 * Where in a target lane the blocks of the source lanes lie: per segment of the target, the lowest and highest block of each source lane in it. Only the segments
 * that may hold a record of an unequal block are read again.
 */
export class Segments {
  readonly #lanes: number;
  readonly #most: number;
  readonly #first = new Places();
  #size: number;
  #records = 0;
  #low: Int32Array;
  #high: Int32Array;

  /** `lanes`: source lanes; `most`: how many segments are kept; `size`: records in one to begin with. */
  constructor(lanes: number, most: number, size: number) {
    this.#lanes = lanes;
    // Even, so that merging pairs leaves no single one.
    this.#most = 2 * Math.max(1, Math.floor(most / 2));
    this.#size = size;
    this.#low = new Int32Array(this.#most * lanes);
    this.#high = new Int32Array(this.#most * lanes);
  }

  /** Takes a record of the target: its place there, and its lane and block in the source. */
  add(major: number, minor: number, index: number, lane: number, block: number): void {
    if (this.#first.length === 0 || this.#records >= this.#size) this.#begin(major, minor, index);
    this.#records++;
    const at = (this.#first.length - 1) * this.#lanes + lane;
    if (block < (this.#low[at] ?? 0)) this.#low[at] = block;
    if (block > (this.#high[at] ?? 0)) this.#high[at] = block;
  }

  /** Stretches of the target, ascending, that hold everything of some blocks of a lane: each `[first, last]`. The last stretch may end at `end`. */
  holding(
    lane: number,
    blocks: readonly (readonly [first: number, last: number])[],
    end: Position,
  ): { from: Position; to: Position }[] {
    const stretches: { from: Position; to: Position }[] = [];
    let open = false;
    for (let segment = 0; segment < this.#first.length; segment++) {
      const at = segment * this.#lanes + lane;
      const low = this.#low[at] ?? 0;
      const high = this.#high[at] ?? -1;
      const wanted = blocks.some(([first, last]) => low <= last && high >= first);
      const to = segment + 1 < this.#first.length ? this.#first.at(segment + 1) : end;
      const last = stretches.at(-1);
      if (wanted && open && last !== undefined) last.to = to;
      else if (wanted) stretches.push({ from: this.#first.at(segment), to });
      open = wanted;
    }
    return stretches;
  }

  #begin(major: number, minor: number, index: number): void {
    if (this.#first.length >= this.#most) this.#merge();
    this.#first.push(major, minor, index);
    this.#records = 0;
    this.#clear(this.#first.length - 1);
  }

  #merge(): void {
    const lanes = this.#lanes;
    for (let segment = 0; 2 * segment < this.#first.length; segment++) {
      for (let lane = 0; lane < lanes; lane++) {
        const at = 2 * segment * lanes + lane;
        this.#low[segment * lanes + lane] = Math.min(this.#low[at] ?? 0, this.#low[at + lanes] ?? 0);
        this.#high[segment * lanes + lane] = Math.max(this.#high[at] ?? 0, this.#high[at + lanes] ?? 0);
      }
    }
    this.#first.halve();
    this.#size *= 2;
  }

  #clear(segment: number): void {
    this.#low.fill(0x7fffffff, segment * this.#lanes, (segment + 1) * this.#lanes);
    this.#high.fill(-1, segment * this.#lanes, (segment + 1) * this.#lanes);
  }
}
