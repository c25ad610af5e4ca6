import { positionAt, RunBuilder } from '../../../lib/run-builder.ts';
import { MAX_BATCH_RECORDS, type Slab, type SlabPool } from '../../../lib/slab.ts';
import { type RecordBatch, RecordFlag } from '../../../model/record-batch.ts';
import { compress } from './compression.ts';
import type { Entry, EntryKey, Held } from './entry.ts';
import { javaStringHash } from './partition-hash.ts';
import { holdBytes, holdSlab, isSparse, newEntry, type Round, type RoundOptions, type SealOptions, sealWhole } from './round.ts';

/** Entries of a round; each costs the broker and its consumers about as much as a whole mixed batch. */
const MAX_KEYS = 256;
/** Places of the hash table: a power of two, so that at most half are taken. */
const TABLE_PLACES = 512;

interface Group {
  /** `undefined` for the records without a key. */
  readonly key: EntryKey | undefined;
  readonly runs: RunBuilder;
  readonly firstRecord: number;
  count: number;
  bytes: number;
  innerMarks: boolean;
}

/**
 * One entry per key, as the key-based batcher of Pulsar's Java client makes them: a Key_Shared subscription hands out whole entries, so an entry of
 * several keys would reach a consumer that owns only one of them. The key is the ordering key where a record has one, for that is what Key_Shared goes by.
 *
 * Records are gathered in order of arrival and sorted by key when the round is sealed. Entries leave in the order of their first records; with queue offsets, entry j gets
 * sequence id `first + j`, which stays below the next round's: a round of n records has at most n entries and spans at least n positions.
 */
export class KeyedRound implements Round {
  readonly #slab: Slab;
  readonly #pool: SlabPool;
  readonly #options: RoundOptions;
  readonly #groups: Group[] = [];
  readonly #groupOf = new Int32Array(MAX_BATCH_RECORDS);
  /** Number of the group plus one, 0 = free; open addressing by the key's hash. */
  readonly #table = new Int32Array(TABLE_PLACES);
  #keyless = -1;
  #count = 0;

  constructor(slab: Slab, pool: SlabPool, options: RoundOptions) {
    this.#slab = slab;
    this.#pool = pool;
    this.#options = options;
  }

  get count(): number {
    return this.#count;
  }

  get schemaVersion(): Buffer {
    return this.#options.schemaVersion;
  }

  fits(bound: number, batch: RecordBatch, i: number): boolean {
    if (!this.#slab.fits(this.#count, bound, this.#options.limitBytes)) return false;
    const group = this.#groups[this.#find(batch, i)];
    return group === undefined ? this.#groups.length < MAX_KEYS : group.runs.hasRoom;
  }

  append(batch: RecordBatch, i: number): void {
    let number = this.#find(batch, i);
    if (number < 0) number = this.#add(batch, i);
    const k = this.#count++;
    const bytes = this.#slab.append(k, batch, i, this.#options.encode);
    this.#groupOf[k] = number;
    const group = this.#groups[number];
    if (group === undefined) return;
    group.runs.add(k);
    group.count++;
    group.bytes += bytes;
    group.innerMarks ||= batch.marks?.has(i) === true;
  }

  seal(options: SealOptions): Entry[] {
    const { schemaVersion } = this.#options;
    const only = this.#groups.length === 1 ? this.#groups[0] : undefined;
    if (only !== undefined) {
      const all = { count: this.#count, runs: only.runs.finish(), key: only.key, schemaVersion, innerMarks: only.innerMarks };
      return [sealWhole(this.#slab, all, this.#pool, options)];
    }
    const payloads = this.#sortByKey(options);
    const first = positionAt(this.#slab, 0);
    return this.#groups.map(({ key, count, runs, firstRecord, bytes, innerMarks }, j) => {
      const { payload, held } = payloads[j] ?? { payload: Buffer.alloc(0), held: holdBytes(this.#pool, 0) };
      const sequenceId = options.ids.takeOne(first);
      const sourceStoreTime = this.#slab.storeTimes[firstRecord] ?? 0;
      const endsRound = j === this.#groups.length - 1;
      const source = { sequenceId, highestSequenceId: sequenceId, count, runs: runs.finish(), sourceStoreTime };
      return newEntry(
        { ...source, payload, held, endsRound },
        { publishTime: options.now, uncompressedBytes: bytes, compression: options.compression, key, schemaVersion, innerMarks },
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
    const kind = keyKind(batch, i);
    return kind === undefined ? this.#keyless : (this.#table[this.#place(batch, i, kind)] ?? 0) - 1;
  }

  #add(batch: RecordBatch, i: number): number {
    const number = this.#groups.length;
    const kind = keyKind(batch, i);
    let key: EntryKey | undefined;
    if (kind === undefined) this.#keyless = number;
    else {
      const [start, end] = keyRange(batch, i, kind);
      key = { kind, bytes: Buffer.from(batch.bytes.subarray(start, end)), isBase64: isBase64(batch, i, kind) };
      this.#table[this.#place(batch, i, kind)] = number + 1;
    }
    const runs = new RunBuilder(this.#slab);
    this.#groups.push({ key, runs, firstRecord: this.#count, count: 0, bytes: 0, innerMarks: false });
    return number;
  }

  /** Where a key stands in the table, or where it belongs. */
  #place(batch: RecordBatch, i: number, kind: EntryKey['kind']): number {
    const [start, end] = keyRange(batch, i, kind);
    let place = javaStringHash(batch.bytes, start, end) % TABLE_PLACES;
    for (;;) {
      const number = (this.#table[place] ?? 0) - 1;
      const key = this.#groups[number]?.key;
      if (number < 0) return place;
      if (
        key !== undefined &&
        key.kind === kind &&
        key.bytes.compare(batch.bytes, start, end) === 0 &&
        key.isBase64 === isBase64(batch, i, kind)
      )
        return place;
      place = (place + 1) % TABLE_PLACES;
    }
  }
}

/** Which of its keys a record goes by. */
function keyKind(batch: RecordBatch, i: number): EntryKey['kind'] | undefined {
  if ((batch.orderingKeyStart[i] ?? -1) >= 0) return 'ordering';
  return (batch.keyStart[i] ?? -1) >= 0 ? 'partition' : undefined;
}

function keyRange(batch: RecordBatch, i: number, kind: EntryKey['kind']): readonly [start: number, end: number] {
  return kind === 'ordering'
    ? [batch.orderingKeyStart[i] ?? 0, batch.orderingKeyEnd[i] ?? 0]
    : [batch.keyStart[i] ?? 0, batch.keyEnd[i] ?? 0];
}

function isBase64(batch: RecordBatch, i: number, kind: EntryKey['kind']): boolean {
  return kind === 'partition' && ((batch.flags[i] ?? 0) & RecordFlag.keyIsBase64) !== 0;
}
