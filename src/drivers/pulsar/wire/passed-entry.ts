import { IsthmusError } from '../../../errors.ts';
import { PROVENANCE_PROPERTY } from '../../../model/provenance.ts';
import { entryChecksum, replacedHeadChecksum } from './checksum.ts';
import { ENTRY_MAGIC } from './message.ts';
import { varintLength, writeVarint } from './protobuf.ts';

/**
 * Who wrote an entry that was passed on, and under which id: `<sequence id>;<producer name>`. The fields themselves become the mirror's: brokers know copies by them, and
 * so does the mirror when it looks at a tail. An entry that has the property keeps it: the first producer is the one that counts.
 */
export const PRODUCER_PROPERTY = 'ISTHMUS-PRODUCER';

/** Fields of MessageMetadata that are looked at; all others pass as they are, also those that nobody knows yet. */
const FIELD = {
  producerName: 1,
  sequenceId: 2,
  property: 4,
  replicatedFrom: 5,
  messages: 11,
  schemaVersion: 16,
  txnLeastBits: 22,
  txnMostBits: 23,
  highestSequenceId: 24,
  chunks: 27,
  chunkId: 29,
} as const;

const MAX_RANGES = 64;
const SIZE_BYTES = 4;
const TAG_PROPERTY = 0x22;
const TAG_KEY = 0x0a;
const TAG_VALUE = 0x12;
const SCHEMA_VERSION_TAG: readonly number[] = [0x82, 0x01];
const HIGHEST_SEQUENCE_ID_TAG: readonly number[] = [0xc0, 0x01];
/** Sizes, tags, numbers and the lengths of what `write` adds. */
const ADDED_BYTES = 96;

const PROVENANCE_NAME = Buffer.from(PROVENANCE_PROPERTY);
const PRODUCER_NAME = Buffer.from(PRODUCER_PROPERTY);
const NOTHING = Buffer.alloc(0);

/** What is new in the header of an entry that is passed on. */
export interface NewHeader {
  readonly producerName: Buffer;
  /** The lowest and the highest id at once. */
  readonly sequenceId: number;
  readonly mark: Buffer;
  /** The target's version of the schema; empty for none. */
  readonly schemaVersion: Buffer;
}

/**
 * The header of a stored entry, looked at and written anew without being decoded: what has to change is left out, what is new is added, the rest is copied in stretches.
 *
 * One object serves one entry after another. Fields left out: producer_name 1, sequence_id 2 and highest_sequence_id 24, which are the mirror's now; `replicated_from` 5, because
 * the target's own replication would leave out what carries it; the ids of the source's transactions, 22 and 23; the source's schema_version 16; an older mark.
 */
export class PassedEntry {
  /** Messages, as the header says. */
  messages = 1;
  /** Whether the payload is a batch: its messages then have properties of their own, and do not show the entry's. */
  batched = false;
  /** Part of a chunked message. */
  chunk = false;
  payloadStart = 0;
  payloadEnd = 0;
  #bytes: Buffer = NOTHING;
  /** -1: it came without one. */
  #checksum = -1;
  #metadataStart = 0;
  #producerStart = 0;
  #producerEnd = 0;
  #sequenceStart = 0;
  #schemaStart = -1;
  #schemaEnd = -1;
  #hasProducerProperty = false;
  readonly #ranges = new Int32Array(2 * MAX_RANGES);
  #rangeCount = 0;
  #keptBytes = 0;

  /** Looks at an entry, `[0x0e01][crc32c]` (or not) `[metadataSize][MessageMetadata][payload]`. Throws PROTOCOL_VIOLATION. */
  read(bytes: Buffer, start: number, end: number): void {
    const checked = end - start >= 2 && bytes.readUInt16BE(start) === ENTRY_MAGIC;
    const sizeAt = checked ? start + 6 : start;
    if (end - sizeAt < SIZE_BYTES) throw damaged('it ends inside its header');
    const metadataEnd = sizeAt + SIZE_BYTES + bytes.readUInt32BE(sizeAt);
    if (metadataEnd > end) throw damaged('its header reaches past its end');
    this.#bytes = bytes;
    this.#checksum = checked ? bytes.readUInt32BE(start + 2) : -1;
    this.#metadataStart = sizeAt;
    this.payloadStart = metadataEnd;
    this.payloadEnd = end;
    this.messages = 1;
    this.batched = false;
    this.#producerStart = this.#producerEnd = this.#sequenceStart = this.#schemaStart = this.#schemaEnd = -1;
    this.#hasProducerProperty = false;
    this.#rangeCount = this.#keptBytes = 0;
    this.#scan(sizeAt + SIZE_BYTES, metadataEnd);
    if (this.#producerStart < 0 || this.#sequenceStart < 0) throw damaged('it has no producer name or no sequence id');
  }

  /** The source's version of the schema, a view; empty for none. */
  get schemaVersion(): Buffer {
    return this.#schemaStart < 0 ? NOTHING : this.#bytes.subarray(this.#schemaStart, this.#schemaEnd);
  }

  get payloadBytes(): number {
    return this.payloadEnd - this.payloadStart;
  }

  /** At least the bytes that `write` needs. */
  bound(header: NewHeader): number {
    const producer = this.#hasProducerProperty ? 0 : this.#producerEnd - this.#producerStart + PRODUCER_NAME.length + 24;
    const added = header.producerName.length + header.mark.length + header.schemaVersion.length + producer;
    return ADDED_BYTES + this.#keptBytes + added;
  }

  /** Writes the new metadata with its four length bytes; gives the place after it. */
  write(target: Buffer, at: number, header: NewHeader): number {
    let to = at + SIZE_BYTES;
    // First, so that it can be exchanged without a look at the rest (`renamedMetadata`).
    target[to++] = 0x0a;
    to = writeBytes(target, to, header.producerName);
    target[to++] = 0x10;
    to = writeVarint(target, to, header.sequenceId);
    for (let k = 0; k < this.#rangeCount; k++) {
      const start = this.#ranges[2 * k] ?? 0;
      const end = this.#ranges[2 * k + 1] ?? 0;
      to += this.#bytes.copy(target, to, start, end);
    }
    if (header.schemaVersion.length > 0) {
      to = writeTag(target, to, SCHEMA_VERSION_TAG);
      to = writeBytes(target, to, header.schemaVersion);
    }
    to = writeTag(target, to, HIGHEST_SEQUENCE_ID_TAG);
    to = writeVarint(target, to, header.sequenceId);
    if (!this.#hasProducerProperty) to = this.#writeProducer(target, to);
    to = writeProperty(target, to, PROVENANCE_NAME, header.mark);
    target.writeUInt32BE(to - at - SIZE_BYTES, at);
    return to;
  }

  /** The checksum of the entry with `metadata` as its new header; the payload is read only if it came without one. */
  checksum(metadata: Buffer): number {
    const before = this.#bytes.subarray(this.#metadataStart, this.payloadStart);
    if (this.#checksum >= 0) return replacedHeadChecksum(this.#checksum, before, metadata, this.payloadBytes);
    return entryChecksum(metadata, this.#bytes.subarray(this.payloadStart, this.payloadEnd));
  }

  #scan(start: number, end: number): void {
    let chunks = 1;
    let chunkId = -1;
    const fields = new FieldWalk(this.#bytes, start, end);
    while (fields.next()) {
      switch (fields.number) {
        case FIELD.producerName:
          this.#producerStart = fields.valueStart;
          this.#producerEnd = fields.end;
          continue;
        case FIELD.sequenceId:
          this.#sequenceStart = fields.valueStart;
          continue;
        case FIELD.schemaVersion:
          if (fields.end > fields.valueStart) [this.#schemaStart, this.#schemaEnd] = [fields.valueStart, fields.end];
          continue;
        case FIELD.replicatedFrom:
        case FIELD.txnLeastBits:
        case FIELD.txnMostBits:
        case FIELD.highestSequenceId:
          continue;
        case FIELD.property:
          if (this.#isNamed(PROVENANCE_NAME, fields)) continue;
          if (this.#isNamed(PRODUCER_NAME, fields)) this.#hasProducerProperty = true;
          break;
        case FIELD.messages:
          this.messages = fields.value;
          this.batched = true;
          break;
        case FIELD.chunks:
          chunks = fields.value;
          break;
        case FIELD.chunkId:
          chunkId = fields.value;
          break;
        default:
      }
      this.#keep(fields.start, fields.end);
    }
    // A broker closes the connection for a SEND that says chunk where the header does not.
    this.chunk = chunks > 1 && chunkId >= 0;
  }

  #keep(start: number, end: number): void {
    this.#keptBytes += end - start;
    const last = 2 * this.#rangeCount - 1;
    if (last > 0 && this.#ranges[last] === start) this.#ranges[last] = end;
    else if (this.#rangeCount < MAX_RANGES) {
      this.#ranges[2 * this.#rangeCount] = start;
      this.#ranges[2 * this.#rangeCount + 1] = end;
      this.#rangeCount++;
    } else throw damaged(`its header has more than ${MAX_RANGES} stretches to keep`);
  }

  /** Whether a property has this name; it comes first, as everybody writes it. */
  #isNamed(name: Buffer, { valueStart, end }: FieldWalk): boolean {
    const bytes = this.#bytes;
    const from = valueStart + 2;
    if (end - from < name.length || bytes[valueStart] !== TAG_KEY || bytes[valueStart + 1] !== name.length) return false;
    for (let k = 0; k < name.length; k++) if (bytes[from + k] !== name[k]) return false;
    return true;
  }

  #writeProducer(target: Buffer, at: number): number {
    const id = Buffer.from(`${readUnsigned(this.#bytes, this.#sequenceStart)};`, 'latin1');
    const length = id.length + this.#producerEnd - this.#producerStart;
    let to = writePropertyHead(target, at, PRODUCER_NAME, length);
    to += id.copy(target, to);
    return to + this.#bytes.copy(target, to, this.#producerStart, this.#producerEnd);
  }
}

/** Metadata that `PassedEntry.write` has written, under another producer name. */
export function renamedMetadata(metadata: Buffer, producerName: string): Buffer {
  const fields = new FieldWalk(metadata, SIZE_BYTES, metadata.length);
  if (!fields.next() || fields.number !== FIELD.producerName) throw damaged('its header does not begin with the producer name');
  const name = Buffer.from(producerName);
  const rest = metadata.subarray(fields.end);
  const renamed = Buffer.allocUnsafe(SIZE_BYTES + 1 + varintLength(name.length) + name.length + rest.length);
  renamed.writeUInt32BE(renamed.length - SIZE_BYTES, 0);
  renamed[SIZE_BYTES] = 0x0a;
  rest.copy(renamed, writeBytes(renamed, SIZE_BYTES + 1, name));
  return renamed;
}

/** Steps over the fields of a message without taking them apart. */
class FieldWalk {
  readonly #bytes: Buffer;
  readonly #end: number;
  number = 0;
  /** The field from its tag to its end, and where its value begins: behind the length, where it has one. */
  start = 0;
  valueStart = 0;
  end: number;
  /** Of a number, as far as 32 bits hold it. */
  value = 0;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#end = end;
    this.end = start;
  }

  next(): boolean {
    if (this.end >= this.#end) return false;
    this.start = this.end;
    const tag = this.#number();
    this.number = tag >>> 3;
    switch (tag & 7) {
      case 0:
        this.valueStart = this.end;
        this.value = this.#number();
        break;
      case 1:
        this.valueStart = this.end;
        this.end += 8;
        break;
      case 2: {
        const length = this.#number();
        this.valueStart = this.end;
        this.end += length;
        break;
      }
      case 5:
        this.valueStart = this.end;
        this.end += 4;
        break;
      default:
        throw damaged(`wire type ${tag & 7} in its header`);
    }
    if (this.end > this.#end) throw damaged('a field of its header reaches past the end');
    return true;
  }

  /** The low 32 bits of a number, which is stepped over. */
  #number(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.end >= this.#end) break;
      const byte = this.#bytes[this.end++] ?? 0;
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw damaged('a number in its header does not end');
  }
}

/** An unsigned number of up to 64 bits as text, for ids beyond what a double holds. */
function readUnsigned(bytes: Buffer, at: number): string {
  let value = 0;
  let scale = 1;
  let to = at;
  while (to - at < 7) {
    const byte = bytes[to++] ?? 0;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return String(value);
    scale *= 128;
  }
  let high = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = bytes[to++] ?? 0;
    high |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80 || shift > 21n) break;
  }
  return String(BigInt.asUintN(64, (high << 49n) | BigInt(value)));
}

function writeProperty(target: Buffer, at: number, name: Buffer, value: Buffer): number {
  const to = writePropertyHead(target, at, name, value.length);
  return to + value.copy(target, to);
}

function writePropertyHead(target: Buffer, at: number, name: Buffer, valueLength: number): number {
  let to = at;
  target[to++] = TAG_PROPERTY;
  to = writeVarint(target, to, 2 + name.length + 1 + varintLength(valueLength) + valueLength);
  target[to++] = TAG_KEY;
  to = writeBytes(target, to, name);
  target[to++] = TAG_VALUE;
  return writeVarint(target, to, valueLength);
}

function writeTag(target: Buffer, at: number, tag: readonly number[]): number {
  target[at] = tag[0] ?? 0;
  target[at + 1] = tag[1] ?? 0;
  return at + 2;
}

function writeBytes(target: Buffer, at: number, bytes: Buffer): number {
  const to = writeVarint(target, at, bytes.length);
  return to + bytes.copy(target, to);
}

function damaged(what: string): IsthmusError {
  return new IsthmusError('PROTOCOL_VIOLATION', `reading an entry to be passed on: ${what}`);
}
