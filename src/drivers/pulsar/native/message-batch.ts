import type { Position } from '../../../model/position.ts';
import { PROVENANCE_PROPERTY } from '../../../model/provenance.ts';
import { PROPERTY_ROW, RecordBatch } from '../../../model/record-batch.ts';
import type { NativeMessage } from './module.ts';

/** A message as it was received. */
export interface Received {
  readonly position: Position;
  readonly message: NativeMessage;
  readonly data: Buffer;
}

/** Puts messages into a batch. Every column is set by the batch's constructor to "none" that is not set here. */
export function batchOf(received: readonly Received[], heldBytes: number, onRelease: () => void): RecordBatch {
  const batch = new RecordBatch(received.length, onRelease);
  const chunks: Buffer[] = [];
  let [length, rows] = [0, 0];
  const put = (bytes: Buffer): readonly [start: number, end: number] => {
    const start = length;
    chunks.push(bytes);
    length += bytes.length;
    return [start, length];
  };
  const putText = (text: string): readonly [start: number, end: number] => (text === '' ? [-1, -1] : put(Buffer.from(text)));
  for (const [i, { position, message, data }] of received.entries()) {
    batch.major[i] = position.major;
    batch.minor[i] = position.minor;
    batch.index[i] = position.index;
    batch.storeTime[i] = message.getPublishTimestamp();
    batch.eventTime[i] = message.getEventTimestamp();
    batch.tagStart[i] = batch.tagEnd[i] = batch.provenanceStart[i] = batch.provenanceEnd[i] = -1;
    [batch.bodyStart[i], batch.bodyEnd[i]] = put(data);
    [batch.keyStart[i], batch.keyEnd[i]] = putText(message.getPartitionKey());
    [batch.orderingKeyStart[i], batch.orderingKeyEnd[i]] = putText(message.getOrderingKey());
    for (const [name, value] of propertiesOf(message)) {
      if (name === PROVENANCE_PROPERTY) {
        [batch.provenanceStart[i], batch.provenanceEnd[i]] = put(Buffer.from(value));
        continue;
      }
      batch.reserveProperties(rows + 1);
      batch.properties.set([...put(Buffer.from(name)), ...put(Buffer.from(value))], rows * PROPERTY_ROW);
      rows++;
    }
    batch.propertyFirst[i + 1] = rows;
    const broughtFrom = message.getReplicatedFrom();
    if (broughtFrom !== '') (batch.broughtFrom ??= new Map()).set(i, [broughtFrom]);
  }
  batch.bytes = Buffer.concat(chunks, length);
  batch.count = received.length;
  batch.heldBytes = heldBytes;
  return batch;
}

export function propertiesOf(message: NativeMessage): [name: string, value: string][] {
  return Object.entries(message.getProperties()).map(([name, value]) => [name, String(value)]);
}
