import type { Position } from '../../model/position.ts';

/** Growing columns of positions, which are not kept as objects because there are very many. */
export class Places {
  #major = new Float64Array(64);
  #minor = new Float64Array(64);
  #index = new Int32Array(64);
  length = 0;

  push(major: number, minor: number, index: number): void {
    if (this.length === this.#major.length) this.#grow();
    this.set(this.length++, major, minor, index);
  }

  set(i: number, major: number, minor: number, index: number): void {
    this.#major[i] = major;
    this.#minor[i] = minor;
    this.#index[i] = index;
  }

  at(i: number): Position {
    return { major: this.#major[i] ?? -1, minor: this.#minor[i] ?? -1, index: this.#index[i] ?? -1 };
  }

  /** Negative when place `i` comes before the position. */
  compare(i: number, major: number, minor: number, index: number): number {
    return (this.#major[i] ?? 0) - major || (this.#minor[i] ?? 0) - minor || (this.#index[i] ?? 0) - index;
  }

  /** The last of the first `length` places (ascending) that is not after the position; -1 when all are. */
  floor(major: number, minor: number, index: number): number {
    let low = 0;
    let high = this.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (this.compare(middle, major, minor, index) <= 0) low = middle + 1;
      else high = middle - 1;
    }
    return high;
  }

  /** Keeps every second place. */
  halve(): void {
    const half = Math.ceil(this.length / 2);
    for (let i = 0; i < half; i++) {
      this.set(i, this.#major[2 * i] ?? 0, this.#minor[2 * i] ?? 0, this.#index[2 * i] ?? 0);
    }
    this.length = half;
  }

  clear(): void {
    this.length = 0;
  }

  #grow(): void {
    const size = 2 * this.#major.length;
    const grown = <T extends Float64Array | Int32Array>(old: T, made: T): T => {
      made.set(old);
      return made;
    };
    this.#major = grown(this.#major, new Float64Array(size));
    this.#minor = grown(this.#minor, new Float64Array(size));
    this.#index = grown(this.#index, new Int32Array(size));
  }
}

/** A broker that counts within entries calls the only record of one by the entry alone, and a mark may do so for the first of many: both are index 0 here. */
export function indexInEntry(minor: number, index: number): number {
  return index < 0 && minor >= 0 ? 0 : index;
}

/** A position as records are compared by it. */
export function recordPlace({ major, minor, index }: Position): Position {
  return { major, minor, index: indexInEntry(minor, index) };
}
