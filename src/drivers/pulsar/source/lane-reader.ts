import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import type { PooledBatch } from '../../../lib/batch-pool.ts';
import type { ByteBudget } from '../../../lib/byte-budget.ts';
import { type Deferred, deferred } from '../../../lib/deferred.ts';
import type { LaneId } from '../../../model/lane.ts';
import { comparePositions, entryPosition, formatPosition, type Position } from '../../../model/position.ts';
import type { Delivery, LaneExtent, LaneReader, ReadOptions } from '../../../spi/source.ts';
import { BEFORE_FIRST, compareIds } from '../net/entry-reader.ts';
import type { MessageId } from '../wire/message-id.ts';
import { COMPRESSION } from '../wire/message-metadata.ts';
import { fillChunked, fillRecords, fillWhole, type QueuedEntry } from './batch-filler.ts';
import { type Chunk, ChunkStore, type Placed } from './chunks.ts';
import type { Hole } from './continuity.ts';
import { MAX_PAYLOAD_BYTES } from './decompress.ts';
import { FlowWindow } from './flow-window.ts';
import { after, entryOf } from './places.ts';
import { ReadLoop } from './read-loop.ts';
import { unreadable } from './record-decoder.ts';
import type { SourceShared } from './shared.ts';

/** Entries are put together up to this size, which the frame pool still keeps. */
const BATCH_BYTES = 256 * 1024;
const BATCH_RECORDS = 1024;
const EXAMINE_AGAIN_MILLIS = 500;

/**
 * Reads one partition in order. A loop keeps the subscription and fills a queue with entries as they came; they are taken apart when they are asked for.
 *
 * What the broker sends a second time (after each interruption it begins where the subscription is, which is behind what was read) lies below `#next` and is dropped.
 */
export class PulsarLaneReader implements LaneReader {
  readonly #shared: SourceShared;
  readonly #lane: LaneId;
  readonly #wholeFrom: Position | undefined;
  readonly #budget: ByteBudget;
  readonly #flow: FlowWindow;
  readonly #loop: ReadLoop;
  readonly #queue: QueuedEntry[] = [];
  readonly #chunks: ChunkStore;
  /** Of the last record that was handed out, milliseconds since 1970. */
  #storeTime = 0;
  #next: Position;
  readonly #gaps: Delivery[] = [];
  /** Holes between entries up to here are known to be none. */
  #clearUpTo: MessageId = BEFORE_FIRST;
  #examining = false;
  /** Entries have come that nobody has been told of yet. */
  #arriving = false;
  #waiter: Deferred<Delivery> | undefined;
  #end: IsthmusError | undefined;

  constructor(lane: LaneId, from: Position, options: ReadOptions, shared: SourceShared) {
    this.#lane = lane;
    this.#next = from;
    this.#wholeFrom = options.wholeFrom;
    this.#shared = shared;
    this.#budget = options.budget;
    const { lanes } = shared;
    lanes.set(options.budget, (lanes.get(options.budget) ?? 0) + 1);
    this.#flow = new FlowWindow(options.budget, () => lanes.get(options.budget) ?? 1);
    this.#chunks = new ChunkStore(options.budget);
    this.#loop = new ReadLoop({
      lane,
      read: options,
      flow: this.#flow,
      shared,
      wanted: () => this.#next,
      onEntry: (id, entry) => this.#onEntry(id, entry),
      onPlaced: () => this.#wake(),
      onHole: (hole) => this.#onHole(hole),
      onEnd: (error) => this.#onEnd(error),
    });
    this.#loop.start();
  }

  read(): Promise<Delivery> {
    const delivery = this.poll();
    if (delivery !== undefined) return Promise.resolve(delivery);
    if (this.#end !== undefined) return Promise.reject(this.#end);
    this.#waiter = deferred();
    this.#loop.more(true);
    return this.#waiter.promise;
  }

  poll(): Delivery | undefined {
    for (;;) {
      const gap = this.#gaps.shift();
      if (gap !== undefined) return gap;
      this.#dropOld();
      const head = this.#queue[0];
      if (head === undefined) return undefined;
      if (!this.#follows(head)) {
        void this.#examine(head);
        return undefined;
      }
      if (this.#isWhole(head)) return { kind: 'records', batch: this.#takeWhole() };
      if (!head.chunked) return { kind: 'records', batch: this.#takeRecords() };
      const batch = this.#takeChunk(head);
      if (batch !== undefined) return { kind: 'records', batch };
    }
  }

  extent(): LaneExtent | undefined {
    return this.#loop.extent;
  }

  async commit(next: Position): Promise<void> {
    // What belongs to a message that is not whole yet is needed again after a restart.
    const open = this.#chunks.oldest(this.#storeTime);
    await this.#loop.acknowledge(
      open === undefined || compareIds(open, entryOf(next)) >= 0 ? next : entryPosition(open.ledger, open.entry),
    );
  }

  async close(): Promise<void> {
    this.#loop.end(new IsthmusError('CLOSED', `${this.#doing}: the reader was closed`));
    for (const entry of this.#queue.splice(0)) this.#letGo(entry);
    this.#chunks.clear();
  }

  /** What is in the queue can still be taken. */
  #onEnd(error: IsthmusError): void {
    this.#end ??= error;
    this.#leave();
    this.#wake();
    this.#waiter?.reject(this.#end);
    this.#waiter = undefined;
  }

  get #doing(): string {
    return `reading ${this.#lane.topic} ${this.#lane.lane}`;
  }

  #onHole({ to, reason, back }: Hole): void {
    this.#gaps.push({ kind: 'gap', from: this.#next, to, reason });
    this.#next = to;
    // To read places a second time is a decision of whoever knows what the target holds.
    if (back) this.#loop.end(new IsthmusError('SOURCE_REWOUND', `${this.#doing}: the source goes on at ${formatPosition(to)}`));
    else this.#wake();
  }

  /** Whether nothing can lie between what was read and an entry, or it was looked at. */
  #follows({ ledger, entry }: QueuedEntry): boolean {
    if (ledger === this.#next.major && entry <= Math.max(0, this.#next.minor)) return true;
    return compareIds({ ledger, entry }, this.#clearUpTo) <= 0;
  }

  /** Asks whether something was passed over before `head`. Entry ids have holes, because markers are never sent. */
  async #examine(head: QueuedEntry): Promise<void> {
    if (this.#examining) return;
    this.#examining = true;
    const next = this.#next;
    const newest = this.#queue.at(-1) ?? head;
    try {
      const { hole, sure } = await this.#loop.findSkipped(next, head);
      if (this.#next !== next) return;
      const { ledger, entry } = sure ? newest : head;
      if (hole !== undefined) this.#onHole(hole);
      else this.#clearUpTo = { ledger, entry };
    } catch (error) {
      this.#shared.deps.log.debug('continuity-unknown', {
        topic: this.#lane.topic,
        lane: this.#lane.lane,
        detail: toIsthmusError(error).message,
      });
      await this.#shared.deps.clock.sleep(EXAMINE_AGAIN_MILLIS);
    } finally {
      this.#examining = false;
    }
    this.#wake();
  }

  /** The lane asks for nothing any more, and its share is the others'. */
  #leave(): void {
    const { lanes } = this.#shared;
    const others = (lanes.get(this.#budget) ?? 1) - 1;
    if (others > 0) lanes.set(this.#budget, others);
    else lanes.delete(this.#budget);
  }

  #onEntry({ ledger, entry }: MessageId, bytes: Buffer): void {
    const { header, frames } = this.#shared;
    let queued: QueuedEntry;
    try {
      header.read(bytes, 0, bytes.length);
      const inflatedBytes =
        header.compression !== COMPRESSION.none && header.uncompressedBytes <= MAX_PAYLOAD_BYTES ? header.uncompressedBytes : 0;
      const records = header.batched ? header.messages : 1;
      const { innerMarks, chunked } = header;
      queued = { ledger, entry, bytes, records, inflatedBytes, passable: !innerMarks, chunked, rest: undefined };
    } catch {
      // Told when it is taken apart.
      queued = { ledger, entry, bytes, records: 1, inflatedBytes: 0, passable: true, chunked: false, rest: undefined };
    }
    this.#flow.arrived(bytes.length, Math.max(1, queued.records));
    if (this.#end !== undefined || this.#isOld(queued)) {
      // The beginning of a message that was not whole when reading stopped.
      if (this.#end === undefined && queued.chunked && this.#wholeFrom === undefined) this.#addChunk(queued, true);
      this.#flow.release(bytes.length);
      frames.give(bytes);
    } else this.#queue.push(queued);
    if (this.#arriving) return;
    this.#arriving = true;
    queueMicrotask(this.#arrived);
  }

  /** Not for each entry: one read of the socket brings dozens, and they are to be one batch, and one asking for more. */
  readonly #arrived = (): void => {
    this.#arriving = false;
    this.#wake();
    this.#loop.more(this.#waiter !== undefined);
  };

  #wake(): void {
    if (this.#waiter === undefined) return;
    const delivery = this.poll();
    if (delivery === undefined) return;
    this.#waiter.resolve(delivery);
    this.#waiter = undefined;
  }

  /** Whether all of an entry was delivered. */
  #isOld({ ledger, entry }: QueuedEntry): boolean {
    return ledger < this.#next.major || (ledger === this.#next.major && entry < this.#next.minor);
  }

  #dropOld(): void {
    for (let head = this.#queue[0]; head !== undefined && this.#isOld(head); head = this.#queue[0]) {
      this.#queue.shift();
      this.#letGo(head);
    }
  }

  #letGo(entry: QueuedEntry): void {
    this.#flow.release(entry.bytes.length);
    this.#shared.frames.give(entry.bytes);
  }

  #isWhole(queued: QueuedEntry): boolean {
    const { ledger, entry, passable, rest } = queued;
    if (this.#wholeFrom === undefined || !passable || rest !== undefined) return false;
    const here = entryPosition(ledger, entry);
    if (comparePositions(here, this.#wholeFrom) < 0 || comparePositions(here, this.#next) < 0) return false;
    // What was begun in pieces before is put together to its end.
    return !queued.chunked || !this.#chunks.has(this.#readChunk(queued).uuid);
  }

  #readChunk({ ledger, entry, bytes }: QueuedEntry): Chunk {
    const { header } = this.#shared;
    header.read(bytes, 0, bytes.length);
    return {
      uuid: bytes.toString('latin1', header.uuidStart, header.uuidEnd),
      index: header.chunkId,
      count: header.chunks,
      totalBytes: header.chunkedBytes,
      payload: bytes.subarray(header.payloadStart, header.end),
      at: { ledger, entry },
      publishTime: header.publishTime,
    };
  }

  /** `again`: it was read before, so only messages count that were not whole then. */
  #addChunk(queued: QueuedEntry, again: boolean): Placed {
    const chunk = this.#readChunk(queued);
    if (again && chunk.index === 0 && this.#chunks.has(chunk.uuid)) return { kind: 'kept' };
    return this.#chunks.add(chunk);
  }

  /** Takes a piece of a message; `undefined` while the message is not whole. */
  #takeChunk(head: QueuedEntry): PooledBatch | undefined {
    this.#queue.shift();
    const { index, count } = this.#readChunk(head);
    const damage = unreadable(this.#shared.header, head.bytes);
    const placed: Placed = damage === undefined ? this.#addChunk(head, false) : { kind: 'broken', reason: damage };
    let batch: PooledBatch | undefined;
    if (placed.kind === 'done') batch = fillChunked(head, placed.payload, this.#shared);
    else if (placed.kind === 'broken' && index === count - 1) batch = fillChunked(head, placed.reason, this.#shared);
    const before = entryPosition(head.ledger, head.entry);
    this.#next = after(head.ledger, head.entry);
    // Nobody can read it: its first pieces are gone, or it was begun before the place where reading began.
    if (placed.kind === 'orphan' && index === count - 1)
      this.#gaps.push({ kind: 'gap', from: before, to: this.#next, reason: 'expired' });
    if (batch === undefined) {
      this.#chunks.passed(1);
      this.#letGo(head);
      return undefined;
    }
    batch.end = this.#next;
    this.#account(batch, [head]);
    return batch;
  }

  /** How many entries of the queue go into one batch: neighbours of the same form, up to a size. */
  #stretch(whole: boolean): number {
    let [count, bytes, records] = [0, 0, 0];
    let last: QueuedEntry | undefined;
    for (const entry of this.#queue) {
      if (!whole && entry.chunked) break;
      // Sent again behind what was read: it belongs to no batch.
      if (last !== undefined && compareIds(entry, last) <= 0) break;
      if (last !== undefined && !isNext(last, entry) && compareIds(entry, this.#clearUpTo) > 0) break;
      if (this.#isWhole(entry) !== whole) break;
      bytes += entry.bytes.length + (whole ? 0 : entry.inflatedBytes);
      records += whole ? 1 : entry.records;
      if (count > 0 && (bytes > BATCH_BYTES || records > BATCH_RECORDS)) break;
      count++;
      last = entry;
    }
    return count;
  }

  #takeWhole(): PooledBatch {
    const entries = this.#queue.splice(0, this.#stretch(true));
    const batch = fillWhole(entries, this.#shared);
    const last = entries.at(-1);
    if (last !== undefined) this.#next = after(last.ledger, last.entry);
    batch.end = this.#next;
    this.#noteTaken(batch, entries.length);
    batch.heldBytes = entries.reduce((sum, { bytes }) => sum + bytes.length, 0);
    batch.onRelease = () => {
      for (const entry of entries) this.#letGo(entry);
      this.#loop.more(this.#waiter !== undefined);
    };
    return batch;
  }

  #takeRecords(): PooledBatch {
    const entries = this.#queue.slice(0, this.#stretch(false));
    const batch = fillRecords(entries, this.#next, this.#shared);
    const last = entries.at(-1);
    // An entry with more records than a batch holds stays until all of them are taken.
    const done = last?.rest === undefined ? entries.length : entries.length - 1;
    this.#queue.splice(0, done);
    if (last !== undefined)
      this.#next =
        last.rest === undefined ? after(last.ledger, last.entry) : entryPosition(last.ledger, last.entry, last.rest.index);
    batch.end = this.#next;
    this.#account(batch, entries.slice(0, done));
    return batch;
  }

  #noteTaken(batch: PooledBatch, entries: number): void {
    this.#storeTime = batch.storeTime[batch.count - 1] ?? this.#storeTime;
    this.#chunks.passed(entries);
  }

  /** The bytes of the entries are those of the batch from now on. */
  #account(batch: PooledBatch, entries: readonly QueuedEntry[]): void {
    const { bytes } = batch;
    this.#noteTaken(batch, entries.length);
    batch.heldBytes = bytes.length;
    this.#flow.hold(bytes.length);
    for (const entry of entries) this.#letGo(entry);
    batch.onRelease = () => {
      this.#shared.frames.give(bytes);
      this.#flow.release(batch.heldBytes);
      this.#loop.more(this.#waiter !== undefined);
    };
  }
}

function isNext(before: MessageId, { ledger, entry }: MessageId): boolean {
  return ledger === before.ledger && entry === before.entry + 1;
}
