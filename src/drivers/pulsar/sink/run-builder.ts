import type { Position } from '../../../model/position.ts';
import type { PositionRun } from '../../../model/provenance.ts';
import type { Slab } from './slab.ts';

/** Gathers the positions of a slab's records into runs of neighbours (see `advancePosition`), in ascending order. */
export class RunBuilder {
  readonly #slab: Slab;
  readonly #runs: PositionRun[] = [];
  #first = -1;
  #last = -1;
  #count = 0;

  constructor(slab: Slab) {
    this.#slab = slab;
  }

  add(k: number): void {
    if (this.#count > 0 && areNeighbours(this.#slab, this.#last, k)) this.#count++;
    else {
      this.#end();
      this.#first = k;
      this.#count = 1;
    }
    this.#last = k;
  }

  finish(): readonly PositionRun[] {
    this.#end();
    return this.#runs;
  }

  #end(): void {
    if (this.#count > 0) this.#runs.push({ first: positionAt(this.#slab, this.#first), count: this.#count });
    this.#count = 0;
  }
}

function areNeighbours({ majors, minors, indexes }: Slab, a: number, b: number): boolean {
  if (minors[b] === -1) return minors[a] === -1 && majors[b] === (majors[a] ?? 0) + 1;
  if (majors[b] !== majors[a]) return false;
  if (indexes[b] === -1) return indexes[a] === -1 && minors[b] === (minors[a] ?? 0) + 1;
  return minors[b] === minors[a] && indexes[b] === (indexes[a] ?? 0) + 1;
}

function positionAt(slab: Slab, k: number): Position {
  return { major: slab.majors[k] ?? -1, minor: slab.minors[k] ?? -1, index: slab.indexes[k] ?? -1 };
}
