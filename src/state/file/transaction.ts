import type { DatabaseSync } from 'node:sqlite';

/** Runs work wholly or not at all. */
export function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    // SQLite itself has rolled back already after some errors (a full disk, an I/O error).
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

/** A commit that has reached the disk when this returns. */
export function durably(db: DatabaseSync, work: () => unknown): void {
  db.exec('PRAGMA synchronous = FULL');
  try {
    transaction(db, work);
  } finally {
    db.exec('PRAGMA synchronous = NORMAL');
  }
}
