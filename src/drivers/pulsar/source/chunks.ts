import type { ByteBudget } from '../../../lib/byte-budget.ts';
import type { MessageId } from '../wire/message-id.ts';
import { MAX_PAYLOAD_BYTES } from './decompress.ts';

/** Messages in pieces that a lane puts together at a time. */
const MAX_OPEN = 64;
/** A message that is not finished after so many more entries never will be: its producer is gone, and has sent it again under another name. */
export const MAX_SPAN_ENTRIES = 20_000;
const MAX_SPAN_MILLIS = 10 * 60_000;

/** A piece of a message, and where it lies. */
export interface Chunk {
  /** Tells messages in pieces apart. */
  readonly uuid: string;
  readonly index: number;
  readonly count: number;
  readonly totalBytes: number;
  readonly payload: Buffer;
  readonly at: MessageId;
  /** Milliseconds since 1970. */
  readonly publishTime: number;
}

interface Open {
  readonly first: MessageId;
  readonly firstEntry: number;
  publishTime: number;
  readonly parts: Buffer[];
  bytes: number;
  next: number;
  /** Why it cannot be put together. */
  problem: string | undefined;
}

/** What a piece does: it waits for others, completes its message, or belongs to one whose beginning is not there. */
export type Placed =
  | { readonly kind: 'kept' }
  | { readonly kind: 'orphan' }
  | { readonly kind: 'done'; readonly payload: Buffer }
  | { readonly kind: 'broken'; readonly reason: string };

const KEPT: Placed = { kind: 'kept' };
const ORPHAN: Placed = { kind: 'orphan' };

/** Messages that were cut into pieces, until they are whole. What they hold is charged to the budget. */
export class ChunkStore {
  readonly #budget: ByteBudget;
  readonly #open = new Map<string, Open>();
  #entries = 0;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  has(uuid: string): boolean {
    return this.#open.has(uuid);
  }

  /** Takes a copy of a piece; as the Java client does, a first piece starts its message over, and one that is there is passed over. */
  add(chunk: Chunk): Placed {
    if (chunk.index === 0) this.#begin(chunk);
    const open = this.#open.get(chunk.uuid);
    if (open === undefined) return ORPHAN;
    if (chunk.index < open.next) return KEPT;
    if (chunk.index > open.next) {
      this.#drop(chunk.uuid, open);
      return ORPHAN;
    }
    open.next++;
    open.publishTime = Math.max(open.publishTime, chunk.publishTime);
    this.#keep(open, chunk);
    if (open.next < chunk.count) return KEPT;
    const payload = Buffer.concat(open.parts);
    this.#drop(chunk.uuid, open);
    return open.problem === undefined ? { kind: 'done', payload } : { kind: 'broken', reason: open.problem };
  }

  /** Where the oldest message begins that is not whole yet: what lies from there on has to stay at the source. Gives up those that never will be. */
  oldest(newestTime: number): MessageId | undefined {
    let oldest: Open | undefined;
    for (const [uuid, open] of this.#open) {
      const stale = this.#entries - open.firstEntry > MAX_SPAN_ENTRIES || newestTime - open.publishTime > MAX_SPAN_MILLIS;
      if (stale) this.#drop(uuid, open);
      else oldest ??= open;
    }
    return oldest?.first;
  }

  /** So many entries were passed. */
  passed(entries: number): void {
    this.#entries += entries;
  }

  clear(): void {
    for (const [uuid, open] of this.#open) this.#drop(uuid, open);
  }

  #begin(chunk: Chunk): void {
    const before = this.#open.get(chunk.uuid);
    if (before !== undefined) this.#drop(chunk.uuid, before);
    const { at, publishTime, totalBytes } = chunk;
    let problem: string | undefined;
    if (totalBytes > MAX_PAYLOAD_BYTES)
      problem = `it is a message in pieces of ${totalBytes} bytes, more than ${MAX_PAYLOAD_BYTES}`;
    else if (this.#open.size >= MAX_OPEN) problem = `more than ${MAX_OPEN} messages in pieces are open at a time`;
    this.#open.set(chunk.uuid, { first: at, firstEntry: this.#entries, publishTime, parts: [], bytes: 0, next: 0, problem });
  }

  #keep(open: Open, { payload, totalBytes }: Chunk): void {
    if (open.problem === undefined && open.bytes + payload.length > totalBytes)
      open.problem = `its pieces have more than the ${totalBytes} bytes that they claim`;
    if (open.problem !== undefined) return;
    // Always granted: a message that is begun has to be finished, whoever else waits for room.
    this.#budget.tryTake(payload.length, true);
    open.bytes += payload.length;
    open.parts.push(Buffer.from(payload));
  }

  #drop(uuid: string, open: Open): void {
    this.#open.delete(uuid);
    const { bytes } = open;
    open.bytes = 0;
    open.parts.length = 0;
    if (bytes > 0) this.#budget.give(bytes);
  }
}
