import { IsthmusError, toIsthmusError } from '../errors.ts';
import { untilAborted, within } from '../lib/abort.ts';
import { comparePositions, formatPosition, type Position } from '../model/position.ts';
import type { Log } from '../spi/log.ts';
import type { LaneRecorder } from '../spi/recorder.ts';
import type { LaneWriter, Stored } from '../spi/sink.ts';
import type { LaneReader } from '../spi/source.ts';
import type { Checkpoint, IndexEntry } from '../spi/state-store.ts';
import type { GapNote, LanePhase, LanePlan, MirrorContext } from './lane-plan.ts';
import { LEAVE_MILLIS, leave } from './leave.ts';
import { Pump } from './pump.ts';
import { believedEnd, disbelieveBeyond, partitionKey, type Recovery, recover, startOver } from './recovery.ts';
import { TargetPlaces } from './target-places.ts';
import { Watermark } from './watermark.ts';

const MIN_RETRY_MILLIS = 200;
const MAX_RETRY_MILLIS = 10_000;
const MAX_GAP_NOTES = 20;
/** While the state store is away, this many index entries per lane are kept for it; older ones are dropped (the target's marks still have them). */
const MAX_PENDING_INDEX = 20_000;
/** Time for batches in flight to be stored when a lane is closed. */
const CLOSE_GRACE_MILLIS = 4_000;

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
  #committing = false;
  /** Whether this lane is known to the store or the source, so that a successor does not take it for a new one. */
  #known = false;
  #closing: Promise<void> | undefined;
  /** Whether the attempt has all its writers. */
  #opened = false;
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
    this.#known = checkpoint !== undefined;
    this.#running = this.#run();
  }

  /** Ends the lane: what is in flight is given time to be stored; the final checkpoint can be taken afterwards. Takes at most 7 s. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = new IsthmusError('CLOSED', 'running a lane: it was closed');
    this.#abort.abort(closed);
    await this.#pump?.drain(CLOSE_GRACE_MILLIS);
    this.#attempt.abort(closed);
    if (this.#running !== undefined) await within(this.#running, this.#context.clock, 3 * LEAVE_MILLIS);
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

  /** Tells the source of our progress where it does not know of it; when it fails, the next call tries again. Never rejects. */
  async commit(): Promise<void> {
    if (this.#pump === undefined || this.#reader === undefined || this.#committing) return;
    this.#committing = true;
    await this.#commitTo(this.#reader);
    this.#committing = false;
  }

  async #commitTo(reader: LaneReader): Promise<void> {
    const next = this.#watermark?.next;
    if (next === undefined || (this.#committed !== undefined && comparePositions(next, this.#committed) === 0)) return;
    try {
      await reader.commit(next);
      this.#committed = next;
    } catch (error) {
      this.#log.warn('source-commit-failed', { detail: toIsthmusError(error).message });
    }
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
    this.#opened = false;
    this.#phase = { kind: 'starting' };
    const attempt = this.#attempt;
    const writers = new Map<number, LaneWriter>();
    let reader: LaneReader | undefined;
    try {
      for (const partition of this.plan.partitions) {
        const opening = this.#openWriter(partition, attempt);
        writers.set(partition, await untilAborted(opening, attempt.signal, (late) => void this.#leave(late.close(0))));
      }
      this.#opened = true;
      this.#phase = { kind: 'recovering' };
      const recovery = await untilAborted(this.#recover(attempt), attempt.signal);
      this.#begin(recovery);
      reader = await untilAborted(
        this.#openReader(recovery.from, attempt),
        attempt.signal,
        (late) => void this.#leave(late.close()),
      );
      this.#reader = reader;
      await this.#commitFirst(reader, recovery.from, attempt);
      await this.#pumpUntilClosed(recovery, reader, writers, attempt);
    } finally {
      this.#pump = undefined;
      attempt.abort(new IsthmusError('CLOSED', 'running a lane: this attempt is over'));
      await this.#endAttempt(reader, [...writers.values()]);
    }
  }

  /** Lets go of everything that an attempt has opened; what fails or hangs must not keep the rest from being closed. */
  async #endAttempt(reader: LaneReader | undefined, writers: readonly LaneWriter[]): Promise<void> {
    const ending = writers.map((writer) => writer.close(0));
    if (reader !== undefined && this.#abort.signal.aborted) ending.push(this.#commitTo(reader));
    await Promise.all(ending.map((each) => this.#leave(each)));
    if (reader !== undefined) await this.#leave(reader.close());
  }

  #leave(ending: Promise<void>): Promise<void> {
    return leave(ending, this.#context.clock, this.#log);
  }

  /** The source's own checkpoint exists before the first write: a lane that is known nowhere has then never written anything. */
  async #commitFirst(reader: LaneReader, from: Position, attempt: AbortController): Promise<void> {
    if (!this.#known) await untilAborted(reader.commit(from), attempt.signal);
    this.#known = true;
    this.#dirty = true;
  }

  async #pumpUntilClosed(
    recovery: Recovery,
    reader: LaneReader,
    writers: ReadonlyMap<number, LaneWriter>,
    attempt: AbortController,
  ): Promise<void> {
    if (this.#watermark === undefined) throw new IsthmusError('INTERNAL', 'running a lane: it was not begun');
    if (attempt.signal.aborted) throw attempt.signal.reason;
    this.#phase = { kind: 'running' };
    this.#pump = new Pump({
      context: this.#context,
      plan: this.plan,
      reader,
      writers,
      watermark: this.#watermark,
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
    if (this.#troubles.size > 0) this.#showTroubles();
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
      // A late call of an earlier attempt's writer must not count in this one's watermark.
      onStored: (stored) => {
        if (this.#attempt === attempt) this.#onStored(stored, attempt);
      },
      onFailed: (error) => attempt.abort(error),
      onTrouble: (error) => this.#onTrouble(`writer ${partition}`, error, attempt),
      signal: attempt.signal,
    });
  }

  #openReader(from: Position, attempt: AbortController): Promise<LaneReader> {
    const { source, budget } = this.#context;
    const onTrouble = (error: Error | undefined): void => this.#onTrouble('reader', error, attempt);
    return source.openLane(this.plan.lane, from, { group: this.#group, budget, onTrouble });
  }

  async #recover(attempt: AbortController): Promise<Recovery> {
    const { source, sink, sourceCluster, spec, clock } = this.#context;
    const plan = {
      sourceCluster,
      lane: this.plan.lane,
      targetTopic: this.plan.targetTopic,
      partitions: this.plan.partitions,
      start: spec.start,
      group: this.#group,
    };
    const checkpoint =
      this.#rewoundTo === undefined ? this.#checkpoint : await startOver(sink, plan, this.#rewoundTo, clock.now());
    const recovery = await recover(source, sink, { ...plan, checkpoint });
    const end = await believedEnd(recovery, source, this.plan.lane, clock, attempt.signal);
    if (end !== undefined && disbelieveBeyond(recovery, end))
      this.#log.warn('source-went-back', { sourceEnd: formatPosition(end) });
    this.#recorder.recovered(0, recovery.foundRecords);
    this.#log.info('lane-recovered', {
      from: formatPosition(recovery.from),
      foundRecords: recovery.foundRecords,
      entriesRead: recovery.entriesRead,
      knownBy: checkpoint === undefined ? 'source or target' : 'checkpoint',
    });
    return recovery;
  }

  #begin(recovery: Recovery): void {
    this.#troubles.clear();
    this.#rewoundTo = undefined;
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
    if (!attempt.signal.aborted) this.#pump?.onRoom();
  }

  #noteIndex(entry: IndexEntry): void {
    if (this.#pendingIndex.length >= MAX_PENDING_INDEX) this.#pendingIndex.shift();
    this.#pendingIndex.push(entry);
  }

  /** The reader and each writer report on their own; the lane waits while one of them does. */
  #onTrouble(part: string, error: Error | undefined, attempt: AbortController): void {
    if (this.#attempt !== attempt || attempt.signal.aborted) return;
    const trouble = error === undefined ? undefined : toIsthmusError(error);
    if (trouble === undefined) this.#troubles.delete(part);
    else this.#troubles.set(part, trouble);
    this.#showTroubles();
    // Whoever has the first partition goes on to take the others. To wait here with those in hand could be to wait for each other for ever.
    if (trouble?.code === 'OTHER_WRITER' && this.#opened && this.plan.partitions.length > 1) attempt.abort(trouble);
  }

  #showTroubles(): void {
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
