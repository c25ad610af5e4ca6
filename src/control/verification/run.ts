import { IsthmusError, toIsthmusError } from '../../errors.ts';
import { ByteBudget } from '../../lib/byte-budget.ts';
import { auditTopic } from '../../mirror/audit/audit.ts';
import { type Difference, Findings } from '../../mirror/audit/findings.ts';
import { Pace } from '../../mirror/audit/pace.ts';
import { AUDIT_SIZES, type AuditDeps, type AuditProgress } from '../../mirror/audit/plan.ts';
import { repairLane } from '../../mirror/audit/repair.ts';
import type { MirrorContext } from '../../mirror/lane-plan.ts';
import type { LeaseKeeper } from '../../mirror/lease-keeper.ts';
import { PositionSet } from '../../mirror/position-set.ts';
import { stagesOf } from '../../mirror/stages/stages.ts';
import type { LaneId } from '../../model/lane.ts';
import { formatPosition, type Position } from '../../model/position.ts';
import type { MarkCodec } from '../../model/provenance.ts';
import { targetTopicOf } from '../../model/topic-name.ts';
import type { Clock } from '../../spi/clock.ts';
import type { Log } from '../../spi/log.ts';
import type { Stage } from '../../spi/stage.ts';
import type { IndexEntry, StateStore } from '../../spi/state-store.ts';
import { groupName } from '../group-name.ts';
import { type MirrorHost, progressOf, type ReadableMirror } from '../readable-mirror.ts';
import { readDeadLetters } from '../replay/dead-letter-reader.ts';
import { type Trouble, toTrouble } from '../trouble.ts';
import type { DifferenceStatus, VerificationPhase, VerificationRequest, VerificationState, VerificationStatus } from './api.ts';
import { type PlannedTopic, planTopic } from './plan.ts';

/** Read ahead of one comparison, apart from what mirroring may hold. */
const BUDGET_BYTES = 16 * 1024 * 1024;
/** Missing records that are sent by one repair; the rest is for the next. */
const MAX_REPAIRED = 100_000;
/** A repair that gets nowhere must not keep its mirror from running. */
const REPAIR_MILLIS = 600_000;
/** Lanes that are behind by more than this need the processor more than we do. */
const BUSY_LAG_SECONDS = 2;

export interface VerificationRunDeps {
  readonly host: MirrorHost;
  readonly store: StateStore;
  readonly marks: MarkCodec;
  readonly leases: LeaseKeeper;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
}

/** Records that are missing for sure, of one lane. */
interface MissingLane {
  readonly planned: PlannedTopic;
  readonly lane: LaneId;
  readonly positions: Position[];
}

/** One comparison of a mirror: topic after topic, in the background. */
export class VerificationRun {
  readonly id: string;
  readonly request: VerificationRequest;
  readonly done: Promise<void>;
  readonly #deps: VerificationRunDeps;
  readonly #log: Log;
  readonly #abort = new AbortController();
  readonly #findings = new Findings();
  readonly #progress: AuditProgress = {
    phase: 'reading-source',
    topic: '',
    sourceRecords: 0,
    targetRecords: 0,
    comparedRecords: 0,
    blocks: 0,
    unequalBlocks: 0,
  };
  readonly #missing: MissingLane[] = [];
  #missingRecords = 0;
  readonly #startedAt: number;
  #endedAt: number | undefined;
  #state: VerificationState = 'running';
  #phase: VerificationPhase | undefined = 'preparing';
  #topics: readonly string[] = [];
  #topicsDone = 0;
  #sourceTotal: number | undefined = 0;
  #repair: { stored: number; found: number; left: number } | undefined;
  #trouble: Trouble | undefined;

  constructor(id: string, request: VerificationRequest, deps: VerificationRunDeps) {
    this.id = id;
    this.request = request;
    this.#deps = deps;
    this.#log = deps.log.child({ verification: id, ...request.key });
    this.#startedAt = deps.clock.now();
    this.done = this.#run();
  }

  get running(): boolean {
    return this.#state === 'running';
  }

  cancel(): void {
    this.#abort.abort(new IsthmusError('CLOSED', 'verifying: it was cancelled'));
  }

  status(): VerificationStatus {
    const { counts, mayHaveExpired, absences, minutes, listed, notes } = this.#findings;
    const { phase, topic, sourceRecords, targetRecords, blocks, unequalBlocks, comparedRecords } = this.#progress;
    const sourceTotal = this.#sourceTotal ?? null;
    return {
      id: this.id,
      request: this.request,
      state: this.#state,
      phase: this.#phase ?? phase,
      startedAt: this.#startedAt,
      endedAt: this.#endedAt ?? null,
      topics: this.#topics,
      progress: {
        topic,
        topicsDone: this.#topicsDone,
        sourceRecords,
        sourceTotal,
        targetRecords,
        blocks,
        unequalBlocks,
        comparedRecords,
      },
      counts,
      mayHaveExpired,
      absences: Object.fromEntries(absences),
      minutes,
      differences: listed.map(differenceStatus),
      repair: this.#repair ?? null,
      notes,
      trouble: this.#trouble ?? null,
    };
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    this.#log.info('verification-started', { repair: this.request.repair });
    try {
      await this.#compareAll();
      if (this.request.repair && this.#missingRecords > 0) await this.#repairAll();
      this.#state = this.#findings.faults > 0 ? 'different' : 'equal';
    } catch (raw) {
      const error = toIsthmusError(raw);
      this.#state = this.#abort.signal.aborted ? 'cancelled' : 'failed';
      if (this.#state === 'failed') this.#trouble = toTrouble(error, clock.now());
    }
    this.#phase = 'done';
    this.#endedAt = clock.now();
    const { missing, doubled, changed, reordered } = this.#findings.counts;
    const outcome = {
      state: this.#state,
      missing,
      doubled,
      changed,
      reordered,
      code: this.#trouble?.code,
      detail: this.#trouble?.message,
    };
    if (this.#state === 'equal' || this.#state === 'cancelled') this.#log.info('verification-ended', outcome);
    else this.#log.warn('verification-ended', outcome);
  }

  async #compareAll(): Promise<void> {
    const { host, store } = this.#deps;
    const mirror = host.readable(this.request.key);
    const known = await progressOf(mirror, store);
    const all = [...new Set([...known.values()].map(({ lane }) => lane.topic))].sort();
    this.#topics = this.request.topics ?? all;
    const strange = this.#topics.find((topic) => !all.includes(topic));
    if (strange !== undefined)
      throw new IsthmusError(
        'NOT_FOUND',
        `verifying ${strange}: the mirror has no such topic (it has: ${all.slice(0, 20).join(', ') || 'none'})`,
      );
    for (const topic of this.#topics) {
      this.#phase = 'preparing';
      this.#progress.topic = topic;
      // Anew for each topic: what its lanes have done until now is compared.
      const planned = await planTopic(mirror, topic, await progressOf(mirror, store), this.request, store);
      this.#sourceTotal =
        this.#sourceTotal === undefined || planned.records === undefined ? undefined : this.#sourceTotal + planned.records;
      for (const note of planned.notes) this.#findings.note(note);
      this.#phase = undefined;
      await auditTopic({
        scope: planned.scope,
        deps: this.#auditDeps(mirror),
        findings: this.#findings,
        progress: this.#progress,
        onMissing: (lane, position) => this.#noteMissing(planned, lane, position),
      });
      this.#topicsDone++;
    }
  }

  #noteMissing(planned: PlannedTopic, lane: string, position: Position): void {
    if (!this.request.repair) return;
    if (this.#missingRecords >= MAX_REPAIRED) {
      this.#findings.note(`only the first ${MAX_REPAIRED} missing records are repaired at a time; repair again for the rest`);
      return;
    }
    this.#missingRecords++;
    const last = this.#missing.at(-1);
    if (last?.planned === planned && last.lane.lane === lane) last.positions.push(position);
    else this.#missing.push({ planned, lane: { topic: planned.scope.topic, lane }, positions: [position] });
  }

  #auditDeps(mirror: ReadableMirror): AuditDeps {
    const { store, marks, clock } = this.#deps;
    const { key, spec, source, target, reads, readsTarget } = mirror;
    const signal = this.#abort.signal;
    const pace = new Pace(clock, () => isBusy(mirror));
    const deps = { clock, signal, pace, budget: new ByteBudget(BUDGET_BYTES) };
    const group = groupName(key, target.name, spec);
    let letters: ReturnType<AuditDeps['deadLetters']> | undefined;
    let lettersOf = '';
    return {
      ...deps,
      sourceCluster: source.name,
      source: reads,
      target: readsTarget,
      group,
      marks,
      likeness: target.likeness?.(source.type),
      stages: (lane) => this.#stages(mirror, lane),
      readIndex: (lane, from, to, limit) => store.readIndex(key, lane, from, to, limit),
      deadLetters: (topic) => {
        if (letters === undefined || lettersOf !== topic)
          [letters, lettersOf] = [readDeadLetters(mirror, topic, group, deps), topic];
        return letters;
      },
      sizes: AUDIT_SIZES,
    };
  }

  #stages({ source, target, spec }: ReadableMirror, lane: LaneId): Stage[] {
    const context = { sourceCluster: source.name, targetCluster: target.name, spec, marks: this.#deps.marks };
    const onDamaged = (records: number): void => {
      this.#findings.note(
        `${lane.topic} ${lane.lane}: ${records} records have a mark that cannot be read; they count as written there`,
      );
    };
    const plan = { lane, targetTopic: targetTopicOf(spec, lane.topic), partitions: [] };
    return stagesOf({ context, plan, stored: new PositionSet(), recorder: { damagedMarks: onDamaged } });
  }

  /** The mirror stands still meanwhile: its lanes' own names and leases are used, which keeps every other writer out. */
  async #repairAll(): Promise<void> {
    const { host, clock } = this.#deps;
    const { key } = this.request;
    this.#phase = 'repairing';
    this.#repair = { stored: 0, found: 0, left: this.#missingRecords };
    const cancel = clock.timer(REPAIR_MILLIS, () =>
      this.#abort.abort(new IsthmusError('REQUEST_TIMEOUT', `repairing: it took more than ${REPAIR_MILLIS / 60_000} minutes`)),
    );
    try {
      await host.whileStopped(key, async () => {
        for (const missing of this.#missing) await this.#repairLane(host.readable(key), missing);
      });
    } finally {
      cancel();
    }
  }

  async #repairLane(mirror: ReadableMirror, { planned, lane, positions }: MissingLane): Promise<void> {
    const { clock, store } = this.#deps;
    const { scope } = planned;
    const context = this.#contextOf(mirror);
    const { key, target, spec } = mirror;
    const entries: IndexEntry[] = [];
    const partitions = scope.lanes.find((each) => each.lane === lane.lane)?.partitions ?? [];
    const pace = new Pace(clock, () => isBusy(mirror));
    const deps = { clock, signal: this.#abort.signal, pace, budget: context.budget };
    context.sink.setPartitions(scope.targetTopic, scope.targetLanes);
    const report = await repairLane({
      context,
      plan: { lane, targetTopic: scope.targetTopic, partitions },
      group: groupName(key, target.name, spec),
      partitions: scope.targetLanes.length,
      missing: positions,
      stages: this.#stages(mirror, lane),
      deps,
      onStored: ({ runs, partition, target: place }) => void entries.push({ runs, partition, target: place }),
    });
    if (entries.length > 0) await store.appendIndex(key, [{ lane, entries }]);
    const { stored = 0, found = 0, left = 0 } = this.#repair ?? {};
    this.#repair = { stored: stored + report.stored, found: found + report.found, left: left - report.stored - report.found };
    this.#log.warn('records-repaired', { topic: lane.topic, lane: lane.lane, ...report });
  }

  #contextOf({ link, spec, source, target, reads }: ReadableMirror): MirrorContext {
    const { clock, random, marks, leases } = this.#deps;
    if (target.sink === undefined)
      throw new IsthmusError('INVALID_REQUEST', `repairing over ${link.name}: ${target.type} cannot be written`);
    return {
      link: link.name,
      spec,
      sourceCluster: source.name,
      targetCluster: target.name,
      source: reads,
      sink: target.sink,
      budget: new ByteBudget(BUDGET_BYTES),
      clock,
      log: this.#log,
      random,
      marks,
      leases,
    };
  }
}

function isBusy({ running }: ReadableMirror): boolean {
  return running?.lanes.some((lane) => (lane.lagSeconds() ?? 0) > BUSY_LAG_SECONDS) ?? false;
}

function differenceStatus({ kind, topic, lane, position, time, target, behind, mayHaveExpired }: Difference): DifferenceStatus {
  return {
    kind,
    topic,
    lane,
    position: formatPosition(position),
    time: time ?? null,
    target: target.map((place) => ({ lane: place.lane, position: formatPosition(place.position) })),
    behind: behind === undefined ? null : formatPosition(behind),
    mayHaveExpired,
  };
}
