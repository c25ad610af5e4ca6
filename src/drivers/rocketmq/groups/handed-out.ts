/**
 * What a POP group has surely done. Its committed offset is what was *handed out*: what its consumers have not acknowledged is nowhere to be seen until its invisible time is over, and then in
 * the group's retry topic. So the offset of so long ago counts: all before it has been acknowledged since, or lies in the retry topic.
 */
export class HandedOut {
  readonly #windowMillis: number;
  readonly #queues = new Map<string, Queue>();
  #pruneAbove = MIN_PRUNE;

  constructor(windowMillis: number) {
    this.#windowMillis = windowMillis;
  }

  /** Takes note of a group's offset in a queue at a monotonic time, milliseconds; gives the offset that counts, or in how many milliseconds there will be one. */
  note(key: string, offset: number, now: number): { readonly offset: number } | { readonly waitMillis: number } {
    const queue = this.#queues.get(key) ?? { seen: [], notedAt: now };
    this.#queues.set(key, queue);
    queue.notedAt = now;
    const { seen } = queue;
    // A group that was moved back: what it was given before that may still come again from in front of the new place.
    while (seen.length > 0 && (seen.at(-1)?.offset ?? 0) > offset) {
      const { at } = seen.pop() as Seen;
      if ((seen.at(-1)?.offset ?? -1) < offset) {
        seen.push({ offset, at });
        break;
      }
    }
    if (seen.at(-1)?.offset !== offset) seen.push({ offset, at: now });
    while (seen.length > 1 && (seen[1]?.at ?? now) <= now - this.#windowMillis) seen.shift();
    // Far more often than a group is looked at within a usual window; then every other one is enough, on the safe side.
    if (seen.length > MAX_SEEN) for (let i = seen.length - 2; i > 0; i -= 2) seen.splice(i, 1);
    if (this.#queues.size > this.#pruneAbove) this.#prune(now);
    const oldest = seen[0] ?? { offset, at: now };
    const age = now - oldest.at;
    return age >= this.#windowMillis ? { offset: oldest.offset } : { waitMillis: this.#windowMillis - age };
  }

  /** Forgets groups and queues that are gone. One that is only looked at seldom begins anew, on the safe side. */
  #prune(now: number): void {
    for (const [key, { notedAt }] of this.#queues) {
      if (notedAt < now - FORGET_AFTER_WINDOWS * this.#windowMillis) this.#queues.delete(key);
    }
    this.#pruneAbove = Math.max(MIN_PRUNE, 2 * this.#queues.size);
  }
}

/** An offset and when it was seen first, monotonic milliseconds. */
interface Seen {
  readonly offset: number;
  readonly at: number;
}

interface Queue {
  /** Ascending in both. */
  readonly seen: Seen[];
  notedAt: number;
}

const MAX_SEEN = 256;
const MIN_PRUNE = 10_000;
const FORGET_AFTER_WINDOWS = 10;
