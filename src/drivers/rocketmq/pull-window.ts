import type { ByteBudget } from '../../lib/byte-budget.ts';
import type { FramePool } from '../../lib/frame-pool.ts';
import type { GapReason } from '../../spi/source.ts';
import { type Identity, readIdentity } from './message/decode.ts';

export interface MessagesPiece {
  readonly kind: 'messages';
  readonly body: Buffer;
  /** Place in `body` where decoding goes on. */
  at: number;
  /** Some of it was handed out, so the frame may still be looked at. (`at` does not tell: a batch inside a message is left half taken.) */
  shared: boolean;
  /** The offset right after the last message that counts. */
  readonly to: number;
  readonly chargedBytes: number;
  /** What the first message has to be: the last one that was read before an interruption. */
  verify: Identity | undefined;
}

/** Something that came for a range, in the order of offsets. */
export type Piece =
  | MessagesPiece
  | { readonly kind: 'gap'; readonly from: number; readonly to: number; readonly reason: GapReason };

/** A range of offsets [from, to) that is being pulled or waits to be taken. */
export interface PullRange {
  readonly from: number;
  /** Infinity for the range at the queue's end, until its answer comes. */
  to: number;
  /** Where its next pull begins; everything before is in `pieces` or was taken. */
  next: number;
  /** A pull is under way. */
  waiting: boolean;
  /** Bytes charged for what has not come yet. */
  expectedBytes: number;
  readonly pieces: Piece[];
  /** When its last answer came, in monotonic milliseconds. */
  answeredAt: number;
  /** Cut off: answers that still come are thrown away. */
  dropped: boolean;
}

function newRange(from: number, to: number): PullRange {
  return { from, to, next: from, waiting: false, expectedBytes: 0, pieces: [], answeredAt: 0, dropped: false };
}

/** The ranges of one lane in order, without holes between them, and the bytes they are charged for. */
export class PullWindow {
  readonly ranges: PullRange[] = [];
  /** The offset that is to be delivered next. */
  position: number;
  readonly #budget: ByteBudget;
  readonly #frames: FramePool;
  #heldBytes = 0;

  constructor(position: number, budget: ByteBudget, frames: FramePool) {
    this.position = position;
    this.#budget = budget;
    this.#frames = frames;
  }

  /** Where the next range begins. */
  get end(): number {
    return this.ranges.at(-1)?.to ?? this.position;
  }

  get waiting(): boolean {
    return this.ranges.some((range) => range.waiting);
  }

  get empty(): boolean {
    return this.#heldBytes === 0;
  }

  /** Charges `bytes` for what is to be asked for; false when the budget has no room. */
  tryCharge(bytes: number): boolean {
    if (!this.#budget.tryTake(bytes, false)) return false;
    this.#heldBytes += bytes;
    return true;
  }

  /** Adds a range that `bytes` were charged for. */
  add(to: number, bytes: number): PullRange {
    const range: PullRange = { ...newRange(this.end, to), waiting: true, expectedBytes: bytes };
    this.ranges.push(range);
    return range;
  }

  /** The first range that has not got all of its messages. */
  firstIncomplete(): PullRange | undefined {
    return this.ranges.find((range) => range.next < range.to);
  }

  /** Takes an answer's messages up to offset `to` into a range. */
  fill(range: PullRange, body: Buffer, to: number, verify: Identity | undefined): void {
    const expected = Math.min(range.expectedBytes, body.length);
    range.expectedBytes -= expected;
    this.charge(body.length - expected);
    range.next = Math.min(to, range.to);
    range.pieces.push({ kind: 'messages', body, at: 0, shared: false, to: range.next, chargedBytes: body.length, verify });
    this.#settle(range);
  }

  /** Ends a range with a gap; what was asked for behind it is dropped. */
  endWithGap(range: PullRange, to: number, reason: GapReason): void {
    range.pieces.push({ kind: 'gap', from: range.next, to, reason });
    range.next = to;
    range.to = to;
    this.#drop(this.ranges.splice(this.ranges.indexOf(range) + 1));
    this.#settle(range);
  }

  /** The source begins again at `to`, below the window's end: nothing follows in this window. */
  addRewind(to: number, reason: GapReason): void {
    const { end } = this;
    this.ranges.push({ ...newRange(end, end), pieces: [{ kind: 'gap', from: end, to, reason }] });
  }

  /** Ends a range of open end where it stands. */
  endHere(range: PullRange): void {
    range.to = range.next;
    this.#settle(range);
  }

  #settle(range: PullRange): void {
    if (range.next < range.to) return;
    const bytes = range.expectedBytes;
    range.expectedBytes = 0;
    this.discharge(bytes);
  }

  /** Drops everything that has not been answered in full and without a hole; what was answered stays. */
  cutIncomplete(): void {
    const first = this.firstIncomplete();
    if (first === undefined) return;
    const dropped = this.ranges.splice(this.ranges.indexOf(first));
    if (first.pieces.length > 0) {
      // Its pull may still be answered; the answer must not be taken for the range that comes next.
      this.ranges.push({ ...first, to: first.next, waiting: false, expectedBytes: 0, pieces: first.pieces.splice(0) });
    }
    this.#drop(dropped);
  }

  /** Drops a range and all behind it. */
  cutFrom(range: PullRange): void {
    if (!range.dropped) this.#drop(this.ranges.splice(this.ranges.indexOf(range)));
  }

  cutAll(): void {
    this.#drop(this.ranges.splice(0));
  }

  /** Bytes are given back last: whoever is woken by them may look at the window at once. */
  #drop(ranges: readonly PullRange[]): void {
    let bytes = 0;
    for (const range of ranges) {
      range.dropped = true;
      bytes += range.expectedBytes;
      for (const piece of range.pieces) {
        if (piece.kind !== 'messages') continue;
        bytes += piece.chargedBytes;
        if (!piece.shared) this.#frames.give(piece.body);
      }
    }
    this.discharge(bytes);
  }

  /** What the last message is that waits at the window's end; `undefined` when nothing waits or it ends with a gap. */
  lastWaiting(): Identity | undefined {
    const piece = this.ranges.at(-1)?.pieces.at(-1);
    if (piece?.kind !== 'messages') return undefined;
    let last: Identity | undefined;
    for (let at = piece.at; at < piece.body.length; ) {
      const message = readIdentity(piece.body, at);
      if (message.offset < piece.to) last = message;
      at = message.end;
    }
    return last?.offset === piece.to - 1 ? last : undefined;
  }

  charge(bytes: number): void {
    this.#budget.tryTake(bytes, true);
    this.#heldBytes += bytes;
  }

  discharge(bytes: number): void {
    if (bytes === 0) return;
    this.#heldBytes -= bytes;
    this.#budget.give(bytes);
  }

  whenRoom(wake: () => void): void {
    this.#budget.whenFree(wake);
  }
}
