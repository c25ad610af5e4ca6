import { crc32 } from 'node:zlib';
import { IsthmusError } from '../errors.ts';
import { advancePosition, comparePositions, type Position } from '../model/position.ts';
import type { PositionRun } from '../model/provenance.ts';
import type { IndexEntry } from '../spi/state-store.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { damaged } from './documents.ts';

/**
 * Position index entries as bytes. A chunk stands for itself, so that appending is joining bytes:
 *
 *   chunk = varint(length of body) body crc32(body, 4 bytes, little-endian)
 *   body  = shape entry*
 *   shape = FORMAT * 16 + bits: 1 source has a minor part, 2 source has an index, 4 target has a minor part, 8 target has an index
 *   entry = varint(2 * runs + (partition changed ? 1 : 0)) [signed(partition - previous)] target run*
 *   run   = position varint(count)
 *
 * A position is the signed differences of the parts that the shape has: of a target to the previous target, of a run to the
 * place right after the previous run. An entry of 1,000 neighbouring messages so takes 6 or 7 bytes. The checksum is there
 * because a flipped bit would otherwise be a wrong position, and a consumer would be sent there.
 */
const FORMAT = 1;
const SOURCE_MINOR = 1;
const SOURCE_INDEX = 2;
const TARGET_MINOR = 4;
const TARGET_INDEX = 8;

/** A chunk is closed when its body has this many bytes, so that no stored value grows with the number of entries in a call. */
const CHUNK_BYTES = 512;

const START: Position = { major: 0, minor: 0, index: 0 };

export interface Chunk {
  /** Lowest source position of its entries. */
  readonly first: Position;
  /** Highest source position of its entries. */
  readonly last: Position;
  readonly bytes: Buffer;
}

export function encodeChunks(entries: readonly IndexEntry[]): Chunk[] {
  const shape = shapeOf(entries);
  const chunks: Chunk[] = [];
  let open: ChunkWriter | undefined;
  for (const entry of entries) {
    open ??= new ChunkWriter(shape);
    open.add(entry);
    if (open.size < CHUNK_BYTES) continue;
    chunks.push(open.finish());
    open = undefined;
  }
  if (open !== undefined) chunks.push(open.finish());
  return chunks;
}

/** Reads joined chunks. Fails with STATE_DAMAGED; `what` names the place for that. */
export function decodeChunks(bytes: Uint8Array, what: string): IndexEntry[] {
  const reader = new ByteReader(bytes, () => damaged(what));
  const entries: IndexEntry[] = [];
  while (!reader.atEnd) {
    const body = reader.take(reader.varint());
    if (reader.uint32() !== crc32(body)) throw damaged(what);
    readBody(new ByteReader(body, () => damaged(what)), entries, what);
  }
  return entries;
}

class ChunkWriter {
  readonly #writer = new ByteWriter();
  readonly #shape: number;
  #partition = 0;
  #target = START;
  #source = START;
  #first: Position | undefined;
  #last: Position | undefined;

  constructor(shape: number) {
    this.#shape = shape;
    this.#writer.byte(FORMAT * 16 + shape);
  }

  get size(): number {
    return this.#writer.size;
  }

  add(entry: IndexEntry): void {
    const moved = entry.partition !== this.#partition;
    this.#writer.varint(entry.runs.length * 2 + (moved ? 1 : 0));
    if (moved) this.#writer.signed(entry.partition - this.#partition);
    this.#partition = entry.partition;
    this.#position(entry.target, this.#target, TARGET_MINOR, TARGET_INDEX);
    this.#target = entry.target;
    for (const run of entry.runs) this.#run(run);
  }

  finish(): Chunk {
    const body = this.#writer.finish();
    const length = new ByteWriter();
    length.varint(body.length);
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32LE(crc32(body));
    return { first: this.#first ?? START, last: this.#last ?? START, bytes: Buffer.concat([length.finish(), body, checksum]) };
  }

  #run(run: PositionRun): void {
    this.#position(run.first, this.#source, SOURCE_MINOR, SOURCE_INDEX);
    this.#writer.varint(run.count);
    this.#source = following(run.first, run.count);
    const last = advancePosition(run.first, run.count - 1);
    if (this.#first === undefined || comparePositions(run.first, this.#first) < 0) this.#first = run.first;
    if (this.#last === undefined || comparePositions(this.#last, last) < 0) this.#last = last;
  }

  #position(position: Position, from: Position, minorBit: number, indexBit: number): void {
    this.#writer.signed(position.major - from.major);
    if (this.#shape & minorBit) this.#writer.signed(position.minor - from.minor);
    if (this.#shape & indexBit) this.#writer.signed(position.index - from.index);
  }
}

function readBody(reader: ByteReader, entries: IndexEntry[], what: string): void {
  const head = reader.byte();
  if (Math.floor(head / 16) !== FORMAT) throw damaged(what);
  let partition = 0;
  let target = START;
  let source = START;
  while (!reader.atEnd) {
    const count = reader.varint();
    if (count % 2 === 1) partition += reader.signed();
    target = readPosition(reader, target, head & TARGET_MINOR, head & TARGET_INDEX);
    const runs: PositionRun[] = [];
    for (let left = Math.floor(count / 2); left > 0; left--) {
      const first = readPosition(reader, source, head & SOURCE_MINOR, head & SOURCE_INDEX);
      const run = { first, count: reader.varint() };
      runs.push(run);
      source = following(first, run.count);
    }
    entries.push({ runs, partition, target });
  }
}

function readPosition(reader: ByteReader, from: Position, minorBit: number, indexBit: number): Position {
  const major = from.major + reader.signed();
  const minor = minorBit === 0 ? -1 : from.minor + reader.signed();
  const index = indexBit === 0 ? -1 : from.index + reader.signed();
  return { major, minor, index };
}

function shapeOf(entries: readonly IndexEntry[]): number {
  let shape = 0;
  for (const { runs, target, partition } of entries) {
    if (runs.length === 0 || !isWhole(partition, 0)) throw unfit('an entry without runs or partition');
    shape |= partsOf(target) * TARGET_MINOR;
    for (const run of runs) {
      if (!isWhole(run.count, 1)) throw unfit('a run without records');
      shape |= partsOf(run.first);
    }
  }
  return shape;
}

/** 1 = has a minor part, 2 = has an index. */
function partsOf({ major, minor, index }: Position): number {
  if (!isWhole(major, -1) || !isWhole(minor, -1) || !isWhole(index, -1))
    throw unfit('a part of a position that is no whole number');
  return (minor === -1 ? 0 : SOURCE_MINOR) | (index === -1 ? 0 : SOURCE_INDEX);
}

function isWhole(value: number, least: number): boolean {
  return Number.isSafeInteger(value) && value >= least;
}

function unfit(what: string): IsthmusError {
  return new IsthmusError('INTERNAL', `writing the position index: ${what}`);
}

/** The place `count` records after `position`, never beyond the largest safe integer: both directions must compute the same. */
function following(position: Position, count: number): Position {
  const { major, minor, index } = advancePosition(position, count);
  return { major: capped(major), minor: capped(minor), index: capped(index) };
}

function capped(value: number): number {
  return Math.min(value, Number.MAX_SAFE_INTEGER);
}
