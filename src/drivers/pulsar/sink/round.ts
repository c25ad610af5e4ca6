import type { Position } from '../../../model/position.ts';
import type { PositionRun } from '../../../model/provenance.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import type { Compression } from '../../../spi/sink.ts';
import { compress } from './compression.ts';
import type { Entry, Held } from './entry.ts';
import { encodeRecord } from './record-encoder.ts';
import type { Slab, SlabPool } from './slab.ts';

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
  /** Whether a record of at most `bound` bytes has room. */
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
    this.#limitBytes = Math.min(limitBytes, slab.bytes.length);
  }

  get count(): number {
    return this.#count;
  }

  fits(bound: number): boolean {
    return this.#count < this.#slab.capacity && (this.#slab.starts[this.#count] ?? 0) + bound <= this.#limitBytes;
  }

  append(batch: RecordBatch, i: number): void {
    appendTo(this.#slab, this.#count++, batch, i);
  }

  seal(options: SealOptions): Entry[] {
    const slab = this.#slab;
    const end = slab.starts[this.#count] ?? 0;
    const { payload, held } = settlePayload(this.#pool, slab, compress(options.compression, slab.bytes.subarray(0, end)));
    const highestSequenceId = slab.majors[this.#count - 1] ?? 0;
    return [
      {
        sequenceId: slab.majors[0] ?? 0,
        highestSequenceId,
        count: this.#count,
        runs: runsOf(slab, 0, this.#count),
        sourceStoreTime: slab.storeTimes[0] ?? 0,
        publishTime: options.now,
        payload,
        uncompressedBytes: end,
        compression: options.compression,
        key: undefined,
        held,
        endsRound: true,
        frame: undefined,
        target: undefined,
        sentAt: 0,
        checksumErrors: 0,
      },
    ];
  }

  drop(): void {
    this.#pool.give(this.#slab);
  }
}

/** Copies record `i` of a batch into a slab as its record `k`. */
export function appendTo(slab: Slab, k: number, batch: RecordBatch, i: number): void {
  slab.majors[k] = batch.major[i] ?? -1;
  slab.minors[k] = batch.minor[i] ?? -1;
  slab.indexes[k] = batch.index[i] ?? -1;
  slab.storeTimes[k] = batch.storeTime[i] ?? 0;
  slab.starts[k + 1] = encodeRecord(batch, i, slab.bytes, slab.starts[k] ?? 0);
}

/** Where the bytes of a sealed entry stay until it is stored: in the slab, or in a buffer of their own while the slab goes back. */
function settlePayload(pool: SlabPool, slab: Slab, bytes: Buffer): { payload: Buffer; held: Held } {
  const compressed = bytes.buffer !== slab.bytes.buffer;
  if (!compressed && bytes.length > slab.bytes.length * SPARSE) return { payload: bytes, held: holdSlab(pool, slab) };
  const payload = compressed ? bytes : Buffer.from(bytes);
  pool.give(slab);
  return { payload, held: holdBytes(pool, payload.length) };
}

function holdSlab(pool: SlabPool, slab: Slab): Held {
  return { release: () => pool.give(slab), abandon: () => pool.drop(slab.bytes.length) };
}

function holdBytes(pool: SlabPool, bytes: number): Held {
  pool.hold(bytes);
  const drop = (): void => pool.drop(bytes);
  return { release: drop, abandon: drop };
}

/** The positions of records `from` up to `end` of a slab; neighbours (see `advancePosition`) make a run. */
function runsOf(slab: Slab, from: number, end: number): PositionRun[] {
  const runs: PositionRun[] = [];
  let first = from;
  for (let k = from + 1; k <= end; k++) {
    if (k < end && areNeighbours(slab, k - 1, k)) continue;
    runs.push({ first: positionAt(slab, first), count: k - first });
    first = k;
  }
  return runs;
}

function areNeighbours({ majors, minors, indexes }: Slab, a: number, b: number): boolean {
  if (minors[b] === -1) return minors[a] === -1 && majors[b] === (majors[a] ?? 0) + 1;
  if (majors[b] !== majors[a]) return false;
  if (indexes[b] === -1) return indexes[a] === -1 && minors[b] === (minors[a] ?? 0) + 1;
  return minors[b] === minors[a] && indexes[b] === (indexes[a] ?? 0) + 1;
}

function positionAt(slab: Slab, k: number): Position {
  return { major: slab.majors[k] ?? -1, minor: slab.minors[k] ?? -1, index: slab.indexes[k] ?? -1 };
}
