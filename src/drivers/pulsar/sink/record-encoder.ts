import { PROVENANCE_PROPERTY } from '../../../model/provenance.ts';
import { PROPERTY_ROW, type RecordBatch, RecordFlag } from '../../../model/record-batch.ts';
import { varintLength, writeVarint } from '../wire/protobuf.ts';

/**
 * A record inside a batch payload: `[size][SingleMessageMetadata][payload]`.
 *
 * SingleMessageMetadata: properties 1 (KeyValue: key 1, value 2), partition_key 2, payload_size 3, event_time 5, partition_key_b64_encoded 6, ordering_key 7, sequence_id 8,
 * null_value 9, null_partition_key 10.
 * Bytes go straight from the source's buffer into the target's: no object and no string is made for a usual record.
 */
const TAG_PROPERTY = 0x0a;
const TAG_NAME = 0x0a;
const TAG_VALUE = 0x12;
const TAG_PARTITION_KEY = 0x12;
const TAG_PAYLOAD_SIZE = 0x18;
const TAG_EVENT_TIME = 0x28;
const TAG_KEY_IS_BASE64 = 0x30;
const TAG_ORDERING_KEY = 0x3a;
const TAG_SEQUENCE_ID = 0x40;
const TAG_NULL_VALUE = 0x48;
const TAG_NULL_KEY = 0x50;

const SIZE_BYTES = 4;
/** Tags and lengths of one property: at most three tags and three lengths of at most four bytes. */
const PROPERTY_OVERHEAD = 15;
/** Size, tags, lengths and times of one record. */
const RECORD_OVERHEAD = 64;
/** What a seal may add to a mark. */
const SEAL_BYTES = 32;
/** Below this length a loop beats the call into native code. */
const LOOP_BYTES = 48;

/** At least the bytes that `encodeRecord` will write. */
export function recordBound(batch: RecordBatch, i: number): number {
  const { properties, propertyFirst } = batch;
  const last = (propertyFirst[i + 1] ?? 0) * PROPERTY_ROW;
  let bytes = RECORD_OVERHEAD + batch.bodyLength(i) + Math.max(0, (batch.keyEnd[i] ?? 0) - (batch.keyStart[i] ?? 0));
  if ((batch.orderingKeyStart[i] ?? -1) >= 0) bytes += (batch.orderingKeyEnd[i] ?? 0) - (batch.orderingKeyStart[i] ?? 0);
  for (let at = (propertyFirst[i] ?? 0) * PROPERTY_ROW; at < last; at += PROPERTY_ROW) {
    bytes +=
      PROPERTY_OVERHEAD +
      (properties[at + 1] ?? 0) -
      (properties[at] ?? 0) +
      (properties[at + 3] ?? 0) -
      (properties[at + 2] ?? 0);
  }
  if (batch.extras !== undefined || batch.marks !== undefined) {
    for (const [name, value] of addedProperties(batch, i))
      bytes += PROPERTY_OVERHEAD + SEAL_BYTES + 3 * (name.length + value.length);
  }
  return bytes;
}

/** Writes record `i` at `at` and returns the place after it; there must be room for `recordBound`. `seal` makes its own mark ready, where it has one. */
export function encodeRecord(batch: RecordBatch, i: number, target: Buffer, at: number, seal: (mark: string) => string): number {
  const { bytes, properties, propertyFirst } = batch;
  const last = (propertyFirst[i + 1] ?? 0) * PROPERTY_ROW;
  let to = at + SIZE_BYTES;
  for (let row = (propertyFirst[i] ?? 0) * PROPERTY_ROW; row < last; row += PROPERTY_ROW) {
    const nameStart = properties[row] ?? 0;
    const nameLength = (properties[row + 1] ?? 0) - nameStart;
    const valueStart = properties[row + 2] ?? 0;
    const valueLength = (properties[row + 3] ?? 0) - valueStart;
    to = writePropertyHead(target, to, nameLength, valueLength);
    to = copyBytes(bytes, nameStart, nameLength, target, to);
    target[to++] = TAG_VALUE;
    to = writeLength(target, to, valueLength);
    to = copyBytes(bytes, valueStart, valueLength, target, to);
  }
  if (batch.extras !== undefined || batch.marks !== undefined) to = writeAdded(batch, i, target, to, seal);
  const keyStart = batch.keyStart[i] ?? -1;
  if (keyStart >= 0) {
    const keyLength = (batch.keyEnd[i] ?? 0) - keyStart;
    target[to++] = TAG_PARTITION_KEY;
    to = writeLength(target, to, keyLength);
    to = copyBytes(bytes, keyStart, keyLength, target, to);
  }
  const bodyLength = batch.bodyLength(i);
  target[to++] = TAG_PAYLOAD_SIZE;
  to = writeLength(target, to, bodyLength);
  const eventTime = batch.eventTime[i] ?? 0;
  if (eventTime > 0) {
    target[to++] = TAG_EVENT_TIME;
    to = writeVarint(target, to, eventTime);
  }
  to = writeTraits(batch, i, target, to);
  writeSize(target, at, to - at - SIZE_BYTES);
  const replaced = batch.bodies?.get(i);
  if (replaced === undefined) return copyBytes(bytes, batch.bodyStart[i] ?? 0, bodyLength, target, to);
  return to + replaced.copy(target, to);
}

/** What only records have that came from a Pulsar. */
function writeTraits(batch: RecordBatch, i: number, target: Buffer, at: number): number {
  const flags = batch.flags[i] ?? 0;
  const sequence = batch.sequence[i] ?? -1;
  const orderingKeyStart = batch.orderingKeyStart[i] ?? -1;
  let to = at;
  if ((flags & RecordFlag.keyIsBase64) !== 0) to = writeTrue(target, to, TAG_KEY_IS_BASE64);
  if (orderingKeyStart >= 0) {
    const length = (batch.orderingKeyEnd[i] ?? 0) - orderingKeyStart;
    target[to++] = TAG_ORDERING_KEY;
    to = writeLength(target, to, length);
    to = copyBytes(batch.bytes, orderingKeyStart, length, target, to);
  }
  // Beyond 2^53 it is not exact any more, and a wrong id is worse than none.
  if (sequence >= 0 && Number.isSafeInteger(sequence)) {
    target[to++] = TAG_SEQUENCE_ID;
    to = writeVarint(target, to, sequence);
  }
  if ((flags & RecordFlag.nullValue) !== 0) to = writeTrue(target, to, TAG_NULL_VALUE);
  if ((flags & RecordFlag.nullKey) !== 0) to = writeTrue(target, to, TAG_NULL_KEY);
  return to;
}

function writeTrue(target: Buffer, at: number, tag: number): number {
  target[at] = tag;
  target[at + 1] = 1;
  return at + 2;
}

/** Properties that do not lie in the batch's bytes: facts that the source driver adds, and the mark of a record that came from elsewhere before. */
function addedProperties(
  batch: RecordBatch,
  i: number,
  seal = (mark: string): string => mark,
): (readonly [name: string, value: string])[] {
  const added: (readonly [string, string])[] = [...(batch.extras?.get(i) ?? [])];
  const mark = batch.marks?.get(i);
  if (mark !== undefined) added.push([PROVENANCE_PROPERTY, seal(mark)]);
  return added;
}

function writeAdded(batch: RecordBatch, i: number, target: Buffer, at: number, seal: (mark: string) => string): number {
  let to = at;
  for (const [name, value] of addedProperties(batch, i, seal)) {
    const valueLength = Buffer.byteLength(value);
    to = writePropertyHead(target, to, Buffer.byteLength(name), valueLength);
    to += target.write(name, to);
    target[to++] = TAG_VALUE;
    to = writeLength(target, to, valueLength);
    to += target.write(value, to);
  }
  return to;
}

function writePropertyHead(target: Buffer, at: number, nameLength: number, valueLength: number): number {
  let to = at;
  target[to++] = TAG_PROPERTY;
  if (nameLength < 0x80 && valueLength < 0x80) {
    to = writeLength(target, to, nameLength + valueLength + 4);
    target[to++] = TAG_NAME;
    target[to++] = nameLength;
    return to;
  }
  to = writeLength(target, to, 2 + varintLength(nameLength) + nameLength + varintLength(valueLength) + valueLength);
  target[to++] = TAG_NAME;
  return writeLength(target, to, nameLength);
}

function writeLength(target: Buffer, at: number, length: number): number {
  if (length >= 0x80) return writeVarint(target, at, length);
  target[at] = length;
  return at + 1;
}

function writeSize(target: Buffer, at: number, size: number): void {
  target[at] = size >>> 24;
  target[at + 1] = size >>> 16;
  target[at + 2] = size >>> 8;
  target[at + 3] = size;
}

function copyBytes(source: Buffer, start: number, length: number, target: Buffer, at: number): number {
  if (length > LOOP_BYTES) return at + source.copy(target, at, start, start + length);
  for (let k = 0; k < length; k++) target[at + k] = source[start + k] ?? 0;
  return at + length;
}
