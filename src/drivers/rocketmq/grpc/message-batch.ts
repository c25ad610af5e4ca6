import type { MessageView } from 'rocketmq-client-nodejs';
import { PROPERTY_ROW, RecordBatch } from '../../../model/record-batch.ts';
import { clustersOf, roleOf } from '../message/properties.ts';

/** What a message costs beyond its body and properties, roughly. */
const MESSAGE_OVERHEAD_BYTES = 256;

/** Bytes that messages hold in memory, twice: the client's objects stay until they are acknowledged. */
export function heldBytesOf(views: readonly MessageView[]): number {
  return views.reduce((sum, view) => sum + MESSAGE_OVERHEAD_BYTES + view.body.length * 2, 0);
}

/** Puts messages into a batch, at the positions from `first` on. The proxy has taken some properties apart; they get the names back that they have on the broker. */
export function batchOf(views: readonly MessageView[], first: number, heldBytes: number, onRelease: () => void): RecordBatch {
  const batch = new RecordBatch(views.length, onRelease);
  const writer = new BatchWriter(batch);
  for (const [i, view] of views.entries()) writer.add(i, first + i, view);
  batch.count = views.length;
  batch.bytes = writer.bytes();
  batch.heldBytes = heldBytes;
  return batch;
}

class BatchWriter {
  readonly #batch: RecordBatch;
  readonly #chunks: Buffer[] = [];
  #length = 0;
  #rows = 0;

  constructor(batch: RecordBatch) {
    this.#batch = batch;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks, this.#length);
  }

  add(i: number, position: number, view: MessageView): void {
    const batch = this.#batch;
    batch.major[i] = position;
    batch.storeTime[i] = view.transportDeliveryTimestamp?.getTime() ?? view.decodeTimestamp.getTime();
    batch.eventTime[i] = view.bornTimestamp?.getTime() ?? batch.storeTime[i] ?? 0;
    [batch.bodyStart[i], batch.bodyEnd[i]] = this.#put(view.body);
    batch.keyStart[i] = batch.tagStart[i] = batch.provenanceStart[i] = -1;
    batch.propertyFirst[i] = this.#rows;
    for (const [name, value] of view.properties) this.#property(i, name, value);
    this.#property(i, 'UNIQ_KEY', view.messageId);
    if (view.tag) [batch.tagStart[i], batch.tagEnd[i]] = this.#property(i, 'TAGS', view.tag);
    if (view.keys.length > 0) {
      const [start] = this.#property(i, 'KEYS', view.keys.join(' '));
      [batch.keyStart[i], batch.keyEnd[i]] = [start, start + Buffer.byteLength(view.keys[0] ?? '')];
    }
    if (view.messageGroup) [batch.keyStart[i], batch.keyEnd[i]] = this.#property(i, '__SHARDINGKEY', view.messageGroup);
    batch.propertyFirst[i + 1] = this.#rows;
    if (view.corrupted) {
      batch.damaged ??= new Map();
      batch.damaged.set(i, 'its body does not fit its checksum');
    }
  }

  /** Adds a property as its role wants it, and gives the range of its value. */
  #property(i: number, name: string, value: string): readonly [start: number, end: number] {
    const batch = this.#batch;
    const nameBytes = Buffer.from(name);
    const role = roleOf(nameBytes, 0, nameBytes.length);
    if (role === 'dropped') return [-1, -1];
    if (role === 'brought-from') (batch.broughtFrom ??= new Map()).set(i, clustersOf(value));
    const nameRange = role === 'provenance' ? undefined : this.#put(nameBytes);
    const range = this.#put(Buffer.from(value));
    if (nameRange === undefined) {
      [batch.provenanceStart[i], batch.provenanceEnd[i]] = range;
      return range;
    }
    batch.reserveProperties(this.#rows + 1);
    batch.properties.set([...nameRange, ...range], this.#rows * PROPERTY_ROW);
    this.#rows++;
    return range;
  }

  #put(bytes: Buffer): readonly [start: number, end: number] {
    const start = this.#length;
    this.#chunks.push(bytes);
    this.#length += bytes.length;
    return [start, this.#length];
  }
}
