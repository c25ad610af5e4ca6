import { IsthmusError } from '../../errors.ts';
import type { Clock } from '../../spi/clock.ts';

/** How bad the way to a fake cluster is at the moment. Chances lie in [0, 1]. */
export interface Faults {
  /** Requests that never arrive. */
  readonly lostRequests: number;
  /** Requests that take effect and whose answer is lost: the caller is told that they failed. */
  readonly lostReplies: number;
  /** Sent entries at which the connection breaks: what was sent before may or may not be stored. */
  readonly brokenSends: number;
  /** Broken connections after which a writer gives up instead of looking at the tail and sending again. */
  readonly writersGiveUp: number;
  /** Whether the target refuses records that ask for it (see `REFUSED_BODY`). */
  readonly refusals: boolean;
  /** Longest time that a message is on its way, one direction. */
  readonly maxDelayMillis: number;
}

export const NO_FAULTS: Faults = {
  lostRequests: 0,
  lostReplies: 0,
  brokenSends: 0,
  writersGiveUp: 0,
  refusals: false,
  maxDelayMillis: 3,
};

/**
 * One process's way to a fake cluster. Delays and faults come from `random`, so that a run can be repeated by its seed;
 * waiting is done by the process's own clock: a clock that stands still is a killed process.
 */
export class MemoryNetwork {
  readonly clock: Clock;
  readonly random: () => number;
  readonly #faults: () => Faults;

  constructor(clock: Clock, random: () => number, faults: () => Faults) {
    this.clock = clock;
    this.random = random;
    this.#faults = faults;
  }

  get faults(): Faults {
    return this.#faults();
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  /** A whole number in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  pick<T>(choices: readonly [T, ...T[]]): T {
    return choices[this.below(choices.length)] ?? choices[0];
  }

  delayMillis(): number {
    return this.random() * this.faults.maxDelayMillis;
  }

  /** Has an effect at the cluster after some time, and its result after some more. Rejects with CONNECTION_LOST, also when only the answer was lost. */
  async request<T>(doing: string, effect: () => T): Promise<T> {
    await this.clock.sleep(this.delayMillis());
    if (this.chance(this.faults.lostRequests)) throw new IsthmusError('CONNECTION_LOST', `${doing}: the connection was lost`);
    const result = effect();
    await this.clock.sleep(this.delayMillis());
    if (this.chance(this.faults.lostReplies)) throw new IsthmusError('CONNECTION_LOST', `${doing}: the answer was lost`);
    return result;
  }
}
