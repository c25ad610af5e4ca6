/** What a broker gives for one pull unless it is configured otherwise. */
const USUAL_STRIDE = 32;
/** What is asked for to find out whether it gives more. */
export const MAX_ASK = 1024;
/** One answer is not made larger than this on purpose. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** Each so-many pulls one asks for more than the broker gave so far. */
const STRETCH_EVERY = 64;
const STRETCH_FACTOR = 4;
const MIN_DEPTH = 4;
/** 64 pulls of 32 messages every 100 ms are 20,000 messages/s for one queue on another continent. */
const MAX_DEPTH = 64;
const FIRST_GUESS_BYTES = 512;
/** What a broker gives at most for one pull, unless a single message is larger or it is configured otherwise. */
const UNKNOWN_ANSWER_BYTES = 256 * 1024;

/** The next pull. */
export interface PullPlan {
  /** Its range has no end: it takes what there is. */
  readonly open: boolean;
  readonly ask: number;
  /** What the answer will take. */
  readonly bytes: number;
}

/**
 * Learns how a queue is read best: how many messages to ask for in one pull, how many bytes they will take, and how many pulls to keep
 * under way.
 *
 * Pulls overlap only when each asks for what the broker will really give: ask for more and the rest of the range needs a second round
 * trip, ask for less and a broker that was configured to give 1000 is wasted. So ranges are of the length that was given last, and a
 * few pulls probe for more.
 */
export class PullPace {
  #stride = USUAL_STRIDE;
  #bytesPerMessage = FIRST_GUESS_BYTES;
  #pulls = 0;
  #depth = MIN_DEPTH;
  #bestMillis = Number.POSITIVE_INFINITY;
  #lastMillis = 0;
  #answersSinceChange = 0;

  /** How many ranges may be under way or waiting to be taken. */
  get depth(): number {
    return this.#depth;
  }

  /** What to ask for next, where `backlog` messages are known to follow; `undefined` = neither their number nor their size is known yet. */
  plan(backlog: number | undefined): PullPlan {
    if (backlog === undefined) return { open: true, ask: this.#askOpen(), bytes: UNKNOWN_ANSWER_BYTES };
    // At the end a pull may be held for long; it must not keep bytes from lanes that have something to read.
    if (backlog <= 0) return { open: true, ask: this.#askOpen(), bytes: this.estimateBytes(1) };
    const ask = Math.min(this.#ask(), backlog);
    return { open: false, ask, bytes: this.estimateBytes(ask) };
  }

  #ask(): number {
    const stretch = ++this.#pulls % STRETCH_EVERY === 0 ? STRETCH_FACTOR : 1;
    const fitting = Math.max(1, Math.floor(MAX_ANSWER_BYTES / this.#bytesPerMessage));
    return Math.min(this.#stride * stretch, fitting, MAX_ASK);
  }

  /** A pull of open range waits for nothing, so it may try for more than was given so far. */
  #askOpen(): number {
    return Math.min(MAX_ASK, Math.max(this.#stride * STRETCH_FACTOR, USUAL_STRIDE));
  }

  /** The bytes that so many messages will take, as far as is known. */
  estimateBytes(messages: number): number {
    return Math.ceil(messages * this.#bytesPerMessage);
  }

  /** `limited`: the broker gave fewer than asked although it has more. `millis` is undefined for a pull that the broker held. */
  answered(asked: number, messages: number, bytes: number, limited: boolean, millis: number | undefined): void {
    if (messages > 0) this.#bytesPerMessage += (bytes / messages - this.#bytesPerMessage) / 4;
    if (messages > this.#stride) this.#stride = Math.min(messages, MAX_ASK);
    else if (limited && asked <= this.#stride) this.#stride = Math.max(messages, this.#stride >> 1, 1);
    if (millis === undefined) return;
    this.#answersSinceChange++;
    this.#lastMillis = millis;
    this.#bestMillis = Math.min(this.#bestMillis * 1.001, millis);
  }

  /** An answer was larger than a frame may be: start again with single messages. */
  tooLarge(): void {
    this.#stride = 1;
    this.#bytesPerMessage = MAX_ANSWER_BYTES;
  }

  /**
   * The reader waits although as many pulls as allowed are under way. More of them help only while the way is long; when answers take
   * longer than they need to, the broker is busy and more pulls would only queue there.
   */
  starved(): void {
    if (this.#answersSinceChange < this.#depth || this.#lastMillis > this.#bestMillis * 2 + 1) return;
    this.#answersSinceChange = 0;
    this.#depth = Math.min(MAX_DEPTH, Math.ceil(this.#depth * 1.5));
  }

  /** Most ranges are answered and wait to be taken: fewer would do. */
  sated(): void {
    if (this.#answersSinceChange < this.#depth) return;
    this.#answersSinceChange = 0;
    this.#depth = Math.max(MIN_DEPTH, this.#depth - 1);
  }
}
