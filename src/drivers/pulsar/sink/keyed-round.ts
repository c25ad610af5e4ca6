import { RunBuilder } from '../../../lib/run-builder.ts';
import { MAX_BATCH_RECORDS, type Slab, type SlabPool } from '../../../lib/slab.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import { compress } from './compression.ts';
import type { Entry, Held } from './entry.ts';
import { javaStringHash } from './partition-hash.ts';
import { encodeRecord } from './record-encoder.ts';
import { holdBytes, holdSlab, isSparse, newEntry, type Round, type SealOptions, sealWhole } from './round.ts';

/** Entries of a round; each costs the broker and its consumers about as much as a whole mixed batch. */
const MAX_KEYS = 256;
/** Places of the hash table: a power of two, so that at most half are taken. */
const TABLE_PLACES = 512;

interface Group {
  /** `undefined` for the records without a key. */
  readonly key: Buffer | undefined;
  readonly runs: RunBuilder;
  readonly firstRecord: number;
  count: number;
  bytes: number;
}

/**
 * One entry per key, as the key-based batcher of Pulsar's Java client makes them: a Key_Shared subscription hands out whole entries, so an entry of
 * several keys would reach a consumer that owns only one of them.
 *
 * Records are gathered in order of arrival and sorted by key when the round is sealed. Entries leave in the order of their first records; entry j gets
 * sequence id `first + j`, which stays below the next round's: a round of n records has at most n entries and spans at least n positions.
 */
export class KeyedRound implements Round {
  readonly #slab: Slab;
  readonly #pool: SlabPool;
  readonly #limitBytes: number;
  readonly #groups: Group[] = [];
  readonly #groupOf = new Int32Array(MAX_BATCH_RECORDS);
  /** Number of the group plus one, 0 = free; open addressing by the key's hash. */
  readonly #table = new Int32Array(TABLE_PLACES);
  #keyless = -1;
  #count = 0;

  constructor(slab: Slab, pool: SlabPool, limitBytes: number) {
    this.#slab = slab;
    this.#pool = pool;
    this.#limitBytes = limitBytes;
  }

  get count(): number {
    return this.#count;
  }

  fits(bound: number, batch: RecordBatch, i: number): boolean {
    if (!this.#slab.fits(this.#count, bound, this.#limitBytes)) return false;
    return this.#groups.length < MAX_KEYS || this.#find(batch, i) >= 0;
  }

  append(batch: RecordBatch, i: number): void {
    let number = this.#find(batch, i);
    if (number < 0) number = this.#add(batch, i);
    const k = this.#count++;
    const bytes = this.#slab.append(k, batch, i, encodeRecord);
    this.#groupOf[k] = number;
    const group = this.#groups[number];
    if (group === undefined) return;
    group.runs.add(k);
    group.count++;
    group.bytes += bytes;
  }

  seal(options: SealOptions): Entry[] {
    const only = this.#groups.length === 1 ? this.#groups[0] : undefined;
    if (only !== undefined) return [sealWhole(this.#slab, this.#count, only.key, this.#pool, options)];
    const payloads = this.#sortByKey(options);
    const first = this.#slab.majors[0] ?? 0;
    return this.#groups.map((group, j) => {
      const { payload, held } = payloads[j] ?? { payload: Buffer.alloc(0), held: holdBytes(this.#pool, 0) };
      const source = { sequenceId: first + j, highestSequenceId: first + j, count: group.count, runs: group.runs.finish() };
      const sourceStoreTime = this.#slab.storeTimes[group.firstRecord] ?? 0;
      const endsRound = j === this.#groups.length - 1;
      return newEntry(
        { ...source, sourceStoreTime, key: group.key, payload, uncompressedBytes: group.bytes, held, endsRound },
        options,
      );
    });
  }

  drop(): void {
    this.#pool.give(this.#slab);
  }

  /** Copies the records once more, key after key, into a second slab that the entries then share; the first one goes back. */
  #sortByKey(options: SealOptions): { payload: Buffer; held: Held }[] {
    const total = this.#slab.starts[this.#count] ?? 0;
    const target = isSparse(total) ? undefined : this.#pool.take(total, true);
    const bytes = target?.bytes ?? Buffer.allocUnsafe(total);
    const ends: number[] = [];
    let end = 0;
    for (const group of this.#groups) {
      ends.push(end);
      end += group.bytes;
    }
    for (let k = 0; k < this.#count; k++) {
      const number = this.#groupOf[k] ?? 0;
      const at = ends[number] ?? 0;
      ends[number] = at + this.#slab.bytes.copy(bytes, at, this.#slab.starts[k], this.#slab.starts[k + 1]);
    }
    this.#pool.give(this.#slab);
    const shared =
      target !== undefined && options.compression === 'none' ? holdSlab(this.#pool, target, this.#groups.length) : undefined;
    const payloads = this.#groups.map((group, j) => {
      const stop = ends[j] ?? 0;
      const payload = compress(options.compression, bytes.subarray(stop - group.bytes, stop));
      return { payload, held: shared ?? holdBytes(this.#pool, payload.length) };
    });
    if (target !== undefined && shared === undefined) this.#pool.give(target);
    return payloads;
  }

  /** The number of the record's group, -1 when it has none yet. */
  #find(batch: RecordBatch, i: number): number {
    const start = batch.keyStart[i] ?? -1;
    if (start < 0) return this.#keyless;
    return (this.#table[this.#place(batch, start, batch.keyEnd[i] ?? start)] ?? 0) - 1;
  }

  #add(batch: RecordBatch, i: number): number {
    const number = this.#groups.length;
    const start = batch.keyStart[i] ?? -1;
    const end = batch.keyEnd[i] ?? start;
    const key = start < 0 ? undefined : Buffer.from(batch.bytes.subarray(start, end));
    if (key === undefined) this.#keyless = number;
    else this.#table[this.#place(batch, start, end)] = number + 1;
    this.#groups.push({ key, runs: new RunBuilder(this.#slab), firstRecord: this.#count, count: 0, bytes: 0 });
    return number;
  }

  /** Where a key stands in the table, or where it belongs. */
  #place(batch: RecordBatch, start: number, end: number): number {
    let place = javaStringHash(batch.bytes, start, end) % TABLE_PLACES;
    for (;;) {
      const number = (this.#table[place] ?? 0) - 1;
      const key = this.#groups[number]?.key;
      if (number < 0 || (key !== undefined && key.compare(batch.bytes, start, end) === 0)) return place;
      place = (place + 1) % TABLE_PLACES;
    }
  }
}
