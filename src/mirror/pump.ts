import { IsthmusError, toIsthmusError } from '../errors.ts';
import { untilAborted, within } from '../lib/abort.ts';
import { type Deferred, deferred } from '../lib/deferred.ts';
import { comparePositions, formatPosition, neighbourDistance, type Position } from '../model/position.ts';
import type { RecordBatch } from '../model/record-batch.ts';
import { deadLetterTopicOf } from '../model/topic-name.ts';
import type { Log } from '../spi/log.ts';
import type { DropReason, LaneRecorder } from '../spi/recorder.ts';
import type { LaneWriter } from '../spi/sink.ts';
import type { Delivery, LaneReader } from '../spi/source.ts';
import type { Stage, Verdicts } from '../spi/stage.ts';
import type { GapNote, LanePlan, MirrorContext } from './lane-plan.ts';
import type { PositionSet } from './position-set.ts';
import { ROUND_SPAN } from './recovery.ts';
import { stagesOf } from './stages/stages.ts';
import type { Watermark } from './watermark.ts';

export interface PumpOptions {
  readonly context: MirrorContext;
  readonly plan: LanePlan;
  readonly reader: LaneReader;
  readonly writers: ReadonlyMap<number, LaneWriter>;
  readonly watermark: Watermark;
  /** Records at or after the start that the target has already. */
  readonly stored: PositionSet;
  readonly recorder: LaneRecorder;
  readonly log: Log;
  /** Aborts with the error of a writer that has given up. */
  readonly failure: AbortSignal;
  readonly onGap: (note: GapNote) => void;
  /** The source holds new records from a lower position on; the lane ends with SOURCE_REWOUND right after. */
  readonly onRewind: (to: Position) => void;
  readonly onDropped: (records: number) => void;
  readonly onDeadLetter: () => void;
}

/** With nothing more to read, an open batch of this many records leaves even while others are on their way. */
const EAGER_FLUSH_RECORDS = 256;
const FULL_AGAIN_MILLIS = 2;
const SETTLE_STEP_MILLIS = 5;
const SETTLE_MILLIS = 5_000;
/** Less than the whole span, because the last batch of a round counts from its first record. */
const MAX_ROUND_SPAN = ROUND_SPAN * 0.8;
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
  readonly #stages: readonly Stage[];
  readonly #verdicts: Verdicts = [];
  readonly #only: LaneWriter | undefined;
  readonly #stop = new AbortController();
  #settleUntil = 0;
  #starved = false;
  #roomWanted: Deferred<void> | undefined;
  #roundFirst: Position | undefined;
  /** A dead letter on its way. */
  #letter: Promise<void> | undefined;
  /** Whether records were read, so that the reader could compare what it has with what the source has now. */
  #taken = false;
  #done: Promise<void> | undefined;

  constructor(options: PumpOptions) {
    this.#options = options;
    this.#stages = stagesOf(options);
    this.#only = options.writers.size === 1 ? [...options.writers.values()][0] : undefined;
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

  /** A batch was stored: the open one may leave now, and reading may go on. */
  onRoom(): void {
    if (this.#starved) this.#flushWhatMay();
    this.#wakeForRoom();
  }

  async #run(): Promise<void> {
    const { reader, failure, log } = this.#options;
    // Closing wakes whoever waits for records or for room; without it a lane whose target is away could not be stopped.
    const onFailure = (): void => {
      const ending = [reader.close(), ...[...this.#options.writers.values()].map((writer) => writer.close(0))];
      for (const each of ending)
        each.catch((error: unknown) => log.warn('closing-failed', { detail: toIsthmusError(error).message }));
      this.#wakeForRoom();
    };
    failure.addEventListener('abort', onFailure, { once: true });
    try {
      while (!this.#stop.signal.aborted && !failure.aborted) {
        await this.#awaitRoom();
        const delivery = reader.poll() ?? (await this.#awaitDelivery());
        if (delivery === undefined) break;
        if (delivery.kind === 'gap') await this.#passGap(delivery);
        else await this.#take(delivery.batch);
      }
    } catch (error) {
      // A writer that was closed because another one failed says only that it was closed.
      if (!failure.aborted) throw error;
    } finally {
      failure.removeEventListener('abort', onFailure);
    }
    // Whoever runs the pump closes the writers when it has ended, so it ends when they have nothing left.
    if (!failure.aborted) await this.#settle(this.#settleUntil);
    if (failure.aborted) throw toIsthmusError(failure.reason);
  }

  async #awaitDelivery(): Promise<Delivery | undefined> {
    this.#starved = true;
    this.#flushWhatMay();
    try {
      return await untilAborted(this.#options.reader.read(), this.#stop.signal, (late) => {
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
    while (watermark.outstanding >= MAX_OUTSTANDING && !this.#stop.signal.aborted && !failure.aborted) {
      this.#flushAll();
      this.#roomWanted ??= deferred();
      await this.#roomWanted.promise;
    }
  }

  #wakeForRoom(): void {
    this.#roomWanted?.resolve();
    this.#roomWanted = undefined;
  }

  async #take(batch: RecordBatch): Promise<void> {
    try {
      // Nothing in it: a reader may hand out what is left when all of an answer was of no use.
      if (batch.count === 0) return;
      this.#taken = true;
      this.#boundRound(batch.positionAt(0));
      this.#judge(batch);
      for (let i = 0; i < batch.count; ) {
        i = this.#appendFrom(batch, i);
        if (i < batch.count) i = await this.#stumble(batch, i);
        if (this.#options.failure.aborted) throw toIsthmusError(this.#options.failure.reason);
      }
    } finally {
      // A dead letter that nobody waits for any more still reads from the batch: given back now, it would get another record's bytes.
      const release = (): void => batch.release();
      if (this.#letter === undefined) release();
      else void this.#letter.then(release, release);
    }
  }

  /** Writers may store a round out of order, so a look at the target must know how far apart its records can lie, also when most between them are dropped. */
  #boundRound(position: Position): void {
    if (this.#roundFirst !== undefined && (neighbourDistance(this.#roundFirst, position) ?? 0) < MAX_ROUND_SPAN) return;
    this.#flushAll();
    this.#roundFirst = position;
  }

  /** Runs the stages and announces the batch to the watermark, before its first record goes to a writer. */
  #judge(batch: RecordBatch): void {
    const { recorder, watermark, context } = this.#options;
    const verdicts = this.#verdicts;
    verdicts.length = batch.count;
    verdicts.fill(undefined);
    for (const stage of this.#stages) stage(batch, verdicts);
    const dropped = countDropped(verdicts);
    let droppedRecords = 0;
    for (const [reason, records] of dropped) {
      recorder.dropped(reason, records);
      droppedRecords += records;
    }
    if (droppedRecords > 0) this.#options.onDropped(droppedRecords);
    recorder.read(batch.count, batch.heldBytes);
    const end = context.source.next(batch.positionAt(batch.count - 1));
    watermark.begin(batch.positionAt(0), end, batch.storeTime[0] ?? 0, batch.count - droppedRecords);
  }

  /** Hands records to their writers from number `from` on; gives the number of the one that stumbled, or the batch's count. */
  #appendFrom(batch: RecordBatch, from: number): number {
    for (let i = from; i < batch.count; i++) {
      if (this.#verdicts[i] !== undefined) continue;
      if (batch.damaged?.has(i)) return i;
      const writer = this.#only ?? this.#writerOf(batch, i);
      if (writer.append(batch, i) !== 'taken') return i;
    }
    return batch.count;
  }

  /** Deals with a record that was not taken: waits for room, or applies the rule for bad records. Gives the next record's number. */
  async #stumble(batch: RecordBatch, i: number): Promise<number> {
    const damage = batch.damaged?.get(i);
    if (damage !== undefined) {
      await this.#badRecord(batch, i, new IsthmusError('RECORD_DAMAGED', this.#describe(batch, i, damage)), damage);
      return i + 1;
    }
    const writer = this.#only ?? this.#writerOf(batch, i);
    for (let waits = 0; ; waits++) {
      const result = writer.append(batch, i);
      if (result === 'taken') return i + 1;
      if (result === 'full') {
        // All of them: what the others have open would wait as long as this one has no room.
        this.#flushAll();
        await writer.ready();
        // A writer that says ready and takes nothing must not keep the process from everything else: promises alone never let receipts in.
        if (waits > 0) await this.#options.context.clock.sleep(FULL_AGAIN_MILLIS);
      } else {
        await this.#badRecord(
          batch,
          i,
          new IsthmusError('RECORD_REFUSED', this.#describe(batch, i, result.refused)),
          result.refused,
        );
        return i + 1;
      }
    }
  }

  #describe(batch: RecordBatch, i: number, reason: string): string {
    const { lane } = this.#options.plan;
    return `mirroring the record at ${lane.topic} ${lane.lane} ${formatPosition(batch.positionAt(i))}: ${reason}. Remove the cause and restart the mirror, or set onBadRecord: dead-letter`;
  }

  async #badRecord(batch: RecordBatch, i: number, error: IsthmusError, reason: string): Promise<void> {
    const { context, plan, watermark, recorder, log } = this.#options;
    if (context.spec.onBadRecord === 'stop-lane') {
      await this.#settle();
      if (this.#inFlight() === 0 && !this.#options.failure.aborted) watermark.stopAt(batch.positionAt(i));
      throw error;
    }
    const topic = deadLetterTopicOf(context.spec, plan.lane.topic);
    const { retentionMinutes } = context.spec;
    const letter = { topic, retentionMinutes, reason, sourceCluster: context.sourceCluster, lane: plan.lane, batch, i };
    this.#letter = context.sink.writeDeadLetter(letter);
    await untilAborted(this.#letter, this.#options.failure);
    this.#letter = undefined;
    watermark.stored({ first: batch.positionAt(i), count: 1 });
    recorder.deadLetter();
    this.#options.onDeadLetter();
    log.warn('record-dead-lettered', { position: formatPosition(batch.positionAt(i)), reason, deadLetterTopic: topic });
  }

  /** Lets what is on its way be stored before the lane stops, so that its checkpoint says how far it has come. */
  async #settle(deadline = this.#options.context.clock.monotonic() + SETTLE_MILLIS): Promise<void> {
    const { clock } = this.#options.context;
    this.#flushAll();
    while (this.#inFlight() > 0 && !this.#options.failure.aborted && clock.monotonic() < deadline) {
      await clock.sleep(SETTLE_STEP_MILLIS);
      this.#flushAll();
    }
  }

  #writerOf(batch: RecordBatch, i: number): LaneWriter {
    const { context, writers, plan } = this.#options;
    // Without a key the order within the queue is all that can be kept: such records stay together in one partition.
    const partition = context.sink.partitionOf(batch, i, writers.size) ?? keylessPartition(plan.lane.lane, writers.size);
    const writer = writers.get(partition);
    if (writer === undefined)
      throw new IsthmusError('INTERNAL', `routing a record: no writer for partition ${partition} of ${writers.size}`);
    return writer;
  }

  #flushWhatMay(): void {
    for (const writer of this.#options.writers.values()) {
      const open = writer.open();
      if (open > 0 && (writer.inFlight === 0 || open >= EAGER_FLUSH_RECORDS)) writer.flush();
    }
  }

  #flushAll(): void {
    for (const writer of this.#options.writers.values()) if (writer.open() > 0) writer.flush();
  }

  #inFlight(): number {
    let sum = 0;
    for (const writer of this.#options.writers.values()) sum += writer.inFlight + writer.open();
    return sum;
  }

  async #passGap(gap: Extract<Delivery, { kind: 'gap' }>): Promise<void> {
    const { watermark, recorder, log, context } = this.#options;
    const note = { from: formatPosition(gap.from), to: formatPosition(gap.to), reason: gap.reason, at: context.clock.now() };
    recorder.gap(gap.reason, Math.abs(neighbourDistance(gap.from, gap.to) ?? 0));
    log.error('source-gap', { from: note.from, to: note.to, reason: gap.reason });
    this.#options.onGap(note);
    if (comparePositions(gap.to, gap.from) >= 0) watermark.begin(gap.from, gap.to, context.clock.now(), 0);
    else await this.#goBack(gap);
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

function countDropped(verdicts: Verdicts): Map<DropReason, number> {
  const counts = new Map<DropReason, number>();
  for (const verdict of verdicts) if (verdict !== undefined) counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  return counts;
}

/** The same partition for a lane's keyless records, whatever process reads it. */
function keylessPartition(lane: string, partitions: number): number {
  let hash = 0;
  for (let i = 0; i < lane.length; i++) hash = (Math.imul(hash, 31) + lane.charCodeAt(i)) | 0;
  return (hash & 0x7fffffff) % partitions;
}
