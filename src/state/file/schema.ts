import type { DatabaseSync } from 'node:sqlite';
import { IsthmusError } from '../../errors.ts';

/** Marks a SQLite file as ours ("ISTH"), so that another program's file is never written to. */
const APPLICATION_ID = 0x49535448;

/**
 * Step n turns a file of version n into one of version n + 1; the version is SQLite's own `user_version`. Steps are never
 * changed once released, only added. Names are JSON text (see documents.ts).
 */
const STEPS: readonly string[] = [
  `CREATE TABLE generation (id TEXT NOT NULL) STRICT;
   CREATE TABLE registry (mirror TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE checkpoint (mirror TEXT, lane TEXT, document TEXT NOT NULL, PRIMARY KEY (mirror, lane)) STRICT, WITHOUT ROWID;
   CREATE TABLE lane_table (mirror TEXT, topic TEXT, document TEXT NOT NULL, PRIMARY KEY (mirror, topic)) STRICT, WITHOUT ROWID;
   CREATE TABLE segment (
     id INTEGER PRIMARY KEY, mirror TEXT NOT NULL, lane TEXT NOT NULL, first BLOB NOT NULL, reach BLOB NOT NULL, chunks BLOB NOT NULL
   ) STRICT;
   CREATE INDEX segment_order ON segment (mirror, lane, first, reach);`,
  `CREATE TABLE target_lanes (topic TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE lease (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE dedup_window (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, document TEXT NOT NULL) STRICT;
   CREATE TABLE dedup_cell (
     dedup_window INTEGER, generation INTEGER, name BLOB, bits BLOB NOT NULL, PRIMARY KEY (dedup_window, generation, name)
   ) STRICT, WITHOUT ROWID;`,
  'CREATE TABLE note (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT, WITHOUT ROWID;',
];

/**
 * Brings the file to the newest version. Call it inside a transaction.
 * Fails with STATE_DAMAGED when the file is another program's or of a newer Isthmus.
 */
export function migrate(db: DatabaseSync, path: string): void {
  const application = pragma(db, 'application_id');
  const version = pragma(db, 'user_version');
  if (application === 0 && version === 0 && tables(db) === 0) db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
  else if (application !== APPLICATION_ID) {
    throw new IsthmusError(
      'STATE_DAMAGED',
      `opening the state file ${path}: it is the database of another program. Name another path in \`state\`.`,
    );
  }
  if (version > STEPS.length) {
    const message = `opening the state file ${path}: it is of version ${version}, made by a newer Isthmus; this one knows ${STEPS.length}. `;
    throw new IsthmusError(
      'STATE_DAMAGED',
      `${message}Run the newer Isthmus, or name another path in \`state\`: no message is lost or doubled by that.`,
    );
  }
  for (const step of STEPS.slice(version)) db.exec(step);
  db.exec(`PRAGMA user_version = ${STEPS.length}`);
}

function pragma(db: DatabaseSync, name: 'application_id' | 'user_version'): number {
  return Number(db.prepare(`PRAGMA ${name}`).get()?.[name]);
}

function tables(db: DatabaseSync): number {
  return Number(db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n']);
}
