import type { LaneId } from '../../../../model/lane.ts';
import { comparePositions, type Position } from '../../../../model/position.ts';
import { type Provenance, readPlace } from '../../../../model/provenance.ts';
import type { Piece } from '../outbox.ts';

/** Records in doubt that were found side by side in the queue. */
export interface FoundStretch {
  /** Queue offset of the first of them. */
  readonly offset: number;
  /** The number of the first of them among all records in doubt. */
  readonly first: number;
  count: number;
}

/** Looks for records in doubt among the marks of a queue's tail. Brokers store a batch in order, but a broker that died in the middle may have stored its beginning only. */
export class TailSearch {
  readonly #cluster: string;
  readonly #lane: LaneId;
  readonly #pieces: readonly Piece[];
  #piece = 0;
  #record: number;
  #found = 0;
  readonly stretches: FoundStretch[] = [];
  /** The offset of the first record of our lane that is none of these. */
  foreign: number | undefined;

  constructor(cluster: string, lane: LaneId, pieces: readonly Piece[]) {
    this.#cluster = cluster;
    this.#lane = lane;
    this.#pieces = pieces;
    this.#record = pieces[0]?.from ?? 0;
  }

  visit(offset: number, mark: Provenance | undefined): void {
    if (mark === undefined) return;
    const place = readPlace(mark);
    const first = place.runs[0]?.first;
    if (
      first === undefined ||
      place.cluster !== this.#cluster ||
      place.topic !== this.#lane.topic ||
      place.lane !== this.#lane.lane
    )
      return;
    const wanted = this.#wanted();
    if (wanted === undefined || comparePositions(wanted, first) !== 0) {
      this.foreign ??= offset;
      return;
    }
    const last = this.stretches.at(-1);
    if (last !== undefined && last.offset + last.count === offset) last.count++;
    else this.stretches.push({ offset, first: this.#found, count: 1 });
    this.#found++;
    this.#record++;
    const piece = this.#pieces[this.#piece];
    if (piece !== undefined && this.#record === piece.to) this.#record = this.#pieces[++this.#piece]?.from ?? 0;
  }

  #wanted(): Position | undefined {
    const slab = this.#pieces[this.#piece]?.chunk.slab;
    if (slab === undefined) return undefined;
    const k = this.#record;
    return { major: slab.majors[k] ?? -1, minor: slab.minors[k] ?? -1, index: slab.indexes[k] ?? -1 };
  }
}

/** Records `first` up to `first + count` of all those in `pieces`. */
export function slicePieces(pieces: readonly Piece[], first: number, count: number): Piece[] {
  const slice: Piece[] = [];
  let [skip, left] = [first, count];
  for (const { chunk, from, to } of pieces) {
    const begin = Math.min(to, from + skip);
    const end = Math.min(to, begin + left);
    skip -= begin - from;
    left -= end - begin;
    if (end > begin) slice.push({ chunk, from: begin, to: end });
  }
  return slice;
}
