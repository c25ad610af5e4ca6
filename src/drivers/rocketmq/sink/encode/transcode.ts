import { MAX_DIGITS } from '../../../../lib/write-bytes.ts';
import { PROPERTY_ROW, type RecordBatch, RecordFlag } from '../../../../model/record-batch.ts';
import { roleOf } from '../../message/properties.ts';
import { ESCAPE_PREFIX, hasPrefix, isOfRocketmq, needsPrefix } from '../../message/pulsar-facts.ts';
import {
  equals,
  FLAG_FACT,
  KEY_IS_BASE64_TRUE,
  KEY_IS_NULL_TRUE,
  NAME_END,
  ORDERING_KEY_NAME,
  PRODUCER_NAME,
  SCHEMA_VERSION_NAME,
  SEQUENCE_NAME,
  Seen,
  SHARDING_KEY_NAME,
  VALUE_END,
} from './names.ts';
import type { PropertyWriter } from './property-writer.ts';

/*
 * Records that are not copied from another RocketMQ. What RocketMQ has told a Pulsar as properties (its own names, the user flag) comes back as what it was; what Pulsar keeps
 * in fields of its own becomes properties.
 */
const PROPERTY_OVERHEAD = 2 + ESCAPE_PREFIX.length;
const MAX_CHARACTER_BYTES = 3;
const FACTS_BYTES =
  SHARDING_KEY_NAME.length +
  ORDERING_KEY_NAME.length +
  PRODUCER_NAME.length +
  SEQUENCE_NAME.length +
  SCHEMA_VERSION_NAME.length +
  KEY_IS_BASE64_TRUE.length +
  KEY_IS_NULL_TRUE.length +
  MAX_DIGITS +
  5;
const FLAG_NAME: Buffer = Buffer.from(FLAG_FACT, 'latin1');
const KEYS: Buffer = Buffer.from('KEYS', 'latin1');
const SPACE = 0x20;
const FLAG_TEXT = /^-?\d{1,10}$/;
const HEX = 'hex';

/** At least the bytes that `writeTranscoded` will write. */
export function transcodedBound(batch: RecordBatch, i: number): number {
  const { properties, propertyFirst } = batch;
  const last = (propertyFirst[i + 1] ?? 0) * PROPERTY_ROW;
  let bytes = FACTS_BYTES + length(batch.keyStart, batch.keyEnd, i) + length(batch.orderingKeyStart, batch.orderingKeyEnd, i);
  bytes += length(batch.producerStart, batch.producerEnd, i) + 2 * length(batch.schemaStart, batch.schemaEnd, i);
  for (let row = (propertyFirst[i] ?? 0) * PROPERTY_ROW; row < last; row += PROPERTY_ROW) {
    bytes +=
      PROPERTY_OVERHEAD +
      (properties[row + 1] ?? 0) -
      (properties[row] ?? 0) +
      (properties[row + 3] ?? 0) -
      (properties[row + 2] ?? 0);
  }
  return bytes + extrasBound(batch, i);
}

export function extrasBound(batch: RecordBatch, i: number): number {
  let bytes = 0;
  for (const [name, value] of batch.extras?.get(i) ?? [])
    bytes += PROPERTY_OVERHEAD + MAX_CHARACTER_BYTES * (name.length + value.length);
  return bytes;
}

function length(starts: Int32Array, ends: Int32Array, i: number): number {
  const start = starts[i] ?? -1;
  return start < 0 ? 0 : (ends[i] ?? 0) - start;
}

/** Why RocketMQ cannot hold the record; `undefined` when it can. */
export function transcodeRefusal(batch: RecordBatch, i: number): string | undefined {
  if (((batch.flags[i] ?? 0) & RecordFlag.nullValue) !== 0) return 'it has no value (a tombstone), which RocketMQ cannot hold';
  // What a RocketMQ has stored, another one stores as well, whatever is between them.
  if (batch.bodyLength(i) === 0 && !isOfRocketmq(batch, i))
    return 'its body is empty: RocketMQ refuses such messages, and gRPC consumers fail on one that gets in';
  if (holdsSeparator(batch, i))
    return 'its key or a property holds the character 0x01 or 0x02, by which RocketMQ separates properties';
  return undefined;
}

function holdsSeparator(batch: RecordBatch, i: number): boolean {
  const { bytes, properties, propertyFirst } = batch;
  const last = (propertyFirst[i + 1] ?? 0) * PROPERTY_ROW;
  for (let row = (propertyFirst[i] ?? 0) * PROPERTY_ROW; row < last; row += PROPERTY_ROW) {
    if (
      separates(bytes, properties[row] ?? 0, properties[row + 1] ?? 0) ||
      separates(bytes, properties[row + 2] ?? 0, properties[row + 3] ?? 0)
    )
      return true;
  }
  for (const [start, end] of [
    [batch.keyStart[i], batch.keyEnd[i]],
    [batch.orderingKeyStart[i], batch.orderingKeyEnd[i]],
    [batch.producerStart[i], batch.producerEnd[i]],
  ]) {
    if (start !== undefined && start >= 0 && separates(bytes, start, end ?? 0)) return true;
  }
  return batch.extras?.get(i)?.some(([name, value]) => /[\u0001\u0002]/.test(name + value)) ?? false;
}

function separates(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (byte === NAME_END || byte === VALUE_END) return true;
  }
  return false;
}

/** The user flag, which may have come as a property. */
export function flagOf(batch: RecordBatch, i: number): number {
  if (batch.extras === undefined && !hasFlagRow(batch, i)) return 0;
  return parseFlag(batch.property(i, FLAG_FACT)) ?? 0;
}

function hasFlagRow(batch: RecordBatch, i: number): boolean {
  const { propertyFirst } = batch;
  const last = (propertyFirst[i + 1] ?? 0) * PROPERTY_ROW;
  for (let row = (propertyFirst[i] ?? 0) * PROPERTY_ROW; row < last; row += PROPERTY_ROW) {
    if (isFlagRow(batch, row)) return true;
  }
  return false;
}

function isFlagRow({ bytes, properties }: RecordBatch, row: number): boolean {
  const start = properties[row] ?? 0;
  return (properties[row + 1] ?? 0) - start === FLAG_NAME.length && equals(FLAG_NAME, bytes, start);
}

function parseFlag(text: string | undefined): number | undefined {
  if (text === undefined || !FLAG_TEXT.test(text)) return undefined;
  const flag = Number(text);
  return flag === (flag | 0) ? flag : undefined;
}

/** Writes the record's properties and what Pulsar has beside them. */
export function writeTranscoded(batch: RecordBatch, i: number, out: PropertyWriter): void {
  const { properties, propertyFirst } = batch;
  const last = (propertyFirst[i + 1] ?? 0) * PROPERTY_ROW;
  let keysRow = -1;
  for (let row = (propertyFirst[i] ?? 0) * PROPERTY_ROW; row < last; row += PROPERTY_ROW) {
    const start = properties[row] ?? 0;
    if ((properties[row + 1] ?? 0) - start === KEYS.length && equals(KEYS, batch.bytes, start)) keysRow = row;
    writeRow(batch, i, row, out);
  }
  for (const [name, value] of batch.extras?.get(i) ?? []) writeExtra(name, value, out);
  writeKey(batch, i, keysRow, out);
  writeFacts(batch, i, out);
}

function writeRow(batch: RecordBatch, i: number, row: number, out: PropertyWriter): void {
  const { bytes, properties } = batch;
  const start = properties[row] ?? 0;
  const end = properties[row + 1] ?? 0;
  const [valueStart, valueEnd] = [properties[row + 2] ?? 0, properties[row + 3] ?? 0];
  if (end === start) return;
  const role = roleOf(bytes, start, end);
  if (role === 'provenance') return;
  if (isFlagRow(batch, row) && parseFlag(bytes.toString('latin1', valueStart, valueEnd)) !== undefined) return;
  if (role === 'dropped' || isForeignFact(batch, i, bytes, start, end)) out.put(ESCAPE_PREFIX);
  else out.note(bytes, start, end);
  out.copy(bytes, start, end);
  out.byte(NAME_END);
  out.copy(bytes, valueStart, valueEnd);
  out.endValue();
}

/** Whether an application of a Pulsar has a name that would be taken for a fact of ours when the message is read again. */
function isForeignFact(batch: RecordBatch, i: number, bytes: Buffer, start: number, end: number): boolean {
  return hasPrefix(bytes, start, end) && needsPrefix(bytes, start, end) && !isOfRocketmq(batch, i);
}

function writeExtra(name: string, value: string, out: PropertyWriter): void {
  if (name === '' || (name === FLAG_FACT && parseFlag(value) !== undefined)) return;
  const bytes = Buffer.from(name);
  const role = roleOf(bytes, 0, bytes.length);
  if (role === 'provenance') return;
  if (role === 'dropped') out.put(ESCAPE_PREFIX);
  else out.note(bytes, 0, bytes.length);
  out.put(bytes);
  out.byte(NAME_END);
  out.text(value);
  out.endValue();
}

/**
 * The key orders, so it becomes the message group (sharding key), unless the record has one already, or its key is only the first of its KEYS: then it came from a RocketMQ
 * where it had none.
 */
function writeKey(batch: RecordBatch, i: number, keysRow: number, out: PropertyWriter): void {
  const start = batch.keyStart[i] ?? -1;
  const flags = batch.flags[i] ?? 0;
  if ((flags & RecordFlag.nullKey) !== 0) out.put(KEY_IS_NULL_TRUE);
  if (start < 0) return;
  const end = batch.keyEnd[i] ?? start;
  if ((out.seen & Seen.shardingKey) !== 0) {
    // The kind of a key says nothing of another one.
    if ((flags & RecordFlag.keyIsBase64) !== 0 && isShardingKey(batch, i, start, end)) out.put(KEY_IS_BASE64_TRUE);
    return;
  }
  if ((flags & RecordFlag.keyIsBase64) !== 0) out.put(KEY_IS_BASE64_TRUE);
  if (keysRow >= 0 && isFirstWord(batch, keysRow, start, end)) return;
  out.put(SHARDING_KEY_NAME);
  out.copy(batch.bytes, start, end);
  out.endValue();
}

/** Whether the sharding key that the record has as a property is the key at [start, end). */
function isShardingKey({ bytes, properties, propertyFirst }: RecordBatch, i: number, start: number, end: number): boolean {
  const last = (propertyFirst[i + 1] ?? 0) * PROPERTY_ROW;
  for (let row = (propertyFirst[i] ?? 0) * PROPERTY_ROW; row < last; row += PROPERTY_ROW) {
    if (roleOf(bytes, properties[row] ?? 0, properties[row + 1] ?? 0) !== 'sharding-key') continue;
    const at = properties[row + 2] ?? 0;
    if (bytes.compare(bytes, start, end, at, properties[row + 3]) === 0) return true;
  }
  return false;
}

function isFirstWord({ bytes, properties }: RecordBatch, row: number, start: number, end: number): boolean {
  let at = properties[row + 2] ?? 0;
  const valueEnd = properties[row + 3] ?? 0;
  while (at < valueEnd && bytes[at] === SPACE) at++;
  for (let k = start; k < end; k++, at++) if (at >= valueEnd || bytes[at] !== bytes[k]) return false;
  return at === valueEnd || bytes[at] === SPACE;
}

/** A fact that a property tells already stays as it is: it speaks of where the record was written, or the application has written it. */
function writeFacts(batch: RecordBatch, i: number, out: PropertyWriter): void {
  const { seen } = out;
  writeFact(batch, ORDERING_KEY_NAME, batch.orderingKeyStart[i], batch.orderingKeyEnd[i], out);
  if ((seen & Seen.producer) === 0) writeFact(batch, PRODUCER_NAME, batch.producerStart[i], batch.producerEnd[i], out);
  const sequence = batch.sequence[i] ?? -1;
  if (sequence >= 0 && (seen & Seen.sequence) === 0) {
    out.put(SEQUENCE_NAME);
    out.number(sequence);
    out.endValue();
  }
  const schemaStart = batch.schemaStart[i] ?? -1;
  if (schemaStart >= 0 && (seen & Seen.schemaVersion) === 0) {
    out.put(SCHEMA_VERSION_NAME);
    out.text(batch.bytes.toString(HEX, schemaStart, batch.schemaEnd[i]));
    out.endValue();
  }
}

function writeFact(
  batch: RecordBatch,
  name: Buffer,
  start: number | undefined,
  end: number | undefined,
  out: PropertyWriter,
): void {
  if (start === undefined || start < 0) return;
  out.put(name);
  out.copy(batch.bytes, start, end ?? start);
  out.endValue();
}
