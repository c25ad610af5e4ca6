import { advancePosition, comparePositions, countBefore, type Position } from '../model/position.ts';
import type { PositionRun } from '../model/provenance.ts';

/** A stretch of the source lane that was handed to writers together. */
interface Unit {
  readonly first: Position;
  /** Where the lane goes on after this stretch. */
  end: Position;
  /** Store time of the first record at the source, for lag. */
  readonly storeTime: number;
  pending: number;
  /** What it adds to the lead. */
  lead: number;
}

/**
 * How far a lane is safe: everything before `next` is stored in the target or was dropped for a counted reason.
 *
 * Records are counted by their position, not by the order of receipts: with several partitions, or one batch per key, the target
 * stores them in another order than the lane has them, and counting receipts would let the mark pass a record that is still on its way.
 */
export class Watermark {
  #next: Position;
  readonly #units: Unit[] = [];
  #head = 0;
  #lead = 0;

  constructor(next: Position) {
    this.#next = next;
  }

  get next(): Position {
    return this.#next;
  }

  /** Store time of the oldest record that is not safe yet; `undefined` when all handed out is safe. */
  get oldestStoreTime(): number | undefined {
    return this.#units[this.#head]?.storeTime;
  }

  /** Stretches that are announced and not safe yet. */
  get outstanding(): number {
    return this.#units.length - this.#head;
  }

  /** Records that were read from the first on that is not safe, with offsets and entries that hold none: see MAX_LEAD_RECORDS. */
  get lead(): number {
    return this.#lead;
  }

  /**
   * Announces a stretch [first, end) of `rows` records, of which `pending` are going to be stored, before the first of them is handed to a writer.
   * Throws when it does not lie behind all that was announced: a source that repeats itself would be written twice.
   */
  begin(first: Position, end: Position, storeTime: number, pending: number, rows: number = pending): void {
    const last = this.#head === this.#units.length ? undefined : this.#units.at(-1);
    const former = last?.end ?? this.#next;
    if (comparePositions(first, former) < 0 || comparePositions(end, first) < 0) {
      throw new Error('watermark: the source went back without saying so');
    }
    const lead = Math.max(rows, placesBetween(former, end));
    if (pending > 0) {
      this.#units.push({ first, end, storeTime, pending, lead });
      this.#lead += lead;
    } else if (last === undefined) {
      this.#next = end;
    } else {
      // A stretch of which nothing is stored belongs to the one before it: while that waits, dropped records would otherwise pile up here.
      last.end = end;
      last.lead += lead;
      this.#lead += lead;
    }
  }

  /**
   * Ends at a record that will not be handed out, when everything before it is stored. A stopped lane may stand for days, and the target
   * need not have the records then that were stored before it in the same stretch.
   */
  stopAt(position: Position): void {
    this.#units.length = 0;
    this.#head = 0;
    this.#lead = 0;
    this.#next = position;
  }

  /** Notes stored records. Throws when they were never announced: that would be a defect that loses records. */
  stored(run: PositionRun): void {
    let rest = run.count;
    let at = run.first;
    for (let i = this.#find(at); rest > 0; i++) {
      const unit = this.#units[i];
      if (unit === undefined || comparePositions(at, unit.first) < 0 || comparePositions(at, unit.end) >= 0) {
        throw new Error('watermark: the target stored a record that was not announced');
      }
      const inside = countBefore(at, rest, unit.end);
      unit.pending -= inside;
      rest -= inside;
      at = advancePosition(at, inside);
      if (unit.pending < 0) throw new Error('watermark: the target stored a record twice');
    }
    this.#advance();
  }

  /** The unit that holds a position, by halving: a run of single records would otherwise walk all units each time. */
  #find(position: Position): number {
    let low = this.#head;
    let high = this.#units.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      const unit = this.#units[middle];
      if (unit !== undefined && comparePositions(position, unit.end) >= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #advance(): void {
    for (;;) {
      const unit = this.#units[this.#head];
      if (unit === undefined || unit.pending > 0) break;
      this.#next = unit.end;
      this.#lead -= unit.lead;
      this.#head++;
    }
    if (this.#head > 256 && this.#head * 2 > this.#units.length) {
      this.#units.splice(0, this.#head);
      this.#head = 0;
    }
  }
}

/** Offsets, or entries of one ledger. Of several ledgers nobody here knows how many they hold. */
function placesBetween(from: Position, end: Position): number {
  if (end.minor < 0) return end.major - from.major;
  return from.major === end.major ? end.minor - from.minor : 0;
}
