import { toIsthmusError } from '../../../errors.ts';
import { formatPosition, type Position } from '../../../model/position.ts';
import { formatProvenance, formatTime, formatVia, type PositionRun } from '../../../model/provenance.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import { PassedEntry } from '../wire/passed-entry.ts';
import type { Entry, Origin } from './entry.ts';
import type { Passage } from './passage.ts';
import type { SequenceIds } from './sequence-ids.ts';

const NOTHING: Buffer = Buffer.alloc(0);

/** Makes entries of whole ones of the source: a new header, the payload as it is. One at a time: `look`, then `pass` when there is room. */
export class EntryPasser {
  readonly #passage: Passage;
  readonly #ids: SequenceIds;
  readonly #origin: Origin;
  readonly #entry = new PassedEntry();
  readonly #markHead: string;
  readonly #header = { producerName: NOTHING, sequenceId: 0, mark: NOTHING, schemaVersion: NOTHING };
  #senderName = '';
  #batch: RecordBatch | undefined;
  #i = 0;

  constructor(passage: Passage, ids: SequenceIds, origin: Origin) {
    this.#passage = passage;
    this.#ids = ids;
    this.#origin = origin;
    const { cluster, topic, lane } = origin;
    // All marks of local entries begin alike, up to the position.
    this.#markHead = formatProvenance({ cluster, topic, lane, runs: [], time: 0, passed: [] }).slice(0, -';0'.length);
  }

  /** Looks at row `i`; what is wrong with it, `undefined` when it can be passed on. */
  look(batch: RecordBatch, i: number, senderName: string): string | undefined {
    if (batch.native !== 'pulsar-entry') return 'it is a whole entry of another kind of cluster';
    if (senderName !== this.#senderName) {
      this.#senderName = senderName;
      this.#header.producerName = Buffer.from(senderName);
    }
    this.#batch = batch;
    this.#i = i;
    try {
      this.#entry.read(batch.bytes, batch.nativeStart[i] ?? 0, batch.nativeEnd[i] ?? 0);
    } catch (error) {
      return toIsthmusError(error).message;
    }
    this.#header.mark = Buffer.from(this.#mark(batch, i));
    return undefined;
  }

  /** The source's version of the schema, a view; empty for none. */
  get schemaVersion(): Buffer {
    return this.#entry.schemaVersion;
  }

  /** Whether it is a part of a chunked message. */
  get chunk(): boolean {
    return this.#entry.chunk;
  }

  /** At least the bytes that the entry will have. `schemaVersion`: the target's. */
  bound(schemaVersion: Buffer): number {
    this.#header.schemaVersion = schemaVersion;
    return this.#entry.bound(this.#header) + this.#entry.payloadBytes;
  }

  hasRoom(bound: number, first: boolean): boolean {
    return this.#passage.hasRoom(bound, first);
  }

  /** The entry that was looked at, copied; `undefined` when there is no room. */
  pass(bound: number, first: boolean): Entry | undefined {
    const batch = this.#batch;
    const room = this.#passage.take(bound, first);
    if (room === undefined || batch === undefined) return undefined;
    const i = this.#i;
    const { bytes, held } = room;
    const position = batch.positionAt(i);
    const sequenceId = this.#ids.takeOne(position);
    this.#header.sequenceId = sequenceId;
    const headEnd = this.#entry.write(bytes, 0, this.#header);
    const end = headEnd + batch.bytes.copy(bytes, headEnd, this.#entry.payloadStart, this.#entry.payloadEnd);
    const metadata = bytes.subarray(0, headEnd);
    return {
      sequenceId,
      highestSequenceId: sequenceId,
      messages: this.#entry.messages,
      count: batch.records[i] ?? 1,
      runs: runOf(position),
      sourceStoreTime: batch.storeTime[i] ?? 0,
      payload: bytes.subarray(headEnd, end),
      batched: this.#entry.batched,
      chunk: this.#entry.chunk,
      batch: undefined,
      held,
      endsRound: false,
      frame: { producerName: this.#senderName, metadata, checksum: this.#entry.checksum(metadata) },
      target: undefined,
      sentAt: 0,
      checksumErrors: 0,
    };
  }

  #mark(batch: RecordBatch, i: number): string {
    const position = batch.positionAt(i);
    const { seal, topic, lane } = this.#origin;
    const foreign = batch.marks?.get(i);
    if (foreign !== undefined) return seal(foreign + formatVia({ topic, lane, runs: runOf(position) }));
    return seal(`${this.#markHead}${formatPosition(position)};${formatTime(batch.storeTime[i] ?? 0)}`);
  }
}

function runOf(first: Position): readonly PositionRun[] {
  return [{ first, count: 1 }];
}
