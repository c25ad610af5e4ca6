import { positionAt, RunBuilder } from '../../../lib/run-builder.ts';
import { type EncodeRecord, SLAB_BYTES, type Slab, type SlabPool } from '../../../lib/slab.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import type { Compression } from '../../../spi/sink.ts';
import { compress } from './compression.ts';
import type { BatchHeader, Entry, Held } from './entry.ts';
import type { SequenceIds } from './sequence-ids.ts';

/** A batch that filled less than this part of its slab is copied out of it, so that many slow lanes do not hold many empty slabs. */
const SPARSE = 1 / 4;

export interface SealOptions {
  readonly compression: Compression;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly ids: SequenceIds;
}

export interface RoundOptions {
  /** Most bytes that an entry may have. */
  readonly limitBytes: number;
  /** The target's version of the schema of all records; empty for none. */
  readonly schemaVersion: Buffer;
  readonly encode: EncodeRecord;
}

/** Records being gathered until they are sent. */
export interface Round {
  readonly count: number;
  readonly schemaVersion: Buffer;
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
  readonly #options: RoundOptions;
  readonly #runs: RunBuilder;
  #count = 0;
  #innerMarks = false;

  constructor(slab: Slab, pool: SlabPool, options: RoundOptions) {
    this.#slab = slab;
    this.#pool = pool;
    this.#options = options;
    this.#runs = new RunBuilder(slab);
  }

  get count(): number {
    return this.#count;
  }

  get schemaVersion(): Buffer {
    return this.#options.schemaVersion;
  }

  fits(bound: number): boolean {
    return this.#slab.fits(this.#count, bound, this.#options.limitBytes) && this.#runs.hasRoom;
  }

  append(batch: RecordBatch, i: number): void {
    const k = this.#count++;
    this.#slab.append(k, batch, i, this.#options.encode);
    this.#runs.add(k);
    this.#innerMarks ||= batch.marks?.has(i) === true;
  }

  seal(options: SealOptions): Entry[] {
    const { schemaVersion } = this.#options;
    const all = { count: this.#count, runs: this.#runs.finish(), key: undefined, schemaVersion, innerMarks: this.#innerMarks };
    return [sealWhole(this.#slab, all, this.#pool, options)];
  }

  drop(): void {
    this.#pool.give(this.#slab);
  }
}

/** One entry of all records in a slab. */
export function sealWhole(
  slab: Slab,
  { count, runs, ...header }: Pick<Entry, 'count' | 'runs'> & Pick<BatchHeader, 'key' | 'schemaVersion' | 'innerMarks'>,
  pool: SlabPool,
  { compression, now, ids }: SealOptions,
): Entry {
  const end = slab.starts[count] ?? 0;
  const bytes = slab.bytes.subarray(0, end);
  const payload = compression !== 'none' ? compress(compression, bytes) : isSparse(end) ? Buffer.from(bytes) : bytes;
  const [sequenceId, highestSequenceId] = ids.take(positionAt(slab, 0), positionAt(slab, count - 1));
  const sourceStoreTime = slab.storeTimes[0] ?? 0;
  let held: Held;
  if (payload === bytes) held = holdSlab(pool, slab, 1);
  else {
    pool.give(slab);
    held = holdBytes(pool, payload.length);
  }
  return newEntry(
    { sequenceId, highestSequenceId, count, runs, sourceStoreTime, payload, held, endsRound: true },
    { publishTime: now, uncompressedBytes: end, compression, ...header },
  );
}

/** Whether so few bytes do not deserve a slab of their own until they are stored. */
export function isSparse(bytes: number): boolean {
  return bytes < SLAB_BYTES * SPARSE;
}

/** A batch of ours, ready to be sent. */
export function newEntry(
  parts: Pick<
    Entry,
    'sequenceId' | 'highestSequenceId' | 'count' | 'runs' | 'sourceStoreTime' | 'payload' | 'held' | 'endsRound'
  >,
  batch: BatchHeader,
): Entry {
  const unsent = { frame: undefined, ready: undefined, target: undefined, sentAt: 0, sends: 0, checksumErrors: 0 };
  return { ...parts, messages: parts.count, batched: true, chunk: false, batch, ...unsent };
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
