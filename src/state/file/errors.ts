import { IsthmusError, toIsthmusError } from '../../errors.ts';
import { damaged } from '../documents.ts';
import { readHolder } from './holder.ts';

/** Primary result codes of SQLite (https://www.sqlite.org/rescode.html). */
const BUSY = 5;
const CORRUPT = 11;
const NOT_A_DATABASE = 26;
/** What somebody can mend while we go on: permissions, memory, I/O errors, a full disk, a file that cannot be opened. */
const CAN_PASS: readonly number[] = [3, 7, 8, 10, 13, 14];

/** What SQLite's error means to a caller. `doing` reads like "saving checkpoints". */
export function sqliteError(error: unknown, doing: string, path: string): IsthmusError {
  const code = resultCode(error);
  if (code === undefined || !(error instanceof Error)) return toIsthmusError(error);
  if (code === CORRUPT || code === NOT_A_DATABASE) return damaged(`the file ${path} (${error.message})`, error);
  if (code === BUSY) {
    const hint = `another process${readHolder(path)} has it open. Stop that one, give each process a file of its own, or share a Redis (\`state: redis://...\`).`;
    return new IsthmusError('STATE_UNAVAILABLE', `${doing} in the state file ${path}: ${hint}`, { cause: error });
  }
  const kind = CAN_PASS.includes(code) ? 'STATE_UNAVAILABLE' : 'INTERNAL';
  return new IsthmusError(kind, `${doing} in the state file ${path}: ${error.message}`, { cause: error });
}

/** Whether another process has the file, which can be waited for. */
export function isTaken(error: unknown): boolean {
  return error instanceof IsthmusError && resultCode(error.cause) === BUSY;
}

function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined;
  // The upper bytes of an extended code say more about the same thing.
  return error.errcode & 0xff;
}
