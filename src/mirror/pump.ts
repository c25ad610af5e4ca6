import { IsthmusError, toIsthmusError } from '../errors.ts';
import { untilAborted, within } from '../lib/abort.ts';
import { type Deferred, deferred } from '../lib/deferred.ts';
import { comparePositions, formatPosition, neighbourDistance, type Position } from '../model/position.ts';
import type { RecordBatch } from '../model/record-batch.ts';
import type { Log } from '../spi/log.ts';
import type { DropReason, LaneRecorder } from '../spi/recorder.ts';
import type { LaneWriter } from '../spi/sink.ts';
import type { Delivery, LaneReader, Source } from '../spi/source.ts';
import type { Stage, Verdicts } from '../spi/stage.ts';
import { BadRecords } from './bad-records.ts';
import type { CutRecords } from './cut-index.ts';
import { type Intake, PlainIntake } from './intake.ts';
import type { GapNote, LanePlan, MirrorContext } from './lane-plan.ts';
import { LEAVE_MILLIS } from './leave.ts';
import type { PositionSet } from './position-set.ts';
import { MAX_LEAD_RECORDS, MAX_ROUND_RECORDS } from './recovery.ts';
import { stagesOf } from './stages/stages.ts';
import type { Watermark } from './watermark.ts';
import { ClaimingIntake } from './window/claiming-intake.ts';
import type { Judged } from './window/groups.ts';
import type { LaneWindow } from './window/lane-window.ts';
import { idsBy } from './window/record-ids.ts';
import { Writers } from './writers.ts';

export interface PumpOptions {
  readonly context: MirrorContext;
  readonly plan: LanePlan;
  readonly reader: LaneReader;
  readonly writers: ReadonlyMap<number, LaneWriter>;
  readonly watermark: Watermark;
  /** Records at or after the start that the target has already. */
  readonly stored: PositionSet;
  readonly recorder: LaneRecorder;
  /** The dedup window of the target topic, where there is one. */
  readonly window?: { readonly window: LaneWindow; readonly onWaiting: (error: IsthmusError | undefined) => void } | undefined;
  readonly log: Log;
  /** Aborts with the error of a writer that has given up. */
  readonly failure: AbortSignal;
  readonly onGap: (note: GapNote) => void;
  /** The source holds new records from a lower position on; the lane ends with SOURCE_REWOUND right after. */
  readonly onRewind: (to: Position) => void;
  readonly onDropped: (records: number) => void;
  /** Is told where in the target those records lie that are cut as loops, and of those that another way has brought. */
  readonly cuts?: CutRecords | undefined;
  readonly onDeadLetter: () => void;
}

const FULL_AGAIN_MILLIS = 2;
const SETTLE_STEP_MILLIS = 5;
const SETTLE_MILLIS = 5_000;
/** Stretches (most have 32 records) that are read and not safe yet; see `#awaitRoom`. */
const MAX_OUTSTANDING = 8_192;

/**
 * Moves records from a reader to writers until it is told to stop or something fails.
 *
 * Batches form by themselves: while batches are on their way the open one grows, and as soon as nothing is on its way it leaves. Nothing ever
 * waits for a timer, so a lone record leaves at once and a backlog travels in full batches.
 */
export class Pump {
  readonly #options: PumpOptions;
  readonly #intake: Intake;
  /** Of the batch that is being handed out. */
  #verdicts: Verdicts = [];
  readonly #writers: Writers;
  readonly #bad: BadRecords;
  readonly #stop = new AbortController();
  #settleUntil = 0;
  #starved = false;
  #roomWanted: Deferred<void> | undefined;
  /** Records handed out since all writers have sent what they had open; see MAX_ROUND_RECORDS. */
  #roundRecords = 0;
  /** Whether records were read, so that the reader could compare what it has with what the source has now. */
  #taken = false;
  #done: Promise<void> | undefined;
  /** Of a batch: rows that a look at the target has found there. What else is a duplicate, another way has brought. */
  readonly #foundRows = new WeakMap<RecordBatch, number>();

  constructor(options: PumpOptions) {
    this.#options = options;
    this.#intake = openIntake(options, this.#foundRows);
    this.#writers = new Writers(options.context.sink, options.plan, options.writers);
    this.#bad = new BadRecords(options);
  }

  run(): Promise<void> {
    this.#done = this.#run();
    return this.#done;
  }

  /** Stops reading and waits until everything taken is stored, up to `graceMillis`. The reader stays open, for a last commit. */
  async drain(graceMillis: number): Promise<void> {
    const { clock } = this.#options.context;
    this.#settleUntil = clock.monotonic() + graceMillis;
    this.#stop.abort(new IsthmusError('CLOSED', 'reading a lane: it was told to stop'));
    this.#wakeForRoom();
    await within(this.#done?.catch(() => undefined) ?? Promise.resolve(), clock, graceMillis);
  }

  /** A checkpoint must not pass this place yet. */
  get unconfirmedFrom(): Position | undefined {
    return this.#intake.unconfirmedFrom;
  }

  /** A batch was stored: the open one may leave now, and reading may go on. */
  onRoom(): void {
    this.#intake.safe(this.#options.watermark.next);
    if (this.#starved) this.#writers.flushWhatMay();
    this.#wakeForRoom();
  }

  async #run(): Promise<void> {
    const { reader, failure, log } = this.#options;
    // Closing wakes whoever waits for records or for room; without it a lane whose target is away could not be stopped.
    const onFailure = (): void => {
      for (const each of [reader.close(), ...this.#writers.close()])
        each.catch((error: unknown) => log.warn('closing-failed', { detail: toIsthmusError(error).message }));
      this.#wakeForRoom();
    };
    failure.addEventListener('abort', onFailure, { once: true });
    try {
      while (!this.#stop.signal.aborted && !failure.aborted) {
        await this.#awaitRoom();
        const judged = this.#intake.poll() ?? (await this.#awaitNext());
        if (judged === undefined) break;
        if (judged.kind === 'gap') await this.#passGap(judged);
        else await this.#take(judged.batch, judged.verdicts);
      }
    } catch (error) {
      // A writer that was closed because another one failed says only that it was closed.
      if (!failure.aborted) throw error;
    } finally {
      failure.removeEventListener('abort', onFailure);
      void this.#intake.close();
    }
    // Whoever runs the pump closes the writers when it has ended, so it ends when they have nothing left.
    if (!failure.aborted) await this.#settle(this.#settleUntil);
    await this.#confirmSafe();
    if (failure.aborted) throw toIsthmusError(failure.reason);
  }

  /** Lets whoever has to know of what is stored hear of it, before the last checkpoint. */
  async #confirmSafe(): Promise<void> {
    this.#intake.safe(this.#options.watermark.next);
    await within(this.#intake.settle(), this.#options.context.clock, LEAVE_MILLIS);
  }

  async #awaitNext(): Promise<Judged | undefined> {
    this.#starved = true;
    this.#writers.flushWhatMay();
    try {
      return await untilAborted(this.#intake.read(), this.#stop.signal, (late) => {
        if (late.kind === 'records') late.batch.release();
      });
    } catch (error) {
      if (this.#stop.signal.aborted || this.#options.failure.aborted) return undefined;
      throw error;
    } finally {
      this.#starved = false;
    }
  }

  /**
   * Waits while too much is read that is not safe yet. Writers bound what each of them holds, but one that is stuck would let the others run
   * ahead for ever, and everything that is remembered until the watermark passes would grow with them.
   */
  async #awaitRoom(): Promise<void> {
    const { watermark, failure } = this.#options;
    const full = (): boolean => watermark.outstanding >= MAX_OUTSTANDING || watermark.lead >= MAX_LEAD_RECORDS / 2;
    while (full() && !this.#stop.signal.aborted && !failure.aborted) {
      this.#writers.flushAll();
      this.#roomWanted ??= deferred();
      await this.#roomWanted.promise;
    }
  }

  #wakeForRoom(): void {
    this.#roomWanted?.resolve();
    this.#roomWanted = undefined;
  }

  async #take(batch: RecordBatch, verdicts: Verdicts): Promise<void> {
    try {
      // Nothing in it: a reader may hand out what is left when all of an answer was of no use.
      if (batch.count === 0) return;
      this.#taken = true;
      this.#verdicts = verdicts;
      this.#announce(batch);
      for (let i = 0; i < batch.count; ) {
        const until = this.#roundEnd(i, batch.count);
        i = this.#appendFrom(batch, i, until);
        if (i < until) i = await this.#stumble(batch, i);
        if (this.#options.failure.aborted) throw toIsthmusError(this.#options.failure.reason);
      }
    } finally {
      this.#bad.release(batch);
    }
  }

  /** Up to which record of a batch the round has room; when it has none, a new one begins. */
  #roundEnd(i: number, count: number): number {
    if (this.#roundRecords >= MAX_ROUND_RECORDS) {
      this.#writers.flushAll();
      this.#roundRecords = 0;
    }
    return Math.min(count, i + MAX_ROUND_RECORDS - this.#roundRecords);
  }

  /** Announces the batch to the watermark, before its first record goes to a writer. */
  #announce(batch: RecordBatch): void {
    const { recorder, watermark, cuts } = this.#options;
    let droppedRows = 0;
    let droppedRecords = 0;
    for (const [reason, { rows, records }] of countDropped(batch, this.#verdicts)) {
      recorder.dropped(reason, records);
      if (reason === 'duplicate' && rows > (this.#foundRows.get(batch) ?? rows))
        cuts?.onBrought(batch.positionAt(batch.count - 1));
      droppedRows += rows;
      droppedRecords += records;
    }
    if (droppedRecords > 0) this.#options.onDropped(droppedRecords);
    recorder.read(recordsIn(batch), batch.heldBytes);
    const end = endOf(batch, this.#options.context.source);
    watermark.begin(batch.positionAt(0), end, batch.storeTime[0] ?? 0, batch.count - droppedRows, batch.count);
    if (droppedRows === batch.count) this.#intake.safe(watermark.next);
  }

  /** Hands rows from number `from` up to `until` to their writers; gives the number of the one that stumbled, or `until`. */
  #appendFrom(batch: RecordBatch, from: number, until: number): number {
    for (let i = from; i < until; i++) {
      if (this.#verdicts[i] !== undefined) continue;
      if (batch.damaged?.has(i)) return i;
      if (this.#writers.of(batch, i).append(batch, i) !== 'taken') return i;
      this.#roundRecords++;
    }
    return until;
  }

  /** Deals with a record that was not taken: waits for room, or applies the rule for bad records. Gives the next record's number. */
  async #stumble(batch: RecordBatch, i: number): Promise<number> {
    const damage = batch.damaged?.get(i);
    if (damage !== undefined) {
      await this.#badRecord(batch, i, 'RECORD_DAMAGED', damage);
      return i + 1;
    }
    const writer = this.#writers.of(batch, i);
    for (let waits = 0; ; waits++) {
      const result = writer.append(batch, i);
      if (result === 'taken') {
        this.#roundRecords++;
        return i + 1;
      }
      if (result === 'full') {
        // All of them: what the others have open would wait as long as this one has no room.
        this.#writers.flushAll();
        await writer.ready();
        // A writer that says ready and takes nothing must not keep the process from everything else: promises alone never let receipts in.
        if (waits > 0) await this.#options.context.clock.sleep(FULL_AGAIN_MILLIS);
      } else {
        await this.#badRecord(batch, i, 'RECORD_REFUSED', result.refused);
        return i + 1;
      }
    }
  }

  async #badRecord(batch: RecordBatch, i: number, code: 'RECORD_DAMAGED' | 'RECORD_REFUSED', reason: string): Promise<void> {
    const { watermark, failure } = this.#options;
    if (this.#bad.stopsLane) {
      await this.#settle();
      if (this.#writers.inFlight === 0 && !failure.aborted) {
        watermark.stopAt(batch.positionAt(i));
        this.#intake.stopAt(batch, i);
        await this.#confirmSafe();
      }
      throw this.#bad.error(code, batch, i, reason);
    }
    await this.#bad.keep(batch, i, reason);
    this.#intake.skip(batch, i);
    watermark.stored({ first: batch.positionAt(i), count: 1 });
    this.#options.onDeadLetter();
  }

  /** Lets what is on its way be stored before the lane stops, so that its checkpoint says how far it has come. */
  async #settle(deadline = this.#options.context.clock.monotonic() + SETTLE_MILLIS): Promise<void> {
    const { clock } = this.#options.context;
    this.#writers.flushAll();
    while (this.#writers.inFlight > 0 && !this.#options.failure.aborted && clock.monotonic() < deadline) {
      await clock.sleep(SETTLE_STEP_MILLIS);
      this.#writers.flushAll();
    }
  }

  async #passGap(gap: Extract<Delivery, { kind: 'gap' }>): Promise<void> {
    const { watermark, recorder, log, context } = this.#options;
    const note = { from: formatPosition(gap.from), to: formatPosition(gap.to), reason: gap.reason, at: context.clock.now() };
    recorder.gap(gap.reason, Math.abs(neighbourDistance(gap.from, gap.to) ?? 0));
    log.error('source-gap', { from: note.from, to: note.to, reason: gap.reason });
    this.#options.onGap(note);
    if (gap.reason === 'recreated' && context.spec.onRecreated === 'stop') await this.#stopAtRecreated(note);
    if (comparePositions(gap.to, gap.from) >= 0) watermark.begin(gap.from, gap.to, context.clock.now(), 0);
    else await this.#goBack(gap);
  }

  async #stopAtRecreated({ from, to }: GapNote): Promise<void> {
    const { topic, lane } = this.#options.plan.lane;
    await this.#settle();
    const what = `reading ${topic} ${lane}: the topic was deleted and made again; it goes on at ${to}, where ${from} was reached before`;
    throw new IsthmusError('SOURCE_REWOUND', `${what}. Set onRecreated: follow to mirror the new one, and restart the mirror`);
  }

  /**
   * The source goes on below what was read: a failover has cut its tail, or the topic was made again. The records there are new ones under used offsets, so
   * the lane starts over at that place and believes no older mark. Only a reader that has something to compare knows that place; else a person has to decide.
   */
  async #goBack(gap: Extract<Delivery, { kind: 'gap' }>): Promise<void> {
    const { plan, onRewind } = this.#options;
    const known = gap.reason === 'recreated' || this.#taken;
    const what = `reading ${plan.lane.topic} ${plan.lane.lane}: the source goes on at ${formatPosition(gap.to)}, below ${formatPosition(gap.from)} that was reached before (${gap.reason})`;
    await this.#settle();
    if (known) onRewind(gap.to);
    const advice = known
      ? 'the lane starts over there'
      : 'whether its tail was cut or it was made again cannot be told; add a mirror with the right start for it';
    throw new IsthmusError('SOURCE_REWOUND', `${what}; ${advice}`, { retryable: known });
  }
}

/** Where the lane goes on after a batch. */
function endOf(batch: RecordBatch, source: Pick<Source, 'next'>): Position {
  return batch.end ?? source.next(batch.positionAt(batch.count - 1));
}

/** Batches as they come, or, with a dedup window, after their ids were claimed. */
function openIntake(options: PumpOptions, foundRows: WeakMap<RecordBatch, number>): Intake {
  const { reader, context, plan, window } = options;
  const judgeWith = (witness?: Stage) => {
    const stages = stagesOf({ ...options, witness });
    return (batch: RecordBatch, verdicts: Verdicts): void => {
      for (const stage of stages) stage(batch, verdicts);
      if (window !== undefined) foundRows.set(batch, countOf(verdicts, 'duplicate'));
    };
  };
  const { clock, random, source, sourceCluster } = context;
  const { dedup } = context.spec;
  if (window === undefined || dedup === undefined) return new PlainIntake(reader, judgeWith());
  const parts = {
    reader,
    window: window.window,
    addIds: idsBy(dedup.id, sourceCluster, plan.lane),
    clock,
    random,
    endOf: (batch: RecordBatch) => endOf(batch, source),
    onUnchecked: (records: number) => options.recorder.unchecked(records),
    onWaiting: window.onWaiting,
  };
  return new ClaimingIntake(parts, judgeWith);
}

function countOf(verdicts: Verdicts, reason: DropReason): number {
  let count = 0;
  for (const verdict of verdicts) if (verdict === reason) count++;
  return count;
}

/** Records in a batch: its rows, or what these hold where they are whole entries. */
function recordsIn(batch: RecordBatch): number {
  if (!batch.whole) return batch.count;
  let sum = 0;
  for (let i = 0; i < batch.count; i++) sum += batch.records[i] ?? 1;
  return sum;
}

const NONE_DROPPED: ReadonlyMap<DropReason, { rows: number; records: number }> = new Map();

function countDropped(batch: RecordBatch, verdicts: Verdicts): ReadonlyMap<DropReason, { rows: number; records: number }> {
  let counts: Map<DropReason, { rows: number; records: number }> | undefined;
  for (let i = 0; i < batch.count; i++) {
    const verdict = verdicts[i];
    if (verdict === undefined) continue;
    counts ??= new Map();
    const count = counts.get(verdict) ?? { rows: 0, records: 0 };
    counts.set(verdict, count);
    count.rows++;
    count.records += batch.whole ? (batch.records[i] ?? 1) : 1;
  }
  return counts ?? NONE_DROPPED;
}
