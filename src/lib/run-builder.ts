import type { Position } from '../model/position.ts';
import type { PositionRun } from '../model/provenance.ts';

/** Positions of records, part by part. */
export interface PositionColumns {
  readonly majors: Float64Array;
  readonly minors: Float64Array;
  readonly indexes: Int32Array;
}

/** Most bytes of a mark's positions. A record whose neighbours are missing is a run of its own, and a mark of a thousand runs would be as long as the records. */
const MAX_RUN_BYTES = 8 * 1024;
/** What one run more may add: three numbers, a count, and what stands between them. */
const RUN_BYTES = 64;

/** Gathers the positions of records into runs of neighbours (see `advancePosition`), in ascending order. */
export class RunBuilder {
  readonly #columns: PositionColumns;
  readonly #runs: PositionRun[] = [];
  #first = -1;
  #last = -1;
  #count = 0;
  #bytes = 0;

  constructor(columns: PositionColumns) {
    this.#columns = columns;
  }

  /** Whether the mark has room for one run more. */
  get hasRoom(): boolean {
    return this.#bytes + RUN_BYTES <= MAX_RUN_BYTES;
  }

  add(k: number): void {
    if (this.#count > 0 && areNeighbours(this.#columns, this.#last, k)) this.#count++;
    else {
      this.#end();
      this.#first = k;
      this.#count = 1;
      this.#bytes += runBytes(this.#columns, k);
    }
    this.#last = k;
  }

  finish(): readonly PositionRun[] {
    this.#end();
    return this.#runs;
  }

  #end(): void {
    if (this.#count > 0) this.#runs.push({ first: positionAt(this.#columns, this.#first), count: this.#count });
    this.#count = 0;
  }
}

function areNeighbours({ majors, minors, indexes }: PositionColumns, a: number, b: number): boolean {
  if (minors[b] === -1) return minors[a] === -1 && majors[b] === (majors[a] ?? 0) + 1;
  if (majors[b] !== majors[a]) return false;
  if (indexes[b] === -1) return indexes[a] === -1 && minors[b] === (minors[a] ?? 0) + 1;
  return minors[b] === minors[a] && indexes[b] === (indexes[a] ?? 0) + 1;
}

/** About what a run takes in a mark: its numbers, and eight for the count and what stands between. */
function runBytes({ majors, minors, indexes }: PositionColumns, k: number): number {
  return 8 + digits(majors[k] ?? 0) + digits(minors[k] ?? 0) + digits(indexes[k] ?? 0);
}

function digits(value: number): number {
  let found = 1;
  for (let rest = value; rest >= 10; rest /= 10) found++;
  return found;
}

export function positionAt({ majors, minors, indexes }: PositionColumns, k: number): Position {
  return { major: majors[k] ?? -1, minor: minors[k] ?? -1, index: indexes[k] ?? -1 };
}
