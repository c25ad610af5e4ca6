/** A lock between processes that the system itself releases when its holder dies, however it dies. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';

const sqliteBusy = 5;

/**
 * Runs `work` while no other process holds the lock of that file. `onWait` is called once if somebody else has it.
 * Throws after `limitMs` of waiting.
 */
export async function withLock<T>(file: string, limitMs: number, onWait: () => void, work: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(file), { recursive: true });
  // SQLite's exclusive transaction is a lock of the file system; a lock file of our own would outlive a killed holder.
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    const deadline = performance.now() + limitMs;
    let waited = false;
    while (!begin(database)) {
      if (!waited) onWait();
      waited = true;
      if (performance.now() > deadline) throw new Error(`another process has held ${file} for ${limitMs / 1000} s`);
      await sleep(200);
    }
    return await work();
  } finally {
    database.close();
  }
}

function begin(database: DatabaseSync): boolean {
  try {
    database.exec('BEGIN EXCLUSIVE');
    return true;
  } catch (error) {
    if (error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy) return false;
    throw error;
  }
}
