import { IsthmusError } from '../../../errors.ts';
import { INNER_MARKS_PROPERTY, PROVENANCE_PROPERTY } from '../../../model/provenance.ts';
import { PROPERTY_ROW } from '../../../model/record-batch.ts';
import { BROKER_ENTRY_MAGIC, ENTRY_MAGIC } from './message.ts';
import { PRODUCER_PROPERTY } from './passed-entry.ts';
import { ProtoReader } from './protobuf.ts';

const CHECKSUM_BYTES = 6;
const SIZE_BYTES = 4;
const FIRST_PROPERTIES = 16;
const NOTHING = Buffer.alloc(0);
const MARK_NAME = Buffer.from(PROVENANCE_PROPERTY);
const INNER_MARKS_NAME = Buffer.from(INNER_MARKS_PROPERTY);
const PRODUCER_NAME = Buffer.from(PRODUCER_PROPERTY);
const SEMICOLON = 0x3b;

function damaged(what: string): IsthmusError {
  return new IsthmusError('PROTOCOL_VIOLATION', `reading an entry: ${what}`);
}

/** Whether the bytes at [start, end) are `name`. Makes no string: it runs for every property. */
export function isNamed(bytes: Buffer, start: number, end: number, name: Buffer): boolean {
  if (end - start !== name.length) return false;
  for (let k = 0; k < name.length; k++) if (bytes[start + k] !== name[k]) return false;
  return true;
}

/**
 * What an entry says of itself in front of its payload, as places in its bytes: `[0x0e02][size][BrokerEntryMetadata]` (rare) `[0x0e01][crc32c]` (absent for old producers)
 * `[metadataSize][MessageMetadata]`. One object reads one entry after another. A range that is absent has start -1.
 *
 * MessageMetadata: producer_name 1, sequence_id 2, publish_time 3, properties 4, replicated_from 5, partition_key 6, compression 8, uncompressed_size 9,
 * num_messages_in_batch 11, event_time 12, encryption_keys 13, encryption_algo 14, encryption_param 15, schema_version 16, partition_key_b64_encoded 17, ordering_key 18,
 * deliver_at_time 19, null_value 25, uuid 26, num_chunks_from_msg 27, total_chunk_msg_size 28, chunk_id 29, null_partition_key 30.
 * BrokerEntryMetadata: broker_timestamp 1. KeyValue: key 1, value 2.
 */
export class EntryHeader {
  /** The entry without what its broker put in front of it. */
  nativeStart = 0;
  checked = false;
  checksum = 0;
  metadataStart = 0;
  payloadStart = 0;
  end = 0;
  producerStart = -1;
  producerEnd = -1;
  sequence = -1;
  /** Milliseconds since 1970. */
  publishTime = 0;
  /** When the broker stored it, milliseconds since 1970; 0 where brokers do not tell. */
  brokerTime = 0;
  /** Milliseconds since 1970, 0 for none. */
  eventTime = 0;
  deliverAtTime = 0;
  /** Records, as the header says. */
  messages = 1;
  /** In batch format, which a single record may have, too. */
  batched = false;
  compression = 0;
  uncompressedBytes = 0;
  encrypted = false;
  nullValue = false;
  /** The key of a pair of key and value is null: there is none then. */
  nullKey = false;
  keyStart = -1;
  keyEnd = -1;
  keyIsBase64 = false;
  orderingKeyStart = -1;
  orderingKeyEnd = -1;
  schemaStart = -1;
  schemaEnd = -1;
  replicatedFromStart = -1;
  replicatedFromEnd = -1;
  uuidStart = -1;
  uuidEnd = -1;
  chunks = 1;
  chunkId = -1;
  chunkedBytes = 0;
  markStart = -1;
  markEnd = -1;
  /** Records inside have marks of their own. */
  innerMarks = false;
  /** Properties but for our own, in rows as a RecordBatch has them. */
  properties: Int32Array = new Int32Array(FIRST_PROPERTIES * PROPERTY_ROW);
  propertyCount = 0;
  /** The value of our property that says who wrote an entry that was passed on. */
  #writerStart = -1;
  #writerEnd = -1;
  #bytes: Buffer = NOTHING;
  readonly #reader = new ProtoReader(NOTHING);
  readonly #inner = new ProtoReader(NOTHING);

  /** Part of a message that was cut into pieces. */
  get chunked(): boolean {
    return this.chunks > 1 && this.chunkId >= 0;
  }

  /** Reads the header of the entry that lies at [start, end). Throws PROTOCOL_VIOLATION for what is none. */
  read(bytes: Buffer, start: number, end: number): void {
    this.#reset();
    this.#bytes = bytes;
    this.end = end;
    let at = start;
    const need = (count: number): void => {
      if (end - at < count) throw damaged('it ends inside its header');
    };
    need(2);
    if (bytes.readUInt16BE(at) === BROKER_ENTRY_MAGIC) {
      need(6);
      const size = bytes.readUInt32BE(at + 2);
      at += 6;
      need(size + 2);
      this.#readBrokerMetadata(at, at + size);
      at += size;
    }
    this.nativeStart = at;
    this.checked = bytes.readUInt16BE(at) === ENTRY_MAGIC;
    if (this.checked) {
      need(CHECKSUM_BYTES);
      this.checksum = bytes.readUInt32BE(at + 2);
      at += CHECKSUM_BYTES;
    }
    need(SIZE_BYTES);
    const size = bytes.readUInt32BE(at);
    this.metadataStart = at;
    at += SIZE_BYTES;
    need(size);
    this.payloadStart = at + size;
    this.#readMetadata(at, at + size);
    if (this.nullKey) this.keyStart = this.keyEnd = -1;
    this.#restoreWriter();
    this.#bytes = NOTHING;
  }

  #reset(): void {
    this.brokerTime = this.eventTime = this.deliverAtTime = this.publishTime = 0;
    this.messages = this.chunks = 1;
    this.batched = this.encrypted = this.nullValue = this.keyIsBase64 = this.nullKey = this.innerMarks = this.checked = false;
    this.compression = this.uncompressedBytes = this.chunkedBytes = this.propertyCount = this.checksum = 0;
    this.producerStart = this.producerEnd = this.sequence = this.keyStart = this.keyEnd = -1;
    this.orderingKeyStart = this.orderingKeyEnd = this.schemaStart = this.schemaEnd = -1;
    this.replicatedFromStart = this.replicatedFromEnd = this.uuidStart = this.uuidEnd = -1;
    this.chunkId = this.markStart = this.markEnd = this.#writerStart = this.#writerEnd = -1;
  }

  #readBrokerMetadata(start: number, end: number): void {
    const reader = this.#reader;
    reader.reset(this.#bytes, start, end);
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 1) this.brokerTime = reader.int();
      else reader.skip();
    }
  }

  #readMetadata(start: number, end: number): void {
    const reader = this.#reader;
    reader.reset(this.#bytes, start, end);
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (!(field < 16 ? this.#lowField(field, reader) : this.#highField(field, reader))) reader.skip();
    }
    if (this.messages < 0 || this.chunks < 1 || this.uncompressedBytes < 0 || this.chunkedBytes < 0)
      throw damaged('a number of it is negative');
  }

  #lowField(field: number, reader: ProtoReader): boolean {
    switch (field) {
      case 1:
        reader.span();
        this.producerStart = reader.spanStart;
        this.producerEnd = reader.spanEnd;
        return true;
      case 2:
        this.sequence = reader.int();
        return true;
      case 3:
        this.publishTime = reader.int();
        return true;
      case 4:
        reader.span();
        this.#property(reader.spanStart, reader.spanEnd);
        return true;
      case 5:
        reader.span();
        this.replicatedFromStart = reader.spanStart;
        this.replicatedFromEnd = reader.spanEnd;
        return true;
      case 6:
        reader.span();
        this.keyStart = reader.spanStart;
        this.keyEnd = reader.spanEnd;
        return true;
      case 8:
        this.compression = reader.int();
        return true;
      case 9:
        this.uncompressedBytes = reader.int();
        return true;
      case 11:
        this.messages = reader.int();
        this.batched = true;
        return true;
      case 12:
        this.eventTime = reader.int();
        return true;
      case 13:
      case 14:
      case 15:
        this.encrypted = true;
        return false;
      default:
        return false;
    }
  }

  #highField(field: number, reader: ProtoReader): boolean {
    switch (field) {
      case 16:
        reader.span();
        this.schemaStart = reader.spanStart;
        this.schemaEnd = reader.spanEnd;
        return true;
      case 17:
        this.keyIsBase64 = reader.bool();
        return true;
      case 18:
        reader.span();
        this.orderingKeyStart = reader.spanStart;
        this.orderingKeyEnd = reader.spanEnd;
        return true;
      case 19:
        this.deliverAtTime = reader.int();
        return true;
      case 25:
        this.nullValue = reader.bool();
        return true;
      case 26:
        reader.span();
        this.uuidStart = reader.spanStart;
        this.uuidEnd = reader.spanEnd;
        return true;
      case 27:
        this.chunks = reader.int();
        return true;
      case 28:
        this.chunkedBytes = reader.int();
        return true;
      case 29:
        this.chunkId = reader.int();
        return true;
      case 30:
        this.nullKey = reader.bool();
        return true;
      default:
        return false;
    }
  }

  /**
   * `<sequence id>;<producer name>`: the fields themselves are the mirror's that has passed the entry on. A batch with our mark and without this was put together by a mirror, which
   * is nobody whose name says something about its records; applications cannot mark batches.
   */
  #restoreWriter(): void {
    if (this.#writerStart < 0) {
      if (this.batched && this.markStart >= 0) this.producerStart = this.producerEnd = -1;
      return;
    }
    const semicolon = this.#bytes.indexOf(SEMICOLON, this.#writerStart);
    if (semicolon < 0 || semicolon >= this.#writerEnd) return;
    [this.producerStart, this.producerEnd] = [semicolon + 1, this.#writerEnd];
    const sequence = Number(this.#bytes.toString('latin1', this.#writerStart, semicolon));
    this.sequence = Number.isSafeInteger(sequence) ? sequence : -1;
  }

  #property(start: number, end: number): void {
    const reader = this.#inner;
    reader.reset(this.#bytes, start, end);
    let [nameStart, nameEnd, valueStart, valueEnd] = [end, end, end, end];
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 1) {
        reader.span();
        [nameStart, nameEnd] = [reader.spanStart, reader.spanEnd];
      } else if (field === 2) {
        reader.span();
        [valueStart, valueEnd] = [reader.spanStart, reader.spanEnd];
      } else reader.skip();
    }
    if (isNamed(this.#bytes, nameStart, nameEnd, MARK_NAME)) {
      [this.markStart, this.markEnd] = [valueStart, valueEnd];
      return;
    }
    if (isNamed(this.#bytes, nameStart, nameEnd, INNER_MARKS_NAME)) {
      this.innerMarks = true;
      return;
    }
    if (isNamed(this.#bytes, nameStart, nameEnd, PRODUCER_NAME)) {
      [this.#writerStart, this.#writerEnd] = [valueStart, valueEnd];
      return;
    }
    const at = this.propertyCount++ * PROPERTY_ROW;
    if (at === this.properties.length) {
      const grown = new Int32Array(at * 2);
      grown.set(this.properties);
      this.properties = grown;
    }
    this.properties[at] = nameStart;
    this.properties[at + 1] = nameEnd;
    this.properties[at + 2] = valueStart;
    this.properties[at + 3] = valueEnd;
  }
}
