import type { Identity } from './message/decode.ts';

const KEPT = 32;

/**
 * What the last batches of a queue ended with. After an interruption the newest is read again: a broker that lost its tail in a failover
 * gives the same offsets to other messages, and nothing else would tell.
 */
export class History {
  readonly #ring: Identity[] = [];

  remember(identity: Identity): void {
    if (this.#ring.length === KEPT) this.#ring.shift();
    this.#ring.push(identity);
  }

  /** The identity at `offset`, when it is the newest one. */
  newestAt(offset: number): Identity | undefined {
    const newest = this.#ring.at(-1);
    return newest?.offset === offset ? newest : undefined;
  }

  /** Newest first. */
  entries(): readonly Identity[] {
    return this.#ring.toReversed();
  }
}

/** Whether two readings of one offset are the same stored message: replicas hold it byte for byte. */
export function sameMessage(a: Identity, b: Identity): boolean {
  return a.storeTime === b.storeTime && a.commitLogOffset === b.commitLogOffset;
}
