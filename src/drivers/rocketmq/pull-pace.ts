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
  /** Offsets that the pull is responsible for; Infinity where it takes what there is. */
  readonly length: number;
  /** Messages to ask for, at times more than `length`, to see whether the broker would give them. */
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
    const much = Math.min(MAX_ASK, this.#stride * STRETCH_FACTOR);
    if (backlog === undefined) return { length: Number.POSITIVE_INFINITY, ask: much, bytes: UNKNOWN_ANSWER_BYTES };
    // At the end a pull may be held for long; it must not keep bytes from lanes that have something to read.
    if (backlog <= 0) return { length: Number.POSITIVE_INFINITY, ask: much, bytes: this.estimateBytes(1) };
    const fitting = Math.max(1, Math.floor(MAX_ANSWER_BYTES / this.#bytesPerMessage));
    const length = Math.min(this.#stride, fitting, backlog);
    // A longer range would need a second round trip when the broker does not give more; asking for more than the range costs nothing then.
    const stretched = ++this.#pulls % STRETCH_EVERY === 0 ? Math.min(much, fitting) : length;
    return { length, ask: Math.max(stretched, length), bytes: this.estimateBytes(length) };
  }

  /** The bytes that so many messages will take, as far as is known. */
  estimateBytes(messages: number): number {
    return Math.ceil(messages * this.#bytesPerMessage);
  }

  /**
   * `wanted` is the length that the pull was responsible for, `limited` that the broker gave less than was asked for although it has more.
   * `millis` is undefined for a pull that the broker held.
   */
  answered(wanted: number, messages: number, bytes: number, limited: boolean, millis: number | undefined): void {
    if (messages > 0) this.#bytesPerMessage += (bytes / messages - this.#bytesPerMessage) / 4;
    if (messages > this.#stride) this.#stride = Math.min(messages, MAX_ASK);
    else if (limited && messages < wanted && wanted <= this.#stride) this.#stride = Math.max(messages, this.#stride >> 1, 1);
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

  /** A range was taken so long after its answer had come: longer than a new one needs, and fewer ranges would do. */
  taken(waitedMillis: number): void {
    if (this.#answersSinceChange < this.#depth || waitedMillis <= this.#lastMillis * 2 + 1) return;
    this.#answersSinceChange = 0;
    this.#depth = Math.max(MIN_DEPTH, this.#depth - 1);
  }
}
