import type { Clock } from '../../../spi/clock.ts';

const SEND_TIMEOUT_MILLIS = 30_000;

/**
 * Notices that no receipt comes. A broker in the middle of a bundle transfer swallows SENDs without any answer, so silence is all there is to notice.
 * One timer for a writer, not one for each entry.
 */
export class SendWatch {
  readonly #clock: Clock;
  readonly #oldestSentAt: () => number | undefined;
  readonly #onLate: (waitedMillis: number) => void;
  #cancel: (() => void) | undefined;

  /** `oldestSentAt` gives monotonic milliseconds, `undefined` while nothing is on its way. */
  constructor(clock: Clock, oldestSentAt: () => number | undefined, onLate: (waitedMillis: number) => void) {
    this.#clock = clock;
    this.#oldestSentAt = oldestSentAt;
    this.#onLate = onLate;
  }

  /** To be called when something was sent. */
  arm(): void {
    const sentAt = this.#oldestSentAt();
    if (this.#cancel !== undefined || sentAt === undefined) return;
    this.#cancel = this.#clock.timer(Math.max(1, sentAt + SEND_TIMEOUT_MILLIS - this.#clock.monotonic()), () => {
      this.#cancel = undefined;
      const oldest = this.#oldestSentAt();
      if (oldest !== undefined && this.#clock.monotonic() - oldest >= SEND_TIMEOUT_MILLIS) this.#onLate(SEND_TIMEOUT_MILLIS);
      this.arm();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
