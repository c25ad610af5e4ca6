import { RunBuilder } from '../../../lib/run-builder.ts';
import type { Slab, SlabPool } from '../../../lib/slab.ts';
import { neighbourDistance } from '../../../model/position.ts';
import type { PositionRun } from '../../../model/provenance.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import type { AppendResult } from '../../../spi/sink.ts';
import { INNER_BODY_AT, INNER_BYTES } from '../wire/send-message.ts';
import { bornTimeOf, type RecordEncoder } from './encode/record-encoder.ts';

/** Most messages of a batch. From 32,768 on a broker counts wrongly: it answers with success and the queue is destroyed. */
export const MAX_BATCH_MESSAGES = 4_096;
/** Most bytes of a batch, beside a message that is larger itself. */
const MAX_BATCH_BYTES = 1024 * 1024;
/** What a broker stores of each message beside what was sent, topic name not counted: offsets, hosts, times, and a checksum where it is told to. */
const STORED_BYTES = 120;
const MARGIN_BYTES = 4 * 1024;
/** What a broker adds to the properties of a single message, and more. */
const SINGLE_PROPERTY_BYTES = 32_500;
/** Chunks that wait or are under way. */
const MAX_CHUNKS = 8;
/** So far the born time of a batch may be from that of a record; the exact one stands in its properties. */
const SAME_BORN_MILLIS = 10_000;

/** Records in one slab that may share a request. */
export interface Chunk {
  readonly slab: Slab;
  readonly count: number;
  readonly sysFlag: number;
  readonly bornTime: number;
  /** Holds one record that is too large for a batch of one, but not for a message. */
  readonly single: boolean;
  /** So many of its first records are known to be stored. */
  done: number;
}

/** A chunk that grows. */
interface OpenChunk {
  readonly slab: Slab;
  readonly sysFlag: number;
  readonly bornTime: number;
  count: number;
}

/** Records of a chunk: from number `from` up to `to`. */
export interface Piece {
  readonly chunk: Chunk;
  readonly from: number;
  readonly to: number;
}

/**
 * A writer's records on their way out: the chunk that grows, and those that wait for their turn in order.
 *
 * A batch is made of as many waiting chunks as fit when it is its turn, so batches are as large as the way to the broker is long.
 */
export class Outbox {
  readonly #slabs: SlabPool;
  readonly #encoder: RecordEncoder;
  readonly #topic: string;
  readonly #queue: Chunk[] = [];
  #open: OpenChunk | undefined;
  #maxMessageBytes = 0;
  /** What the record that was not taken needs. `ready` must wait for that: room for less would be said and refused again without end. */
  #wantedBytes = 0;

  constructor(slabs: SlabPool, encoder: RecordEncoder, topic: string) {
    this.#slabs = slabs;
    this.#encoder = encoder;
    this.#topic = topic;
  }

  /** The broker's limit on a message's body and on a batch; to be told before the first record. */
  set maxMessageBytes(bytes: number) {
    this.#maxMessageBytes = bytes;
  }

  /** Records in the chunk that grows. */
  get open(): number {
    return this.#open?.count ?? 0;
  }

  /** Chunks that wait or are under way. */
  get waiting(): number {
    return this.#queue.length;
  }

  append(batch: RecordBatch, i: number): AppendResult {
    const encoder = this.#encoder;
    const sysFlag = encoder.sysFlag(batch, i);
    const bodyBytes = encoder.bodyBytes(batch, i, sysFlag);
    const propertyBytes = encoder.propertyBound(batch, i);
    const refused = encoder.refusal(batch, i, propertyBytes);
    if (refused !== undefined) return { refused };
    const bound = INNER_BYTES + bodyBytes + propertyBytes;
    if (this.#stored(bound, 1) > this.#maxMessageBytes - MARGIN_BYTES)
      return this.#appendSingle(batch, i, bodyBytes, propertyBytes, sysFlag);
    let open = this.#open;
    if (open !== undefined && !(open.sysFlag === sysFlag && this.#fits(open.slab, open.count, bound))) {
      this.seal();
      open = undefined;
    }
    open ??= this.#begin(batch, i, bound, sysFlag);
    if (open === undefined) return 'full';
    open.slab.append(open.count++, batch, i, encoder.encode);
    return 'taken';
  }

  #appendSingle(batch: RecordBatch, i: number, bodyBytes: number, propertyBytes: number, sysFlag: number): AppendResult {
    if (bodyBytes > this.#maxMessageBytes)
      return { refused: `its body has ${bodyBytes} bytes, ${this.#topic} takes ${this.#maxMessageBytes}` };
    if (propertyBytes > SINGLE_PROPERTY_BYTES)
      return {
        refused: `its properties have up to ${propertyBytes} bytes, with a body of ${bodyBytes} bytes ${this.#topic} takes ${SINGLE_PROPERTY_BYTES}`,
      };
    this.seal();
    const open = this.#begin(batch, i, INNER_BYTES + bodyBytes + propertyBytes, sysFlag);
    if (open === undefined) return 'full';
    open.slab.append(open.count++, batch, i, this.#encoder.encode);
    this.#seal(true);
    return 'taken';
  }

  #fits(slab: Slab, count: number, bound: number): boolean {
    return (
      slab.fits(count, bound, MAX_BATCH_BYTES) &&
      this.#stored((slab.starts[count] ?? 0) + bound, count + 1) <= this.#maxMessageBytes
    );
  }

  /** Bytes that the broker makes of so many messages of so many bytes. */
  #stored(bytes: number, messages: number): number {
    return bytes + messages * (STORED_BYTES + this.#topic.length);
  }

  #begin(batch: RecordBatch, i: number, bound: number, sysFlag: number): OpenChunk | undefined {
    if (this.#queue.length >= MAX_CHUNKS) return undefined;
    const slab = this.#slabs.take(bound, this.#queue.length === 0);
    this.#wantedBytes = slab === undefined ? bound : 0;
    if (slab === undefined) return undefined;
    // Chunks that wait together can only leave together under one born time; it must not get old while there is always one that waits.
    const [own, former] = [bornTimeOf(batch, i), this.#queue.at(-1)?.bornTime];
    const bornTime = former !== undefined && Math.abs(own - former) <= SAME_BORN_MILLIS ? former : own;
    this.#encoder.bornTime = bornTime;
    this.#open = { slab, sysFlag, bornTime, count: 0 };
    return this.#open;
  }

  /** Ends the chunk that grows, so that it can leave. */
  seal(): void {
    this.#seal(false);
  }

  #seal(single: boolean): void {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    this.#queue.push({ ...open, single, done: 0 });
  }

  hasRoom(): boolean {
    return (
      this.#open !== undefined ||
      (this.#queue.length < MAX_CHUNKS && this.#slabs.hasRoom(this.#wantedBytes, this.#queue.length === 0))
    );
  }

  /** Calls `wake` once when `hasRoom` may have changed for other reasons than this outbox itself. */
  whenRoom(wake: () => void): void {
    if (this.#queue.length < MAX_CHUNKS) this.#slabs.whenFree(wake);
  }

  /** What the next request stores: the first chunk, and those behind it that may share its request. They stay until `stored`. */
  next(): Piece[] {
    const pieces: Piece[] = [];
    const first = this.#queue[0];
    let [bytes, messages] = [0, 0];
    for (const chunk of this.#queue) {
      if (first === undefined) break;
      bytes += bytesOf(chunk, chunk.done, chunk.count);
      messages += chunk.count - chunk.done;
      const fits =
        !chunk.single &&
        !first.single &&
        chunk.sysFlag === first.sysFlag &&
        chunk.bornTime === first.bornTime &&
        messages <= MAX_BATCH_MESSAGES &&
        bytes <= MAX_BATCH_BYTES &&
        this.#stored(bytes, messages) <= this.#maxMessageBytes;
      if (chunk !== first && !fits) break;
      pieces.push({ chunk, from: chunk.done, to: chunk.count });
    }
    return pieces;
  }

  /** The first records are stored. Their bytes are not needed any more. */
  stored(pieces: readonly Piece[]): void {
    for (const { chunk, to } of pieces) {
      chunk.done = to;
      if (to < chunk.count) return;
      this.#queue.shift();
      this.#slabs.give(chunk.slab);
    }
  }

  /** Everything is given up. A socket may still read what has left, so that memory is not used again. */
  drop(): void {
    if (this.#open !== undefined) this.#slabs.give(this.#open.slab);
    this.#open = undefined;
    for (const { slab } of this.#queue.splice(0)) this.#slabs.drop(slab.bytes.length);
  }

  /** Whether all that waits can be sent where the broker's limit is this. */
  fitsIn(maxMessageBytes: number): boolean {
    const open = this.#open === undefined ? [] : [{ ...this.#open, single: false, done: 0 }];
    return [...this.#queue, ...open].every((chunk) => this.#sentBytes(chunk) <= maxMessageBytes);
  }

  /** What the broker compares with its limit: of a lone message the body. */
  #sentBytes(chunk: Chunk): number {
    if (chunk.single) return chunk.slab.bytes.readInt32BE((chunk.slab.starts[chunk.done] ?? 0) + INNER_BODY_AT - 4);
    return this.#stored(bytesOf(chunk, chunk.done, chunk.count), chunk.count - chunk.done);
  }

  /** Gives up the chunk that grows. */
  dropOpen(): void {
    if (this.#open !== undefined) this.#slabs.give(this.#open.slab);
    this.#open = undefined;
  }
}

function bytesOf({ slab }: Chunk, from: number, to: number): number {
  return (slab.starts[to] ?? 0) - (slab.starts[from] ?? 0);
}

/** The bytes of pieces, as they are sent. */
export function piecesBytes(pieces: readonly Piece[]): Buffer[] {
  return pieces.map(({ chunk: { slab }, from, to }) => slab.bytes.subarray(slab.starts[from], slab.starts[to]));
}

export function piecesCount(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { from, to }) => sum + to - from, 0);
}

/** Where the records of pieces come from. */
export function piecesRuns(pieces: readonly Piece[]): PositionRun[] {
  const runs: PositionRun[] = [];
  for (const { chunk, from, to } of pieces) {
    const builder = new RunBuilder(chunk.slab);
    for (let k = from; k < to; k++) builder.add(k);
    for (const run of builder.finish()) {
      const last = runs.at(-1);
      if (last !== undefined && neighbourDistance(last.first, run.first) === last.count)
        runs[runs.length - 1] = { ...last, count: last.count + run.count };
      else runs.push(run);
    }
  }
  return runs;
}
