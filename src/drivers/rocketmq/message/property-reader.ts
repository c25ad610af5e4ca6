import type { MarkCodec } from '../../../model/provenance.ts';
import { PROPERTY_ROW, type RecordBatch } from '../../../model/record-batch.ts';
import { clustersOf, roleOf } from './properties.ts';
import { ESCAPE_PREFIX, isRestored, restoreFacts } from './pulsar-facts.ts';

const NAME_END = 1;
const VALUE_END = 2;
const SPACE = 32;
const ZERO = 0x30;
const [PREFIX_BEGIN] = ESCAPE_PREFIX;
/** The latest time that a date can have. */
const LATEST_MILLIS = 8.64e15;

/** Reads the properties of one stored message after another into the rows of a batch, and into the columns of what they say. Makes no string for a usual message. */
export class PropertyReader {
  readonly #marks: MarkCodec;
  #bytes: Buffer = Buffer.alloc(0);
  #rows = 0;
  /** Whether the record at hand has a sharding key, which goes before KEYS wherever it stands. */
  #hasShardingKey = false;
  /** Where the record at hand says when it was made, and where that ends. */
  #bornTimeAt = -1;
  #bornTimeEnd = -1;
  /** Whether the record at hand may have facts of a Pulsar among its properties. */
  #hasFacts = false;

  constructor(marks: MarkCodec) {
    this.#marks = marks;
  }

  /** Begins an empty batch. */
  begin(batch: RecordBatch): void {
    this.#rows = 0;
    batch.propertyFirst[0] = 0;
  }

  /** Says that record `i` has no properties, as far as is known by now. */
  none(batch: RecordBatch, i: number): void {
    batch.propertyFirst[i + 1] = this.#rows;
  }

  /** Reads `name 0x01 value 0x02`, repeated, at [start, end) of what will be the batch's bytes; the last 0x02 may be missing. */
  read(bytes: Buffer, i: number, start: number, end: number, batch: RecordBatch): void {
    const first = this.#rows;
    this.#bytes = bytes;
    this.#hasShardingKey = this.#hasFacts = false;
    this.#bornTimeAt = -1;
    let at = start;
    while (at < end) {
      let nameEnd = at;
      while (nameEnd < end && bytes[nameEnd] !== NAME_END && bytes[nameEnd] !== VALUE_END) nameEnd++;
      if (nameEnd === end || bytes[nameEnd] === VALUE_END) {
        // Neither a name nor a value: every RocketMQ client skips it as well.
        at = nameEnd + 1;
        continue;
      }
      let valueEnd = nameEnd + 1;
      while (valueEnd < end && bytes[valueEnd] !== VALUE_END) valueEnd++;
      if (nameEnd > at) this.#property(i, at, nameEnd, valueEnd, batch);
      at = valueEnd + 1;
    }
    if (this.#hasFacts) {
      batch.bytes = bytes;
      this.#rows = restoreFacts(batch, i, first, this.#rows, this.#marks);
    }
    batch.propertyFirst[i + 1] = this.#rows;
    // A mirror's batch has one born time for all its messages; each that was made at another time says so.
    if (this.#bornTimeAt >= 0 && (batch.provenanceStart[i] ?? -1) >= 0) this.#ownBornTime(i, batch);
  }

  #ownBornTime(i: number, batch: RecordBatch): void {
    let millis = 0;
    for (let at = this.#bornTimeAt; at < this.#bornTimeEnd; at++) {
      const digit = (this.#bytes[at] ?? 0) - ZERO;
      if (digit < 0 || digit > 9 || millis > LATEST_MILLIS) return;
      millis = millis * 10 + digit;
    }
    if (millis > 0) batch.eventTime[i] = millis;
  }

  #property(i: number, at: number, nameEnd: number, valueEnd: number, batch: RecordBatch): void {
    const valueAt = nameEnd + 1;
    const bytes = this.#bytes;
    switch (roleOf(bytes, at, nameEnd)) {
      case 'dropped':
        return;
      case 'provenance':
        batch.provenanceStart[i] = valueAt;
        batch.provenanceEnd[i] = valueEnd;
        return;
      case 'tags':
        if (valueEnd > valueAt) {
          batch.tagStart[i] = valueAt;
          batch.tagEnd[i] = valueEnd;
        }
        break;
      case 'sharding-key':
        if (valueEnd > valueAt) {
          batch.keyStart[i] = valueAt;
          batch.keyEnd[i] = valueEnd;
          this.#hasShardingKey = true;
        }
        break;
      case 'keys':
        if (!this.#hasShardingKey) this.#firstKey(i, valueAt, valueEnd, batch);
        break;
      case 'born-time':
        this.#bornTimeAt = valueAt;
        this.#bornTimeEnd = valueEnd;
        break;
      case 'brought-from':
        (batch.broughtFrom ??= new Map()).set(i, clustersOf(bytes.toString('utf8', valueAt, valueEnd)));
        break;
      case 'kept':
        if (bytes[at] === PREFIX_BEGIN && isRestored(bytes, at, nameEnd)) this.#hasFacts = true;
        break;
    }
    const row = this.#rows++ * PROPERTY_ROW;
    if (row + PROPERTY_ROW > batch.properties.length) batch.reserveProperties(this.#rows);
    const { properties } = batch;
    properties[row] = at;
    properties[row + 1] = nameEnd;
    properties[row + 2] = valueAt;
    properties[row + 3] = valueEnd;
  }

  #firstKey(i: number, valueAt: number, valueEnd: number, batch: RecordBatch): void {
    const bytes = this.#bytes;
    let start = valueAt;
    while (start < valueEnd && bytes[start] === SPACE) start++;
    let end = start;
    while (end < valueEnd && bytes[end] !== SPACE) end++;
    if (end === start) return;
    batch.keyStart[i] = start;
    batch.keyEnd[i] = end;
  }
}
