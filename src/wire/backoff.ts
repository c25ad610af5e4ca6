/**
 * Growing waits between tries, with jitter so that many lanes do not come back in step.
 * `random` gives [0, 1); the wait lies between half and the whole of the current step.
 */
export class Backoff {
  readonly #minMillis: number;
  readonly #maxMillis: number;
  readonly #random: () => number;
  #tries = 0;

  constructor(minMillis: number, maxMillis: number, random: () => number) {
    this.#minMillis = minMillis;
    this.#maxMillis = maxMillis;
    this.#random = random;
  }

  next(): number {
    const step = Math.min(this.#maxMillis, this.#minMillis * 2 ** Math.min(this.#tries++, 30));
    return step * (0.5 + this.#random() / 2);
  }

  reset(): void {
    this.#tries = 0;
  }
}
