import type { MarkCodec, Provenance } from '../../../model/provenance.ts';
import { PROPERTY_ROW, type RecordBatch, RecordFlag } from '../../../model/record-batch.ts';
import { roleOf } from './properties.ts';

/*
 * What a record of a Pulsar has in fields that RocketMQ has not is stored here as properties, and an application's names that would be taken for something else get a prefix
 * (sink/transcode.ts). Where such a record is read again, the fields that another Pulsar can hold are fields again, and the names are what they were. Only the mark tells
 * such a record: an application of a RocketMQ may use these names for itself.
 */
export const ESCAPE_PREFIX: Buffer = Buffer.from('PULSAR_', 'latin1');
/** Names of the fields, behind the prefix. */
export const ORDERING_KEY = 'ORDERING_KEY';
export const KEY_IS_BASE64 = 'KEY_BASE64';
export const KEY_IS_NULL = 'KEY_NULL';

const [ORDERING_KEY_NAME, KEY_IS_BASE64_NAME, KEY_IS_NULL_NAME] = [ORDERING_KEY, KEY_IS_BASE64, KEY_IS_NULL].map((name) =>
  Buffer.from(name, 'latin1'),
) as [Buffer, Buffer, Buffer];
const PREFIX_BYTES = ESCAPE_PREFIX.length;
const COLON = ':';

/** Whether the bytes at [start, end) begin with the prefix. */
export function hasPrefix(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start > PREFIX_BYTES && isAt(ESCAPE_PREFIX, bytes, start);
}

/** Whether a name that an application of a Pulsar has chosen gets the prefix: RocketMQ uses it for itself, or what is read back would be taken for a field, or lose a prefix. */
export function needsPrefix(bytes: Uint8Array, start: number, end: number): boolean {
  let core = start;
  while (hasPrefix(bytes, core, end)) core += PREFIX_BYTES;
  return roleOf(bytes, core, end) === 'dropped' || (core > start && isField(bytes, core, end));
}

/** Whether a name is changed when the record of a Pulsar that has it is read again. */
export function isRestored(bytes: Uint8Array, start: number, end: number): boolean {
  if (!hasPrefix(bytes, start, end)) return false;
  return isField(bytes, start + PREFIX_BYTES, end) || needsPrefix(bytes, start + PREFIX_BYTES, end);
}

/** Whether a record was written by an application of a RocketMQ, wherever it was read: positions of a Pulsar have an entry. */
export function isOfRocketmq(batch: RecordBatch, i: number): boolean {
  const mark = batch.marks?.get(i);
  if (mark === undefined) return batch.native === 'rocketmq-message';
  // Names in a mark hold no semicolon: the fifth field are the positions.
  return mark.split(';', 5)[4]?.includes(COLON) !== true;
}

/**
 * Gives record `i`, whose rows begin at row `first` and end before `rows`, back what it had on the Pulsar where it was written; gives the new end of its rows. Such a record is
 * put together anew also for another RocketMQ, because its stored bytes say something else.
 */
export function restoreFacts(batch: RecordBatch, i: number, first: number, rows: number, marks: MarkCodec): number {
  const start = batch.provenanceStart[i] ?? -1;
  if (start < 0) return rows;
  if (!isFromPulsar(marks.read(batch.bytes.toString('utf8', start, batch.provenanceEnd[i])))) return rows;
  const { bytes, properties } = batch;
  let to = first;
  for (let row = first; row < rows; row++) {
    const at = row * PROPERTY_ROW;
    const [nameStart, nameEnd] = [properties[at] ?? 0, properties[at + 1] ?? 0];
    const [valueStart, valueEnd] = [properties[at + 2] ?? 0, properties[at + 3] ?? 0];
    const prefixed = hasPrefix(bytes, nameStart, nameEnd);
    if (prefixed && takeField(batch, i, nameStart + PREFIX_BYTES, nameEnd, valueStart, valueEnd)) continue;
    const escaped = prefixed && needsPrefix(bytes, nameStart + PREFIX_BYTES, nameEnd);
    properties.set([escaped ? nameStart + PREFIX_BYTES : nameStart, nameEnd, valueStart, valueEnd], to * PROPERTY_ROW);
    to++;
  }
  batch.nativeStart[i] = batch.nativeEnd[i] = -1;
  return to;
}

function isFromPulsar(mark: Provenance | undefined): boolean {
  return (mark?.runs[0]?.first.minor ?? -1) >= 0;
}

function isField(bytes: Uint8Array, start: number, end: number): boolean {
  return (
    isNamed(ORDERING_KEY_NAME, bytes, start, end) ||
    isNamed(KEY_IS_BASE64_NAME, bytes, start, end) ||
    isNamed(KEY_IS_NULL_NAME, bytes, start, end)
  );
}

/** Makes a property the field that it was; false when it was none. */
function takeField(batch: RecordBatch, i: number, start: number, end: number, valueStart: number, valueEnd: number): boolean {
  const { bytes, flags } = batch;
  if (isNamed(ORDERING_KEY_NAME, bytes, start, end)) {
    batch.orderingKeyStart[i] = valueStart;
    batch.orderingKeyEnd[i] = valueEnd;
  } else if (isNamed(KEY_IS_BASE64_NAME, bytes, start, end)) {
    flags[i] = (flags[i] ?? 0) | RecordFlag.keyIsBase64;
  } else if (isNamed(KEY_IS_NULL_NAME, bytes, start, end)) {
    flags[i] = (flags[i] ?? 0) | RecordFlag.nullKey;
    // Of its KEYS, which a record of a Pulsar may have as a property, none is its key.
    batch.keyStart[i] = batch.keyEnd[i] = -1;
  } else return false;
  return true;
}

function isNamed(name: Buffer, bytes: Uint8Array, start: number, end: number): boolean {
  return end - start === name.length && isAt(name, bytes, start);
}

function isAt(wanted: Buffer, bytes: Uint8Array, start: number): boolean {
  for (let k = 0; k < wanted.length; k++) if (bytes[start + k] !== wanted[k]) return false;
  return true;
}
