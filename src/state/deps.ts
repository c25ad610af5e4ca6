import type { Clock } from '../spi/clock.ts';
import type { Log } from '../spi/log.ts';

/** What a store needs from outside. */
export interface StateDeps {
  readonly clock: Clock;
  /** Gives [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

/** The id of an empty store: 96 random bits, so that two stores never share one by chance. */
export function newGeneration(random: () => number): string {
  return [1, 2, 3]
    .map(() =>
      Math.floor(random() * 2 ** 32)
        .toString(16)
        .padStart(8, '0'),
    )
    .join('');
}
