import { advancePosition, BEFORE_ALL, comparePositions, type Position } from '../model/position.ts';
import type { Clock } from '../spi/clock.ts';
import type { Checkpoint, CutKind, IndexEntry } from '../spi/state-store.ts';
import { CutIndex, type CutRecords } from './cut-index.ts';
import type { LanePlan } from './lane-plan.ts';
import type { PartitionEnds } from './partition-ends.ts';
import { partitionKey, type Recovery } from './recovery.ts';
import { lastOf, TargetPlaces } from './target-places.ts';
import { Watermark } from './watermark.ts';

/** While the state store is away, this many index entries per lane are kept for it; older ones are dropped (the target's marks still have them). */
const MAX_PENDING_INDEX = 20_000;
/** How often a lane that stands still lets its places follow what others write into its partitions. */
const FOLLOW_MILLIS = 5_000;

/** What has to be kept now: index entries of what was stored, and of what came from the target. */
export interface Change {
  readonly checkpoint: Checkpoint;
  readonly index: readonly IndexEntry[];
  readonly cuts: readonly IndexEntry[];
}

/** How far a lane has come: what is safe, where the next look at the target has to begin, and what of that the store does not have yet. */
export class Progress implements CutRecords {
  readonly #plan: LanePlan;
  readonly #clock: Clock;
  /** What all lanes of the mirror have stored; left out where no other lane writes the partitions. */
  readonly #ends: PartitionEnds | undefined;
  readonly #newest = new Map<number, Position>();
  #checkpoint: Checkpoint | undefined;
  #known = false;
  #watermark: Watermark | undefined;
  #places: TargetPlaces | undefined;
  #pendingIndex: IndexEntry[] = [];
  readonly #cutIndex = new CutIndex();
  #pendingCuts: IndexEntry[] = [];
  #indexedFrom: Position | undefined;
  /** Right after the last record that was noted for the index. */
  #indexEnd: Position = BEFORE_ALL;
  #cuts: CutKind | undefined;
  #otherWays = false;
  #followAt = Number.NEGATIVE_INFINITY;
  #dirty = false;
  #heldFrom: () => Position | undefined = () => undefined;

  constructor(plan: LanePlan, clock: Clock, ends?: PartitionEnds) {
    this.#plan = plan;
    this.#clock = clock;
    this.#ends = ends;
  }

  /** What an attempt starts from: newer than the store's while that is away. */
  get checkpoint(): Checkpoint | undefined {
    return this.#checkpoint;
  }

  /** Whether the store or the source has a place of this lane, so that a successor does not take it for a new one. */
  get known(): boolean {
    return this.#known;
  }

  /** Whether there is a checkpoint, and it does not name all partitions that the lane writes now. */
  get unnamedPartitions(): boolean {
    const { targetTopic, partitions } = this.#plan;
    const targets = this.#checkpoint?.targets;
    return targets !== undefined && partitions.some((partition) => targets[partitionKey(targetTopic, partition)] === undefined);
  }

  /** Everything before this source position is safe. */
  get next(): Position | undefined {
    return this.#watermark?.next ?? this.#checkpoint?.next;
  }

  /** What may be kept as the lane's place: everything before is safe, and whoever has to know of it knows. */
  get place(): Position | undefined {
    const [next, held] = [this.next, this.#heldFrom()];
    return next !== undefined && held !== undefined && comparePositions(held, next) < 0 ? held : next;
  }

  /** Places do not pass this one; asked each time. */
  holdBy(heldFrom: () => Position | undefined): void {
    this.#heldFrom = heldFrom;
  }

  get oldestStoreTime(): number | undefined {
    return this.#watermark?.oldestStoreTime;
  }

  /** Newest stored position per target partition. */
  get newest(): ReadonlyMap<number, Position> {
    return this.#newest;
  }

  /** Takes over what the store has. */
  resume(checkpoint: Checkpoint | undefined): void {
    this.#checkpoint = checkpoint;
    this.#known = checkpoint !== undefined;
    this.#cuts ??= checkpoint?.cuts;
    this.#otherWays ||= checkpoint?.otherWays === true;
    this.#indexedFrom = checkpoint === undefined ? undefined : this.#coverage(checkpoint);
  }

  /** Begins an attempt with what the look at the target has shown. */
  begin(recovery: Recovery): Watermark {
    // A lane that begins again elsewhere has entries of its former life in the index, from there on.
    const goesOn = this.#checkpoint !== undefined && comparePositions(this.#checkpoint.next, recovery.from) === 0;
    if (!goesOn) this.#indexedFrom = recovery.isNew === true ? BEFORE_ALL : recovery.from;
    this.#watermark = new Watermark(recovery.from);
    this.#heldFrom = () => undefined;
    this.#places = new TargetPlaces(recovery.targets, this.#plan.partitions);
    for (const entry of recovery.found) {
      // Without this the place would pass a found batch whose records lie beyond the watermark, and the next look would miss them.
      this.#places.stored(entry);
      this.#newest.set(entry.partition, lastOf(entry));
      if (entry.runs.length > 0) this.#noteIndex(entry);
    }
    return this.#watermark;
  }

  /** The source has our place now. */
  confirm(): void {
    this.#known = true;
    this.#dirty = true;
  }

  /** Throws when the records were never announced to the watermark. */
  stored({ runs, partition, target }: IndexEntry): void {
    for (const run of runs) this.#watermark?.stored(run);
    this.#places?.stored({ runs, partition, target });
    const last = lastOf({ runs, partition, target });
    this.#newest.set(partition, last);
    this.#ends?.note(partitionKey(this.#plan.targetTopic, partition), last);
    this.#noteIndex({ runs, partition, target });
    this.#dirty = true;
  }

  onPlaced(first: Position, count: number, partition: number, target: Position, kind: CutKind): void {
    if (this.#cuts !== 'around') this.#cuts = kind;
    this.#cutIndex.add(first, count, partition, target);
    if (this.#cutIndex.size + this.#pendingCuts.length > 2 * MAX_PENDING_INDEX) this.#keepPendingCuts();
  }

  /** The index says nothing of the record: what lies before it in the lane cannot be told from the index alone any more. */
  onUnplaced(position: Position): void {
    this.#cuts ??= 'direct';
    this.#isIndexedFrom(after(position));
  }

  onBrought(position: Position): void {
    this.#otherWays = true;
    this.#isIndexedFrom(after(position));
  }

  /** The store was emptied: all that is known is given again, and the index begins anew. */
  rewrite(): void {
    const next = this.place;
    if (next !== undefined) this.#isIndexedFrom(comparePositions(this.#indexEnd, next) > 0 ? this.#indexEnd : next);
    this.#dirty = true;
  }

  /** The next `take` gives everything, also when the store was told before. */
  markDirty(): void {
    this.#dirty = true;
  }

  /** Brings `checkpoint` up to date. Its time is that of the last change, by which processes tell whose is newer. */
  refresh(): void {
    // Before the source knows the lane it has no place at all: another process may have begun it elsewhere meanwhile.
    if (!this.#known || !this.#dirty || this.#watermark === undefined || this.#places === undefined) return;
    const next = this.place ?? this.#watermark.next;
    const { lane, targetTopic } = this.#plan;
    const places = [...this.#places.at(next)].map(([partition, place]) => [partitionKey(targetTopic, partition), place] as const);
    const [indexedFrom, cuts] = [this.#indexedFrom, this.#cuts];
    this.#checkpoint = {
      lane,
      next,
      targets: Object.fromEntries(places),
      ...(indexedFrom === undefined ? {} : { indexedFrom }),
      ...(cuts === undefined ? {} : { cuts }),
      ...(this.#otherWays ? { otherWays: true } : {}),
      time: this.#clock.now(),
    };
  }

  /**
   * What has to be kept now; `undefined` when nothing has changed since the last one that was confirmed by `kept`. `alone`: nobody else can have written the lane since the
   * attempt began. Another process may have stored records of it between those of our other lanes, and a place behind them would hide them from the next look.
   */
  take(alone: boolean): Change | undefined {
    if (alone) this.#follow();
    if (!this.#dirty || !this.#known) return undefined;
    this.refresh();
    if (this.#checkpoint === undefined) return undefined;
    // A place that is held is given again when it is not: nothing else may change then, where the lane stands still.
    this.#dirty = this.#heldFrom() !== undefined;
    this.#keepPendingCuts();
    const [index, cuts] = [this.#pendingIndex, this.#pendingCuts];
    [this.#pendingIndex, this.#pendingCuts] = [[], []];
    return { checkpoint: this.#checkpoint, index, cuts };
  }

  /** The store has kept what `take` gave, or it has not (then it is all given again). */
  kept({ index, cuts }: Pick<Change, 'index' | 'cuts'>, success: boolean): void {
    if (success) return;
    this.#dirty = true;
    this.#pendingIndex = this.#newestOf([...index, ...this.#pendingIndex]);
    this.#pendingCuts = this.#newestOf([...cuts, ...this.#pendingCuts]);
  }

  #noteIndex(entry: IndexEntry): void {
    if (this.#pendingIndex.length >= 2 * MAX_PENDING_INDEX) this.#pendingIndex = this.#newestOf(this.#pendingIndex);
    this.#pendingIndex.push(entry);
    const end = endOf(entry);
    if (comparePositions(end, this.#indexEnd) > 0) this.#indexEnd = end;
  }

  #keepPendingCuts(): void {
    this.#pendingCuts = this.#newestOf([...this.#pendingCuts, ...this.#cutIndex.take()]);
  }

  /** Drops the oldest where there are too many; the index is complete after them only. */
  #newestOf(entries: IndexEntry[]): IndexEntry[] {
    const dropped = Math.max(0, entries.length - MAX_PENDING_INDEX);
    for (const entry of entries.slice(0, dropped)) this.#isIndexedFrom(endOf(entry));
    return dropped === 0 ? entries : entries.slice(dropped);
  }

  #isIndexedFrom(position: Position): void {
    const former = this.#indexedFrom;
    if (former === undefined || comparePositions(position, former) > 0) this.#indexedFrom = position;
  }

  /** From where on the index is complete according to a checkpoint. One of another target topic speaks of places there. */
  #coverage({ next, targets, indexedFrom }: Checkpoint): Position {
    const prefix = partitionKey(this.#plan.targetTopic, '');
    const named = Object.keys(targets).some((key) => key.startsWith(prefix));
    return named ? (indexedFrom ?? next) : next;
  }

  /**
   * While nothing of the lane is on its way, all that it will store lies behind what the partitions have now. Without this a lane that stands still would keep the places of groups
   * back, in partitions that others write.
   */
  #follow(): void {
    const [watermark, places, ends] = [this.#watermark, this.#places, this.#ends];
    if (watermark === undefined || places === undefined || ends === undefined || watermark.outstanding > 0) return;
    if (this.#clock.monotonic() < this.#followAt || comparePositions(this.place ?? watermark.next, watermark.next) !== 0) return;
    this.#followAt = this.#clock.monotonic() + FOLLOW_MILLIS;
    places.at(watermark.next);
    for (const partition of this.#plan.partitions) {
      const end = ends.get(partitionKey(this.#plan.targetTopic, partition));
      if (end !== undefined && places.raise(partition, end)) this.#dirty = true;
    }
  }
}

function endOf({ runs }: IndexEntry): Position {
  let end = BEFORE_ALL;
  for (const { first, count } of runs) {
    const runEnd = advancePosition(first, count);
    if (comparePositions(runEnd, end) > 0) end = runEnd;
  }
  return end;
}

/** The next place there can be. */
function after(position: Position): Position {
  return { ...position, index: position.index + 1 };
}
