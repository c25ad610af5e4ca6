import { PROPERTY_ROW, RecordBatch } from '../../model/record-batch.ts';
import type { MemoryMessage, StoredMessage } from './queue-broker.ts';

/** A batch of messages, laid out as bytes and places like a broker's answer. `free` gets the bytes when the batch is released. */
export function makeBatch(messages: readonly StoredMessage[], free: (bytes: Buffer) => void): RecordBatch {
  const parts: Buffer[] = [];
  let length = 0;
  const put = (part: Buffer | string | undefined): readonly [number, number] => {
    if (part === undefined) return [-1, -1];
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    parts.push(bytes);
    length += bytes.length;
    return [length - bytes.length, length];
  };
  let memory: Buffer = Buffer.alloc(0);
  const batch = new RecordBatch(messages.length, () => free(memory));
  batch.count = messages.length;
  let rows = 0;
  messages.forEach((message, i) => {
    batch.major[i] = message.offset;
    batch.eventTime[i] = message.storeTime;
    batch.storeTime[i] = message.storeTime;
    [batch.bodyStart[i], batch.bodyEnd[i]] = put(message.body);
    [batch.keyStart[i], batch.keyEnd[i]] = put(message.key);
    [batch.tagStart[i], batch.tagEnd[i]] = put(message.tag);
    [batch.provenanceStart[i], batch.provenanceEnd[i]] = put(message.mark);
    batch.propertyFirst[i] = rows;
    for (const [name, value] of propertiesOf(message)) {
      batch.reserveProperties(rows + 1);
      batch.properties.set([...put(name), ...put(value)], rows * PROPERTY_ROW);
      rows++;
    }
    batch.propertyFirst[i + 1] = rows;
    if (message.damage !== undefined) (batch.damaged ??= new Map()).set(i, message.damage);
  });
  memory = Buffer.concat(parts);
  batch.bytes = memory;
  return batch;
}

function propertiesOf(message: MemoryMessage): (readonly [string, string])[] {
  return Object.entries(message.properties ?? {});
}
