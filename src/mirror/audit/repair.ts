import { IsthmusError, toIsthmusError } from '../../errors.ts';
import { untilAborted } from '../../lib/abort.ts';
import { advancePosition, BEFORE_ALL, comparePositions, neighbourDistance, type Position } from '../../model/position.ts';
import type { PositionRun } from '../../model/provenance.ts';
import { readPlace } from '../../model/provenance.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { FoundMark, LaneWriter } from '../../spi/sink.ts';
import type { Stage, Verdicts } from '../../spi/stage.ts';
import type { IndexEntry } from '../../spi/state-store.ts';
import { leaseName } from '../lane.ts';
import type { LanePlan, MirrorContext } from '../lane-plan.ts';
import type { LaneLease } from '../lease-keeper.ts';
import { leave } from '../leave.ts';
import { openLaneWriter, Writers } from '../writers.ts';
import { indexInEntry, Places, recordPlace } from './places.ts';
import { type ReadDeps, readStretch, type Stretch } from './stretch-reader.ts';

/** Missing records that are nearer to each other than this are read in one go. */
const NEAR_RECORDS = 1_000;
const FULL_AGAIN_MILLIS = 5;
const SETTLE_MILLIS = 60_000;
const CLOSE_GRACE_MILLIS = 4_000;
/** Time for other writers of the lane to be gone; a person who repairs can try again. */
const OPEN_MILLIS = 30_000;

export interface RepairParts {
  readonly context: MirrorContext;
  readonly plan: LanePlan;
  /** Consumer group or subscription for reading; nothing is committed. */
  readonly group: string;
  /** How many partitions the target topic has. */
  readonly partitions: number;
  /** Ascending. */
  readonly missing: readonly Position[];
  readonly stages: readonly Stage[];
  readonly deps: ReadDeps;
  /** Hears where the records were stored. */
  readonly onStored: (entry: IndexEntry) => void;
}

export interface RepairReport {
  readonly stored: number;
  /** Found in the target after all. */
  readonly found: number;
  /** The source has them no more, or the target refuses them. */
  readonly left: number;
}

/**
 * Sends records of a lane that the target has not, in their order, under the name of the lane itself: the lane must not run meanwhile, and no other process can
 * write it. With the writers open, so that nobody else writes after the look, all marks in the target are read once more before anything is sent.
 */
export async function repairLane(parts: RepairParts): Promise<RepairReport> {
  const failure = new AbortController();
  const stop = (): void => failure.abort(parts.deps.signal.reason);
  parts.deps.signal.addEventListener('abort', stop, { once: true });
  if (parts.deps.signal.aborted) stop();
  const repair = new Repair(parts, failure);
  try {
    await repair.open();
    await repair.look();
    await repair.send();
    return repair.report;
  } finally {
    parts.deps.signal.removeEventListener('abort', stop);
    await repair.close();
  }
}

class Repair {
  readonly #parts: RepairParts;
  readonly #failure: AbortController;
  readonly #writers = new Map<number, LaneWriter>();
  readonly #lease: LaneLease | undefined;
  readonly #verdicts: Verdicts = [];
  readonly #places = new Places();
  readonly #done: Uint8Array;
  #trouble: IsthmusError | undefined;
  #found = 0;
  #sent = 0;
  #stored = 0;

  constructor(parts: RepairParts, failure: AbortController) {
    this.#parts = parts;
    this.#failure = failure;
    const { context, plan, missing } = parts;
    this.#lease = context.sink.fences ? undefined : context.leases.open(leaseName(plan, context));
    for (const position of missing) {
      const { major, minor, index } = recordPlace(position);
      this.#places.push(major, minor, index);
    }
    this.#done = new Uint8Array(missing.length);
  }

  get report(): RepairReport {
    const { missing } = this.#parts;
    return { stored: this.#stored, found: this.#found, left: missing.length - this.#found - this.#stored };
  }

  async open(): Promise<void> {
    const { clock } = this.#parts.context;
    const cancel = clock.timer(OPEN_MILLIS, () => this.#failure.abort(this.#trouble ?? timeout(this.#parts.plan)));
    try {
      await this.#openWriters();
    } finally {
      cancel();
    }
  }

  async #openWriters(): Promise<void> {
    const { signal } = this.#failure;
    const onLost = (error: IsthmusError): void => this.#failure.abort(error);
    await this.#lease?.take({ onTrouble: (error) => void (this.#trouble = error), onLost }, signal);
    if (signal.aborted) throw toIsthmusError(signal.reason);
    for (const partition of this.#parts.plan.partitions) {
      const opening = openLaneWriter(this.#parts, this.#lease, {
        partition,
        signal,
        onStored: (stored) => {
          this.#stored += stored.count;
          this.#parts.onStored(stored);
        },
        onFailed: (error) => this.#failure.abort(error),
        onTrouble: (error) => {
          this.#trouble = error === undefined ? undefined : toIsthmusError(error);
        },
      });
      this.#writers.set(partition, await untilAborted(opening, signal, (late) => void late.close(0)));
    }
  }

  /** Finds those that are in the target after all, in whatever partition. */
  async look(): Promise<void> {
    const { context, plan, partitions } = this.#parts;
    for (let partition = 0; partition < partitions; partition++) {
      const visit = (mark: FoundMark): void => this.#visit(mark);
      const scanning = context.sink.scan(plan.targetTopic, partition, BEFORE_ALL, Number.POSITIVE_INFINITY, visit);
      await untilAborted(scanning, this.#failure.signal);
    }
  }

  async send(): Promise<void> {
    const { context, plan, deps } = this.#parts;
    const writers = new Writers(context.sink, plan, this.#writers);
    const own = { ...deps, signal: this.#failure.signal };
    const visitor = {
      records: (batch: RecordBatch, first: number, end: number): Promise<void> => this.#sendFrom(writers, batch, first, end),
      gone: (): void => undefined,
    };
    for (const stretch of this.#stretches()) await readStretch(context.source, this.#parts.group, stretch, visitor, own);
    const deadline = context.clock.monotonic() + SETTLE_MILLIS;
    for (;;) {
      writers.flushAll();
      if (this.#failure.signal.aborted) throw toIsthmusError(this.#failure.signal.reason);
      if (writers.inFlight === 0) return;
      if (context.clock.monotonic() > deadline)
        throw new IsthmusError(
          'REQUEST_TIMEOUT',
          `repairing ${plan.lane.topic} ${plan.lane.lane}: the target did not store ${this.#sent - this.#stored} records in time; verify again`,
        );
      await context.clock.sleep(FULL_AGAIN_MILLIS);
    }
  }

  async close(): Promise<void> {
    const { clock, log } = this.#parts.context;
    await Promise.all([...this.#writers.values()].map((writer) => leave(writer.close(CLOSE_GRACE_MILLIS), clock, log)));
    if (this.#lease !== undefined) await leave(this.#lease.end(this.#sent === this.#stored), clock, log);
  }

  #visit({ provenance }: FoundMark): void {
    const { sourceCluster } = this.#parts.context;
    const { topic, lane } = this.#parts.plan.lane;
    for (const place of provenance.via === undefined ? [provenance] : [readPlace(provenance), provenance]) {
      if (place.cluster !== sourceCluster || place.topic !== topic || place.lane !== lane) continue;
      for (const run of place.runs) this.#foundRun(run);
    }
  }

  #foundRun({ first, count }: PositionRun): void {
    const from = recordPlace(first);
    const end = recordPlace(advancePosition(first, count));
    let row = this.#places.floor(from.major, from.minor, from.index);
    if (row < 0 || comparePositions(this.#places.at(row), from) < 0) row++;
    for (; row < this.#places.length && comparePositions(this.#places.at(row), end) < 0; row++) {
      if (this.#done[row] === 1) continue;
      this.#done[row] = 1;
      this.#found++;
    }
  }

  /** Stretches of the source that hold what is to be sent. */
  *#stretches(): Iterable<Stretch> {
    const { missing, plan, context } = this.#parts;
    let from: Position | undefined;
    let last: Position | undefined;
    for (const [row, position] of missing.entries()) {
      if (this.#done[row] === 1) continue;
      const near = last !== undefined && (neighbourDistance(last, position) ?? NEAR_RECORDS) < NEAR_RECORDS;
      if (from !== undefined && last !== undefined && !near) {
        yield { lane: plan.lane, from, to: context.source.next(last) };
        from = undefined;
      }
      from ??= position;
      last = position;
    }
    if (from !== undefined && last !== undefined) yield { lane: plan.lane, from, to: context.source.next(last) };
  }

  async #sendFrom(writers: Writers, batch: RecordBatch, first: number, end: number): Promise<void> {
    const verdicts = this.#verdicts;
    verdicts.length = batch.count;
    verdicts.fill(undefined);
    for (const stage of this.#parts.stages) stage(batch, verdicts);
    for (let i = first; i < end; i++) {
      if (verdicts[i] !== undefined || batch.damaged?.has(i) === true) continue;
      const minor = batch.minor[i] ?? -1;
      const [major, index] = [batch.major[i] ?? -1, indexInEntry(minor, batch.index[i] ?? -1)];
      const row = this.#places.floor(major, minor, index);
      if (row < 0 || this.#places.compare(row, major, minor, index) !== 0 || this.#done[row] === 1) continue;
      this.#done[row] = 1;
      await this.#append(writers, batch, i);
    }
  }

  async #append(writers: Writers, batch: RecordBatch, i: number): Promise<void> {
    const writer = writers.of(batch, i);
    for (;;) {
      const { signal } = this.#failure;
      if (signal.aborted) throw toIsthmusError(signal.reason);
      const result = writer.append(batch, i);
      if (result === 'taken') {
        this.#sent++;
        return;
      }
      // The lane would have put it into the dead-letter topic, or stopped at it.
      if (result !== 'full') return;
      writers.flushAll();
      await untilAborted(writer.ready(), signal);
      await this.#parts.context.clock.sleep(FULL_AGAIN_MILLIS);
    }
  }
}

function timeout({ lane }: LanePlan): IsthmusError {
  return new IsthmusError('REQUEST_TIMEOUT', `repairing ${lane.topic} ${lane.lane}: its writers could not be opened in time`);
}
