import { cutLane } from '../../../../src/mirror/groups/cut-lane.ts';
import { Observations } from '../../../../src/mirror/groups/observations.ts';
import type { TopicView } from '../../../../src/mirror/groups/translation.ts';
import { PartitionEnds } from '../../../../src/mirror/partition-ends.ts';
import { PositionSet } from '../../../../src/mirror/position-set.ts';
import { Progress } from '../../../../src/mirror/progress.ts';
import { partitionKey } from '../../../../src/mirror/recovery.ts';
import type { Watermark } from '../../../../src/mirror/watermark.ts';
import { BEFORE_ALL, comparePositions, entryPosition, offsetPosition, type Position } from '../../../../src/model/position.ts';
import type { PositionRun } from '../../../../src/model/provenance.ts';
import type { Clock } from '../../../../src/spi/clock.ts';
import type { Checkpoint, IndexEntry } from '../../../../src/spi/state-store.ts';
import { MemoryStore } from '../../../../src/state/memory/store.ts';
import { VirtualTime } from '../../../simulation/virtual-time.ts';
import { type Copy, step, TargetTopic } from './target-topic.ts';

export const KEY = { link: 'east-west', mirror: 'orders' };
export const TOPIC = 'orders';
const TARGET = 'copy';
/** Records that a lane hands out between two moments at which all of it has been sent. */
export const ROUND = 6;

export interface Shape {
  readonly sourceEntries: boolean;
  readonly targetEntries: boolean;
  /** Entries are passed on as they are. */
  readonly whole: boolean;
  readonly lanes: number;
  readonly partitions: number;
  readonly byKey: boolean;
  readonly perKey: boolean;
  readonly bothWays: boolean;
}

/** What becomes of a record on its way: `brought`: another way had it in the target before; `lost-track`: it came from the target, and nobody knows from where. */
export type Fate = 'mirrored' | 'filtered' | 'brought';

export interface Row {
  readonly position: Position;
  readonly key: number;
  readonly fate: Fate;
  /** Of the entry that it lies in; 1 in queues. */
  readonly size: number;
  /** Of a record that came from the target. */
  readonly from?: { readonly copy: Copy; readonly how: 'direct' | 'around' | 'lost-track' };
}

interface Batch {
  readonly rows: readonly Row[];
  readonly partition: number;
}

interface Lane {
  readonly rows: Row[];
  entry: number;
  read: number;
  progress: Progress;
  watermark: Watermark;
  stored: PositionSet;
  readonly queues: Batch[][];
  receipts: IndexEntry[];
  committed: Position;
}

/** A mirror with everything that can happen to it, on one topic; its own bookkeeping is the real one. */
export class History {
  readonly shape: Shape;
  readonly store: MemoryStore = new MemoryStore(() => 0.5);
  readonly target: TargetTopic;
  readonly lanes: Lane[] = [];
  readonly observations: Observations = new Observations();
  #millis = 0;
  readonly #clock: Clock = { ...new VirtualTime().clock(), now: () => this.#millis, monotonic: () => this.#millis };
  readonly #ends = new PartitionEnds();
  /** How many copies of a partition the reverse mirror has gone over. */
  readonly #back: number[] = [];
  /** Local records that were brought to the source out of order, over other clusters. */
  readonly #gone = new Set<Copy>();

  constructor(shape: Shape) {
    this.shape = shape;
    this.target = new TargetTopic(shape.partitions, shape.targetEntries, shape.whole);
    for (let p = 0; p < shape.partitions; p++) this.#back.push(0);
    for (let l = 0; l < shape.lanes; l++) this.#openLane(l, undefined);
  }

  /** An application writes to a source lane: neighbours, in one entry where there are entries. */
  write(l: number, records: readonly { readonly key: number; readonly fate: Fate }[]): void {
    this.#append(
      l,
      records.map(({ key, fate }) => ({ key, fate, from: undefined })),
    );
  }

  #append(l: number, records: readonly { readonly key: number; readonly fate: Fate; readonly from: Row['from'] }[]): void {
    const lane = this.#lane(l);
    // A whole entry has one key and one fate.
    const [head] = records;
    if (head === undefined) return;
    const all = this.shape.whole ? records.map((each) => ({ ...each, key: head.key, fate: head.fate })) : records;
    const entry = this.shape.sourceEntries ? lane.entry++ : 0;
    for (const [i, { key, fate, from }] of all.entries()) {
      const position = this.shape.sourceEntries
        ? entryPosition(10 + 7 * Math.floor(entry / 3), entry % 3, all.length === 1 ? -1 : i)
        : offsetPosition(lane.rows.length);
      lane.rows.push({
        position,
        key,
        fate,
        size: this.shape.sourceEntries ? all.length : 1,
        ...(from === undefined ? {} : { from }),
      });
      if (fate === 'brought') this.#bring(l, position, key);
      if (from !== undefined) from.copy.source = { lane: l, position };
    }
  }

  /** Another way has stored the record already. */
  #bring(l: number, position: Position, key: number): void {
    const entry = { runs: [{ first: position, count: 1 }], partition: this.#partitionOf(l, key), target: BEFORE_ALL };
    this.target.keep(entry, l, 'other', 1);
  }

  writeLocally(p: number, count: number): void {
    this.target.keep({ runs: [{ first: BEFORE_ALL, count }], partition: p, target: BEFORE_ALL }, undefined, 'local', count);
  }

  /** The reverse mirror goes on in a partition, over so many records. */
  giveBack(p: number, count: number, l: number): void {
    const there = this.target.of(p);
    const from = this.#back[p] ?? 0;
    const next = there.slice(from, from + count);
    this.#back[p] = from + next.length;
    const back = next.filter((copy) => copy.lane === undefined && !this.#gone.has(copy));
    const lane = this.shape.byKey ? l : p % this.shape.lanes;
    this.#append(
      lane,
      back.map((copy) => ({ key: 0, fate: 'mirrored', from: { copy, how: 'direct' } })),
    );
  }

  /** A local record comes to the source over other clusters, in no order, with or without its place. */
  bringAround(p: number, pick: number, l: number, how: 'around' | 'lost-track'): void {
    const there = this.target.of(p).filter((copy) => copy.lane === undefined && copy.source === undefined);
    const copy = there[pick % Math.max(1, there.length)];
    if (copy === undefined) return;
    this.#gone.add(copy);
    if (how === 'lost-track') copy.way = how;
    this.#append(l, [{ key: 0, fate: 'mirrored', from: { copy, how } }]);
  }

  /** The mirror reads on in a lane and hands out what it has to store. */
  read(l: number, count: number): void {
    const lane = this.#lane(l);
    let until = Math.min(lane.rows.length, lane.read + Math.min(count, ROUND));
    // Whole entries are never divided.
    if (this.shape.whole) while (until < lane.rows.length && isInside(lane.rows[until])) until++;
    const rows = lane.rows.slice(lane.read, until);
    if (rows.length === 0) return;
    lane.read = until;
    const [first] = rows;
    const out = this.#units(rows.filter((row) => this.#isStoredNow(lane, row)));
    lane.watermark.begin(this.#sourceOf(first), this.#after(lane.rows, until - 1), 0, out.length, rows.length);
    if (out.length < rows.length) lane.progress.markDirty();
    const byPartition = Map.groupBy(out, ({ key }) => this.#partitionOf(l, key));
    for (const [partition, own] of byPartition)
      for (const batch of this.#batched(own)) lane.queues[partition]?.push({ rows: batch, partition });
  }

  /** Rows that are handed out; of a whole entry its first, which stands for all. */
  #units(rows: readonly Row[]): Row[] {
    return this.shape.whole ? rows.filter((row) => !isInside(row)) : [...rows];
  }

  #sourceOf(row: Row | undefined): Position {
    const position = row?.position ?? BEFORE_ALL;
    return this.shape.whole ? { ...position, index: -1 } : position;
  }

  #isStoredNow(lane: Lane, row: Row): boolean {
    const { position, from, fate } = row;
    if (from !== undefined) {
      const { place, partition } = from.copy;
      if (from.how === 'lost-track') lane.progress.onUnplaced(position);
      else lane.progress.onPlaced(position, 1, partition, place, from.how);
      return false;
    }
    if (fate === 'filtered') return false;
    const stored = this.shape.whole ? lane.stored.hasEntry(this.#sourceOf(row), row.size) : lane.stored.has(position);
    if (stored) return false;
    if (fate === 'brought') lane.progress.onBrought(position);
    return fate === 'mirrored';
  }

  #batched(rows: readonly Row[]): Row[][] {
    if (this.shape.whole) return rows.map((row) => [row]);
    if (this.shape.perKey && this.shape.targetEntries) {
      const batches = [...Map.groupBy(rows, ({ key }) => key)].map(([key, own]) => ({ key, own }));
      return batches.sort((a, b) => ((a.key * 7) % 5) - ((b.key * 7) % 5)).map(({ own }) => own);
    }
    const half = Math.ceil(rows.length / 2);
    return [rows.slice(0, half), rows.slice(half)].filter(({ length }) => length > 0);
  }

  /** The target stores the next batch of a lane in a partition. */
  storeNext(l: number, p: number): void {
    const lane = this.#lane(l);
    const batch = lane.queues[p]?.shift();
    if (batch === undefined) return;
    const entry = { runs: runsOf(batch.rows.map((row) => this.#sourceOf(row))), partition: p, target: BEFORE_ALL };
    const size = this.shape.whole ? (batch.rows[0]?.size ?? 1) : batch.rows.length;
    lane.receipts.push(this.target.keep(entry, l, 'mirror', size));
  }

  /** Whether everything is stored that was read, and everything read. */
  get idle(): boolean {
    return this.lanes.every((lane) => lane.read === lane.rows.length && lane.receipts.length + lane.queues.flat().length === 0);
  }

  /** The receipts of a lane arrive. */
  hear(l: number): void {
    const lane = this.#lane(l);
    for (const entry of lane.receipts.splice(0)) lane.progress.stored(entry);
  }

  async save(passMillis = 6_000): Promise<void> {
    this.#millis += passMillis;
    for (const [l, lane] of this.lanes.entries()) {
      const change = lane.progress.take(true);
      if (change === undefined) continue;
      const id = { topic: TOPIC, lane: String(l) };
      const both = [
        { lane: id, entries: change.index },
        { lane: cutLane(id), entries: change.cuts },
      ];
      await this.store.appendIndex(
        KEY,
        both.filter(({ entries }) => entries.length > 0),
      );
      await this.store.saveCheckpoints(KEY, [change.checkpoint]);
      lane.committed = change.checkpoint.next;
    }
  }

  /** The process is killed: what was not sent is lost, and a new one takes the lane over. */
  async crash(l: number): Promise<void> {
    this.#openLane(l, (await this.#checkpoints()).get(String(l)));
  }

  /** The store is emptied, and the mirror has not noticed yet. */
  async wipe(): Promise<void> {
    this.store.empty();
    await this.save();
  }

  /** The store is emptied; the mirror notices and writes what it knows. */
  async empty(): Promise<void> {
    this.store.empty();
    for (const lane of this.lanes) lane.progress.rewrite();
    await this.save();
  }

  async observe(): Promise<void> {
    const view = await this.view();
    const partitions = [...view.extents.keys()];
    const sourceEnds = new Map(this.lanes.map(({ rows }, l) => [String(l), this.#after(rows, rows.length - 1)]));
    const targetEnds = new Map(partitions.map((p) => [p, this.target.end(p)]));
    const givenBack = this.shape.bothWays ? new Map(partitions.map((p) => [p, this.#placeBack(p)])) : undefined;
    this.observations.note({ sourceEnds, targetEnds, givenBack }, view.lanes);
  }

  /** Where the reverse mirror goes on in a partition. */
  #placeBack(p: number): Position {
    const there = this.target.of(p);
    const next = there[this.#back[p] ?? 0]?.place;
    return next ?? this.target.end(p);
  }

  async view(): Promise<TopicView> {
    const checkpoints = await this.#checkpoints();
    const { partitions, bothWays } = this.shape;
    const all = Array.from({ length: partitions }, (_, p) => p);
    return {
      sourceCluster: 'east',
      topic: TOPIC,
      targetTopic: TARGET,
      lanes: this.lanes.map((_, l) => ({
        lane: String(l),
        partitions: this.#partitions(l),
        checkpoint: checkpoints.get(String(l)),
      })),
      extents: new Map(all.map((p) => [p, { begin: this.target.begins[p] ?? BEFORE_ALL, end: this.target.end(p) }])),
      bothWays,
      observations: this.observations.list,
    };
  }

  async #checkpoints(): Promise<Map<string, Checkpoint>> {
    return new Map((await this.store.loadCheckpoints(KEY)).map((each) => [each.lane.lane, each]));
  }

  #openLane(l: number, checkpoint: Checkpoint | undefined): void {
    const former = this.lanes[l];
    const partitions = this.#partitions(l);
    const plan = { lane: { topic: TOPIC, lane: String(l) }, targetTopic: TARGET, partitions };
    const progress = new Progress(plan, this.#clock, this.shape.byKey ? this.#ends : undefined);
    progress.resume(checkpoint);
    const from =
      checkpoint?.next ??
      former?.committed ??
      this.#sourceOf({ position: this.shape.sourceEntries ? entryPosition(0, 0) : offsetPosition(0) } as Row);
    const stored = new PositionSet();
    const found = this.target.batchesOf(l).filter((entry) => comparePositions(endOf(entry.runs), from) > 0);
    for (const { runs } of found) for (const run of runs) stored.add(run);
    const targets = new Map(partitions.map((p) => [p, checkpoint?.targets[partitionKey(TARGET, p)] ?? BEFORE_ALL]));
    const isNew = checkpoint === undefined && former === undefined;
    const watermark = progress.begin({ from, stored, targets, found, foundRecords: 0, entriesRead: 0, isNew });
    progress.confirm();
    const rows = former?.rows ?? [];
    let read = rows.findIndex((row) => comparePositions(this.#sourceOf(row), from) >= 0);
    if (read < 0) read = rows.length;
    const queues = Array.from({ length: this.shape.partitions }, (): Batch[] => []);
    this.lanes[l] = { rows, entry: former?.entry ?? 0, read, progress, watermark, stored, queues, receipts: [], committed: from };
  }

  #partitionOf(l: number, key: number): number {
    return this.shape.byKey ? key % this.shape.partitions : l % this.shape.partitions;
  }

  #partitions(l: number): number[] {
    const all = Array.from({ length: this.shape.partitions }, (_, p) => p);
    return this.shape.byKey ? all : [l % this.shape.partitions];
  }

  #lane(l: number): Lane {
    const lane = this.lanes[l % this.shape.lanes];
    if (lane === undefined) throw new Error('no such lane');
    return lane;
  }

  /** Where a lane goes on after a row. */
  #after(rows: readonly Row[], i: number): Position {
    const row = rows[i];
    if (row === undefined) return this.shape.sourceEntries ? entryPosition(0, 0) : offsetPosition(0);
    const { position, size } = row;
    if (position.minor < 0) return offsetPosition(position.major + 1);
    const inside = position.index >= 0 && position.index + 1 < size;
    return inside ? { ...position, index: position.index + 1 } : entryPosition(position.major, position.minor + 1);
  }
}

function isInside(row: Row | undefined): boolean {
  return (row?.position.index ?? 0) > 0;
}

function endOf(runs: readonly PositionRun[]): Position {
  return runs.map(({ first, count }) => step(first, count)).reduce((a, b) => (comparePositions(a, b) > 0 ? a : b));
}

/** Neighbours joined, as writers do. */
function runsOf(positions: readonly Position[]): PositionRun[] {
  const runs: { first: Position; count: number }[] = [];
  for (const position of positions) {
    const last = runs.at(-1);
    if (last !== undefined && comparePositions(step(last.first, last.count), position) === 0) last.count++;
    else runs.push({ first: position, count: 1 });
  }
  return runs;
}
