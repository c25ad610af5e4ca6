import { IsthmusError, toIsthmusError } from '../errors.ts';
import { untilAborted, within } from '../lib/abort.ts';
import { comparePositions, formatPosition, type Position } from '../model/position.ts';
import type { Log } from '../spi/log.ts';
import type { LaneWriter, Stored } from '../spi/sink.ts';
import type { LaneReader } from '../spi/source.ts';
import type { Checkpoint, IndexEntry } from '../spi/state-store.ts';
import type { GapNote, LaneParts, LanePhase, LanePlan, MirrorContext } from './lane-plan.ts';
import { LEAVE_MILLIS, leave } from './leave.ts';
import { Progress } from './progress.ts';
import { Pump, type PumpOptions } from './pump.ts';
import { believedEnd, disbelieveBeyond, type Recovery, recover, startOver } from './recovery.ts';

const MIN_RETRY_MILLIS = 200;
const MAX_RETRY_MILLIS = 10_000;
const MAX_GAP_NOTES = 20;
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
  readonly #recorder: LaneParts['recorder'];
  readonly #log: Log;
  readonly #abort = new AbortController();
  #phase: LanePhase = { kind: 'starting' };
  readonly #progress: Progress;
  #reader: LaneReader | undefined;
  #pump: Pump | undefined;
  #caughtUpAt: number;
  readonly #troubles = new Map<string, IsthmusError>();
  #committed: Position | undefined;
  #committing = false;
  #closing: Promise<void> | undefined;
  /** Whether the attempt has all its writers. */
  #opened = false;
  #rewoundTo: Position | undefined;
  #running: Promise<void> | undefined;
  #attempt = new AbortController();
  readonly #group: string;
  readonly #reload: LaneParts['reload'];
  readonly #save: LaneParts['save'];
  /** Whether another process may have had the lane since our checkpoint: what is remembered here may be old. */
  #shared = false;
  readonly gaps: GapNote[] = [];
  recordsStored = 0;
  recordsDropped = 0;
  deadLetters = 0;

  constructor(plan: LanePlan, context: MirrorContext, { group, recorder, reload, save }: LaneParts) {
    this.plan = plan;
    this.#context = context;
    this.#group = group;
    this.#recorder = recorder;
    this.#reload = reload;
    this.#save = save;
    this.#progress = new Progress(plan, context.clock);
    this.#log = context.log.child({ topic: plan.lane.topic, lane: plan.lane.lane });
    this.#caughtUpAt = context.clock.now();
  }

  get phase(): LanePhase {
    return this.#phase;
  }

  get next(): Position | undefined {
    return this.#progress.next;
  }

  get reader(): LaneReader | undefined {
    return this.#reader;
  }

  /** Newest stored position per target partition. */
  get newest(): ReadonlyMap<number, Position> {
    return this.#progress.newest;
  }

  /** Starts, from the checkpoint that the store had (`undefined`: none); `old`: it was read a while ago. */
  start(checkpoint: Checkpoint | undefined, old: boolean): void {
    this.#progress.resume(checkpoint);
    this.#shared = old;
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
    const oldest = this.#progress.oldestStoreTime ?? this.#caughtUpAt;
    return Math.max(0, (this.#context.clock.now() - oldest) / 1000);
  }

  /** What has to be kept now; see Progress. */
  takeCheckpoint(): { checkpoint: Checkpoint; index: readonly IndexEntry[] } | undefined {
    return this.#progress.take();
  }

  /** The store has kept what `takeCheckpoint` gave, or it has not. */
  kept(index: readonly IndexEntry[], success: boolean): void {
    this.#progress.kept(index, success);
  }

  /** Tells the source of our progress where it does not know of it; when it fails, the next call tries again. Never rejects. */
  async commit(): Promise<void> {
    if (this.#pump === undefined || this.#reader === undefined || this.#committing) return;
    this.#committing = true;
    await this.#commitTo(this.#reader);
    this.#committing = false;
  }

  async #commitTo(reader: LaneReader): Promise<void> {
    const next = this.#progress.next;
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
    this.#progress.markDirty();
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
        if (error.code === 'OTHER_WRITER') this.#shared = true;
        this.#progress.refresh();
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
      this.#troubles.clear();
      this.#shared = false;
      const watermark = this.#progress.begin(recovery);
      reader = await untilAborted(
        this.#openReader(recovery.from, attempt),
        attempt.signal,
        (late) => void this.#leave(late.close()),
      );
      this.#reader = reader;
      await this.#commitFirst(reader, recovery.from, attempt);
      await this.#pumpUntilClosed({ watermark, stored: recovery.stored, reader, writers }, attempt);
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

  /**
   * The source's own checkpoint exists before the first write: a lane that is known nowhere has then never written anything. And it is lowered
   * before a lane writes that starts over, or a successor without any state would go on at the old place.
   */
  async #commitFirst(reader: LaneReader, from: Position, attempt: AbortController): Promise<void> {
    if (!this.#progress.known || this.#rewoundTo !== undefined) await untilAborted(reader.commit(from), attempt.signal);
    this.#rewoundTo = undefined;
    const unnamed = this.#progress.unnamedPartitions;
    this.#progress.confirm();
    // Only a checkpoint names the partitions of a changed routing; if that changes again, what was written there must not be forgotten.
    if (unnamed) await untilAborted(within(this.#save(), this.#context.clock, LEAVE_MILLIS), attempt.signal);
  }

  async #pumpUntilClosed(
    parts: Pick<PumpOptions, 'watermark' | 'stored' | 'reader' | 'writers'>,
    attempt: AbortController,
  ): Promise<void> {
    if (attempt.signal.aborted) throw attempt.signal.reason;
    this.#phase = { kind: 'running' };
    this.#pump = new Pump({
      ...parts,
      context: this.#context,
      plan: this.plan,
      recorder: this.#recorder,
      log: this.#log,
      failure: attempt.signal,
      onGap: (note) => this.#noteGap(note),
      onRewind: (to) => {
        this.#rewoundTo = to;
      },
      onDropped: (count) => {
        this.recordsDropped += count;
        this.#progress.markDirty();
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
    if (this.#shared && this.#rewoundTo === undefined) await this.#learnFromStore();
    const checkpoint =
      this.#rewoundTo === undefined ? this.#progress.checkpoint : await startOver(sink, plan, this.#rewoundTo, clock.now());
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

  /**
   * A process that has waited for another one knows where the lane was when the waiting began. The target tells the rest, but only of what it
   * still has; the newest checkpoint makes the look short.
   */
  async #learnFromStore(): Promise<void> {
    try {
      const kept = await this.#reload();
      const own = this.#progress.checkpoint;
      if (kept !== undefined && (own === undefined || kept.time > own.time)) this.#progress.resume(kept);
    } catch (error) {
      this.#log.warn('checkpoint-not-read', { detail: toIsthmusError(error).message });
    }
  }

  #onStored(stored: Stored, attempt: AbortController): void {
    try {
      this.#progress.stored(stored);
    } catch (error) {
      attempt.abort(new IsthmusError('INTERNAL', `counting stored records: ${toIsthmusError(error).message}`));
      return;
    }
    this.recordsStored += stored.count;
    this.#recorder.stored(stored.count, stored.bytes, Math.max(0, this.#context.clock.now() - stored.sourceStoreTime) / 1000);
    if (!attempt.signal.aborted) this.#pump?.onRoom();
  }

  /** The reader and each writer report on their own; the lane waits while one of them does. */
  #onTrouble(part: string, error: Error | undefined, attempt: AbortController): void {
    if (this.#attempt !== attempt || attempt.signal.aborted) return;
    const trouble = error === undefined ? undefined : toIsthmusError(error);
    if (trouble?.code === 'OTHER_WRITER') this.#shared = true;
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
    this.#progress.markDirty();
  }
}
