import { hash } from 'node:crypto';
import type { Position } from '../model/position.ts';
import type { RecordBatch } from '../model/record-batch.ts';

/** Bytes of a key as windows keep it: its kind (or length), then 16 bytes. */
export const KEY_BYTES = 17;

/** Kinds of keys; one of up to 16 bytes has its length as its kind. */
const HEX_KEY = 0x20;
const DIGEST_KEY = 0x21;
const HEX_DIGITS = 32;

/** Numbers per block: space (-1 = keys), count, first id (3), place (3), number of the first id. */
const BLOCK_ROW = 9;
const KEYS = -1;

/** Neighbouring ids of one kind, read at neighbouring places. */
export interface IdBlock {
  /** `undefined` for keys. */
  readonly space: string | undefined;
  /** The number of its first id. */
  readonly from: number;
  readonly count: number;
  /** The first id, where it is a position. */
  readonly first: Position;
  /** Where the record of the first id was read. */
  readonly place: Position;
  /** Where its first key begins in `keys`. */
  readonly keyStart: number;
}

/**
 * The ids of a batch of records for a dedup window, numbered in the order of adding, with a verdict for each. There are two kinds: positions in an id space, of which runs of
 * neighbours cost almost nothing, and keys. To be used again after `clear`.
 *
 * A space is any text. It has to name the kind of thing that it numbers as well, so that an origin lane and a producer of the same name do not meet. Positions with and without
 * batch index are different ids.
 */
export class WindowIds {
  #count = 0;
  #verdicts = new Uint8Array(64);
  #rows = new Float64Array(16 * BLOCK_ROW);
  #blocks = 0;
  #keys = Buffer.alloc(64 * KEY_BYTES);
  #keyCount = 0;
  readonly #spaces: string[] = [];

  get count(): number {
    return this.#count;
  }

  /** One of `Verdict` per id, `fresh` before a claim. May be changed: confirming and releasing concern those that are `fresh` or `ours`. */
  get verdicts(): Uint8Array {
    return this.#verdicts.subarray(0, this.#count);
  }

  /** The keys of all blocks, `KEY_BYTES` each. */
  get keys(): Buffer {
    return this.#keys;
  }

  get blockCount(): number {
    return this.#blocks;
  }

  clear(): void {
    this.#verdicts.fill(0, 0, this.#count);
    this.#count = 0;
    this.#blocks = 0;
    this.#keyCount = 0;
    this.#spaces.length = 0;
  }

  /** The position at which a record was read. */
  addRow(space: string, batch: RecordBatch, row: number): void {
    this.addPosition(space, batch.major[row] ?? -1, batch.minor[row] ?? -1, batch.index[row] ?? -1, batch, row);
  }

  /** Another position than that: at a record's origin, or a producer's sequence id (as `major`, the others -1). */
  addPosition(space: string, major: number, minor: number, index: number, batch: RecordBatch, row: number): void {
    this.#add(this.#spaceNumber(space), 1, major, minor, index, batch.major[row], batch.minor[row], batch.index[row]);
  }

  /** `count` neighbours from `first` on, read there. */
  addRun(space: string, { major, minor, index }: Position, count: number): void {
    if (count > 0) this.#add(this.#spaceNumber(space), count, major, minor, index, major, minor, index);
  }

  /**
   * A key: `[start, end)` of `bytes`, which are copied. Exact up to 16 bytes and for 32 upper-case hexadecimal digits (RocketMQ's UNIQ_KEY); a longer one is told by the
   * first 128 bits of its SHA-256.
   */
  addKey(bytes: Buffer, start: number, end: number, batch: RecordBatch, row: number): void {
    const at = this.#keyCount * KEY_BYTES;
    if (at === this.#keys.length) this.#keys = Buffer.concat([this.#keys], this.#keys.length * 2);
    writeKey(this.#keys, at, bytes, start, end);
    this.#add(KEYS, 1, this.#keyCount++, -1, -1, batch.major[row], batch.minor[row], batch.index[row]);
  }

  block(i: number): IdBlock {
    const at = i * BLOCK_ROW;
    const [space = KEYS, count = 0, major = -1, minor = -1, index = -1] = this.#rows.subarray(at, at + 5);
    const [placeMajor = -1, placeMinor = -1, placeIndex = -1, from = 0] = this.#rows.subarray(at + 5, at + BLOCK_ROW);
    return {
      space: this.#spaces[space],
      from,
      count,
      first: { major, minor, index },
      place: { major: placeMajor, minor: placeMinor, index: placeIndex },
      keyStart: space === KEYS ? major * KEY_BYTES : -1,
    };
  }

  /** Record after record has the same space mostly, as one and the same text. */
  #spaceNumber(space: string): number {
    const last = this.#spaces.length - 1;
    if (this.#spaces[last] === space) return last;
    const known = this.#spaces.indexOf(space);
    return known >= 0 ? known : this.#spaces.push(space) - 1;
  }

  #add(
    space: number,
    count: number,
    major: number,
    minor: number,
    index: number,
    placeMajor = -1,
    placeMinor = -1,
    placeIndex = -1,
  ): void {
    const last = (this.#blocks - 1) * BLOCK_ROW;
    const held = last < 0 ? 0 : (this.#rows[last + 1] ?? 0);
    const joins =
      held > 0 &&
      this.#rows[last] === space &&
      follows(this.#rows, last + 2, held, major, minor, index) &&
      follows(this.#rows, last + 5, held, placeMajor, placeMinor, placeIndex);
    if (joins) this.#rows[last + 1] = held + count;
    else this.#begin(space, count, major, minor, index, placeMajor, placeMinor, placeIndex);
    this.#count += count;
    if (this.#count > this.#verdicts.length) {
      const grown = new Uint8Array(Math.max(this.#count, this.#verdicts.length * 2));
      grown.set(this.#verdicts);
      this.#verdicts = grown;
    }
  }

  #begin(...numbers: readonly [number, number, number, number, number, number, number, number]): void {
    const at = this.#blocks++ * BLOCK_ROW;
    if (at === this.#rows.length) {
      const grown = new Float64Array(this.#rows.length * 2);
      grown.set(this.#rows);
      this.#rows = grown;
    }
    this.#rows.set(numbers, at);
    this.#rows[at + BLOCK_ROW - 1] = this.#count;
  }
}

/** Whether a position is the `n`th neighbour of the one that is kept at `at`. */
function follows(rows: Float64Array, at: number, n: number, major: number, minor: number, index: number): boolean {
  const [firstMajor = -1, firstMinor = -1, firstIndex = -1] = [rows[at], rows[at + 1], rows[at + 2]];
  if (firstIndex >= 0) return index === firstIndex + n && minor === firstMinor && major === firstMajor;
  if (firstMinor >= 0) return minor === firstMinor + n && major === firstMajor && index < 0;
  return major === firstMajor + n && minor < 0 && index < 0;
}

/** The value of each upper-case hexadecimal digit, -1 for all other bytes. */
const DIGITS = new Int8Array(256).fill(-1);
for (let value = 0; value < 16; value++) DIGITS['0123456789ABCDEF'.charCodeAt(value)] = value;

function writeKey(to: Buffer, at: number, bytes: Buffer, start: number, end: number): void {
  const length = end - start;
  if (length < KEY_BYTES) {
    to[at] = length;
    to.fill(0, at + 1, at + KEY_BYTES);
    bytes.copy(to, at + 1, start, end);
  } else if (length === HEX_DIGITS && writeHex(to, at + 1, bytes, start)) {
    to[at] = HEX_KEY;
  } else {
    to[at] = DIGEST_KEY;
    hash('sha256', bytes.subarray(start, end), 'buffer').copy(to, at + 1, 0, KEY_BYTES - 1);
  }
}

function writeHex(to: Buffer, at: number, bytes: Buffer, start: number): boolean {
  let bad = 0;
  for (let i = 0; i < HEX_DIGITS / 2; i++) {
    const from = start + 2 * i;
    const value = ((DIGITS[bytes[from] ?? 0] ?? -1) << 4) | (DIGITS[bytes[from + 1] ?? 0] ?? -1);
    bad |= value;
    to[at + i] = value;
  }
  return bad >= 0;
}
