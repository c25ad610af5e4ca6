import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { StateStore } from '../../spi/state-store.ts';
import { damaged, formatLaneTable, mirrorText, parseLaneTable, topicText } from '../documents.ts';
import { BIRTH_NAME, type LeaseTable } from '../leases.ts';

/** Runs work on the file, and says of its errors what it was about. */
export type Call = <T>(doing: string, work: () => T) => Promise<T>;

type LaneLists = Pick<StateStore, 'loadLaneTable' | 'saveLaneTable' | 'loadTargetLanes' | 'saveTargetLanes'>;
type Row = ReturnType<StatementSync['get']>;

/** Lane tables and the lanes of targets. `write` runs work as one transaction. */
export function laneLists(db: DatabaseSync, run: Call, write: Call): LaneLists {
  const loadTable = db.prepare('SELECT document FROM lane_table WHERE mirror = ? AND topic = ?');
  const saveTable = db.prepare('INSERT OR REPLACE INTO lane_table (mirror, topic, document) VALUES (?, ?, ?)');
  const loadTarget = db.prepare('SELECT document FROM target_lanes WHERE topic = ?');
  const saveTarget = db.prepare('INSERT OR REPLACE INTO target_lanes (topic, document) VALUES (?, ?)');
  return {
    loadLaneTable: (key, topic) => run('loading a lane table', () => parseLanes(topic, loadTable.get(mirrorText(key), topic))),
    saveLaneTable: (key, topic, lanes, former) =>
      write('saving a lane table', () => {
        const mirror = mirrorText(key);
        if (!isKept(former, loadTable.get(mirror, topic))) return false;
        saveTable.run(mirror, topic, formatLaneTable(lanes));
        return true;
      }),
    loadTargetLanes: (cluster, topic) =>
      run('loading the lanes of a target', () => parseLanes(topic, loadTarget.get(topicText(cluster, topic)))),
    saveTargetLanes: (cluster, topic, lanes, former) =>
      write('saving the lanes of a target', () => {
        const name = topicText(cluster, topic);
        if (!isKept(former, loadTarget.get(name))) return false;
        saveTarget.run(name, formatLaneTable(lanes));
        return true;
      }),
  };
}

function parseLanes(topic: string, row: Row): string[] {
  return row === undefined ? [] : parseLaneTable(topic, textOf(row['document']));
}

/** Whether what is kept is what the caller believes to be kept; one that believes nothing is always right. */
function isKept(former: readonly string[] | undefined, row: Row): boolean {
  return former === undefined || (row?.['document'] ?? formatLaneTable([])) === formatLaneTable(former);
}

export function leaseTable(db: DatabaseSync, write: Call): LeaseTable {
  const load = db.prepare('SELECT document FROM lease WHERE name = ?');
  const save = db.prepare('INSERT OR REPLACE INTO lease (name, document) VALUES (?, ?)');
  const rowOf = (name: string): string => {
    const row = load.get(name);
    return row === undefined ? '' : textOf(row['document']);
  };
  return {
    swap: (newBirth, birth, changes) =>
      write('asking for leases', () => {
        if (rowOf(BIRTH_NAME) === '') save.run(BIRTH_NAME, newBirth);
        const known = rowOf(BIRTH_NAME);
        const rows = changes.map(({ name, expected, next }) => {
          const row = rowOf(name);
          if (known !== birth || next === '' || row !== expected) return row;
          save.run(name, next);
          return next;
        });
        return { birth: known, rows };
      }),
  };
}

export function textOf(value: unknown): string {
  if (typeof value !== 'string') throw damaged('a text');
  return value;
}
