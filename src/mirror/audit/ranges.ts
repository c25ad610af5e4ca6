import { comparePositions, type Position } from '../../model/position.ts';
import { recordPlace } from './places.ts';

const MOST = 131_072;

/** Stretches `[from, to)` of a lane, which may span many ledgers (a `PositionSet` counts neighbours instead). At most so many are kept; what is more is forgotten. */
export class Ranges {
  #ranges: { from: Position; to: Position }[] = [];
  #sorted = true;
  /** Whether some were forgotten. */
  overflown = false;

  get empty(): boolean {
    return this.#ranges.length === 0;
  }

  add(first: Position, end: Position): void {
    const [from, to] = [recordPlace(first), recordPlace(end)];
    if (comparePositions(from, to) >= 0) return;
    const last = this.#ranges.at(-1);
    if (last !== undefined && comparePositions(from, last.from) >= 0 && comparePositions(from, last.to) <= 0) {
      if (comparePositions(to, last.to) > 0) last.to = to;
      return;
    }
    if (this.#ranges.length >= MOST) this.#settle();
    if (this.#ranges.length >= MOST) this.overflown = true;
    else {
      this.#ranges.push({ from, to });
      this.#sorted = last === undefined ? this.#sorted : this.#sorted && comparePositions(last.to, from) < 0;
    }
  }

  has(position: Position): boolean {
    this.#settle();
    let low = 0;
    let high = this.#ranges.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const range = this.#ranges[middle];
      if (range === undefined) return false;
      if (comparePositions(position, range.from) < 0) high = middle - 1;
      else if (comparePositions(position, range.to) >= 0) low = middle + 1;
      else return true;
    }
    return false;
  }

  #settle(): void {
    if (this.#sorted) return;
    const sorted = this.#ranges.sort((a, b) => comparePositions(a.from, b.from));
    this.#ranges = [];
    this.#sorted = true;
    for (const { from, to } of sorted) {
      const last = this.#ranges.at(-1);
      if (last === undefined || comparePositions(from, last.to) > 0) this.#ranges.push({ from, to });
      else if (comparePositions(to, last.to) > 0) last.to = to;
    }
  }
}
