import { IsthmusError, toIsthmusError } from '../errors.ts';
import { untilAborted } from '../lib/abort.ts';
import type { MirrorSpec } from '../model/mirror-spec.ts';
import { comparePositions, formatPosition, type Position } from '../model/position.ts';
import type { Log } from '../spi/log.ts';
import type { LaneRecorder } from '../spi/recorder.ts';
import type { LaneWriter, Stored } from '../spi/sink.ts';
import type { LaneReader, Source, StartAt } from '../spi/source.ts';
import type { Checkpoint, IndexEntry } from '../spi/state-store.ts';
import type { GapNote, LanePhase, LanePlan, MirrorContext } from './lane-plan.ts';
import { Pump } from './pump.ts';
import { disbelieveBeyond, partitionKey, type Recovery, recover } from './recovery.ts';
import { TargetPlaces } from './target-places.ts';
import { Watermark } from './watermark.ts';

const MIN_RETRY_MILLIS = 200;
const MAX_RETRY_MILLIS = 10_000;
const SOURCE_END_CHECKS = 10;
const SOURCE_END_CHECK_MILLIS = 1_000;
const MAX_GAP_NOTES = 20;
/** While the state store is away, this many index entries per lane are kept for it; older ones are dropped (the target's marks still have them). */
const MAX_PENDING_INDEX = 20_000;
/** Time for batches in flight to be stored when a lane is closed. */
export const CLOSE_GRACE_MILLIS = 5_000;

/**
 * One lane of a mirror, from its source queue to its target partitions.
 *
 * (L1) The target is looked at before the first write of every attempt, with the writers already open, so that nobody else writes after the look.
 * (L2) A checkpoint never passes a record that is not stored, dropped for a counted reason, or dead-lettered.
 * (L3) A record is dropped only with a counted reason.
 * (L4) After a failed write nothing later is written by the same attempt.
 */
export class Lane {
  readonly plan: LanePlan;
  readonly #context: MirrorContext;
  readonly #recorder: LaneRecorder;
  readonly #log: Log;
  readonly #abort = new AbortController();
  #phase: LanePhase = { kind: 'starting' };
  /** The checkpoint last made, which an attempt starts from: newer than the store's while that is away. */
  #checkpoint: Checkpoint | undefined;
  #watermark: Watermark | undefined;
  #places: TargetPlaces | undefined;
  #reader: LaneReader | undefined;
  #pump: Pump | undefined;
  #pendingIndex: IndexEntry[] = [];
  #newest = new Map<number, Position>();
  #caughtUpAt: number;
  readonly #troubles = new Map<string, IsthmusError>();
  #committed: Position | undefined;
  #rewoundTo: Position | undefined;
  #dirty = false;
  #running: Promise<void> | undefined;
  #attempt = new AbortController();
  #group: string;
  readonly gaps: GapNote[] = [];
  recordsStored = 0;
  recordsDropped = 0;
  deadLetters = 0;

  constructor(plan: LanePlan, context: MirrorContext, group: string, recorder: LaneRecorder) {
    this.plan = plan;
    this.#context = context;
    this.#group = group;
    this.#recorder = recorder;
    this.#log = context.log.child({ topic: plan.lane.topic, lane: plan.lane.lane });
    this.#caughtUpAt = context.clock.now();
  }

  get phase(): LanePhase {
    return this.#phase;
  }

  get next(): Position | undefined {
    return this.#watermark?.next ?? this.#checkpoint?.next;
  }

  get reader(): LaneReader | undefined {
    return this.#reader;
  }

  /** Newest stored position per target partition. */
  get newest(): ReadonlyMap<number, Position> {
    return this.#newest;
  }

  /** Starts, from the checkpoint that the store had (`undefined`: none). */
  start(checkpoint: Checkpoint | undefined): void {
    this.#checkpoint = checkpoint;
    this.#running = this.#run();
  }

  /** Ends the lane: what is in flight is given time to be stored; the final checkpoint can be taken afterwards. */
  async close(): Promise<void> {
    const closed = new IsthmusError('CLOSED', 'running a lane: it was closed');
    this.#abort.abort(closed);
    await this.#pump?.drain(CLOSE_GRACE_MILLIS);
    this.#attempt.abort(closed);
    await this.#running;
    this.#phase = { kind: 'closed' };
    this.#recorder.close();
  }

  /** Seconds since the oldest record was stored at the source that is not stored in the target; 0 when caught up. */
  lagSeconds(): number | undefined {
    const end = this.#reader?.extent()?.end;
    const next = this.next;
    if (end === undefined || next === undefined) return undefined;
    if (comparePositions(next, end) >= 0) {
      this.#caughtUpAt = this.#context.clock.now();
      return 0;
    }
    const oldest = this.#watermark?.oldestStoreTime ?? this.#caughtUpAt;
    return Math.max(0, (this.#context.clock.now() - oldest) / 1000);
  }

  /** What has to be kept now; `undefined` when nothing has changed since the last one that was confirmed by `kept`. */
  takeCheckpoint(): { checkpoint: Checkpoint; index: readonly IndexEntry[] } | undefined {
    const checkpoint = this.#makeCheckpoint();
    if (checkpoint === undefined || (!this.#dirty && this.#pendingIndex.length === 0)) return undefined;
    this.#dirty = false;
    const index = this.#pendingIndex;
    this.#pendingIndex = [];
    return { checkpoint, index };
  }

  /** The store has kept what `takeCheckpoint` gave, or it has not (then it is all given again). */
  kept(index: readonly IndexEntry[], success: boolean): void {
    if (success) return;
    this.#dirty = true;
    this.#pendingIndex = [...index, ...this.#pendingIndex].slice(-MAX_PENDING_INDEX);
  }

  /** What the source has to be told of our progress; `undefined` when it knows it already. */
  takeCommit(): Position | undefined {
    const next = this.#watermark?.next;
    if (next === undefined || (this.#committed !== undefined && comparePositions(next, this.#committed) === 0)) return undefined;
    this.#committed = next;
    return next;
  }

  /** Makes the next `takeCheckpoint` give everything again: the store was emptied. */
  markDirty(): void {
    this.#dirty = true;
  }

  #makeCheckpoint(): Checkpoint | undefined {
    if (this.#watermark === undefined || this.#places === undefined) return undefined;
    const next = this.#watermark.next;
    const targets = Object.fromEntries(
      [...this.#places.at(next)].map(([partition, place]) => [partitionKey(this.plan.targetTopic, partition), place]),
    );
    this.#checkpoint = { lane: this.plan.lane, next, targets, time: this.#context.clock.now() };
    return this.#checkpoint;
  }

  async #run(): Promise<void> {
    for (let failures = 0; !this.#abort.signal.aborted; ) {
      this.#attempt = new AbortController();
      const startedAt = this.#context.clock.monotonic();
      try {
        await this.#runOnce();
      } catch (raw) {
        const error = toIsthmusError(raw);
        if (this.#abort.signal.aborted) break;
        this.#makeCheckpoint();
        this.#recorder.restart(error.code);
        const since = this.#context.clock.now();
        this.#phase = error.retryable ? { kind: 'waiting', error, since } : { kind: 'stopped', error, since };
        this.#log.warn(error.retryable ? 'lane-waits' : 'lane-stopped', { code: error.code, detail: error.message });
        if (!error.retryable) return;
        failures = this.#context.clock.monotonic() - startedAt > 60_000 ? 0 : failures + 1;
        const wait =
          Math.min(MAX_RETRY_MILLIS, MIN_RETRY_MILLIS * 2 ** Math.min(failures, 10)) * (0.5 + this.#context.random() / 2);
        await this.#context.clock.sleep(wait, this.#abort.signal);
      }
    }
  }

  async #runOnce(): Promise<void> {
    const { source } = this.#context;
    this.#phase = { kind: 'starting' };
    const attempt = this.#attempt;
    const writers = new Map<number, LaneWriter>();
    try {
      for (const partition of this.plan.partitions) {
        const opening = this.#openWriter(partition, attempt);
        writers.set(partition, await untilAborted(opening, attempt.signal, (late) => void late.close(0)));
      }
      this.#phase = { kind: 'recovering' };
      const recovery = await untilAborted(this.#recover(), attempt.signal);
      this.#begin(recovery);
      this.#reader = await source.openLane(this.plan.lane, recovery.from, this.#readOptions());
      await this.#commitFirst(recovery);
      await this.#pumpUntilClosed(recovery, writers, attempt);
    } finally {
      this.#pump = undefined;
      await this.#reader?.close();
      const grace = this.#abort.signal.aborted ? CLOSE_GRACE_MILLIS : 0;
      await Promise.all([...writers.values()].map((writer) => writer.close(grace)));
    }
  }

  /** The source's own checkpoint exists before the first write: a lane that is known nowhere has then never written anything. */
  async #commitFirst(recovery: Recovery): Promise<void> {
    if (this.#checkpoint === undefined) await this.#reader?.commit(recovery.from);
    this.#dirty = true;
  }

  async #pumpUntilClosed(recovery: Recovery, writers: ReadonlyMap<number, LaneWriter>, attempt: AbortController): Promise<void> {
    const [reader, watermark] = [this.#reader, this.#watermark];
    if (reader === undefined || watermark === undefined) throw new IsthmusError('INTERNAL', 'running a lane: it was not opened');
    if (attempt.signal.aborted) throw attempt.signal.reason;
    this.#phase = { kind: 'running' };
    this.#pump = new Pump({
      context: this.#context,
      plan: this.plan,
      reader,
      writers,
      watermark,
      stored: recovery.stored,
      recorder: this.#recorder,
      log: this.#log,
      failure: attempt.signal,
      onGap: (note) => this.#noteGap(note),
      onRewind: (to) => {
        this.#rewoundTo = to;
      },
      onDropped: (count) => {
        this.recordsDropped += count;
        this.#dirty = true;
      },
      onDeadLetter: () => this.deadLetters++,
    });
    await this.#pump.run();
  }

  #openWriter(partition: number, attempt: AbortController): Promise<LaneWriter> {
    const { spec, link, sourceCluster } = this.#context;
    return this.#context.sink.openWriter({
      topic: this.plan.targetTopic,
      partition,
      sourceCluster,
      lane: this.plan.lane,
      link,
      batching: spec.batching,
      compression: spec.compression,
      onStored: (stored) => {
        if (!attempt.signal.aborted || this.#abort.signal.aborted) this.#onStored(stored, attempt);
      },
      onFailed: (error) => attempt.abort(error),
      onTrouble: (error) => this.#onTrouble(`writer ${partition}`, error),
      signal: attempt.signal,
    });
  }

  #readOptions(): Parameters<Source['openLane']>[2] {
    return { group: this.#group, budget: this.#context.budget, onTrouble: (error) => this.#onTrouble('reader', error) };
  }

  async #recover(): Promise<Recovery> {
    const { source, sink, sourceCluster, spec } = this.#context;
    if (this.#rewoundTo !== undefined) this.#checkpoint = await this.#startOver(this.#rewoundTo);
    this.#rewoundTo = undefined;
    const plan = {
      sourceCluster,
      lane: this.plan.lane,
      targetTopic: this.plan.targetTopic,
      partitions: this.plan.partitions,
      start: startAt(spec.start),
      group: this.#group,
      checkpoint: this.#checkpoint,
    };
    const recovery = await recover(source, sink, plan);
    await this.#checkAgainstSource(recovery);
    this.#recorder.recovered(0, recovery.foundRecords);
    this.#log.info('lane-recovered', {
      from: formatPosition(recovery.from),
      foundRecords: recovery.foundRecords,
      entriesRead: recovery.entriesRead,
      knownBy: this.#checkpoint === undefined ? 'source or target' : 'checkpoint',
    });
    return recovery;
  }

  /** The checkpoint of a lane whose source begins again at a lower position: no mark that is in the target now speaks of what comes. */
  async #startOver(next: Position): Promise<Checkpoint> {
    const targets: Record<string, Position> = {};
    for (const partition of this.plan.partitions) {
      const tail = await this.#context.sink.tail(this.plan.targetTopic, partition);
      if (tail !== undefined) targets[partitionKey(this.plan.targetTopic, partition)] = tail;
    }
    return { lane: this.plan.lane, next, targets, time: this.#context.clock.now() };
  }

  /** A source that was just written to reports its end late, so that it is asked again for a while before marks are disbelieved. */
  async #checkAgainstSource(recovery: Recovery): Promise<void> {
    const storedEnd = recovery.stored.end;
    if (storedEnd === undefined) return;
    let end = await this.#context.source.resolveStart(this.plan.lane, { kind: 'latest' });
    for (let i = 0; i < SOURCE_END_CHECKS && comparePositions(storedEnd, end) > 0; i++) {
      await this.#context.clock.sleep(SOURCE_END_CHECK_MILLIS, this.#attempt.signal);
      end = await this.#context.source.resolveStart(this.plan.lane, { kind: 'latest' });
    }
    if (!disbelieveBeyond(recovery, end)) return;
    this.#log.warn('source-went-back', { sourceEnd: formatPosition(end), targetHasUpTo: formatPosition(storedEnd) });
  }

  #begin(recovery: Recovery): void {
    this.#troubles.clear();
    this.#watermark = new Watermark(recovery.from);
    this.#places = new TargetPlaces(recovery.targets);
    for (const entry of recovery.found) {
      // Without this the place would pass a found batch whose records lie beyond the watermark, and the next look would miss them.
      this.#places.stored(entry);
      this.#newest.set(entry.partition, entry.target);
      if (entry.runs.length > 0) this.#noteIndex(entry);
    }
  }

  #onStored(stored: Stored, attempt: AbortController): void {
    try {
      for (const run of stored.runs) this.#watermark?.stored(run);
    } catch (error) {
      attempt.abort(new IsthmusError('INTERNAL', `counting stored records: ${toIsthmusError(error).message}`));
      return;
    }
    this.#places?.stored(stored);
    this.#newest.set(stored.partition, stored.target);
    this.#noteIndex({ runs: stored.runs, partition: stored.partition, target: stored.target });
    this.recordsStored += stored.count;
    this.#dirty = true;
    this.#recorder.stored(stored.count, stored.bytes, Math.max(0, this.#context.clock.now() - stored.sourceStoreTime) / 1000);
    this.#pump?.onRoom();
  }

  #noteIndex(entry: IndexEntry): void {
    if (this.#pendingIndex.length >= MAX_PENDING_INDEX) this.#pendingIndex.shift();
    this.#pendingIndex.push(entry);
  }

  /** The reader and each writer report on their own; the lane waits while one of them does. */
  #onTrouble(part: string, raw: Error | undefined): void {
    if (this.#phase.kind === 'stopped' || this.#phase.kind === 'closed') return;
    if (raw === undefined) this.#troubles.delete(part);
    else this.#troubles.set(part, toIsthmusError(raw));
    const error = [...this.#troubles.values()][0];
    if (error === undefined) {
      if (this.#phase.kind !== 'waiting') return;
      this.#phase = { kind: this.#pump === undefined ? 'recovering' : 'running' };
      this.#log.info('lane-goes-on');
    } else if (this.#phase.kind === 'waiting') {
      this.#phase = { ...this.#phase, error };
    } else {
      this.#log.warn('lane-waits', { code: error.code, detail: error.message });
      this.#phase = { kind: 'waiting', error, since: this.#context.clock.now() };
    }
  }

  #noteGap(note: GapNote): void {
    this.gaps.push(note);
    if (this.gaps.length > MAX_GAP_NOTES) this.gaps.shift();
    this.#dirty = true;
  }
}

function startAt(rule: MirrorSpec['start']): StartAt {
  return typeof rule === 'number' ? { kind: 'time', time: rule } : { kind: rule };
}
