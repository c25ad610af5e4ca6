import { IsthmusError, toIsthmusError } from '../errors.ts';
import { within } from '../lib/abort.ts';
import { comparePositions, type Position } from '../model/position.ts';
import type { Log } from '../spi/log.ts';
import type { Stored } from '../spi/sink.ts';
import type { LaneReader } from '../spi/source.ts';
import type { Checkpoint } from '../spi/state-store.ts';
import { Attempt, type LaneMemory } from './attempt.ts';
import type { GapNote, LaneParts, LanePhase, LanePlan, MirrorContext } from './lane-plan.ts';
import type { LaneLease } from './lease-keeper.ts';
import { LEAVE_MILLIS } from './leave.ts';
import { type Change, Progress } from './progress.ts';

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
  /** The last one, also while the lane waits: it tells how far the lane is behind. */
  #reader: LaneReader | undefined;
  #attempt: Attempt | undefined;
  #caughtUpAt: number;
  readonly #troubles = new Map<string, IsthmusError>();
  #committed: Position | undefined;
  #committing = false;
  #closing: Promise<void> | undefined;
  #running: Promise<void> | undefined;
  readonly #parts: LaneParts;
  readonly #memory: LaneMemory = {
    shared: false,
    rewoundTo: undefined,
    unsettled: false,
    apartUpTo: undefined,
    windowEpoch: undefined,
  };
  readonly #lease: LaneLease | undefined;
  readonly gaps: GapNote[] = [];
  recordsStored = 0;
  recordsDropped = 0;
  deadLetters = 0;

  constructor(plan: LanePlan, context: MirrorContext, parts: LaneParts) {
    this.plan = plan;
    this.#context = context;
    this.#parts = parts;
    this.#recorder = parts.recorder;
    this.#lease = context.sink.fences ? undefined : context.leases.open(leaseName(plan, context));
    this.#progress = new Progress(plan, context.clock, parts.ends);
    this.#log = context.log.child({ topic: plan.lane.topic, lane: plan.lane.lane });
    this.#caughtUpAt = context.clock.now();
  }

  get phase(): LanePhase {
    return this.#phase;
  }

  get next(): Position | undefined {
    return this.#progress.next;
  }

  /** Whether records are checked in a dedup window now; `undefined` where the mirror has none, or the lane does not run. */
  get windowInForce(): boolean | undefined {
    return this.#attempt?.window?.inForce;
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
    this.#memory.shared = old;
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
    await this.#attempt?.drain(CLOSE_GRACE_MILLIS);
    this.#attempt?.abort(closed);
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

  /** False while another process may have the lane: what it has kept since is newer. Where the target itself keeps others out, nobody here can tell. */
  get isOurs(): boolean {
    return this.#lease?.lost !== true;
  }

  /** What has to be kept now; see Progress. */
  takeCheckpoint(): Change | undefined {
    return this.isOurs ? this.#progress.take(this.#phase.kind === 'running' && this.#attempt?.writes === true) : undefined;
  }

  /** The store has kept what `takeCheckpoint` gave, or it has not. */
  kept(change: Pick<Change, 'index' | 'cuts'>, success: boolean): void {
    this.#progress.kept(change, success);
  }

  /** Tells the source of our progress where it does not know of it; when it fails, the next call tries again. Never rejects. */
  async commit(): Promise<void> {
    if (this.#attempt?.running !== true || this.#reader === undefined || this.#committing) return;
    this.#committing = true;
    await this.#commitTo(this.#reader);
    this.#committing = false;
  }

  async #commitTo(reader: LaneReader): Promise<void> {
    const next = this.#progress.place;
    if (next === undefined || (this.#committed !== undefined && comparePositions(next, this.#committed) === 0)) return;
    try {
      await reader.commit(next);
      this.#committed = next;
    } catch (error) {
      this.#log.warn('source-commit-failed', { detail: toIsthmusError(error).message });
    }
  }

  /** Makes the next `takeCheckpoint` give everything again: the store was emptied. */
  rewriteState(): void {
    this.#progress.rewrite();
  }

  async #run(): Promise<void> {
    for (let failures = 0; !this.#abort.signal.aborted; ) {
      const startedAt = this.#context.clock.monotonic();
      try {
        await this.#tryOnce();
      } catch (raw) {
        const error = toIsthmusError(raw);
        if (this.#abort.signal.aborted) break;
        if (error.code === 'OTHER_WRITER') this.#memory.shared = true;
        this.#progress.refresh();
        this.#recorder.restart(error.code);
        const since = this.#context.clock.now();
        this.#phase = error.retryable ? { kind: 'waiting', error, since } : { kind: 'stopped', error, since };
        this.#log.warn(error.retryable ? 'lane-waits' : 'lane-stopped', { code: error.code, detail: error.message });
        if (!error.retryable) return await this.release();
        failures = this.#context.clock.monotonic() - startedAt > 60_000 ? 0 : failures + 1;
        const wait =
          Math.min(MAX_RETRY_MILLIS, MIN_RETRY_MILLIS * 2 ** Math.min(failures, 10)) * (0.5 + this.#context.random() / 2);
        await this.#context.clock.sleep(wait, this.#abort.signal);
      }
    }
  }

  /** Lets another process have the lane, after its last checkpoint was kept. Never rejects, and takes at most 1 s. */
  async release(): Promise<void> {
    if (this.#lease !== undefined) await within(this.#lease.end(!this.#memory.unsettled), this.#context.clock, LEAVE_MILLIS);
  }

  #tryOnce(): Promise<void> {
    this.#phase = { kind: 'starting' };
    this.#attempt?.detach();
    const attempt = new Attempt({
      ...this.#parts,
      plan: this.plan,
      context: this.#context,
      log: this.#log,
      progress: this.#progress,
      memory: this.#memory,
      lease: this.#lease,
      closing: this.#abort.signal,
      lastCommit: (reader) => this.#commitTo(reader),
      events: {
        onPhase: (kind) => this.#enter(kind),
        onReader: (reader) => {
          this.#reader = reader;
        },
        onTrouble: (part, error) => this.#onTrouble(part, error),
        onTroublesOver: () => this.#troubles.clear(),
        onStored: (stored) => this.#onStored(stored),
        onDropped: (records) => {
          this.recordsDropped += records;
          this.#progress.markDirty();
        },
        onDeadLetter: () => {
          this.deadLetters++;
          // Else a lane whose last records were refused keeps no place behind them: restarted, it takes them again, and stores them where the cause is mended.
          this.#progress.markDirty();
        },
        onGap: (note) => this.#noteGap(note),
      },
    });
    this.#attempt = attempt;
    return attempt.run();
  }

  #enter(kind: 'recovering' | 'running'): void {
    this.#phase = { kind };
    if (kind === 'running' && this.#troubles.size > 0) this.#showTroubles();
  }

  #onStored({ count, bytes, sourceStoreTime }: Stored): void {
    this.recordsStored += count;
    this.#recorder.stored(count, bytes, Math.max(0, this.#context.clock.now() - sourceStoreTime) / 1000);
  }

  /** The reader and each writer report on their own; the lane waits while one of them does. */
  #onTrouble(part: string, error: IsthmusError | undefined): void {
    if (error === undefined) this.#troubles.delete(part);
    else this.#troubles.set(part, error);
    this.#showTroubles();
  }

  #showTroubles(): void {
    const error = [...this.#troubles.values()][0];
    if (error === undefined) {
      if (this.#phase.kind !== 'waiting') return;
      this.#phase = { kind: this.#attempt?.running === true ? 'running' : 'recovering' };
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

/** What the lease keeps apart: writers of one lane over one link, whatever its mirror is called and wherever it writes. */
export function leaseName({ lane }: LanePlan, { link, sourceCluster }: MirrorContext): string {
  return [link, sourceCluster, lane.topic, lane.lane].join(' ');
}
