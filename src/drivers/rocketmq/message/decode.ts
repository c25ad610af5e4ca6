import { IsthmusError } from '../../../errors.ts';
import type { MarkCodec } from '../../../model/provenance.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import { decompress } from './decompress.ts';
import { PropertyReader } from './property-reader.ts';

/*
 * A stored message (MessageDecoder), big endian:
 *   0 int32 size | 4 int32 magic | 8 int32 body CRC | 12 int32 queue | 16 int32 flag | 20 int64 queue offset | 28 int64 commit-log offset
 *   36 int32 sysFlag | 40 int64 born time | 48 born host: 4 or 16 bytes + int32 port | int64 store time | store host likewise
 *   int32 reconsume times | int64 prepared offset | int32 length, body | int8 or int16 length, topic | int16 length, properties
 */
const QUEUE_OFFSET_AT = 20;
const COMMIT_LOG_OFFSET_AT = 28;
const BORN_HOST_AT = 48;
const SMALLEST_MESSAGE = 91;
const IPV4_HOST = 8;
const IPV6_HOST = 20;
const MAGIC_V1 = 0xdaa320a7;
const MAGIC_V2 = 0xdaa320ab;

const FLAG_COMPRESSED = 0x1;
const FLAG_BORN_IPV6 = 0x10;
const FLAG_STORE_IPV6 = 0x20;
/** Both bits: the body is itself a batch. */
const FLAG_INNER_BATCH = 0xc0;

/** One message inside a batch body: int32 size | int32 magic | int32 CRC | int32 flag | int32 length, body | int16 length, properties. */
const SMALLEST_INNER = 22;
/** Decoding pauses when bodies have grown by so much, so that one answer cannot fill the memory. */
const MAX_INFLATED_BYTES = 4 * 1024 * 1024;

/** What tells a stored message from another at the same queue offset. */
export interface Identity {
  readonly offset: number;
  /** Milliseconds since 1970 by the broker's clock. */
  readonly storeTime: number;
  readonly commitLogOffset: number;
}

/** Where decoding stopped. */
export interface Stretch {
  /** Place in the body of the message that comes next; the body's length when it is used up. */
  readonly at: number;
  /** The queue offset right after the last record. */
  readonly next: number;
  /** The first queue offset that follows, where it is not `next`: records between are missing. */
  readonly resumesAt: number | undefined;
}

function violation(what: string): IsthmusError {
  return new IsthmusError('PROTOCOL_VIOLATION', `decoding stored messages: ${what}`);
}

function int64(view: DataView, at: number): number {
  return view.getInt32(at) * 0x100000000 + view.getUint32(at + 4);
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The identity of the stored message that begins at `at`, and where the next one begins. Throws PROTOCOL_VIOLATION. */
export function readIdentity(body: Buffer, at: number): Identity & { readonly end: number } {
  const end = at + (at + SMALLEST_MESSAGE <= body.length ? body.readInt32BE(at) : 0);
  if (end < at + SMALLEST_MESSAGE || end > body.length)
    throw violation(`the message at ${at} claims to end at ${end} of ${body.length}`);
  const view = viewOf(body);
  const sysFlag = view.getInt32(at + 36);
  const storeTimeAt = at + BORN_HOST_AT + ((sysFlag & FLAG_BORN_IPV6) === 0 ? IPV4_HOST : IPV6_HOST);
  return {
    offset: int64(view, at + QUEUE_OFFSET_AT),
    storeTime: int64(view, storeTimeAt),
    commitLogOffset: int64(view, at + COMMIT_LOG_OFFSET_AT),
    end,
  };
}

/**
 * Turns stored messages into columns of a record batch in one pass, without a string or an object per message.
 *
 * Not reentrant: one decoder serves all lanes of a cluster, each call being finished before the next.
 */
export class MessageDecoder {
  #bytes: Buffer = Buffer.alloc(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  readonly #properties: PropertyReader;
  #inflatedBytes = 0;
  #from = 0;
  #to = 0;
  #next = 0;
  #resumesAt: number | undefined;
  #commitLogOffset = 0;

  constructor(marks: MarkCodec) {
    this.#properties = new PropertyReader(marks);
  }

  /** Commit-log offset of the message that the last record of the last call came from. */
  get lastCommitLogOffset(): number {
    return this.#commitLogOffset;
  }

  /** Bytes that decompressed bodies of the last call take beside the frame. */
  get inflatedBytes(): number {
    return this.#inflatedBytes;
  }

  /**
   * Decodes messages of `body` from place `at` on into an empty batch, taking records with queue offsets in [from, to). Stops at the
   * body's end, where offsets jump, when the batch is full, or when decompressed bodies have taken enough memory.
   * Throws PROTOCOL_VIOLATION when the messages cannot be told apart; one that is damaged inside is taken as `damaged`.
   */
  decode(body: Buffer, at: number, from: number, to: number, batch: RecordBatch): Stretch {
    this.#bytes = body;
    this.#view = viewOf(body);
    this.#inflatedBytes = 0;
    this.#from = from;
    this.#to = to;
    this.#next = from;
    this.#resumesAt = undefined;
    this.#properties.begin(batch);
    batch.native = 'rocketmq-message';
    let place = at;
    while (place < body.length) {
      const end = this.#messageEnd(place, body.length);
      if (!this.#message(place, end, batch)) break;
      place = end;
      if (this.#inflatedBytes > MAX_INFLATED_BYTES) break;
    }
    batch.bytes = this.#bytes;
    this.#bytes = body.subarray(0, 0);
    return { at: place, next: this.#next, resumesAt: this.#resumesAt };
  }

  #messageEnd(at: number, limit: number): number {
    const size = at + SMALLEST_MESSAGE <= limit ? this.#view.getInt32(at) : 0;
    if (size < SMALLEST_MESSAGE || at + size > limit)
      throw violation(`the message at ${at} claims ${size} of ${limit - at} bytes`);
    return at + size;
  }

  /** False when the message has to wait for the next batch. */
  #message(at: number, end: number, batch: RecordBatch): boolean {
    const view = this.#view;
    const magic = view.getUint32(at + 4);
    if (magic !== MAGIC_V1 && magic !== MAGIC_V2) throw violation(`magic ${magic.toString(16)} is unknown`);
    const offset = int64(view, at + QUEUE_OFFSET_AT);
    const sysFlag = view.getInt32(at + 36);
    if ((sysFlag & FLAG_INNER_BATCH) !== FLAG_INNER_BATCH) {
      // What lies before the range may only come first: the broker begins with the message that holds the asked offset.
      if (offset >= this.#to || (offset < this.#from && batch.count === 0)) return true;
      if (!this.#admits(offset, batch)) return false;
    }
    this.#commitLogOffset = int64(view, at + COMMIT_LOG_OFFSET_AT);
    const i = batch.count;
    const storeTimeAt = at + BORN_HOST_AT + ((sysFlag & FLAG_BORN_IPV6) === 0 ? IPV4_HOST : IPV6_HOST);
    const reconsumeAt = storeTimeAt + 8 + ((sysFlag & FLAG_STORE_IPV6) === 0 ? IPV4_HOST : IPV6_HOST);
    const bodyAt = reconsumeAt + 16;
    const bodyEnd = bodyAt <= end ? bodyAt + view.getInt32(bodyAt - 4) : -1;
    const topicAt = bodyEnd + (magic === MAGIC_V1 ? 1 : 2);
    const topicEnd =
      bodyEnd >= bodyAt && topicAt <= end
        ? topicAt + (magic === MAGIC_V1 ? view.getUint8(bodyEnd) : view.getUint16(bodyEnd))
        : end;
    const propertiesEnd = topicEnd + 2 <= end ? topicEnd + 2 + view.getUint16(topicEnd) : end + 1;
    if ((sysFlag & FLAG_INNER_BATCH) === FLAG_INNER_BATCH) {
      if (propertiesEnd > end) throw violation(`the batch at offset ${offset} is cut off`);
      return this.#innerBatch(offset, sysFlag, int64(view, at + 40), int64(view, storeTimeAt), bodyAt, bodyEnd, batch);
    }
    this.#begin(i, offset, int64(view, at + 40), int64(view, storeTimeAt), batch);
    batch.nativeStart[i] = at;
    batch.nativeEnd[i] = end;
    if (propertiesEnd > end) {
      this.#damaged(i, bodyAt <= end ? bodyAt : end, end, 'its lengths do not fit into it', batch);
      return true;
    }
    batch.bodyStart[i] = bodyAt;
    batch.bodyEnd[i] = bodyEnd;
    if ((sysFlag & FLAG_COMPRESSED) !== 0 && bodyEnd > bodyAt) this.#inflate(i, bodyAt, bodyEnd, batch);
    this.#properties.read(this.#bytes, i, topicEnd + 2, propertiesEnd, batch);
    const flag = view.getInt32(at + 16);
    const reconsumeTimes = view.getInt32(reconsumeAt);
    if (flag !== 0 || reconsumeTimes !== 0) addExtras(i, flag, reconsumeTimes, batch);
    return true;
  }

  /** Whether the record at `offset` is the next one and has room. */
  #admits(offset: number, batch: RecordBatch): boolean {
    if (offset < this.#next) throw violation(`offset ${offset} follows ${this.#next - 1}`);
    if (offset !== this.#next) {
      this.#resumesAt = offset;
      return false;
    }
    return batch.count < batch.capacity;
  }

  #begin(i: number, offset: number, bornTime: number, storeTime: number, batch: RecordBatch): void {
    batch.major[i] = offset;
    batch.eventTime[i] = bornTime;
    batch.storeTime[i] = storeTime;
    batch.keyStart[i] = -1;
    batch.keyEnd[i] = -1;
    batch.tagStart[i] = -1;
    batch.tagEnd[i] = -1;
    batch.provenanceStart[i] = -1;
    batch.provenanceEnd[i] = -1;
    batch.nativeStart[i] = -1;
    batch.nativeEnd[i] = -1;
    batch.orderingKeyStart[i] = -1;
    batch.orderingKeyEnd[i] = -1;
    batch.flags[i] = 0;
    this.#properties.none(batch, i);
    batch.count = i + 1;
    this.#next = offset + 1;
  }

  #damaged(i: number, start: number, end: number, reason: string, batch: RecordBatch): void {
    batch.bodyStart[i] = start;
    batch.bodyEnd[i] = end;
    batch.damaged ??= new Map();
    batch.damaged.set(i, reason);
  }

  #inflate(i: number, start: number, end: number, batch: RecordBatch): void {
    try {
      const body = decompress(this.#bytes.subarray(start, end));
      this.#inflatedBytes += body.length;
      batch.bodies ??= new Map();
      batch.bodies.set(i, body);
    } catch (error) {
      this.#damaged(
        i,
        start,
        end,
        `its body does not decompress: ${error instanceof Error ? error.message : String(error)}`,
        batch,
      );
    }
  }

  /** One stored message that holds many records, with offsets from `offset` on (topics with queue.type=BatchCQ). */
  #innerBatch(
    offset: number,
    sysFlag: number,
    bornTime: number,
    storeTime: number,
    start: number,
    end: number,
    batch: RecordBatch,
  ): boolean {
    let [at, limit] = [start, end];
    if ((sysFlag & FLAG_COMPRESSED) !== 0) [at, limit] = this.#appendInflated(offset, start, end);
    const view = this.#view;
    for (let record = offset; at < limit; record++) {
      const recordEnd = at + (at + SMALLEST_INNER <= limit ? view.getInt32(at) : 0);
      const fits = recordEnd >= at + SMALLEST_INNER && recordEnd <= limit;
      const bodyEnd = at + 20 + (fits ? view.getInt32(at + 16) : -1);
      const propertiesEnd =
        bodyEnd >= at + 20 && bodyEnd + 2 <= recordEnd ? bodyEnd + 2 + view.getUint16(bodyEnd) : recordEnd + 1;
      if (!fits || propertiesEnd > recordEnd) throw violation(`record ${record} of the batch at offset ${offset} is cut off`);
      if (record >= this.#from && record < this.#to && record >= this.#next) {
        if (!this.#admits(record, batch)) return false;
        const i = batch.count;
        this.#begin(i, record, bornTime, storeTime, batch);
        batch.bodyStart[i] = at + 20;
        batch.bodyEnd[i] = bodyEnd;
        this.#properties.read(this.#bytes, i, bodyEnd + 2, propertiesEnd, batch);
        const flag = view.getInt32(at + 12);
        if (flag !== 0) addExtras(i, flag, 0, batch);
      }
      at = recordEnd;
    }
    return true;
  }

  /** Ranges must lie in the batch's bytes, so a compressed inner batch is put behind the frame's. Rare enough to pay a copy. */
  #appendInflated(offset: number, start: number, end: number): [number, number] {
    let inflated: Buffer;
    try {
      inflated = decompress(this.#bytes.subarray(start, end));
    } catch (error) {
      throw violation(
        `the batch at offset ${offset} does not decompress: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
    const at = this.#bytes.length;
    this.#inflatedBytes += inflated.length;
    this.#bytes = Buffer.concat([this.#bytes, inflated]);
    this.#view = viewOf(this.#bytes);
    return [at, this.#bytes.length];
  }
}

function addExtras(i: number, flag: number, reconsumeTimes: number, batch: RecordBatch): void {
  batch.extras ??= new Map();
  const extras: [string, string][] = [];
  if (flag !== 0) extras.push(['ROCKETMQ_FLAG', String(flag)]);
  if (reconsumeTimes !== 0) extras.push(['ROCKETMQ_RECONSUME_TIMES', String(reconsumeTimes)]);
  batch.extras.set(i, extras);
}
