/**
 * A bound on bytes held, shared by many holders.
 *
 * `tryTake` may be told that its holder has nothing yet: the first piece of a holder is always granted, so that one busy
 * lane can never starve another (the bound is then exceeded by at most one piece per holder).
 */
export class ByteBudget {
  readonly limitBytes: number;
  #usedBytes = 0;
  readonly #waiting: (() => void)[] = [];

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
    // One by one: when the first who is woken finds no room, hundreds behind him would not either.
    for (let left = this.#waiting.length; left > 0 && this.#usedBytes < this.limitBytes; left--) {
      const before = this.#waiting.length;
      this.#waiting.shift()?.();
      if (this.#waiting.length === before) return;
    }
  }

  /** Calls `wake` once when bytes may be free again; ask `tryTake` then, and come back (to the end of the line) when there is no room. */
  whenFree(wake: () => void): void {
    this.#waiting.push(wake);
  }
}
