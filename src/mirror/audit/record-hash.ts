import { PROPERTY_ROW, type RecordBatch, RecordFlag } from '../../model/record-batch.ts';
import type { Likeness } from '../../spi/likeness.ts';
import { Hash64 } from './hash.ts';

/**
 * The hash of a record as a mirror has to bring it across: its place in the source, key, body and properties, as far as both clusters can hold them
 * (`Likeness`). Properties are added up, because their order is nobody's promise. Makes no object and no string for a usual record.
 */
export class RecordHash {
  readonly #hash = new Hash64();
  readonly #property = new Hash64();
  readonly #likeness: Likeness | undefined;
  #sumLow = 0;
  #sumHigh = 0;
  #key = 0;

  /** Halves of the last record's hash. */
  low = 0;
  high = 0;
  /** A number for the last record's key: two keys of a lane have the same one only by a chance of 2^-52. -1 = no key. */
  key = -1;

  /** What counts; `undefined`: everything. */
  constructor(likeness: Likeness | undefined) {
    this.#likeness = likeness;
  }

  /** `major`, `minor`, `index`: the record's place in the source. */
  take(batch: RecordBatch, i: number, major: number, minor: number, index: number): void {
    const hash = this.#hash;
    this.#takeKey(batch, i);
    this.#takeProperties(batch, i);
    hash.reset();
    hash.integer(major);
    hash.integer(minor);
    hash.word(index);
    hash.word(this.#key);
    hash.word((batch.flags[i] ?? 0) & RecordFlag.nullValue);
    hash.word(this.#sumLow);
    hash.word(this.#sumHigh);
    const body = batch.bodies?.get(i);
    if (body === undefined) hash.bytes(batch.bytes, batch.bodyStart[i] ?? 0, batch.bodyEnd[i] ?? 0);
    else hash.bytes(body, 0, body.length);
    hash.finish();
    this.low = hash.low;
    this.high = hash.high;
  }

  #takeKey(batch: RecordBatch, i: number): void {
    const likeness = this.#likeness;
    likeness?.locateKey(batch, i);
    const start = likeness === undefined ? (batch.keyStart[i] ?? -1) : likeness.keyStart;
    if (start < 0) {
      this.#key = 0;
      this.key = -1;
      return;
    }
    const hash = this.#property;
    hash.reset();
    hash.bytes(batch.bytes, start, likeness === undefined ? (batch.keyEnd[i] ?? start) : likeness.keyEnd);
    hash.finish();
    this.#key = hash.low | 1;
    this.key = (hash.high & 0xfffff) * 0x1_0000_0000 + hash.low;
  }

  #takeProperties(batch: RecordBatch, i: number): void {
    this.#sumLow = 0;
    this.#sumHigh = 0;
    const { bytes, properties } = batch;
    const last = (batch.propertyFirst[i + 1] ?? 0) * PROPERTY_ROW;
    for (let at = (batch.propertyFirst[i] ?? 0) * PROPERTY_ROW; at < last; at += PROPERTY_ROW) {
      const start = properties[at] ?? 0;
      const end = properties[at + 1] ?? 0;
      if (this.#counts(bytes, start, end))
        this.#addProperty(bytes, start, end, bytes, properties[at + 2] ?? 0, properties[at + 3] ?? 0);
    }
    const extras = batch.extras?.get(i);
    if (extras === undefined) return;
    for (const [name, value] of extras) {
      const nameBytes = Buffer.from(name);
      const valueBytes = Buffer.from(value);
      if (this.#counts(nameBytes, 0, nameBytes.length))
        this.#addProperty(nameBytes, 0, nameBytes.length, valueBytes, 0, valueBytes.length);
    }
  }

  #counts(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#likeness === undefined || this.#likeness.comparesProperty(bytes, start, end);
  }

  #addProperty(name: Uint8Array, nameStart: number, nameEnd: number, value: Uint8Array, start: number, end: number): void {
    const hash = this.#property;
    hash.reset();
    hash.bytes(name, nameStart, nameEnd);
    hash.bytes(value, Math.max(0, start), Math.max(0, end));
    hash.finish();
    const low = this.#sumLow + hash.low;
    this.#sumLow = low >>> 0;
    this.#sumHigh = (this.#sumHigh + hash.high + (low > 0xffff_ffff ? 1 : 0)) >>> 0;
  }
}
