import type { Clock } from '../../src/spi/clock.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  readonly owner: Owner;
}

interface Owner {
  alive: boolean;
  /** Nothing of it runs before. */
  frozenUntil: number;
}

/** A clock of one process: it can be made to stand still, for a while or for ever, which is what kill -9 does to a process. */
export interface ProcessClock extends Clock {
  kill(): void;
  /** Nothing runs for so long; then all that is due does. */
  freeze(millis: number): void;
  /** Moves the time of day. */
  step(millis: number): void;
}

const EPOCH = 1_760_000_000_000;

/** Time that passes only when it is told to, one timer after the other: a minute takes as long as its work. */
export class VirtualTime {
  #millis = 0;
  #order = 0;
  /** A heap, the next timer first. */
  readonly #timers: Timer[] = [];

  get millis(): number {
    return this.#millis;
  }

  clock(): ProcessClock {
    const owner: Owner = { alive: true, frozenUntil: 0 };
    let stepped = 0;
    const timer = (millis: number, run: () => void): (() => void) => {
      let wanted = true;
      this.#push({ at: this.#millis + Math.max(0, millis), order: this.#order++, run: () => wanted && run(), owner });
      return () => {
        wanted = false;
      };
    };
    return {
      now: () => EPOCH + Math.floor(this.#millis + stepped),
      monotonic: () => this.#millis,
      timer,
      sleep: (millis, signal) =>
        new Promise((resolve) => {
          if (signal?.aborted) return resolve();
          const done = (): void => {
            cancel();
            signal?.removeEventListener('abort', done);
            resolve();
          };
          const cancel = timer(millis, done);
          signal?.addEventListener('abort', done, { once: true });
        }),
      kill: () => {
        owner.alive = false;
      },
      freeze: (millis) => {
        owner.frozenUntil = this.#millis + millis;
      },
      step: (millis) => {
        stepped += millis;
      },
    };
  }

  /** Runs what is due, and whatever follows from it, for so long; `watch` is called after every step. */
  async pass(millis: number, watch?: () => void): Promise<void> {
    const end = this.#millis + millis;
    await settle();
    for (let next = this.#timers[0]; next !== undefined && next.at <= end; next = this.#timers[0]) {
      this.#pop();
      if (!next.owner.alive) continue;
      if (next.owner.frozenUntil > Math.max(this.#millis, next.at)) {
        // In the order in which they are due, as an event loop runs them.
        this.#push({ ...next, at: next.owner.frozenUntil + next.at * 1e-9 });
        continue;
      }
      this.#millis = Math.max(this.#millis, next.at);
      next.run();
      await settle();
      watch?.();
    }
    this.#millis = end;
  }

  #push(timer: Timer): void {
    const heap = this.#timers;
    let at = heap.push(timer) - 1;
    for (;;) {
      const above = (at - 1) >> 1;
      const other = heap[above];
      if (at === 0 || other === undefined || !isBefore(timer, other)) break;
      heap[at] = other;
      at = above;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#timers;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      const [left, right] = [heap[below], heap[below + 1]];
      if (left === undefined) break;
      if (right !== undefined && isBefore(right, left)) below++;
      const other = heap[below];
      if (other === undefined || !isBefore(other, last)) break;
      heap[at] = other;
      at = below;
    }
    heap[at] = last;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** All promises that can go on have gone on: a macrotask comes after every microtask. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
