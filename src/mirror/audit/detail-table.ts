import type { Position } from '../../model/position.ts';
import type { TargetPlace } from './findings.ts';
import { Places } from './places.ts';

const MOST_COPIES = 255;
const LISTED_COPIES = 8;
/** Rows of which all copies are remembered, so that they can be listed and told from records that only come too late. */
const MOST_DOUBLED_ROWS = 65_536;

interface Copy {
  readonly targetLane: number;
  readonly position: Position;
}

/** Records of a source lane, one by one, and what the target has of each. */
export class DetailTable {
  readonly #places = new Places();
  #low = new Uint32Array(64);
  #high = new Uint32Array(64);
  #time = new Float64Array(64);
  /** The index as the source has it, for people: see `indexInEntry`. */
  #index = new Int32Array(64);
  #copies = new Uint8Array(64);
  #changed = new Uint8Array(64);
  #firstLane = new Int32Array(64);
  readonly #first = new Places();
  readonly #more = new Map<number, Copy[]>();

  get length(): number {
    return this.#places.length;
  }

  /** Takes the next record of the source; `index` as the source has it. */
  push(place: Position, index: number, low: number, high: number, time: number): void {
    const row = this.#places.length;
    if (row === this.#low.length) this.#grow();
    this.#places.push(place.major, place.minor, place.index);
    this.#first.push(-1, -1, -1);
    this.#index[row] = index;
    this.#low[row] = low;
    this.#high[row] = high;
    this.#time[row] = time;
    this.#copies[row] = 0;
    this.#changed[row] = 0;
  }

  /** The row of a source position, -1 when the source has no such record. */
  row(major: number, minor: number, index: number): number {
    const row = this.#places.floor(major, minor, index);
    return row >= 0 && this.#places.compare(row, major, minor, index) === 0 ? row : -1;
  }

  /** Takes a record of the target. */
  found(row: number, low: number, high: number, targetLane: number, position: Position): void {
    const copies = this.#copies[row] ?? 0;
    if (low !== this.#low[row] || high !== this.#high[row]) this.#changed[row] = 1;
    if (copies === 0) {
      this.#firstLane[row] = targetLane;
      this.#first.set(row, position.major, position.minor, position.index);
    } else if (copies === 1 && this.#more.size < MOST_DOUBLED_ROWS) this.#more.set(row, [{ targetLane, position }]);
    else if (copies < LISTED_COPIES) this.#more.get(row)?.push({ targetLane, position });
    if (copies < MOST_COPIES) this.#copies[row] = copies + 1;
  }

  copies(row: number): number {
    return this.#copies[row] ?? 0;
  }

  changed(row: number): boolean {
    return this.#changed[row] === 1;
  }

  place(row: number): Position {
    return this.#places.at(row);
  }

  /** Its position as the source has it. */
  position(row: number): Position {
    return { ...this.#places.at(row), index: this.#index[row] ?? -1 };
  }

  /** When the source stored it, milliseconds since 1970. */
  time(row: number): number {
    return this.#time[row] ?? 0;
  }

  /** Where the target has it; at most eight places. */
  targets(row: number, nameOf: (targetLane: number) => string): TargetPlace[] {
    if (this.copies(row) === 0) return [];
    const all = [{ targetLane: this.#firstLane[row] ?? 0, position: this.#first.at(row) }, ...(this.#more.get(row) ?? [])];
    return all.map(({ targetLane, position }) => ({ lane: nameOf(targetLane), position }));
  }

  /** Whether a place is the first one of a record in its target lane, and not that of a further copy. */
  isFirst(row: number, targetLane: number, position: Position): boolean {
    const same = (copy: Position): boolean =>
      copy.major === position.major && copy.minor === position.minor && copy.index === position.index;
    if (this.#firstLane[row] === targetLane) return same(this.#first.at(row));
    const first = this.#more.get(row)?.find((copy) => copy.targetLane === targetLane);
    return first !== undefined && same(first.position);
  }

  clear(): void {
    this.#places.clear();
    this.#first.clear();
    this.#more.clear();
  }

  #grow(): void {
    const size = 2 * this.#low.length;
    const grown = <T extends Uint32Array | Float64Array | Uint8Array | Int32Array>(old: T, made: T): T => {
      made.set(old);
      return made;
    };
    this.#low = grown(this.#low, new Uint32Array(size));
    this.#high = grown(this.#high, new Uint32Array(size));
    this.#time = grown(this.#time, new Float64Array(size));
    this.#index = grown(this.#index, new Int32Array(size));
    this.#copies = grown(this.#copies, new Uint8Array(size));
    this.#changed = grown(this.#changed, new Uint8Array(size));
    this.#firstLane = grown(this.#firstLane, new Int32Array(size));
  }
}
