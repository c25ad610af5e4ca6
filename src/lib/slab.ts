import type { RecordBatch } from '../model/record-batch.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { PositionColumns } from './run-builder.ts';

/** Most records in a slab. More would save little and make each batch dearer to its consumers. */
export const MAX_BATCH_RECORDS = 1000;

/** Bytes of a slab, and so of a usual batch. From 128 KiB to 1 MiB a message costs the same CPU; more takes memory, less costs the brokers more batches. */
export const SLAB_BYTES: number = 256 * 1024;

/** What a writer that holds nothing gets when all writers together hold as much as they may. */
const SMALL_SLAB_BYTES = 16 * 1024;
const SMALL_SLAB_RECORDS = 64;

/** Slabs kept for reuse; the rest goes to the garbage collector, so that a burst does not hold memory for ever. */
const MAX_FREE_SLABS = 64;

/** Writes record `i` of a batch at `at` and returns the place after it. */
export type EncodeRecord = (batch: RecordBatch, i: number, target: Buffer, at: number) => number;

/** Memory for the records of one batch while they are gathered: their bytes, and in columns where they come from. */
export class Slab implements PositionColumns {
  readonly bytes: Buffer;
  /** Record k lies in `bytes` from `starts[k]` to `starts[k + 1]`. */
  readonly starts: Int32Array;
  readonly majors: Float64Array;
  readonly minors: Float64Array;
  readonly indexes: Int32Array;
  readonly storeTimes: Float64Array;

  constructor(bytes: number, records: number) {
    this.bytes = Buffer.allocUnsafeSlow(bytes);
    this.starts = new Int32Array(records + 1);
    this.majors = new Float64Array(records);
    this.minors = new Float64Array(records);
    this.indexes = new Int32Array(records);
    this.storeTimes = new Float64Array(records);
  }

  /** Whether a record of at most `bound` bytes has room after `count` others, within `limitBytes` for all. */
  fits(count: number, bound: number, limitBytes: number): boolean {
    return count < this.majors.length && (this.starts[count] ?? 0) + bound <= Math.min(limitBytes, this.bytes.length);
  }

  /** Encodes record `i` of a batch as record `k`; gives the bytes it took. */
  append(k: number, batch: RecordBatch, i: number, encode: EncodeRecord): number {
    this.majors[k] = batch.major[i] ?? -1;
    this.minors[k] = batch.minor[i] ?? -1;
    this.indexes[k] = batch.index[i] ?? -1;
    this.storeTimes[k] = batch.storeTime[i] ?? 0;
    const start = this.starts[k] ?? 0;
    const end = encode(batch, i, this.bytes, start);
    this.starts[k + 1] = end;
    return end - start;
  }
}

/** Slabs of all writers of a cluster, within one bound of bytes. */
export class SlabPool {
  readonly #budget: ByteBudget;
  readonly #free: Slab[] = [];

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  /** A slab with room for `bytes`, `undefined` when the bound is reached; `first` is always granted, but a small one beyond the bound. */
  take(bytes: number, first: boolean): Slab | undefined {
    const size = Math.max(bytes, SLAB_BYTES);
    if (this.#budget.tryTake(size, false)) {
      // A record larger than a slab travels alone.
      if (size > SLAB_BYTES) return new Slab(size, 1);
      return this.#free.pop() ?? new Slab(SLAB_BYTES, MAX_BATCH_RECORDS);
    }
    if (!first) return undefined;
    // Every lane has a writer for every partition in key routing: thousands of whole slabs would make the bound meaningless.
    const small = Math.max(bytes, SMALL_SLAB_BYTES);
    this.#budget.tryTake(small, true);
    return new Slab(small, small > SMALL_SLAB_BYTES ? 1 : SMALL_SLAB_RECORDS);
  }

  /** Whether `take` would grant a slab for `bytes` now. */
  hasRoom(bytes: number, first: boolean): boolean {
    return first || this.#budget.usedBytes + Math.max(bytes, SLAB_BYTES) <= this.#budget.limitBytes;
  }

  give(slab: Slab): void {
    if (slab.bytes.length === SLAB_BYTES && this.#free.length < MAX_FREE_SLABS) this.#free.push(slab);
    this.#budget.give(slab.bytes.length);
  }

  /** Counts bytes that somebody holds outside a slab, beyond the bound if need be: they replace a slab that is given back. */
  hold(bytes: number): void {
    this.#budget.tryTake(bytes, true);
  }

  /** The opposite of `hold`; also for a slab that must not be used again because a socket may still read it. */
  drop(bytes: number): void {
    this.#budget.give(bytes);
  }

  whenFree(wake: () => void): void {
    this.#budget.whenFree(wake);
  }
}
