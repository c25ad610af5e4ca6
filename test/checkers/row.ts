/** One stored message as the checkers see it. */
export type Row = {
  /** The ordered stretch that holds it: a RocketMQ queue (`broker-a:3`) or the number of a Pulsar partition. */
  readonly lane: string;
  /** Grows along a lane. */
  readonly place: number;
  /** What tells messages apart on both sides; null where the message has none. */
  readonly id: string | null;
  /** The key whose order has to be kept; null: none. */
  readonly key: string | null;
};

/** `storeTimestamp`: milliseconds since 1970 at which the broker stored it (RocketMQ) or its producer sent it (Pulsar). */
export type StoredRow = Row & { readonly storeTimestamp: number };

/** A message as one of several consumers got it; `place` grows over all of them. */
export type ConsumedRow = Row & { readonly consumer: number };
