import { IsthmusError, toIsthmusError } from '../errors.ts';
import { untilAborted, within } from '../lib/abort.ts';
import { type DedupRule, needsRecords } from '../model/mirror-spec.ts';
import { comparePositions, entryAtOrAfter, formatPosition, type Position } from '../model/position.ts';
import type { Log } from '../spi/log.ts';
import type { LaneWriter, Stored } from '../spi/sink.ts';
import type { LaneReader } from '../spi/source.ts';
import { Pace } from './audit/pace.ts';
import type { GapNote, LaneParts, LanePlan, MirrorContext } from './lane-plan.ts';
import type { LaneLease } from './lease-keeper.ts';
import { LEAVE_MILLIS, leave } from './leave.ts';
import type { Progress } from './progress.ts';
import { Pump, type PumpOptions } from './pump.ts';
import { believedEnd, disbelieveBeyond, type Recovery, recover, startOver, wholeFrom } from './recovery.ts';
import { StoredInPart } from './window/groups.ts';
import { LaneWindow } from './window/lane-window.ts';
import { windowName } from './window/record-ids.ts';
import { areStored, StoredIds } from './window/stored-ids.ts';
import { beginAnew } from './window/window-trust.ts';
import { openLaneWriter } from './writers.ts';

/**
 * A claim in a dedup window ends by itself after this time. Long enough for a process that was killed to come back and find what it has stored; as long another way may wait for
 * records that a process has claimed which does not come back.
 */
const CLAIM_MILLIS = 120_000;

/** What the attempts of a lane hand on to each other. */
export interface LaneMemory {
  /** Whether another process may have had the lane since our checkpoint: what is remembered here may be old. */
  shared: boolean;
  /** The source holds new records from here on, under positions that were used before: no older mark is believed. */
  rewoundTo: Position | undefined;
  /** Whether something that was sent to the target may still be on its way there. */
  unsettled: boolean;
  /** Whole entries are passed on from here on: of one before, the target has a part. */
  apartUpTo: Position | undefined;
  /** What the dedup window was when it was believed last (WindowReport.lossEpoch). */
  windowEpoch: string | undefined;
}

/** What an attempt tells its lane. */
export interface AttemptEvents {
  onPhase(kind: 'recovering' | 'running'): void;
  onReader(reader: LaneReader): void;
  /** A part of the attempt waits, and `undefined` when it goes on. */
  onTrouble(part: string, error: IsthmusError | undefined): void;
  /** What was in trouble before the look at the target is not any more. */
  onTroublesOver(): void;
  onStored(stored: Stored): void;
  onDropped(records: number): void;
  onDeadLetter(): void;
  onGap(note: GapNote): void;
}

export interface AttemptParts extends Pick<LaneParts, 'group' | 'recorder' | 'reload' | 'save'> {
  readonly plan: LanePlan;
  readonly context: MirrorContext;
  readonly log: Log;
  readonly progress: Progress;
  readonly memory: LaneMemory;
  /** `undefined` where the target itself keeps other writers out. */
  readonly lease: LaneLease | undefined;
  readonly events: AttemptEvents;
  /** The lane is to end: what is in flight is given time first, by `drain`. */
  readonly closing: AbortSignal;
  /** Tells the source of our place, when the lane ends. */
  readonly lastCommit: (reader: LaneReader) => Promise<void>;
}

/** One try at running a lane: opens its writers, looks at the target, and pumps until something fails or the lane is closed. See the invariants in lane.ts. */
export class Attempt {
  readonly #parts: AttemptParts;
  readonly #abort = new AbortController();
  readonly #writers = new Map<number, LaneWriter>();
  #reader: LaneReader | undefined;
  #pump: Pump | undefined;
  /** Whether the attempt has all its writers. */
  #opened = false;
  #writerFailed = false;
  /** Whether records of ours may have ids that the dedup window knows from others: the source has used their positions before. */
  #positionsUsedAgain = false;
  #window: LaneWindow | undefined;
  #detached = false;

  constructor(parts: AttemptParts) {
    this.#parts = parts;
  }

  /** The dedup window, while it is used. */
  get window(): LaneWindow | undefined {
    return this.#window;
  }

  /** Whether records flow. */
  get running(): boolean {
    return this.#pump !== undefined;
  }

  /** Whether it has its writers, as far as it has heard: they may have been taken from it. */
  get writes(): boolean {
    return this.running && !this.#abort.signal.aborted;
  }

  /** The next attempt begins: what this one's writers still tell must not count in its watermark. */
  detach(): void {
    this.#detached = true;
  }

  /** Stops reading and waits until what is in flight is stored, up to `graceMillis`. */
  async drain(graceMillis: number): Promise<void> {
    await this.#pump?.drain(graceMillis);
  }

  abort(error: IsthmusError): void {
    this.#abort.abort(error);
  }

  /** Rejects with what has ended it; resolves when the lane was closed. */
  async run(): Promise<void> {
    const { plan, progress, memory, events } = this.#parts;
    const { signal } = this.#abort;
    try {
      await this.#takeLease();
      memory.unsettled = true;
      for (const partition of plan.partitions) {
        const opening = this.#openWriter(partition);
        this.#writers.set(partition, await untilAborted(opening, signal, (late) => void this.#leave(late.close(0))));
      }
      this.#opened = true;
      events.onPhase('recovering');
      const recovery = await untilAborted(this.#recover(), signal);
      events.onTroublesOver();
      memory.shared = false;
      this.#window = await untilAborted(this.#openWindow(), signal);
      const watermark = progress.begin(recovery);
      const reader = await untilAborted(this.#openReader(recovery), signal, (late) => void this.#leave(late.close()));
      this.#reader = reader;
      events.onReader(reader);
      await this.#commitFirst(reader, recovery.from);
      await this.#pumpUntilClosed({ watermark, stored: recovery.stored, reader, writers: this.#writers });
    } catch (error) {
      if (error instanceof StoredInPart) memory.apartUpTo = entryAtOrAfter({ ...error.entry, index: 0 });
      throw error;
    } finally {
      this.#pump = undefined;
      this.#abort.abort(new IsthmusError('CLOSED', 'running a lane: this attempt is over'));
      await this.#end();
    }
  }

  /** Lets go of everything that was opened; what fails or hangs must not keep the rest from being closed. */
  async #end(): Promise<void> {
    const { closing, lastCommit, memory } = this.#parts;
    if (this.#opened && !this.#writerFailed) memory.unsettled = [...this.#writers.values()].some(({ inFlight }) => inFlight > 0);
    const ending = [...this.#writers.values()].map((writer) => writer.close(0));
    if (this.#reader !== undefined && closing.aborted) ending.push(lastCommit(this.#reader));
    await Promise.all(ending.map((each) => this.#leave(each)));
    if (this.#reader !== undefined) await this.#leave(this.#reader.close());
  }

  #leave(ending: Promise<void>): Promise<void> {
    return leave(ending, this.#parts.context.clock, this.#parts.log);
  }

  /**
   * The source's own checkpoint exists before the first write: a lane that is known nowhere has then never written anything. And it is lowered
   * before a lane writes that starts over, or a successor without any state would go on at the old place.
   */
  async #commitFirst(reader: LaneReader, from: Position): Promise<void> {
    const { progress, memory, save, context } = this.#parts;
    const { signal } = this.#abort;
    if (!progress.known || memory.rewoundTo !== undefined) await untilAborted(reader.commit(from), signal);
    memory.rewoundTo = undefined;
    const unnamed = progress.unnamedPartitions;
    progress.confirm();
    // Only a checkpoint names the partitions of a changed routing; if that changes again, what was written there must not be forgotten.
    if (unnamed) await untilAborted(within(save(), context.clock, LEAVE_MILLIS), signal);
  }

  async #pumpUntilClosed(parts: Pick<PumpOptions, 'watermark' | 'stored' | 'reader' | 'writers'>): Promise<void> {
    const { context, plan, recorder, log, memory, events, progress } = this.#parts;
    const { signal } = this.#abort;
    if (signal.aborted) throw signal.reason;
    const window = this.#window;
    const pump = new Pump({
      ...parts,
      context,
      plan,
      recorder,
      log,
      failure: signal,
      onGap: (note) => events.onGap(note),
      onRewind: (to) => {
        memory.rewoundTo = to;
      },
      onDropped: (records) => events.onDropped(records),
      cuts: progress,
      onDeadLetter: () => events.onDeadLetter(),
      window: window === undefined ? undefined : { window, onWaiting: (error) => this.#showWindow(error) },
    });
    progress.holdBy(() => pump.unconfirmedFrom);
    this.#pump = pump;
    events.onPhase('running');
    await this.#pump.run();
  }

  /** Before the writers are opened and the target is looked at (L1), and for as long as the attempt lasts. */
  async #takeLease(): Promise<void> {
    const { lease } = this.#parts;
    if (lease === undefined) return;
    const { signal } = this.#abort;
    const onTrouble = (error: IsthmusError): void => this.#onTrouble('lease', error);
    await lease.take({ onTrouble, onLost: (error) => this.#abort.abort(error) }, signal);
    if (signal.aborted) throw signal.reason;
    this.#onTrouble('lease', undefined);
  }

  #openWriter(partition: number): Promise<LaneWriter> {
    return openLaneWriter(this.#parts, this.#parts.lease, {
      partition,
      onStored: (stored) => this.#onStored(stored),
      onFailed: (error) => {
        this.#writerFailed = true;
        this.#abort.abort(error);
      },
      onTrouble: (error) => this.#onTrouble(`writer ${partition}`, error),
      signal: this.#abort.signal,
    });
  }

  #wholeFrom(recovery: Recovery): Position {
    const { apartUpTo } = this.#parts.memory;
    const from = wholeFrom(recovery);
    return apartUpTo !== undefined && comparePositions(apartUpTo, from) > 0 ? apartUpTo : from;
  }

  async #openWindow(): Promise<LaneWindow | undefined> {
    const { context, plan, log } = this.#parts;
    const { spec, windows, targetCluster, clock } = context;
    const { dedup } = spec;
    if (dedup === undefined) return undefined;
    if (windows === undefined) throw new IsthmusError('INTERNAL', 'opening a dedup window: nobody keeps any');
    const name = windowName(plan.targetTopic, dedup.id);
    const { windowMillis, maxIds, onStateLoss } = dedup;
    const owner = [context.link, spec.name, context.sourceCluster, plan.lane.topic, plan.lane.lane].join(' ');
    const window = windows.open(targetCluster, name, owner, { windowMillis, maxIds, claimMillis: CLAIM_MILLIS });
    // Records under used positions would be taken for those that had them before, and be lost.
    if (this.#positionsUsedAgain) await beginAnew(window, () => windows.forget(targetCluster, name), clock, this.#abort.signal);
    return new LaneWindow({
      window,
      windowMillis,
      stored: this.#storedIds(dedup),
      memory: this.#parts.memory,
      onStateLoss,
      clock,
      log,
      signal: this.#abort.signal,
      onTrouble: (error) => this.#showWindow(error),
    });
  }

  #storedIds(dedup: DedupRule): StoredIds | undefined {
    const { context, plan, group } = this.#parts;
    const { targetView: view, targetCluster: cluster, clock, budget, marks, spec } = context;
    if (view === undefined || !areStored(spec)) return undefined;
    const pace = new Pace(clock, () => true);
    return new StoredIds({ view, cluster, topic: plan.targetTopic, dedup, group, marks, clock, budget, pace });
  }

  #showWindow(error: IsthmusError | undefined): void {
    if (!this.#abort.signal.aborted) this.#parts.events.onTrouble('window', error);
  }

  #openReader(recovery: Recovery): Promise<LaneReader> {
    const { context, plan, group } = this.#parts;
    return context.source.openLane(plan.lane, recovery.from, {
      group,
      budget: context.budget,
      wholeFrom: takesWhole(context) ? this.#wholeFrom(recovery) : undefined,
      onTrouble: (error) => this.#onTrouble('reader', error),
    });
  }

  async #recover(): Promise<Recovery> {
    const { context, progress, memory, group, log, recorder } = this.#parts;
    const { source, sink, sourceCluster, spec, clock } = context;
    const { lane, targetTopic, partitions } = this.#parts.plan;
    const plan = { sourceCluster, lane, targetTopic, partitions, start: spec.start, group };
    if (memory.shared && memory.rewoundTo === undefined) await this.#learnFromStore();
    this.#positionsUsedAgain = memory.rewoundTo !== undefined;
    const checkpoint =
      memory.rewoundTo === undefined ? progress.checkpoint : await startOver(sink, plan, memory.rewoundTo, clock.now());
    const recovery = await recover(source, sink, { ...plan, checkpoint });
    const end = await believedEnd(recovery, source, lane, clock, this.#abort.signal);
    if (end !== undefined && disbelieveBeyond(recovery, end)) {
      this.#positionsUsedAgain = true;
      log.warn('source-went-back', { sourceEnd: formatPosition(end) });
    }
    recorder.recovered(0, recovery.foundRecords);
    if (recovery.inPart !== undefined && recovery.inPart.length > 0)
      log.warn('recovered-in-part', {
        partitions: recovery.inPart.join(),
        detail: 'what is stored out of view is written again',
      });
    log.info('lane-recovered', {
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
    const { progress, reload, log } = this.#parts;
    try {
      const kept = await reload();
      const own = progress.checkpoint;
      if (kept !== undefined && (own === undefined || kept.time > own.time)) progress.resume(kept);
    } catch (error) {
      log.warn('checkpoint-not-read', { detail: toIsthmusError(error).message });
    }
  }

  #onStored(stored: Stored): void {
    if (this.#detached) return;
    try {
      this.#parts.progress.stored(stored);
    } catch (error) {
      this.#abort.abort(new IsthmusError('INTERNAL', `counting stored records: ${toIsthmusError(error).message}`));
      return;
    }
    this.#parts.events.onStored(stored);
    if (!this.#abort.signal.aborted) this.#pump?.onRoom();
  }

  #onTrouble(part: string, error: Error | undefined): void {
    if (this.#abort.signal.aborted) return;
    const trouble = error === undefined ? undefined : toIsthmusError(error);
    const other = trouble?.code === 'OTHER_WRITER';
    if (other) this.#parts.memory.shared = true;
    this.#parts.events.onTrouble(part, trouble);
    // Whoever has the first partition goes on to take the others. To wait here with those in hand could be to wait for each other for ever.
    if (other && this.#opened && this.#parts.plan.partitions.length > 1) this.#abort.abort(trouble);
  }
}

/** Whether entries of the source may pass as they are: both ends can, and no rule of the mirror looks into them. */
function takesWhole({ source, sink, spec }: MirrorContext): boolean {
  return source.passesWhole && sink.takesWhole('pulsar-entry') && spec.batching !== 'per-key' && !needsRecords(spec);
}
