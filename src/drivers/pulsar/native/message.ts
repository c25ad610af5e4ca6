import { isUtf8 } from 'node:buffer';
import type { LaneId } from '../../../model/lane.ts';
import { formatProvenance, formatVia, type MarkCodec, PROVENANCE_PROPERTY } from '../../../model/provenance.ts';
import { PROPERTY_ROW, type RecordBatch, RecordFlag } from '../../../model/record-batch.ts';
import type { NativeProducerMessage } from './module.ts';

/** What brokers take by default, less what stands beside the body. Larger limits are for `driver: wire`. */
const MAX_MESSAGE_BYTES = 5 * 1024 * 1024 - 48 * 1024;

export interface MarkedRecord {
  readonly sourceCluster: string;
  readonly lane: LaneId;
  readonly batch: RecordBatch;
  readonly i: number;
  readonly marks: MarkCodec;
}

/** The record as the official client sends it, with its mark as a property of its own; or why that client would store another record than this one. */
export function messageOf(record: MarkedRecord): NativeProducerMessage | { readonly refused: string } {
  const { batch, i, marks } = record;
  const flags = batch.flags[i] ?? 0;
  if ((flags & (RecordFlag.nullValue | RecordFlag.nullKey)) !== 0)
    return { refused: 'the official client cannot send a record without a value, or with a null key' };
  if ((flags & RecordFlag.keyIsBase64) !== 0) return { refused: 'the official client cannot send a key that stands for bytes' };
  const properties = propertiesOf(batch, i);
  if ('refused' in properties) return properties;
  const key = textOf(batch, batch.keyStart[i], batch.keyEnd[i]);
  const orderingKey = textOf(batch, batch.orderingKeyStart[i], batch.orderingKeyEnd[i]);
  if (key === null || orderingKey === null)
    return { refused: 'its key is no text that the official client can send (a zero character, or no UTF-8)' };
  // Views must not be sent: the batch is given back before the client is done.
  const data = Buffer.from(batch.body(i));
  properties.found[PROVENANCE_PROPERTY] = marks.seal(markOf(record));
  const eventTimestamp = batch.eventTime[i] ?? 0;
  const message = {
    data,
    properties: properties.found,
    ...(eventTimestamp > 0 ? { eventTimestamp } : {}),
    ...(key === undefined ? {} : { partitionKey: key }),
    ...(orderingKey === undefined ? {} : { orderingKey }),
  };
  const bytes = sizeOf(message);
  return bytes > MAX_MESSAGE_BYTES ? { refused: `its ${bytes} bytes are more than ${MAX_MESSAGE_BYTES}` } : message;
}

/** Bytes of a message with its properties, roughly. */
export function sizeOf({ data, properties }: NativeProducerMessage): number {
  let bytes = data.length;
  for (const [name, value] of Object.entries(properties)) bytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 8;
  return bytes;
}

function markOf({ batch, i, sourceCluster, lane }: MarkedRecord): string {
  const runs = [{ first: batch.positionAt(i), count: 1 }];
  const foreign = batch.marks?.get(i);
  if (foreign !== undefined) return foreign + formatVia({ ...lane, runs });
  return formatProvenance({ cluster: sourceCluster, ...lane, runs, time: batch.storeTime[i] ?? 0, passed: [] });
}

type Properties = { readonly found: Record<string, string> } | { readonly refused: string };

function propertiesOf(batch: RecordBatch, i: number): Properties {
  const found: Record<string, string> = Object.create(null) as Record<string, string>;
  const pairs: [string | null | undefined, string | null | undefined][] = [];
  for (let row = batch.propertyFirst[i] ?? 0; row < (batch.propertyFirst[i + 1] ?? 0); row++) {
    const at = row * PROPERTY_ROW;
    const name = textOf(batch, batch.properties[at], batch.properties[at + 1]);
    pairs.push([name, textOf(batch, batch.properties[at + 2], batch.properties[at + 3])]);
  }
  for (const [name, value] of batch.extras?.get(i) ?? []) pairs.push([name, value]);
  for (const [name, value] of pairs) {
    if (typeof name !== 'string' || typeof value !== 'string' || `${name}${value}`.includes('\0'))
      return { refused: 'a property is no text that the official client can send (a zero character, or no UTF-8)' };
    if (name in found) return { refused: `it has the property ${name} twice, and the official client sends it once` };
    found[name] = value;
  }
  return { found };
}

/** `undefined` where there is nothing, `null` where the client's C strings would make something else of it. */
function textOf(batch: RecordBatch, start = -1, end = -1): string | undefined | null {
  if (start < 0) return undefined;
  const bytes = batch.bytes.subarray(start, end);
  return bytes.includes(0) || !isUtf8(bytes) ? null : bytes.toString('utf8');
}
