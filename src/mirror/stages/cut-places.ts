import { advancePosition, type Position } from '../../model/position.ts';
import { type MarkCodec, type MarkPlace, type Provenance, readPlace } from '../../model/provenance.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { CutKind } from '../../spi/state-store.ts';
import type { CutRecords } from '../cut-index.ts';

export interface CutPlacesOptions {
  readonly targetCluster: string;
  readonly targetTopic: string;
  readonly marks: MarkCodec;
  /** The number of a lane of the target topic; `undefined` when there is none. */
  readonly partitionOf: (lane: string) => number | undefined;
  readonly records: CutRecords;
}

/** Tells where in the target topic the records lie that are cut as loops: the consumers of a group have had them, or not, whichever side they were written on. */
export class CutPlaces {
  readonly #options: CutPlacesOptions;
  #entryStart = -1;
  #entryEnd = -1;
  #entryMark: Provenance | undefined;

  constructor(options: CutPlacesOptions) {
    this.#options = options;
  }

  /** A new batch: bytes at the same place may be another mark. */
  begin(): void {
    this.#entryStart = -1;
  }

  /** Notes record `i`, which another replicator has brought. */
  noteForeign(batch: RecordBatch, i: number): void {
    this.#options.records.onUnplaced(batch.positionAt(i));
  }

  /** Notes record `i`, which `mark` speaks of. */
  note(batch: RecordBatch, i: number, mark: Provenance): void {
    const { records } = this.#options;
    const entryMark = this.#entryMarkOf(batch, i);
    const entryOrdinal = batch.entryMarkOrdinal[i] ?? 0;
    const ordinal = batch.provenanceOrdinal[i] ?? 0;
    const placed =
      (entryMark !== undefined && this.#place(batch, i, readPlace(entryMark), entryOrdinal, 'direct')) ||
      this.#place(batch, i, readPlace(mark), ordinal, 'direct') ||
      (mark.via !== undefined && this.#place(batch, i, mark, ordinal, 'around'));
    if (!placed) records.onUnplaced(batch.positionAt(i));
  }

  /** True when the place is one of the target; only those in the target topic are told. */
  #place(
    batch: RecordBatch,
    i: number,
    place: MarkPlace & { readonly cluster: string },
    ordinal: number,
    kind: CutKind,
  ): boolean {
    const { targetCluster, targetTopic, partitionOf, records } = this.#options;
    if (place.cluster !== targetCluster) return false;
    // Written to another topic of the target: no consumer of this one gets it there.
    if (place.topic !== targetTopic) return true;
    const partition = partitionOf(place.lane);
    if (partition === undefined) return false;
    if (batch.whole) this.#placeEntry(batch.positionAt(i), place, partition, kind);
    else {
      const target = recordIn(place, ordinal);
      if (target === undefined) return false;
      records.onPlaced(batch.positionAt(i), 1, partition, target, kind);
    }
    return true;
  }

  /** An entry that was read whole: its records are told one run of the mark after the other. */
  #placeEntry(entry: Position, { runs }: MarkPlace, partition: number, kind: CutKind): void {
    const { records } = this.#options;
    const [only] = runs;
    if (only !== undefined && runs.length === 1 && isEntry(only.first) && only.count === 1) {
      records.onPlaced(entry, 1, partition, only.first, kind);
      return;
    }
    let index = 0;
    for (const { first, count } of runs) {
      // Single messages of the target lie in an entry each.
      const [times, size] = isEntry(first) ? [count, 1] : [1, count];
      for (let n = 0; n < times; n++, index += size)
        records.onPlaced({ ...entry, index }, size, partition, numbered(advancePosition(first, n)), kind);
    }
  }

  #entryMarkOf(batch: RecordBatch, i: number): Provenance | undefined {
    const start = batch.entryMarkStart[i] ?? -1;
    if (start < 0) return undefined;
    const end = batch.entryMarkEnd[i] ?? 0;
    if (start !== this.#entryStart || end !== this.#entryEnd) {
      [this.#entryStart, this.#entryEnd] = [start, end];
      this.#entryMark = this.#options.marks.read(batch.bytes.toString('utf8', start, end));
    }
    return this.#entryMark;
  }
}

/** Where record number `ordinal` of a mark lies, with its number where it is in an entry. */
function recordIn({ runs }: MarkPlace, ordinal: number): Position | undefined {
  let rest = ordinal;
  for (const { first, count } of runs) {
    if (rest < count) return numbered(advancePosition(first, rest));
    rest -= count;
  }
  const [only] = runs;
  // Of an entry that was passed on whole the mark names the entry alone.
  return only !== undefined && runs.length === 1 && only.count === 1 && isEntry(only.first)
    ? { ...only.first, index: ordinal }
    : undefined;
}

function isEntry({ minor, index }: Position): boolean {
  return minor >= 0 && index < 0;
}

function numbered(position: Position): Position {
  return isEntry(position) ? { ...position, index: 0 } : position;
}
