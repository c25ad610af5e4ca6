import { toIsthmusError } from '../../errors.ts';

/**
 * Lets so many tasks run at a time; the others wait for their turn. A command that Redis has not begun counts against its time limit already: hundreds of lanes that asked at once would all be told
 * that Redis is away, while it works off what they have given up. When a task fails
 * because the store is away, those that wait fail with it, instead of finding out one after another.
 */
export class Turns {
  #free: number;
  #waiting: PromiseWithResolvers<void>[] = [];

  constructor(atATime: number) {
    this.#free = atATime;
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else {
      const turn = Promise.withResolvers<void>();
      this.#waiting.push(turn);
      await turn.promise;
    }
    try {
      return await task();
    } catch (error) {
      if (toIsthmusError(error).code === 'STATE_UNAVAILABLE') {
        for (const turn of this.#waiting.splice(0)) turn.reject(error);
      }
      throw error;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next.resolve();
    }
  }
}
