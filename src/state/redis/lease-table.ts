import type { LeaseTable, RowChange } from '../leases.ts';
import type { RedisConnection } from './connection.ts';
import { SWAP_LEASES } from './scripts.ts';

/** Rows per command: they travel together all the same, and no command holds Redis up. */
const ROWS_PER_COMMAND = 1_000;

/** Leases as one hash. */
export function leaseTable(connection: RedisConnection, key: string): LeaseTable {
  const swapSome = async (newBirth: string, birth: string, changes: readonly RowChange[]): Promise<string[]> => {
    const rows = changes.flatMap(({ name, expected, next }) => [name, expected, next]);
    const answer = await connection.call('asking for leases', (redis) =>
      redis.call('EVAL', [SWAP_LEASES, 1, key, newBirth, birth, ...rows]),
    );
    return Array.isArray(answer) ? answer.map(String) : [];
  };
  return {
    async swap(newBirth, birth, changes) {
      const commands: Promise<string[]>[] = [];
      for (let from = 0; from < changes.length; from += ROWS_PER_COMMAND) {
        commands.push(swapSome(newBirth, birth, changes.slice(from, from + ROWS_PER_COMMAND)));
      }
      const answers = await Promise.all(commands);
      const births = new Set(answers.map(([first]) => first ?? ''));
      // A table that was emptied between two commands is another one than we know, and waited for.
      return { birth: births.size === 1 ? [...births].join('') : '', rows: answers.flatMap(([, ...rows]) => rows) };
    },
  };
}
