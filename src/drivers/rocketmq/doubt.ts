import type { GapReason } from '../../spi/source.ts';

/** Indexes of a broker run behind its log under load, so what looks lost may only be late. */
const DOUBT_MILLIS = 10_000;

/** A suspicion that records are gone: it counts when it has been repeated for ten seconds and nothing spoke against it. */
export class Doubt {
  #reason: GapReason | undefined;
  #since = 0;

  /** Notes what was seen at `now` (monotonic milliseconds); true when it counts. */
  confirmed(reason: GapReason, now: number): boolean {
    if (this.#reason !== reason) {
      this.#reason = reason;
      this.#since = now;
    }
    return now - this.#since >= DOUBT_MILLIS;
  }

  clear(): void {
    this.#reason = undefined;
  }
}
