import { toIsthmusError } from '../errors.ts';
import { within } from '../lib/abort.ts';
import type { Clock } from '../spi/clock.ts';
import type { Log } from '../spi/log.ts';

/** Time for a reader, a writer or a request to end when its lane does; whoever hangs is left behind. */
export const LEAVE_MILLIS = 1_000;

/** Waits a little for something that ends, and never rejects: what fails or hangs must not keep the rest from being closed. */
export async function leave(ending: Promise<void>, clock: Clock, log: Log): Promise<void> {
  try {
    if (!(await within(ending, clock, LEAVE_MILLIS))) log.warn('left-behind', { afterMillis: LEAVE_MILLIS });
  } catch (error) {
    log.warn('closing-failed', { detail: toIsthmusError(error).message });
  }
}
