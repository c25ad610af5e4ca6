/**
 * A bound on bytes held, shared by many holders.
 *
 * `tryTake` may be told that its holder has nothing yet: the first piece of a holder is always granted, so that one busy
 * lane can never starve another (the bound is then exceeded by at most one piece per holder).
 */
export class ByteBudget {
  readonly limitBytes: number;
  #usedBytes = 0;
  #waiting: (() => void)[] = [];

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  tryTake(bytes: number, first: boolean): boolean {
    if (!first && this.#usedBytes + bytes > this.limitBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes;
    if (this.#usedBytes < 0) throw new Error('byte budget: more was given back than was taken');
    if (this.#waiting.length === 0 || this.#usedBytes >= this.limitBytes) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** Calls `wake` once when bytes may be free again; ask `tryTake` then. */
  whenFree(wake: () => void): void {
    this.#waiting.push(wake);
  }
}
