import { advancePosition, comparePositions, type Position } from '../model/position.ts';
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

  get empty(): boolean {
    return this.#runs.length === 0;
  }

  has(position: Position): boolean {
    this.#settle();
    let low = 0;
    let high = this.#runs.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const run = this.#runs[middle];
      if (run === undefined) return false;
      if (comparePositions(position, run.first) < 0) high = middle - 1;
      else if (comparePositions(position, run.end) >= 0) low = middle + 1;
      else return true;
    }
    return false;
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
