import { advancePosition, comparePositions, neighbourDistance, type Position } from '../model/position.ts';
import type { PositionRun } from '../model/provenance.ts';
import type { CutKind, IndexEntry } from '../spi/state-store.ts';

/** What a lane has cut because it came from the target. */
export interface CutRecords {
  /** `count` neighbours that lie in a partition of the target topic from `target` on: one behind the other, or in one of its entries. */
  onPlaced(first: Position, count: number, partition: number, target: Position, kind: CutKind): void;
  /** A record that may lie in the target topic, but nobody knows where. */
  onUnplaced(position: Position): void;
  /** Up to this record there are some that another way has brought to the target topic: their marks tell where. */
  onBrought(position: Position): void;
}

/** Beyond this an entry is closed, so that one never stands for the whole life of a lane. */
const MOST_RUNS = 64;

interface OpenEntry {
  readonly runs: PositionRun[];
  readonly partition: number;
  readonly target: Position;
  records: number;
}

/** Index entries of records that were cut, neighbours joined: without that, each record that comes back would cost as much as a batch that is stored. */
export class CutIndex {
  #entries: IndexEntry[] = [];
  #open: OpenEntry | undefined;

  add(first: Position, count: number, partition: number, target: Position): void {
    const open = this.#open;
    if (open !== undefined && open.partition === partition && follows(open, target) && this.#extend(open, first, count)) return;
    this.#close();
    this.#open = { runs: [{ first, count }], partition, target, records: count };
  }

  /** All so far. */
  take(): IndexEntry[] {
    this.#close();
    const entries = this.#entries;
    this.#entries = [];
    return entries;
  }

  get size(): number {
    return this.#entries.length + (this.#open === undefined ? 0 : 1);
  }

  #extend(open: OpenEntry, first: Position, count: number): boolean {
    const last = open.runs.at(-1);
    // What lies before what was noted already was read again; as an entry of its own it is found to be there already.
    if (last === undefined || comparePositions(first, advancePosition(last.first, last.count)) < 0) return false;
    const joins = neighbourDistance(last.first, first) === last.count && first.minor < 0 === last.first.minor < 0;
    if (joins) open.runs[open.runs.length - 1] = { first: last.first, count: last.count + count };
    else if (open.runs.length < MOST_RUNS) open.runs.push({ first, count });
    else return false;
    open.records += count;
    return true;
  }

  #close(): void {
    if (this.#open === undefined) return;
    const { runs, partition, target } = this.#open;
    this.#entries.push({ runs, partition, target });
    this.#open = undefined;
  }
}

/** Whether a place is where the next record of an entry lies: right behind in a queue, or the next one in an entry of the target. */
function follows({ target, records }: OpenEntry, place: Position): boolean {
  // The number in an entry is only known where the mark names it.
  if (target.minor >= 0 && (target.index < 0 || place.index < 0)) return false;
  return neighbourDistance(target, place) === records;
}
