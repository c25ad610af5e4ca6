import { RunBuilder } from '../../../lib/run-builder.ts';
import { SLAB_BYTES, type Slab, type SlabPool } from '../../../lib/slab.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import type { Compression } from '../../../spi/sink.ts';
import { compress } from './compression.ts';
import type { Entry, Held } from './entry.ts';
import { encodeRecord } from './record-encoder.ts';

/** A batch that filled less than this part of its slab is copied out of it, so that many slow lanes do not hold many empty slabs. */
const SPARSE = 1 / 4;

export interface SealOptions {
  readonly compression: Compression;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** Records being gathered until they are sent. */
export interface Round {
  readonly count: number;
  /** Whether record `i`, of at most `bound` bytes, has room. */
  fits(bound: number, batch: RecordBatch, i: number): boolean;
  append(batch: RecordBatch, i: number): void;
  /** Makes the entries to be sent, in order; the round is over. */
  seal(options: SealOptions): Entry[];
  /** The round is over and nothing is sent. */
  drop(): void;
}

/** Any keys together: a round is one entry. */
export class MixedRound implements Round {
  readonly #slab: Slab;
  readonly #pool: SlabPool;
  readonly #limitBytes: number;
  #count = 0;

  /** `limitBytes`: most bytes that the entry may have. */
  constructor(slab: Slab, pool: SlabPool, limitBytes: number) {
    this.#slab = slab;
    this.#pool = pool;
    this.#limitBytes = limitBytes;
  }

  get count(): number {
    return this.#count;
  }

  fits(bound: number): boolean {
    return this.#slab.fits(this.#count, bound, this.#limitBytes);
  }

  append(batch: RecordBatch, i: number): void {
    this.#slab.append(this.#count++, batch, i, encodeRecord);
  }

  seal(options: SealOptions): Entry[] {
    return [sealWhole(this.#slab, this.#count, undefined, this.#pool, options)];
  }

  drop(): void {
    this.#pool.give(this.#slab);
  }
}

/** One entry of all records in a slab. */
export function sealWhole(slab: Slab, count: number, key: Buffer | undefined, pool: SlabPool, options: SealOptions): Entry {
  const runs = new RunBuilder(slab);
  for (let k = 0; k < count; k++) runs.add(k);
  const end = slab.starts[count] ?? 0;
  const bytes = slab.bytes.subarray(0, end);
  const payload =
    options.compression !== 'none' ? compress(options.compression, bytes) : isSparse(end) ? Buffer.from(bytes) : bytes;
  let held: Held;
  if (payload === bytes) held = holdSlab(pool, slab, 1);
  else {
    pool.give(slab);
    held = holdBytes(pool, payload.length);
  }
  const [sequenceId, highestSequenceId] = [slab.majors[0] ?? 0, slab.majors[count - 1] ?? 0];
  const source = { sequenceId, highestSequenceId, count, runs: runs.finish(), sourceStoreTime: slab.storeTimes[0] ?? 0 };
  return newEntry({ ...source, key, payload, uncompressedBytes: end, held, endsRound: true }, options);
}

/** Whether so few bytes do not deserve a slab of their own until they are stored. */
export function isSparse(bytes: number): boolean {
  return bytes < SLAB_BYTES * SPARSE;
}

export function newEntry(
  parts: Omit<Entry, 'compression' | 'publishTime' | 'frame' | 'target' | 'sentAt' | 'checksumErrors'>,
  { compression, now }: SealOptions,
): Entry {
  return { ...parts, compression, publishTime: now, frame: undefined, target: undefined, sentAt: 0, checksumErrors: 0 };
}

/** A slab that `users` entries share: it goes back to the pool with the last of them. */
export function holdSlab(pool: SlabPool, slab: Slab, users: number): Held {
  let left = users;
  let reusable = true;
  const letGo = (): void => {
    if (--left > 0) return;
    if (reusable) pool.give(slab);
    else pool.drop(slab.bytes.length);
  };
  return {
    release: letGo,
    abandon() {
      reusable = false;
      letGo();
    },
  };
}

/** Bytes of an entry's own, outside any slab. */
export function holdBytes(pool: SlabPool, bytes: number): Held {
  pool.hold(bytes);
  const drop = (): void => pool.drop(bytes);
  return { release: drop, abandon: drop };
}
