import type { Clock } from '../../spi/clock.ts';

/** Work at a time; then whoever else has something to do gets his turn. */
const SLICE_MILLIS = 4;
const MIN_REST_MILLIS = 1;
const MAX_REST_MILLIS = 40;

/**
 * Keeps comparing from getting in the way of mirroring: after each slice of work it rests, as long as it has worked where others are waiting, and for a moment
 * otherwise.
 */
export class Pace {
  readonly #clock: Clock;
  readonly #busy: () => boolean;
  #since: number;

  /** `busy`: whether lanes are behind, so that they need the processor. */
  constructor(clock: Clock, busy: () => boolean) {
    this.#clock = clock;
    this.#busy = busy;
    this.#since = clock.monotonic();
  }

  async pause(): Promise<void> {
    const worked = this.#clock.monotonic() - this.#since;
    if (worked < SLICE_MILLIS) return;
    await this.#clock.sleep(this.#busy() ? Math.min(worked, MAX_REST_MILLIS) : MIN_REST_MILLIS);
    this.rested();
  }

  /** Time was spent waiting, in which others had their turn. */
  rested(): void {
    this.#since = this.#clock.monotonic();
  }
}
