import { comparePositions, type Position } from '../model/position.ts';
import type { Clock } from '../spi/clock.ts';
import type { Checkpoint, IndexEntry } from '../spi/state-store.ts';
import type { LanePlan } from './lane-plan.ts';
import { partitionKey, type Recovery } from './recovery.ts';
import { TargetPlaces } from './target-places.ts';
import { Watermark } from './watermark.ts';

/** While the state store is away, this many index entries per lane are kept for it; older ones are dropped (the target's marks still have them). */
const MAX_PENDING_INDEX = 20_000;

/** How far a lane has come: what is safe, where the next look at the target has to begin, and what of that the store does not have yet. */
export class Progress {
  readonly #plan: LanePlan;
  readonly #clock: Clock;
  readonly #newest = new Map<number, Position>();
  #checkpoint: Checkpoint | undefined;
  #known = false;
  #watermark: Watermark | undefined;
  #places: TargetPlaces | undefined;
  #pendingIndex: IndexEntry[] = [];
  #dirty = false;
  #heldFrom: () => Position | undefined = () => undefined;

  constructor(plan: LanePlan, clock: Clock) {
    this.#plan = plan;
    this.#clock = clock;
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
  }

  /** Begins an attempt with what the look at the target has shown. */
  begin(recovery: Recovery): Watermark {
    this.#watermark = new Watermark(recovery.from);
    this.#heldFrom = () => undefined;
    this.#places = new TargetPlaces(recovery.targets, this.#plan.partitions);
    for (const entry of recovery.found) {
      // Without this the place would pass a found batch whose records lie beyond the watermark, and the next look would miss them.
      this.#places.stored(entry);
      this.#newest.set(entry.partition, entry.target);
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
    this.#newest.set(partition, target);
    this.#noteIndex({ runs, partition, target });
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
    this.#checkpoint = { lane, next, targets: Object.fromEntries(places), time: this.#clock.now() };
  }

  /** What has to be kept now; `undefined` when nothing has changed since the last one that was confirmed by `kept`. */
  take(): { checkpoint: Checkpoint; index: readonly IndexEntry[] } | undefined {
    if (!this.#dirty || !this.#known) return undefined;
    this.refresh();
    if (this.#checkpoint === undefined) return undefined;
    this.#dirty = false;
    const index = this.#pendingIndex;
    this.#pendingIndex = [];
    return { checkpoint: this.#checkpoint, index };
  }

  /** The store has kept what `take` gave, or it has not (then it is all given again). */
  kept(index: readonly IndexEntry[], success: boolean): void {
    if (success) return;
    this.#dirty = true;
    this.#pendingIndex = [...index, ...this.#pendingIndex].slice(-MAX_PENDING_INDEX);
  }

  #noteIndex(entry: IndexEntry): void {
    if (this.#pendingIndex.length >= MAX_PENDING_INDEX) this.#pendingIndex.shift();
    this.#pendingIndex.push(entry);
  }
}
