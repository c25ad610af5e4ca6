import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Position } from '../../model/position.ts';
import type { IndexEntry } from '../../spi/state-store.ts';
import { damaged } from '../documents.ts';
import { type Chunk, decodeChunks, encodeChunks } from '../index-codec.ts';
import { SEGMENT_BYTES, SEGMENTS_PER_LANE, selectEntries, sortKey } from '../segments.ts';

const LANE = 'mirror = ? AND lane = ?';

/** Segments dropped at a time: to find the lowest ones means to walk along all of them. */
const TRIM_STEP = 512;

/** The position index of all lanes as SQLite rows, one per segment (see segments.ts). */
export class FileIndex {
  readonly #floor: StatementSync;
  readonly #extend: StatementSync;
  readonly #insert: StatementSync;
  readonly #next: StatementSync;
  readonly #raise: StatementSync;
  readonly #count: StatementSync;
  readonly #trim: StatementSync;
  readonly #backward: StatementSync;
  readonly #forward: StatementSync;
  /** How many segments each written lane has, or a few more: nobody else writes the file. */
  readonly #counts = new Map<string, number>();

  constructor(db: DatabaseSync) {
    this.#floor = db.prepare(
      `SELECT id, reach, chunks FROM segment WHERE ${LANE} AND first <= ? ORDER BY first DESC, reach DESC LIMIT 1`,
    );
    this.#extend = db.prepare('UPDATE segment SET reach = ?, chunks = ? WHERE id = ?');
    this.#insert = db.prepare('INSERT INTO segment (mirror, lane, first, reach, chunks) VALUES (?, ?, ?, ?, ?)');
    this.#next = db.prepare(`SELECT reach FROM segment WHERE ${LANE} AND first > ? ORDER BY first, reach LIMIT 1`);
    this.#raise = db.prepare(`UPDATE segment SET reach = ? WHERE ${LANE} AND first > ? AND reach < ?`);
    this.#count = db.prepare(`SELECT count(*) AS n FROM segment WHERE ${LANE}`);
    this.#trim = db.prepare(
      `DELETE FROM segment WHERE id IN (SELECT id FROM segment WHERE ${LANE} ORDER BY first DESC, reach DESC LIMIT -1 OFFSET ${SEGMENTS_PER_LANE})`,
    );
    this.#backward = db.prepare(
      `SELECT first, reach, chunks FROM segment WHERE ${LANE} AND first <= ? ORDER BY first DESC, reach DESC`,
    );
    this.#forward = db.prepare(
      `SELECT first, chunks FROM segment WHERE ${LANE} AND first > ? AND first <= ? ORDER BY first, reach`,
    );
  }

  /** Call it inside a transaction. */
  append(mirror: string, lane: string, entries: readonly IndexEntry[]): void {
    for (const chunk of encodeChunks(entries)) this.#appendChunk(mirror, lane, chunk);
  }

  read(mirror: string, lane: string, from: Position, to: Position, limit: number): IndexEntry[] {
    const start = sortKey(from);
    const parts: Uint8Array[] = [];
    let floor: Uint8Array | undefined;
    for (const row of this.#backward.iterate(mirror, lane, start)) {
      if (floor !== undefined && Buffer.compare(blob(row['reach']), floor) < 0) break;
      floor ??= blob(row['first']);
      parts.unshift(blob(row['chunks']));
    }
    const places = new Set<string>();
    for (const row of this.#forward.iterate(mirror, lane, start, sortKey(to))) {
      parts.push(blob(row['chunks']));
      if (places.add(String(blob(row['first']))).size >= limit) break;
    }
    return selectEntries(decodeChunks(Buffer.concat(parts), `the position index of lane ${lane}`), from, to, limit);
  }

  #appendChunk(mirror: string, lane: string, chunk: Chunk): void {
    const first = sortKey(chunk.first);
    const last = sortKey(chunk.last);
    const floor = this.#floor.get(mirror, lane, first);
    const floorReach = floor === undefined ? last : blob(floor['reach']);
    const reach = Buffer.compare(floorReach, last) > 0 ? floorReach : last;
    const chunks = floor === undefined ? undefined : blob(floor['chunks']);
    if (floor !== undefined && chunks !== undefined && chunks.length + chunk.bytes.length <= SEGMENT_BYTES) {
      this.#extend.run(reach, Buffer.concat([chunks, chunk.bytes]), Number(floor['id']));
    } else {
      this.#insert.run(mirror, lane, first, reach, chunk.bytes);
      this.#limit(mirror, lane);
    }
    // Reaches ascend, so the next segment speaks for all: to raise them would otherwise walk along every later one.
    const next = this.#next.get(mirror, lane, first);
    if (next !== undefined && Buffer.compare(blob(next['reach']), last) < 0) this.#raise.run(last, mirror, lane, first, last);
  }

  #limit(mirror: string, lane: string): void {
    const name = `${mirror} ${lane}`;
    const known = this.#counts.get(name);
    const count = known === undefined ? Number(this.#count.get(mirror, lane)?.['n']) : known + 1;
    if (count < SEGMENTS_PER_LANE + TRIM_STEP) {
      this.#counts.set(name, count);
      return;
    }
    this.#trim.run(mirror, lane);
    // Counted afresh next time: a rolled back call or a forgotten mirror makes the number too high.
    this.#counts.delete(name);
  }
}

function blob(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw damaged('the position index');
  return value;
}
