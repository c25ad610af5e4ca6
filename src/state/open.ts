import { toIsthmusError } from '../errors.ts';
import type { State } from '../spi/state-store.ts';
import type { StateDeps } from './deps.ts';
import { isTaken } from './file/errors.ts';

/** Where state is kept, as the configuration says it. */
export type StateLocation =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'redis'; readonly url: string; readonly prefix: string };

/** How long a starting process waits for the one that has the state file: a predecessor that is stopped needs up to 10 s for its last records. */
const FILE_WAIT_MILLIS = 30_000;
const FILE_RETRY_MILLIS = 500;

/**
 * Opens the store of that kind; the other one's client is not even loaded. A file that another process has is waited for, and the log says so. Errors: see openFileState and
 * openRedisState.
 */
export async function openState(location: StateLocation, deps: StateDeps): Promise<State> {
  if (location.kind === 'file') {
    const { openFileState } = await import('./file/file-state.ts');
    return await whileTaken(() => openFileState(location.path, deps), deps);
  }
  const { openRedisState } = await import('./redis/redis-state.ts');
  return openRedisState(location.url, location.prefix, deps);
}

async function whileTaken(open: () => State, deps: StateDeps): Promise<State> {
  const { clock, log } = deps;
  const began = clock.monotonic();
  for (let told = false; ; told = true) {
    try {
      return open();
    } catch (error) {
      if (!isTaken(error) || clock.monotonic() - began >= FILE_WAIT_MILLIS) throw error;
      if (!told) log.warn('state-waits', { reason: toIsthmusError(error).message, seconds: FILE_WAIT_MILLIS / 1_000 });
      await clock.sleep(FILE_RETRY_MILLIS);
    }
  }
}
