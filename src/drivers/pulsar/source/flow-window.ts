import type { ByteBudget } from '../../../lib/byte-budget.ts';

/** What a lane reads ahead at most, and at least, whatever its share of the budget is. */
const MOST_LANE_BYTES = 4 * 1024 * 1024;
const LEAST_LANE_BYTES = 64 * 1024;
const MAX_ENTRIES = 1000;
/** What a broker reads and sends at once, whatever permits it has. */
const ROUND_ENTRIES = 100;
/** Entries of which a round stays small: nothing is kept free for it. */
const SMALL_ENTRY_BYTES = 8 * 1024;
/** How fast the averages follow. */
const WEIGHT = 0.1;

/**
 * How much a broker may send for a lane, in bytes, over a protocol that counts messages.
 *
 * A broker with `p` permits reads up to `p` entries (100 at most, 5 MB at most) and sends them all, whatever they hold: permits fall below zero. So for large entries no more
 * permits are given than there is room for *entries*: then it never sends more than fits. Where a lane's share has room for two rounds, permits count messages, because giving
 * them one by one would stop the lane at each round trip, and cost a command for each entry; room for the overshoot of a round is kept free then.
 *
 * What may still come is not charged to the budget: permits cannot be taken back, and lanes that are at their end would keep the others from reading. Instead each lane has its
 * share: when all of them are sent what they were ever granted, while nothing leaves, they hold the budget and no more.
 */
export class FlowWindow {
  readonly #budget: ByteBudget;
  readonly #lanes: () => number;
  /** Bytes that are here: frames, and batches that are handed out. */
  #heldBytes = 0;
  /** Messages that the broker may still send, by our count; below zero after an overshoot. */
  #permits = 0;
  /** Entries that may still come. */
  #coming = 0;
  #entryBytes = 0;
  #entryMessages = 1;

  /** `lanes`: how many share the budget now. */
  constructor(budget: ByteBudget, lanes: () => number) {
    this.#budget = budget;
    this.#lanes = lanes;
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
  }

  /** Nothing came although entries were granted: they were counted too high. */
  settle(): void {
    this.reset(Math.min(0, this.#permits));
  }

  /** The permits to be given to the broker now; 0 for none. */
  grant(): number {
    const { limitBytes, usedBytes } = this.#budget;
    const average = Math.max(1, this.#entryBytes);
    const laneBytes = this.#laneBytes - this.#overshootBytes;
    const atOnce = this.#small ? MAX_ENTRIES : ROUND_ENTRIES;
    const most = this.#entryBytes === 0 ? 1 : Math.max(1, Math.min(atOnce, Math.floor(laneBytes / average)));
    const room = Math.min(laneBytes - this.#heldBytes - this.#coming * average, limitBytes - usedBytes);
    let entries = Math.min(most - this.#coming, Math.floor(room / average));
    // A lane that has nothing gets one entry in any case: others must not keep it from reading.
    if (entries < 1 && this.#heldBytes === 0 && this.#coming === 0) entries = 1;
    if (entries < 1) return 0;
    // In large steps only, as long as the broker has permits: each one costs a command.
    if (this.#permits > 0 && entries * 2 < most) return 0;
    // In the middle of a round permits are of no use: it would go on with what little is there when it is above zero again, entry by entry.
    if (this.#permits <= 0 && !this.#small && this.#coming > 0) return 0;
    this.#coming += entries;
    const messages = this.#small ? Math.ceil(entries * this.#entryMessages) : entries;
    const permits = messages - Math.min(0, this.#permits);
    this.#permits += permits;
    return permits;
  }

  get #laneBytes(): number {
    return Math.min(MOST_LANE_BYTES, Math.max(LEAST_LANE_BYTES, this.#budget.limitBytes / this.#lanes()));
  }

  /** Whether permits count messages. */
  get #small(): boolean {
    return this.#entryBytes <= SMALL_ENTRY_BYTES || 2 * ROUND_ENTRIES * this.#entryBytes <= this.#laneBytes;
  }

  /** What may come beyond what is granted, where that is not small. */
  get #overshootBytes(): number {
    return this.#small && this.#entryBytes > SMALL_ENTRY_BYTES ? ROUND_ENTRIES * this.#entryBytes : 0;
  }
}
