import { type MarkCodec, type PositionRun, type Provenance, readPlace } from '../../model/provenance.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import { indexInEntry } from './places.ts';

/** What a mark says about the mirrored topic. */
interface Marked {
  readonly lane: number;
  readonly runs: readonly PositionRun[];
}

/**
 * Finds out which record of a source topic a record of the target is: the place where the writer of its mark has read it, or, for one that came by another way,
 * its origin. Records that applications have written to the target have no such place and are not compared.
 */
export class PlaceReader {
  readonly #cluster: string;
  readonly #topic: string;
  readonly #lanes: ReadonlyMap<string, number>;
  readonly #marks: MarkCodec;
  #batch: RecordBatch | undefined;
  #start = -1;
  #end = -1;
  #marked: Marked | undefined;

  /** Of the last record that was found: number of its source lane, and its position there. */
  lane = -1;
  major = -1;
  minor = -1;
  index = -1;

  /** `lanes`: the source lanes by name, with their numbers. */
  constructor(cluster: string, topic: string, lanes: ReadonlyMap<string, number>, marks: MarkCodec) {
    this.#cluster = cluster;
    this.#topic = topic;
    this.#lanes = lanes;
    this.#marks = marks;
  }

  /** False when the record is none of the source topic. */
  read(batch: RecordBatch, i: number): boolean {
    const entryStart = batch.entryMarkStart[i] ?? -1;
    if (entryStart >= 0 && this.#readFrom(batch, entryStart, batch.entryMarkEnd[i] ?? 0, batch.entryMarkOrdinal[i] ?? 0))
      return true;
    const start = batch.provenanceStart[i] ?? -1;
    return start >= 0 && this.#readFrom(batch, start, batch.provenanceEnd[i] ?? 0, batch.provenanceOrdinal[i] ?? 0);
  }

  #readFrom(batch: RecordBatch, start: number, end: number, ordinal: number): boolean {
    // The records of an entry share its mark, which is read once.
    if (start !== this.#start || end !== this.#end || batch !== this.#batch) {
      [this.#batch, this.#start, this.#end] = [batch, start, end];
      this.#marked = this.#understand(this.#marks.read(batch.bytes.toString('utf8', start, end)));
    }
    return this.#marked !== undefined && this.#locate(this.#marked, ordinal);
  }

  /** To be called when a batch is given back: another one may come in the same object. */
  forget(): void {
    this.#batch = undefined;
  }

  #understand(mark: Provenance | undefined): Marked | undefined {
    if (mark === undefined) return undefined;
    for (const place of mark.via === undefined ? [mark] : [readPlace(mark), mark]) {
      const lane = place.cluster === this.#cluster && place.topic === this.#topic ? this.#lanes.get(place.lane) : undefined;
      if (lane !== undefined) return { lane, runs: place.runs };
    }
    return undefined;
  }

  #locate({ lane, runs }: Marked, ordinal: number): boolean {
    let rest = ordinal;
    for (const { first, count } of runs) {
      if (rest < count) return this.#found(lane, first, rest);
      rest -= count;
    }
    const [only] = runs;
    // An entry that was passed on whole is one position in its mark, and its records are told apart by their place in it.
    const whole = only !== undefined && runs.length === 1 && only.count === 1 && only.first.minor >= 0 && only.first.index < 0;
    if (!whole) return false;
    this.#found(lane, only.first, 0);
    this.index = ordinal;
    return true;
  }

  /** The place `n` neighbours after `first`; as `advancePosition`, without an object. */
  #found(lane: number, first: PositionRun['first'], n: number): true {
    this.lane = lane;
    this.major = first.minor < 0 ? first.major + n : first.major;
    this.minor = first.minor >= 0 && first.index < 0 ? first.minor + n : first.minor;
    this.index = first.index >= 0 ? first.index + n : indexInEntry(first.minor, first.index);
    return true;
  }
}
