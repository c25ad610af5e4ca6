import { toIsthmusError } from '../../../errors.ts';
import { formatPosition, type Position } from '../../../model/position.ts';
import { formatProvenance, formatTime, formatVia, type PositionRun } from '../../../model/provenance.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import type { Producer } from '../net/producer.ts';
import { PassedEntry } from '../wire/passed-entry.ts';
import { MAX_SEND_HEAD_BYTES, sendHeadBytes, writeSendHead } from '../wire/send.ts';
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
      this.#entry.read(batch.bytesAt(i), batch.nativeStart[i] ?? 0, batch.nativeEnd[i] ?? 0);
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
    return this.#passage.hasRoom(bound + MAX_SEND_HEAD_BYTES, first);
  }

  /** The entry that was looked at, copied; `undefined` when there is no room. `producer`: what it will be sent with, where that is known. */
  pass(bound: number, first: boolean, producer: Producer | undefined): Entry | undefined {
    const batch = this.#batch;
    const room = this.#passage.take(bound + MAX_SEND_HEAD_BYTES, first);
    if (room === undefined || batch === undefined) return undefined;
    const i = this.#i;
    const looked = this.#entry;
    const { bytes, at, held } = room;
    const position = batch.positionAt(i);
    const sequenceId = this.#ids.takeOne(position);
    this.#header.sequenceId = sequenceId;
    const { messages, batched, chunk } = looked;
    const send = { producerId: producer?.id ?? 0, sequenceId, highestSequenceId: sequenceId, messages, chunk, marker: false };
    const metadataAt = at + sendHeadBytes(send);
    const payloadAt = looked.write(bytes, metadataAt, this.#header);
    const end = payloadAt + batch.bytesAt(i).copy(bytes, payloadAt, looked.payloadStart, looked.payloadEnd);
    room.endAt(end);
    const metadata = bytes.subarray(metadataAt, payloadAt);
    const checksum = looked.checksum(metadata);
    writeSendHead(bytes, at, send, checksum, end - metadataAt);
    return {
      sequenceId,
      highestSequenceId: sequenceId,
      messages,
      count: batch.records[i] ?? 1,
      runs: runOf(position),
      sourceStoreTime: batch.storeTime[i] ?? 0,
      payload: bytes.subarray(payloadAt, end),
      batched,
      chunk,
      batch: undefined,
      held,
      endsRound: false,
      frame: { producerName: this.#senderName, metadata, checksum },
      ready: producer === undefined ? undefined : { producer, bytes: bytes.subarray(at, end) },
      target: undefined,
      sentAt: 0,
      sends: 0,
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
