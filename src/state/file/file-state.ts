import { mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { IsthmusError } from '../../errors.ts';
import type { State } from '../../spi/state-store.ts';
import { newGeneration, type StateDeps } from '../deps.ts';
import { formatCheckpoint, laneText, mirrorText, parseCheckpoint, parseMirrorText } from '../documents.ts';
import { Leases } from '../leases.ts';
import { sqliteError } from './errors.ts';
import { writeHolder } from './holder.ts';
import { type Call, laneLists, leaseTable, textOf } from './lists.ts';
import { FileIndex } from './position-index.ts';
import { migrate } from './schema.ts';
import { durably, transaction } from './transaction.ts';
import { fileWindows } from './windows.ts';

/** How long SQLite waits for the file. Short, because nothing else happens meanwhile: whoever opens it tries again. */
const LOCK_WAIT_MILLIS = 100;

/**
 * State in one SQLite file, for one process. Creates the file and its folders.
 * Fails with STATE_UNAVAILABLE when the file cannot be opened or another process has it, STATE_DAMAGED when it is no state file.
 */
export function openFileState(path: string, deps: StateDeps): State {
  const file = resolve(path);
  const db = open(file);
  const statements = prepare(db);
  const index = new FileIndex(db);

  // SQLite answers at once; async functions turn what it throws into rejections.
  const run: Call = async (doing, work) => {
    if (!db.isOpen) throw new IsthmusError('CLOSED', `${doing} in the state file ${file}: it was closed`);
    try {
      return work();
    } catch (error) {
      throw sqliteError(error, doing, file);
    }
  };
  const write: Call = (doing, work) => run(doing, () => transaction(db, work));

  return {
    generation: () => run('reading the generation', () => generation(statements, deps)),
    loadRegistry: () =>
      run('loading the registry', () =>
        statements.loadRegistry
          .all()
          .map((row) => ({ key: parseMirrorText(textOf(row['mirror'])), document: textOf(row['document']) })),
      ),
    saveRegistryEntry: (entry) =>
      run('saving a mirror', () => durably(db, () => statements.saveMirror.run(mirrorText(entry.key), entry.document))),
    deleteRegistryEntry: (key) => run('deleting a mirror', () => durably(db, () => statements.deleteMirror.run(mirrorText(key)))),
    loadNote: (name) =>
      run('loading a note', () => {
        const row = statements.loadNote.get(name);
        return row === undefined ? undefined : textOf(row['document']);
      }),
    saveNote: (name, text) =>
      run('saving a note', () =>
        durably(db, () => (text === undefined ? statements.deleteNote.run(name) : statements.saveNote.run(name, text))),
      ),
    loadCheckpoints: (key) =>
      run('loading checkpoints', () =>
        statements.loadCheckpoints
          .all(mirrorText(key))
          .map((row) => parseCheckpoint(textOf(row['lane']), textOf(row['document']))),
      ),
    saveCheckpoints: (key, checkpoints) =>
      write('saving checkpoints', () => {
        const mirror = mirrorText(key);
        for (const each of checkpoints) statements.saveCheckpoint.run(mirror, laneText(each.lane), formatCheckpoint(each));
      }),
    ...laneLists(db, run, write),
    appendIndex: (key, lanes) =>
      write('writing the position index', () => {
        const mirror = mirrorText(key);
        for (const each of lanes) index.append(mirror, laneText(each.lane), each.entries);
      }),
    readIndex: (key, lane, from, to, limit) =>
      run('reading the position index', () => index.read(mirrorText(key), laneText(lane), from, to, limit)),
    forgetLane: (key, lane) =>
      write('forgetting a lane', () => statements.forgetLane.forEach((each) => each.run(mirrorText(key), laneText(lane)))),
    forgetMirror: (key) => write('forgetting a mirror', () => statements.forget.forEach((each) => each.run(mirrorText(key)))),
    leases: new Leases(leaseTable(db, write), deps),
    windows: fileWindows(db, run, deps),
    close: async () => {
      if (db.isOpen) db.close();
    },
  };
}

/**
 * WAL with synchronous NORMAL: a commit waits for no disk, and a killed process loses nothing. A power cut can take the last
 * commits with it, but never tears the file; checkpoints and index are behind the target then, which is looked at anyway.
 * What people said (the registry) has no such second home and is written `durably`.
 */
function open(file: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(file), { recursive: true });
    db = new DatabaseSync(file, { timeout: LOCK_WAIT_MILLIS });
    // The lock is the operating system's, held until the file is closed: it cannot outlive a killed process.
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
    const opened = db;
    transaction(opened, () => migrate(opened, file));
    writeHolder(file);
    return opened;
  } catch (error) {
    if (db?.isOpen) db.close();
    if (error instanceof Error && 'syscall' in error) {
      throw new IsthmusError('STATE_UNAVAILABLE', `making the state file ${file}: ${error.message}`, {
        cause: error,
      });
    }
    throw sqliteError(error, 'opening', file);
  }
}

function prepare(db: DatabaseSync): Statements {
  return {
    loadGeneration: db.prepare('SELECT id FROM generation'),
    saveGeneration: db.prepare('INSERT INTO generation (id) VALUES (?)'),
    loadRegistry: db.prepare('SELECT mirror, document FROM registry'),
    saveMirror: db.prepare('INSERT OR REPLACE INTO registry (mirror, document) VALUES (?, ?)'),
    deleteMirror: db.prepare('DELETE FROM registry WHERE mirror = ?'),
    loadNote: db.prepare('SELECT document FROM note WHERE name = ?'),
    saveNote: db.prepare('INSERT OR REPLACE INTO note (name, document) VALUES (?, ?)'),
    deleteNote: db.prepare('DELETE FROM note WHERE name = ?'),
    loadCheckpoints: db.prepare('SELECT lane, document FROM checkpoint WHERE mirror = ?'),
    saveCheckpoint: db.prepare('INSERT OR REPLACE INTO checkpoint (mirror, lane, document) VALUES (?, ?, ?)'),
    forgetLane: ['checkpoint', 'segment'].map((table) => db.prepare(`DELETE FROM ${table} WHERE mirror = ? AND lane = ?`)),
    forget: ['checkpoint', 'lane_table', 'segment'].map((table) => db.prepare(`DELETE FROM ${table} WHERE mirror = ?`)),
  };
}

interface Statements {
  readonly loadGeneration: StatementSync;
  readonly saveGeneration: StatementSync;
  readonly loadRegistry: StatementSync;
  readonly saveMirror: StatementSync;
  readonly deleteMirror: StatementSync;
  readonly loadNote: StatementSync;
  readonly saveNote: StatementSync;
  readonly deleteNote: StatementSync;
  readonly loadCheckpoints: StatementSync;
  readonly saveCheckpoint: StatementSync;
  readonly forgetLane: readonly StatementSync[];
  readonly forget: readonly StatementSync[];
}

function generation(statements: Statements, deps: StateDeps): string {
  const row = statements.loadGeneration.get();
  if (row !== undefined) return textOf(row['id']);
  const id = newGeneration(deps.random);
  statements.saveGeneration.run(id);
  return id;
}
