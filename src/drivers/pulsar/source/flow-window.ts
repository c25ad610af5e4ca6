import type { ByteBudget } from '../../../lib/byte-budget.ts';

/** What a lane reads ahead at most. */
const LANE_BYTES = 4 * 1024 * 1024;
/** The share of the whole budget that one lane may take. */
const LANE_SHARE = 4;
const MAX_ENTRIES = 1000;
/** Entries of which the broker's rounds of 100 stay small: here permits may count messages, and overshoot. */
const SMALL_ENTRY_BYTES = 8 * 1024;
/** How fast the averages follow. */
const WEIGHT = 0.1;

/**
 * How much a broker may send for a lane, in bytes, over a protocol that counts messages.
 *
 * A broker with `p` permits reads up to `p` entries (100 at most, 5 MB at most) and sends them all, whatever they hold: permits fall below zero. So for large entries no more
 * permits are given than there is room for *entries*: then it never sends more than fits. For small ones permits count messages, because giving them one by one would stop the
 * lane at each round trip; the overshoot of a round is small then.
 */
export class FlowWindow {
  readonly #budget: ByteBudget;
  readonly #laneBytes: number;
  /** Bytes that are here: frames, and batches that are handed out. */
  #heldBytes = 0;
  /** Bytes charged for what may still come. */
  #expectedBytes = 0;
  /** Messages that the broker may still send, by our count; below zero after an overshoot. */
  #permits = 0;
  /** Entries that may still come. */
  #coming = 0;
  #entryBytes = 0;
  #entryMessages = 1;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
    this.#laneBytes = Math.min(LANE_BYTES, Math.max(1, Math.floor(budget.limitBytes / LANE_SHARE)));
  }

  get empty(): boolean {
    return this.#heldBytes === 0;
  }

  /** Whether the broker has no permits, although more entries were granted than came: they are on their way, or there were none. */
  get unsure(): boolean {
    return this.#permits <= 0 && this.#coming > 0;
  }

  /** Whether the broker may send something now. */
  get granted(): boolean {
    return this.#permits > 0;
  }

  /** An entry came. Whoever lets go of it calls `release` with the same bytes. */
  arrived(bytes: number, messages: number): void {
    this.#permits -= messages;
    this.#coming = this.#small ? Math.max(0, Math.ceil(this.#permits / this.#entryMessages)) : Math.max(0, this.#coming - 1);
    this.#entryBytes = this.#entryBytes === 0 ? bytes : this.#entryBytes + (bytes - this.#entryBytes) * WEIGHT;
    this.#entryMessages = this.#entryMessages + (messages - this.#entryMessages) * WEIGHT;
    this.hold(bytes);
    const expected = Math.min(this.#expectedBytes, Math.ceil(this.#coming * this.#entryBytes));
    this.#discharge(this.#expectedBytes - expected);
  }

  /** Charges bytes that are held besides what came. */
  hold(bytes: number): void {
    this.#budget.tryTake(bytes, true);
    this.#heldBytes += bytes;
  }

  release(bytes: number): void {
    this.#heldBytes -= bytes;
    this.#budget.give(bytes);
  }

  /** Nothing that was granted comes any more: the subscription ended, or the broker had no more to send. */
  reset(permits = 0): void {
    this.#permits = permits;
    this.#coming = 0;
    this.#discharge(this.#expectedBytes);
  }

  /** Nothing came although entries were granted: they were counted too high. */
  settle(): void {
    this.reset(Math.min(0, this.#permits));
  }

  /** The permits to be given to the broker now; 0 for none. */
  grant(): number {
    const room = this.#laneBytes - this.#heldBytes - this.#expectedBytes;
    const average = Math.max(1, this.#entryBytes);
    const most = this.#entryBytes === 0 ? 1 : Math.max(1, Math.min(MAX_ENTRIES, Math.floor(this.#laneBytes / average)));
    const alone = this.#heldBytes === 0 && this.#expectedBytes === 0;
    let entries = Math.min(most - this.#coming, Math.floor(room / average));
    if (entries < 1 && alone) entries = 1;
    // In large steps only: each one costs a command.
    if (entries < 1 || (this.#permits > 0 && entries * 2 < most)) return 0;
    while (!this.#budget.tryTake(Math.ceil(entries * average), alone && entries === 1)) {
      if (entries === 1) return 0;
      entries = Math.ceil(entries / 4);
    }
    this.#expectedBytes += Math.ceil(entries * average);
    this.#coming += entries;
    const messages = this.#small ? Math.ceil(entries * this.#entryMessages) : entries;
    const permits = messages - Math.min(0, this.#permits);
    this.#permits += permits;
    return permits;
  }

  get #small(): boolean {
    return this.#entryBytes <= SMALL_ENTRY_BYTES;
  }

  #discharge(bytes: number): void {
    if (bytes <= 0) return;
    this.#expectedBytes -= bytes;
    this.#budget.give(bytes);
  }
}
