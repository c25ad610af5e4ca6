import { hash } from 'node:crypto';
import type { Position } from '../model/position.ts';
import type { RecordBatch } from '../model/record-batch.ts';

/** Bytes of a key as windows keep it: its kind (or length), then 16 bytes. */
export const KEY_BYTES = 17;

/** Kinds of keys; one of up to 16 bytes has its length as its kind, one of hexadecimal digits its length beside its case. */
const DIGEST_KEY = 0x20;
const UUID_KEY = 0x30;
const HEX_KEY = 0x80;
const LOWER = 0x40;
const MOST_HEX_DIGITS = 32;
const UUID_LENGTH = 36;
const UUID_DASHES: readonly number[] = [8, 13, 18, 23];
const DASH = 0x2d;

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

  /** `count` neighbours from `first` on, read at `place` and its neighbours. */
  addRunAt(space: string, first: Position, count: number, place: Position): void {
    const { major, minor, index } = first;
    if (count > 0) this.#add(this.#spaceNumber(space), count, major, minor, index, place.major, place.minor, place.index);
  }

  /** `count` neighbours from `first` on, read there. */
  addRun(space: string, { major, minor, index }: Position, count: number): void {
    if (count > 0) this.#add(this.#spaceNumber(space), count, major, minor, index, major, minor, index);
  }

  /**
   * A key: `[start, end)` of `bytes`, which are copied. Exact up to 16 bytes, and for up to 32 digits, decimal or hexadecimal in one case (RocketMQ's UNIQ_KEY, UUIDs with
   * their dashes); others are told by the first 128 bits of their SHA-256.
   */
  addKey(bytes: Buffer, start: number, end: number, batch: RecordBatch, row: number): void {
    const at = this.#keyCount * KEY_BYTES;
    if (at === this.#keys.length) this.#keys = Buffer.concat([this.#keys], this.#keys.length * 2);
    writeKey(this.#keys, at, bytes, start, end);
    this.#add(KEYS, 1, this.#keyCount++, -1, -1, batch.major[row], batch.minor[row], batch.index[row]);
  }

  block(i: number): IdBlock {
    const rows = this.#rows;
    const at = i * BLOCK_ROW;
    const space = rows[at] ?? KEYS;
    const major = rows[at + 2] ?? -1;
    return {
      space: this.#spaces[space],
      from: rows[at + 8] ?? 0,
      count: rows[at + 1] ?? 0,
      first: { major, minor: rows[at + 3] ?? -1, index: rows[at + 4] ?? -1 },
      place: { major: rows[at + 5] ?? -1, minor: rows[at + 6] ?? -1, index: rows[at + 7] ?? -1 },
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

  #begin(
    space: number,
    count: number,
    major: number,
    minor: number,
    index: number,
    placeMajor: number,
    placeMinor: number,
    placeIndex: number,
  ): void {
    const at = this.#blocks++ * BLOCK_ROW;
    if (at === this.#rows.length) {
      const grown = new Float64Array(this.#rows.length * 2);
      grown.set(this.#rows);
      this.#rows = grown;
    }
    const rows = this.#rows;
    rows[at] = space;
    rows[at + 1] = count;
    rows[at + 2] = major;
    rows[at + 3] = minor;
    rows[at + 4] = index;
    rows[at + 5] = placeMajor;
    rows[at + 6] = placeMinor;
    rows[at + 7] = placeIndex;
    rows[at + 8] = this.#count;
  }
}

/** Whether a position is the `n`th neighbour of the one that is kept at `at`. */
function follows(rows: Float64Array, at: number, n: number, major: number, minor: number, index: number): boolean {
  const firstMajor = rows[at] ?? -1;
  const firstMinor = rows[at + 1] ?? -1;
  const firstIndex = rows[at + 2] ?? -1;
  if (firstIndex >= 0) return index === firstIndex + n && minor === firstMinor && major === firstMajor;
  if (firstMinor >= 0) return minor === firstMinor + n && major === firstMajor && index < 0;
  return major === firstMajor + n && minor < 0 && index < 0;
}

/** The value of each hexadecimal digit in one case, a negative number for all other bytes. */
function digitValues(digits: string): Int8Array {
  const values = new Int8Array(256).fill(-1);
  for (let value = 0; value < digits.length; value++) values[digits.charCodeAt(value)] = value;
  return values;
}
const UPPER_DIGITS = digitValues('0123456789ABCDEF');
const LOWER_DIGITS = digitValues('0123456789abcdef');

function writeKey(to: Buffer, at: number, bytes: Buffer, start: number, end: number): void {
  const length = end - start;
  if (length < KEY_BYTES) {
    to[at] = length;
    to.fill(0, at + 1 + bytes.copy(to, at + 1, start, end), at + KEY_BYTES);
    return;
  }
  const uuid = length === UUID_LENGTH && UUID_DASHES.every((dash) => bytes[start + dash] === DASH);
  const kind = uuid ? UUID_KEY : HEX_KEY + length;
  if (uuid || length <= MOST_HEX_DIGITS) {
    if (writeDigits(to, at, bytes, start, end, UPPER_DIGITS)) to[at] = kind;
    else if (writeDigits(to, at, bytes, start, end, LOWER_DIGITS)) to[at] = kind + LOWER;
    else writeDigest(to, at, bytes, start, end);
  } else {
    writeDigest(to, at, bytes, start, end);
  }
}

function writeDigest(to: Buffer, at: number, bytes: Buffer, start: number, end: number): void {
  to[at] = DIGEST_KEY;
  hash('sha256', bytes.subarray(start, end), 'buffer').copy(to, at + 1, 0, KEY_BYTES - 1);
}

/** Writes digits as half bytes, without the dashes; false when there is something else. */
function writeDigits(to: Buffer, at: number, bytes: Buffer, start: number, end: number, values: Int8Array): boolean {
  const dashed = end - start > MOST_HEX_DIGITS;
  let half = 2;
  to.fill(0, at, at + KEY_BYTES);
  for (let from = start; from < end; from++) {
    const byte = bytes[from] ?? 0;
    if (dashed && byte === DASH) continue;
    const value = values[byte] ?? -1;
    const place = at + (half >> 1);
    if (value < 0 || place >= at + KEY_BYTES) return false;
    to[place] = (to[place] ?? 0) | (half & 1 ? value : value << 4);
    half++;
  }
  // A dash too many would make different texts alike.
  return !dashed || half === 2 + MOST_HEX_DIGITS;
}
