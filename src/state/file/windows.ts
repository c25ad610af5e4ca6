import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { DedupWindows } from '../../spi/dedup-window.ts';
import { newGeneration, type StateDeps } from '../deps.ts';
import { damaged } from '../documents.ts';
import { type CellStore, type Generation, LocalWindow, newFacts, type WindowFacts } from '../windows/local-window.ts';
import { localWindows } from '../windows/local-windows.ts';
import { type Call, textOf } from './lists.ts';
import { transaction } from './transaction.ts';

/** Cells deleted per call: a generation of millions would otherwise hold everything up for seconds. */
const DELETE_STEP = 2_000;

interface OpenWindow {
  readonly id: number;
  readonly window: LocalWindow;
  /** As the file has it. */
  kept: string;
}

/** Dedup windows as rows, one per cell. Facts are kept with the cells they speak of, in one transaction. */
export function fileWindows(db: DatabaseSync, run: Call, deps: StateDeps): DedupWindows {
  const load = db.prepare('SELECT id, document FROM dedup_window WHERE name = ?');
  const insert = db.prepare('INSERT INTO dedup_window (name, document) VALUES (?, ?)');
  const update = db.prepare('UPDATE dedup_window SET document = ? WHERE id = ?');
  const forgetCells = db.prepare('DELETE FROM dedup_cell WHERE dedup_window = ?');
  const forgetWindow = db.prepare('DELETE FROM dedup_window WHERE id = ?');
  const cells = cellStatements(db);
  const open = new Map<string, OpenWindow>();

  const openWindow = (name: string, now: number): LocalWindow => {
    const known = open.get(name);
    if (known !== undefined) return known.window;
    const row = load.get(name);
    const facts = row === undefined ? newFacts(newGeneration(deps.random), now) : parseFacts(name, textOf(row['document']));
    const kept = JSON.stringify(facts);
    const id = Number(row === undefined ? insert.run(name, kept).lastInsertRowid : row['id']);
    const window = new LocalWindow(facts, new FileCells(id, cells), now);
    open.set(name, { id, window, kept });
    return window;
  };
  const keepFacts = (name: string): string => {
    const opened = open.get(name);
    const document = JSON.stringify(opened?.window.facts);
    if (opened !== undefined && document !== opened.kept) update.run(document, opened.id);
    return document;
  };
  return localWindows(
    {
      get: openWindow,
      change: (doing, name, work) =>
        run(doing, () => {
          const before = open.get(name);
          try {
            const [report, kept] = transaction(db, () => [work(), keepFacts(name)] as const);
            const opened = open.get(name);
            if (opened !== undefined) opened.kept = kept;
            return report;
          } catch (error) {
            if (before === undefined) open.delete(name);
            else before.window.restore(parseFacts(name, before.kept));
            throw error;
          }
        }),
      forget: (name) =>
        run('forgetting a window', () => {
          const row = load.get(name);
          if (row === undefined) return;
          transaction(db, () => {
            forgetCells.run(Number(row['id']));
            forgetWindow.run(Number(row['id']));
          });
          open.delete(name);
        }),
    },
    deps.clock,
  );
}

type CellStatements = Readonly<Record<'get' | 'set' | 'drop', StatementSync>>;

function cellStatements(db: DatabaseSync): CellStatements {
  const cell = 'dedup_window = ? AND generation = ? AND name = ?';
  return {
    get: db.prepare(`SELECT bits FROM dedup_cell WHERE ${cell}`),
    set: db.prepare('INSERT OR REPLACE INTO dedup_cell (dedup_window, generation, name, bits) VALUES (?, ?, ?, ?)'),
    drop: db.prepare(
      `DELETE FROM dedup_cell WHERE (dedup_window, generation, name) IN (
         SELECT dedup_window, generation, name FROM dedup_cell WHERE dedup_window = ? AND generation < ? LIMIT ${DELETE_STEP})`,
    ),
  };
}

class FileCells implements CellStore {
  readonly #window: number;
  readonly #statements: CellStatements;
  /** Before which generation nothing is left. */
  #dropped = 0;

  constructor(window: number, statements: CellStatements) {
    this.#window = window;
    this.#statements = statements;
  }

  get(generation: number, name: Buffer): Uint8Array | undefined {
    const bits = this.#statements.get.get(this.#window, generation, name)?.['bits'];
    if (bits !== undefined && !(bits instanceof Uint8Array)) throw damaged('a dedup window');
    return bits;
  }

  set(generation: number, name: Buffer, bits: Uint8Array): void {
    this.#statements.set.run(this.#window, generation, name, bits);
  }

  dropBefore(generation: number): void {
    if (this.#dropped >= generation) return;
    const { changes } = this.#statements.drop.run(this.#window, generation);
    if (Number(changes) < DELETE_STEP) this.#dropped = generation;
  }
}

function parseFacts(name: string, text: string): WindowFacts {
  const fail = (cause?: unknown): Error => damaged(`the dedup window of ${name}`, cause);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw fail(error);
  }
  if (typeof value !== 'object' || value === null || !('birth' in value) || !('since' in value) || !('generations' in value))
    throw fail();
  const { birth, since, generations } = value;
  if (typeof birth !== 'string' || typeof since !== 'number' || !Array.isArray(generations) || !generations.every(isGeneration))
    throw fail();
  return { birth, since, generations };
}

function isGeneration(value: unknown): value is Generation {
  if (typeof value !== 'object' || value === null || !('number' in value) || !('openedAt' in value) || !('ids' in value))
    return false;
  return [value.number, value.openedAt, value.ids].every((each) => typeof each === 'number');
}
