import { PROPERTY_ROW, type RecordBatch } from '../../model/record-batch.ts';
import type { Cluster } from '../../spi/cluster.ts';
import type { Likeness } from '../../spi/likeness.ts';
import { roleOf } from './message/properties.ts';
import { ESCAPE_PREFIX } from './message/pulsar-facts.ts';
import { FLAG_FACT } from './sink/encode/names.ts';

const SPACE = 0x20;
/** Written by the sink where the record has none of its own. */
const ADDED: readonly Buffer[] = ['UNIQ_KEY', '__BORNHOST', 'BORN_TIMESTAMP'].map((name) => Buffer.from(name, 'latin1'));
const FLAG = Buffer.from(FLAG_FACT, 'latin1');

/**
 * What a message on RocketMQ has in common with the record that it is a copy of (see `sink/transcode.ts`): not what the sink adds, nor, for records of a Pulsar, what it keeps under
 * other names or as a field. The sharding key is compared as the key.
 */
export class RocketmqLikeness implements Likeness {
  readonly #transcoded: boolean;
  keyStart = -1;
  keyEnd = -1;

  constructor(source: Cluster['type']) {
    this.#transcoded = source !== 'rocketmq';
  }

  comparesProperty(bytes: Uint8Array, start: number, end: number): boolean {
    if (end === start) return false;
    const role = roleOf(bytes, start, end);
    if (role === 'dropped' || role === 'provenance' || role === 'sharding-key') return false;
    if (ADDED.some((name) => isNamed(name, bytes, start, end))) return false;
    return !this.#transcoded || (!startsWith(ESCAPE_PREFIX, bytes, start, end) && !isNamed(FLAG, bytes, start, end));
  }

  /** A record of a RocketMQ that was elsewhere in between has its keys among its properties; they win over the key that it has now, as in the sink. */
  locateKey(batch: RecordBatch, i: number): void {
    this.keyStart = batch.keyStart[i] ?? -1;
    this.keyEnd = batch.keyEnd[i] ?? -1;
    const { bytes, properties } = batch;
    const last = (batch.propertyFirst[i + 1] ?? 0) * PROPERTY_ROW;
    for (let at = (batch.propertyFirst[i] ?? 0) * PROPERTY_ROW; at < last; at += PROPERTY_ROW) {
      const role = roleOf(bytes, properties[at] ?? 0, properties[at + 1] ?? 0);
      const [start, end] = [properties[at + 2] ?? 0, properties[at + 3] ?? 0];
      if (role === 'sharding-key' && end > start) {
        this.keyStart = start;
        this.keyEnd = end;
      } else if (role === 'keys' && this.keyStart < 0) this.#firstWord(bytes, start, end);
    }
  }

  #firstWord(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end && bytes[at] === SPACE) at++;
    if (at === end) return;
    this.keyStart = at;
    while (at < end && bytes[at] !== SPACE) at++;
    this.keyEnd = at;
  }
}

function isNamed(name: Buffer, bytes: Uint8Array, start: number, end: number): boolean {
  return end - start === name.length && startsWith(name, bytes, start, end);
}

function startsWith(name: Buffer, bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < name.length) return false;
  for (let k = 0; k < name.length; k++) if (bytes[start + k] !== name[k]) return false;
  return true;
}
