import type { State } from '../spi/state-store.ts';
import type { StateDeps } from './deps.ts';

/** Where state is kept, as the configuration says it. */
export type StateLocation =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'redis'; readonly url: string; readonly prefix: string };

/** Opens the store of that kind; the other one's client is not even loaded. Errors: see openFileState and openRedisState. */
export async function openState(location: StateLocation, deps: StateDeps): Promise<State> {
  if (location.kind === 'file') {
    const { openFileState } = await import('./file/file-state.ts');
    return openFileState(location.path, deps);
  }
  const { openRedisState } = await import('./redis/redis-state.ts');
  return openRedisState(location.url, location.prefix, deps);
}
