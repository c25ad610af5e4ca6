import { type LaneId, laneKey } from '../../model/lane.ts';
import { advancePosition, comparePositions, formatPosition, type Position } from '../../model/position.ts';
import { formatRuns } from '../../model/provenance.ts';
import type { IndexEntry } from '../../spi/state-store.ts';

type ReadIndex = (lane: LaneId, from: Position, to: Position, limit: number) => Promise<readonly IndexEntry[]>;

export interface Held {
  readonly entry: IndexEntry;
  /** Its lowest source position. */
  readonly first: Position;
  /** Right after its highest one. */
  readonly end: Position;
}

/** How far the first step back goes, in records or whole entries; each goes four times as far as the one before. */
const STEP_BACK = 64;
/** What lies so close to a piece is read along with it. */
const NEAR = 4_096;

/**
 * A piece of a lane's position index in memory: every entry that begins at or after `from` and before `to`, and those that reach into it. It grows at both ends. What it holds
 * does not change any more, because everything before a checkpoint is in the index when the checkpoint is.
 */
export class Stretch {
  readonly lane: LaneId;
  readonly #read: ReadIndex;
  readonly #page: number;
  /** Ascending by `first`. */
  #held: Held[] = [];
  /** The highest `end` of all up to this one: by it, what reaches over a position is found by halving. */
  #reach: Position[] = [];
  readonly #keys = new Set<string>();
  #from: Position;
  #to: Position;
  #atBeginning = false;
  #step = STEP_BACK / 4;
  usedAt = 0;

  constructor(lane: LaneId, at: Position, read: ReadIndex, page: number) {
    this.lane = lane;
    this.#read = read;
    this.#page = page;
    this.#from = at;
    this.#to = at;
  }

  get held(): readonly Held[] {
    return this.#held;
  }

  /** Nothing is missing that begins at or after it. */
  get from(): Position {
    return this.#from;
  }

  get to(): Position {
    return this.#to;
  }

  /** Whether the index has nothing that begins before what is held. */
  get atBeginning(): boolean {
    return this.#atBeginning;
  }

  /** Whether a position lies in it, or so little after it that it is soon reached. */
  isNear(position: Position): boolean {
    if (comparePositions(position, this.#from) < 0) return false;
    return comparePositions(position, this.#to) <= 0 || distance(this.#to, position) <= NEAR;
  }

  /** The number of the first entry that ends after a position. */
  firstReaching(position: Position): number {
    let [low, high] = [0, this.#reach.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const reach = this.#reach[middle];
      if (reach !== undefined && comparePositions(reach, position) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** How many entries begin before a position. */
  countBefore(position: Position): number {
    let [low, high] = [0, this.#held.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const held = this.#held[middle];
      if (held !== undefined && comparePositions(held.first, position) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Reads a page of what follows, up to a checkpoint's place; false when it holds all before that. */
  async later(upTo: Position): Promise<boolean> {
    if (comparePositions(this.#to, upTo) >= 0) return false;
    for (let limit = this.#page; ; limit *= 4) {
      const entries = await this.#read(this.lane, this.#to, upTo, limit);
      const more = entries.length >= limit;
      const last = more ? firstOf(entries.at(-1)) : upTo;
      // A page that is full of what reaches over its beginning says nothing of what follows.
      if (last !== undefined && comparePositions(last, this.#to) <= 0) continue;
      this.#add(entries, upTo);
      this.#to = last ?? upTo;
      return true;
    }
  }

  /** Reads some of what comes before; false when there is nothing. */
  async earlier(): Promise<boolean> {
    if (this.#atBeginning) return false;
    const start = stepBack(this.#from, (this.#step *= 4));
    let floor: Position | undefined;
    for (let [next, limit] = [start, this.#page]; ; ) {
      const entries = await this.#read(this.lane, next, this.#from, limit);
      if (next === start) floor = floorOf(entries, start);
      this.#add(entries, after(this.#from));
      const last = firstOf(entries.at(-1));
      if (entries.length < limit || last === undefined) break;
      // A page that is full of what reaches over its beginning says nothing of what follows.
      if (comparePositions(last, next) > 0) next = last;
      else limit *= 4;
    }
    // The floor is the last one that begins at or before the start, so that nothing begins between the two.
    this.#atBeginning = floor === undefined;
    this.#from = floor ?? start;
    return true;
  }

  /** Takes entries in that begin before `upTo`: others may still be followed by earlier ones. */
  #add(entries: readonly IndexEntry[], upTo: Position): void {
    let [sorted, added] = [true, false];
    for (const entry of entries) {
      const held = spanOf(entry);
      if (comparePositions(held.first, upTo) >= 0) continue;
      const key = `${entry.partition} ${formatPosition(entry.target)} ${formatRuns(entry.runs)}`;
      if (this.#keys.has(key)) continue;
      this.#keys.add(key);
      const last = this.#held.at(-1);
      if (last !== undefined && comparePositions(held.first, last.first) < 0) sorted = false;
      this.#held.push(held);
      added = true;
    }
    if (!added) return;
    if (!sorted) this.#held.sort((a, b) => comparePositions(a.first, b.first));
    if (!sorted) this.#reach = [];
    for (let i = this.#reach.length; i < this.#held.length; i++) {
      const [former, end] = [this.#reach[i - 1], this.#held[i]?.end ?? this.#to];
      this.#reach.push(former !== undefined && comparePositions(former, end) > 0 ? former : end);
    }
  }
}

/** Pieces of the index that were read before, shared by all groups and passes, in bounded memory. */
export class Stretches {
  readonly #read: ReadIndex;
  readonly #page: number;
  readonly #lanes = new Map<string, { epoch: string; stretches: Stretch[] }>();
  #pass = 0;

  constructor(read: ReadIndex, page: number) {
    this.#read = read;
    this.#page = page;
  }

  /**
   * A piece that begins at or before a position and holds what lies between the two. `epoch` changes when what was read is not true any more: the index was emptied, or the lane begins again.
   */
  async upTo(lane: LaneId, position: Position, epoch: string): Promise<Stretch> {
    const stretch = this.#at(lane, position, epoch);
    // One that an earlier pass has read ends where the lane was then. Without the rest, what a group has done since would be in nobody's count, and a lane that was empty then would be so for ever.
    while (await stretch.later(position));
    return stretch;
  }

  #at(lane: LaneId, position: Position, epoch: string): Stretch {
    const key = laneKey(lane);
    let known = this.#lanes.get(key);
    if (known?.epoch !== epoch) this.#lanes.set(key, (known = { epoch, stretches: [] }));
    let found = known.stretches.find((stretch) => stretch.isNear(position));
    if (found === undefined) known.stretches.push((found = new Stretch(lane, position, this.#read, this.#page)));
    found.usedAt = this.#pass;
    return found;
  }

  /** A new pass begins: drops what is too large or was not used lately, until no more than `most` entries are held. */
  shrink(most: number): void {
    this.#pass++;
    let entries = 0;
    for (const [key, { stretches }] of this.#lanes) {
      const kept = stretches.filter(({ held, usedAt }) => {
        const keep = held.length <= MOST_PAGES * this.#page && this.#pass - usedAt <= MOST_IDLE_PASSES && entries < most;
        if (keep) entries += held.length;
        return keep;
      });
      if (kept.length === 0) this.#lanes.delete(key);
      else stretches.splice(0, stretches.length, ...kept);
    }
  }
}

/** A piece that nobody has asked for in so many passes is dropped. */
const MOST_IDLE_PASSES = 3;
/** One that follows a busy lane grows without end; it is begun anew when it is as large as this. */
const MOST_PAGES = 4;

function firstOf(entry: IndexEntry | undefined): Position | undefined {
  return entry === undefined ? undefined : spanOf(entry).first;
}

function spanOf(entry: IndexEntry): Held {
  let [first, end] = [entry.runs[0]?.first ?? entry.target, entry.target];
  for (const [i, run] of entry.runs.entries()) {
    const runEnd = advancePosition(run.first, run.count);
    if (comparePositions(run.first, first) < 0) first = run.first;
    if (i === 0 || comparePositions(runEnd, end) > 0) end = runEnd;
  }
  return { entry, first, end };
}

/** Some way before a position. Reading from there gives the last entry before it, too, so that each step comes further, also over ledgers and gaps. */
function stepBack({ major, minor }: Position, step: number): Position {
  if (minor < 0) return { major: Math.max(-1, major - step), minor: -1, index: -1 };
  if (minor > 0) return { major, minor: Math.max(0, minor - step), index: -1 };
  return { major: major - 1, minor: Number.MAX_SAFE_INTEGER, index: -1 };
}

function distance(a: Position, b: Position): number {
  if (a.minor < 0) return b.major - a.major;
  return a.major === b.major ? b.minor - a.minor : Number.POSITIVE_INFINITY;
}

/** The first place of the last entry that begins at or before a position. */
function floorOf(entries: readonly IndexEntry[], position: Position): Position | undefined {
  let floor: Position | undefined;
  for (const entry of entries) {
    const { first } = spanOf(entry);
    if (comparePositions(first, position) > 0) continue;
    if (floor === undefined || comparePositions(first, floor) > 0) floor = first;
  }
  return floor;
}

/** The next place there can be. */
function after({ major, minor, index }: Position): Position {
  return { major, minor, index: index + 1 };
}
