import type { RecordBatch } from '../model/record-batch.ts';

/**
 * What a record and its copy on another cluster have in common. Everything but what the copy's driver has to add, rename or leave out, which it says here, so that the
 * comparing needs to know nothing of brokers. Asked about both, for every property of every record: implementations make no strings.
 */
export interface Likeness {
  comparesProperty(bytes: Uint8Array, start: number, end: number): boolean;
  /** Finds the key that the copy has or will have, and sets `keyStart` and `keyEnd` (places in the batch's bytes, -1 = none). */
  locateKey(batch: RecordBatch, i: number): void;
  readonly keyStart: number;
  readonly keyEnd: number;
}
