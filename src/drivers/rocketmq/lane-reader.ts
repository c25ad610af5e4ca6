import { IsthmusError, toIsthmusError } from '../../errors.ts';
import { type Deferred, deferred } from '../../lib/deferred.ts';
import type { LaneId } from '../../model/lane.ts';
import { offsetPosition, type Position } from '../../model/position.ts';
import type { Delivery, GapReason, LaneExtent, LaneReader, ReadOptions } from '../../spi/source.ts';
import { History, sameMessage } from './history.ts';
import type { LaneShared } from './lane-shared.ts';
import { type Identity, readIdentity } from './message/decode.ts';
import { PullLoop } from './pull-loop.ts';
import { MAX_ASK } from './pull-pace.ts';
import { type MessagesPiece, type PullRange, PullWindow } from './pull-window.ts';
import type { QueueName } from './routes.ts';

/**
 * Reads one queue in order and without a hole. A pull loop fills a window with raw answers; the first is decoded when it is asked for.
 *
 * Positions only ever rise. When the source begins again below what was read (truncated or recreated), a gap that leads back says so and
 * the reader ends with SOURCE_REWOUND: to read offsets a second time is a decision of whoever knows what the target holds.
 */
export class RocketmqLaneReader implements LaneReader {
  readonly #shared: LaneShared;
  readonly #lane: LaneId;
  readonly #queue: QueueName;
  readonly #options: ReadOptions;
  readonly #window: PullWindow;
  readonly #history = new History();
  readonly #loop: PullLoop;
  #waiter: Deferred<Delivery> | undefined;
  #end: IsthmusError | undefined;

  constructor(lane: LaneId, queue: QueueName, from: Position, options: ReadOptions, shared: LaneShared) {
    this.#lane = lane;
    this.#queue = queue;
    this.#options = options;
    this.#shared = shared;
    this.#window = new PullWindow(from.major, options.budget, shared.frames);
    this.#loop = new PullLoop({
      lane,
      queue,
      read: options,
      window: this.#window,
      history: this.#history,
      shared,
      onProgress: () => this.#wake(),
      onEnd: (error) => this.#onEnd(error),
    });
    void this.#loop.connect();
  }

  read(): Promise<Delivery> {
    const delivery = this.poll();
    if (delivery !== undefined) return Promise.resolve(delivery);
    if (this.#end !== undefined) return Promise.reject(this.#end);
    this.#loop.starved();
    this.#waiter = deferred();
    return this.#waiter.promise;
  }

  poll(): Delivery | undefined {
    const { ranges } = this.#window;
    for (;;) {
      const range = ranges[0];
      const piece = range?.pieces[0];
      if (range === undefined || (piece === undefined && range.next < range.to)) return undefined;
      if (piece === undefined) {
        this.#loop.taken();
      } else if (piece.kind === 'gap') {
        range.pieces.shift();
        return this.#gap(piece.from, piece.to, piece.reason);
      } else {
        const delivery = this.#takeMessages(range, piece);
        if (delivery !== undefined) return delivery;
      }
    }
  }

  extent(): LaneExtent | undefined {
    return this.#loop.extent;
  }

  async commit(next: Position): Promise<void> {
    await this.#shared.groups.commit(this.#lane, this.#queue, this.#options.group, next.major);
  }

  async close(): Promise<void> {
    this.#loop.end();
    this.#window.cutAll();
    this.#onEnd(new IsthmusError('CLOSED', `reading ${this.#lane.topic} ${this.#lane.lane}: the reader was closed`));
  }

  /** What is in the window can still be taken. */
  #onEnd(error: IsthmusError): void {
    this.#end ??= error;
    this.#wake();
    this.#waiter?.reject(this.#end);
    this.#waiter = undefined;
  }

  #wake(): void {
    if (this.#waiter === undefined) return;
    const delivery = this.poll();
    if (delivery === undefined) return;
    this.#waiter.resolve(delivery);
    this.#waiter = undefined;
  }

  #gap(from: number, to: number, reason: GapReason): Delivery {
    this.#window.position = Math.max(to, from);
    return { kind: 'gap', from: offsetPosition(from), to: offsetPosition(to), reason };
  }

  /** The next records of an answer; `undefined` when it held none, or when reading was interrupted by what it held. */
  #takeMessages(range: PullRange, piece: MessagesPiece): Delivery | undefined {
    try {
      if (piece.verify !== undefined && !this.#verified(piece, piece.verify)) return undefined;
      return this.#decode(range, piece);
    } catch (error) {
      this.#loop.again(toIsthmusError(error));
      return undefined;
    }
  }

  #verified(piece: MessagesPiece, expected: Identity): boolean {
    const first = readIdentity(piece.body, 0);
    piece.verify = undefined;
    // When it has expired meanwhile there is nothing to compare, and nothing was lost to us.
    if (first.offset > expected.offset || sameMessage(first, expected)) return true;
    this.#loop.mismatch();
    return false;
  }

  #decode(range: PullRange, piece: MessagesPiece): Delivery | undefined {
    const { batches, decoder } = this.#shared;
    const window = this.#window;
    const { body } = piece;
    const alone = !piece.shared;
    piece.shared = true;
    const batch = batches.take(Math.min(piece.to - window.position, MAX_ASK));
    try {
      const stretch = decoder.decode(body, piece.at, window.position, piece.to, batch);
      const used = stretch.at === body.length;
      piece.at = stretch.at;
      window.position = stretch.next;
      if (used) range.pieces.shift();
      const resumesAt = stretch.resumesAt ?? (used ? piece.to : stretch.next);
      if (resumesAt > stretch.next) range.pieces.unshift({ kind: 'gap', from: stretch.next, to: resumesAt, reason: 'expired' });
      batch.heldBytes = decoder.inflatedBytes + (used ? piece.chargedBytes : 0);
      window.charge(decoder.inflatedBytes);
      // The frame is used again only when this batch alone looks at it, and not at a copy.
      batch.onRelease = this.#released(batch.heldBytes, alone && used && batch.bytes === body ? body : undefined);
    } catch (error) {
      batch.release();
      throw error;
    }
    if (batch.count === 0) {
      batch.release();
      return undefined;
    }
    const last = batch.count - 1;
    this.#history.remember({
      offset: batch.major[last] ?? 0,
      storeTime: batch.storeTime[last] ?? 0,
      commitLogOffset: decoder.lastCommitLogOffset,
    });
    return { kind: 'records', batch };
  }

  #released(heldBytes: number, frame: Buffer | undefined): () => void {
    return () => {
      this.#window.discharge(heldBytes);
      if (frame !== undefined) this.#shared.frames.give(frame);
      // It may have waited for room that others keep; now it holds nothing and may go on.
      if (this.#window.empty) this.#loop.issue();
    };
  }
}
