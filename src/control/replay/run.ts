import { IsthmusError, toIsthmusError } from '../../errors.ts';
import { ByteBudget } from '../../lib/byte-budget.ts';
import { Pace } from '../../mirror/audit/pace.ts';
import { type ReadDeps, readStretch } from '../../mirror/audit/stretch-reader.ts';
import type { Lane } from '../../mirror/lane.ts';
import type { LanePlan, MirrorContext } from '../../mirror/lane-plan.ts';
import { Mirror } from '../../mirror/mirror.ts';
import { type MirrorSpec, PLAIN_RULES } from '../../model/mirror-spec.ts';
import { comparePositions, type Position } from '../../model/position.ts';
import { deadLetterTopicOf, targetTopicOf } from '../../model/topic-name.ts';
import type { MirrorKey, StateStore } from '../../spi/state-store.ts';
import { groupName } from '../group-name.ts';
import { progressOf, type ReadableMirror } from '../readable-mirror.ts';
import { partitionsByName } from '../target-lanes.ts';
import { type Trouble, toTrouble } from '../trouble.ts';
import { alreadyStored, untilKept, WantedLetters } from './already-stored.ts';
import type { LetterStatus, ReplayedTopic, ReplayRequest, ReplayState, ReplayStatus } from './api.ts';
import { type LetterRoute, letterAt, letterId, letterPlace, NOT_REPLAYED, replayEnds } from './letters.ts';

const BUDGET_BYTES = 8 * 1024 * 1024;
const MAX_SHOWN = 100;
/** Letters that are told from others that are there twice. */
const MAX_KNOWN = 500_000;
const LOOK_MILLIS = 100;
/** A replay that gets nowhere for so long has failed; it can be started again. */
const STALLED_MILLIS = 120_000;

/** Of the parts that a process is made of, those that replaying needs. */
export type ReplayDeps = Pick<MirrorContext, 'clock' | 'log' | 'random' | 'marks' | 'leases'> & {
  readonly store: StateStore;
  readonly recorder: ConstructorParameters<typeof Mirror>[0]['recorder'];
};

type Changing<T> = { -readonly [K in keyof T]: T[K] };
type Counts = Changing<ReplayedTopic>;

/** What a look at a dead-letter topic has found. */
interface Survey {
  /** Where the first letter of each record lies; see LetterRoute. */
  readonly first: Map<string, string>;
  /** The last letter wanted, by lane of the dead-letter topic. */
  readonly last: Map<string, Position>;
  /** Source lanes that have letters. */
  readonly lanes: Set<string>;
  /** Those that were not replayed before. */
  readonly wanted: WantedLetters;
}

/**
 * Puts the dead letters of a mirror back in, topic after topic: a mirror from the dead-letter topic to the target topic, in one cluster, that ends at the last letter that was
 * there when it began. So it is as exact as any other mirror, has its own checkpoint and knows what was replayed, and may run beside the mirror itself.
 */
export class ReplayRun {
  readonly request: ReplayRequest;
  readonly done: Promise<void>;
  readonly #mirror: ReadableMirror;
  readonly #deps: ReplayDeps;
  readonly #abort = new AbortController();
  readonly #startedAt: number;
  readonly #topics: Counts[] = [];
  readonly #letters: Changing<LetterStatus>[] = [];
  #endedAt: number | undefined;
  #state: ReplayState = 'running';
  #trouble: Trouble | undefined;

  constructor(request: ReplayRequest, mirror: ReadableMirror, deps: ReplayDeps) {
    this.request = request;
    this.#mirror = mirror;
    this.#deps = { ...deps, log: deps.log.child({ replay: `${request.key.link}/${request.key.mirror}` }) };
    this.#startedAt = deps.clock.now();
    this.done = this.#run();
  }

  get running(): boolean {
    return this.#state === 'running';
  }

  cancel(): void {
    this.#abort.abort(new IsthmusError('CLOSED', 'replaying dead letters: it was cancelled'));
  }

  status(): ReplayStatus {
    return {
      request: this.request,
      state: this.#state,
      startedAt: this.#startedAt,
      endedAt: this.#endedAt ?? null,
      topics: this.#topics.map((topic) => ({ ...topic })),
      letters: this.#letters.map((letter) => ({ ...letter })),
      trouble: this.#trouble ?? null,
    };
  }

  async #run(): Promise<void> {
    const { log, clock } = this.#deps;
    log.info('replay-started', { dryRun: this.request.dryRun });
    try {
      for (const topic of await this.#topicNames()) await this.#replayTopic(topic);
      this.#state = 'done';
    } catch (raw) {
      this.#state = this.#abort.signal.aborted ? 'cancelled' : 'failed';
      if (this.#state === 'failed') this.#trouble = toTrouble(toIsthmusError(raw), clock.now());
    }
    this.#endedAt = clock.now();
    const replayed = this.#topics.reduce((sum, topic) => sum + topic.replayed, 0);
    log.info('replay-ended', { state: this.#state, replayed, code: this.#trouble?.code, detail: this.#trouble?.message });
  }

  async #topicNames(): Promise<readonly string[]> {
    const known = await progressOf(this.#mirror, this.#deps.store);
    const all = [...new Set([...known.values()].map(({ lane }) => lane.topic))].sort();
    const strange = this.request.topics?.find((topic) => !all.includes(topic));
    if (strange !== undefined)
      throw new IsthmusError(
        'NOT_FOUND',
        `replaying ${strange}: the mirror has no such topic (it has: ${all.slice(0, 20).join(', ') || 'none'})`,
      );
    return this.request.topics ?? all;
  }

  async #replayTopic(topic: string): Promise<void> {
    const { spec, target } = this.#mirror;
    const deadLetterTopic = deadLetterTopicOf(spec, topic);
    const described = await target.admin.describeTopic(deadLetterTopic);
    if (described === undefined) return;
    const targetTopic = targetTopicOf(spec, topic);
    const counts: Counts = { topic, deadLetterTopic, targetTopic, found: 0, unfit: 0, stored: 0, replayed: 0, refused: 0 };
    this.#topics.push(counts);
    const survey = await this.#survey(
      counts,
      described.lanes.map(({ lane }) => lane),
    );
    if (survey.last.size === 0) return;
    // Also where it only looks: what it says would be put back must be what is put back.
    const { numbered, partitions, placeOf } = await this.#partitions(counts, survey);
    const stored = await this.#stored(counts, survey, numbered);
    if (this.request.dryRun) return;
    const route: LetterRoute = { origin: { cluster: this.#mirror.source.name, topic }, ...survey, stored, placeOf };
    const plans = [...survey.last.keys()].map((lane) => ({ lane: { topic: deadLetterTopic, lane }, targetTopic, partitions }));
    await this.#replayLanes(counts, plans, route);
  }

  /** Looks which letters there are that were not replayed before. It begins at the beginning, because of those that are there twice one may have been replayed. */
  async #survey(counts: Counts, lanes: readonly string[]): Promise<Survey> {
    const { readsTarget, source } = this.#mirror;
    const { store } = this.#deps;
    const { limit = Number.POSITIVE_INFINITY } = this.request;
    const group = this.#group(counts);
    const checkpoints = await store.loadCheckpoints(this.#key(counts));
    const survey: Survey = { first: new Map(), last: new Map(), lanes: new Set(), wanted: new WantedLetters() };
    for (const lane of lanes) {
      const id = { topic: counts.deadLetterTopic, lane };
      const kept = checkpoints.find((each) => each.lane.topic === id.topic && each.lane.lane === lane)?.next;
      const from = await readsTarget.resolveStart(id, { kind: 'earliest' });
      const next = kept ?? (await readsTarget.committed(id, group)) ?? from;
      const to = await readsTarget.resolveStart(id, { kind: 'latest' });
      let found = 0;
      const records = (batch: Parameters<typeof letterAt>[0], first: number, end: number): void => {
        for (let i = first; i < end && found < limit; i++) {
          const position = batch.positionAt(i);
          const isNew = comparePositions(position, next) >= 0;
          const letter = letterAt(batch, i, { cluster: source.name, topic: counts.topic });
          const at = letterPlace(lane, position);
          if (letter === undefined || survey.first.has(letterId(letter))) {
            if (isNew) counts.unfit++;
            continue;
          }
          const isKnown = survey.first.size < MAX_KNOWN;
          if (isKnown) survey.first.set(letterId(letter), at);
          if (!isNew) continue;
          if (isKnown) survey.wanted.add(letter, batch.storeTime[i] ?? 0);
          found++;
          survey.lanes.add(letter.lane);
          survey.last.set(lane, position);
          if (this.#letters.length < MAX_SHOWN)
            this.#letters.push({ deadLetterTopic: counts.deadLetterTopic, at, topic: counts.topic, ...letter, stored: false });
        }
      };
      await readStretch(readsTarget, group, { lane: id, from, to }, { records, gone: () => undefined }, this.#reading());
      counts.found += found;
    }
    return survey;
  }

  /** Letters of records that the mirror itself has stored since, or a replay before this one that was killed. */
  async #stored(counts: Counts, { wanted }: Survey, numbered: readonly string[]): Promise<ReadonlySet<string>> {
    const { topic, targetTopic } = counts;
    const deps = this.#reading();
    await untilKept(this.request.key, topic, wanted, this.#deps.store, deps);
    const lanes = numbered.map((lane) => ({ topic: targetTopic, lane }));
    const found = await alreadyStored(this.#mirror, { topic, lanes, group: this.#group(counts) }, wanted, this.#deps.marks, deps);
    counts.stored = found.size;
    for (const letter of this.#letters) if (letter.topic === topic && found.has(letterId(letter))) letter.stored = true;
    if (found.size > 0) this.#deps.log.info('letters-stored-already', { topic, count: found.size });
    return found;
  }

  #reading(): ReadDeps {
    const { clock } = this.#deps;
    return { clock, signal: this.#abort.signal, budget: new ByteBudget(BUDGET_BYTES), pace: new Pace(clock, () => false) };
  }

  /** The partitions of the target that letters go to, and which of them takes those of a source lane. */
  async #partitions(
    { topic, targetTopic }: Counts,
    { lanes }: Survey,
  ): Promise<{
    readonly numbered: readonly string[];
    readonly partitions: readonly number[];
    readonly placeOf: LetterRoute['placeOf'];
  }> {
    const { store } = this.#deps;
    const { key, spec, target } = this.#mirror;
    const described = await target.admin.describeTopic(targetTopic);
    if (described === undefined)
      throw new IsthmusError(
        'TOPIC_NOT_FOUND',
        `replaying into ${targetTopic}: ${target.name} has it not, or all its brokers are away`,
      );
    const present = described.lanes.map(({ lane }) => lane);
    const kept = await store.loadTargetLanes(target.name, targetTopic);
    const numbered = kept.length > 0 ? kept : present;
    target.sink?.setPartitions(targetTopic, numbered);
    if (spec.routing.mode === 'key') return { numbered, partitions: partitionsByName(numbered), placeOf: undefined };
    const table = await store.loadLaneTable(key, topic);
    const partitions = [...lanes].map((lane) => table.indexOf(lane));
    if (partitions.includes(-1))
      throw new IsthmusError(
        'CONFLICT',
        `replaying into ${targetTopic}: the state store does not know which partition takes the records of ${topic}; let the mirror run first`,
      );
    const places = new Map([...lanes].map((lane, place) => [lane, place]));
    return { numbered, partitions, placeOf: (lane) => places.get(lane) };
  }

  async #replayLanes(counts: Counts, plans: readonly LanePlan[], route: LetterRoute): Promise<void> {
    const { store, recorder, clock } = this.#deps;
    const key = this.#key(counts);
    const mirror = new Mirror(
      { key, context: this.#context(counts, route), store, recorder, group: this.#group(counts) },
      await store.loadCheckpoints(key),
    );
    try {
      await mirror.setTopic(counts.deadLetterTopic, plans);
      let movedAt = clock.monotonic();
      while (!mirror.lanes.every((lane) => isPast(lane, route))) {
        if (this.#abort.signal.aborted) throw this.#abort.signal.reason;
        const before = counts.replayed + counts.refused;
        this.#count(counts, mirror);
        const stopped = mirror.lanes.map(({ phase }) => phase).find((phase) => phase.kind === 'stopped');
        if (stopped?.kind === 'stopped') throw stopped.error;
        if (counts.replayed + counts.refused > before) movedAt = clock.monotonic();
        else if (clock.monotonic() - movedAt > STALLED_MILLIS) throw stallOf(mirror, counts);
        await clock.sleep(LOOK_MILLIS, this.#abort.signal);
      }
    } finally {
      this.#count(counts, mirror);
      await mirror.close();
    }
    counts.replayed = counts.found - counts.stored - counts.refused;
  }

  #count(counts: Counts, { lanes }: Mirror): void {
    counts.replayed = lanes.reduce((sum, lane) => sum + lane.recordsStored, 0);
    counts.refused = lanes.reduce((sum, lane) => sum + lane.deadLetters, 0);
  }

  #context({ deadLetterTopic, targetTopic }: Counts, route: LetterRoute): MirrorContext {
    const { clock, log, random, marks, leases } = this.#deps;
    const { link, spec, target, readsTarget } = this.#mirror;
    if (target.sink === undefined)
      throw new IsthmusError('INVALID_REQUEST', `replaying over ${link.name}: ${target.type} cannot be written`);
    const rule: MirrorSpec = {
      ...spec,
      ...PLAIN_RULES,
      topics: [deadLetterTopic],
      exclude: [],
      rename: targetTopic,
      start: 'earliest',
      routing: route.placeOf === undefined ? spec.routing : { mode: 'key', by: { kind: 'default' }, partitions: undefined },
      filter: { tags: [], properties: {}, absent: NOT_REPLAYED },
      onBadRecord: this.request.skipRefused ? 'dead-letter' : 'stop-lane',
    };
    return {
      ...replayEnds(readsTarget, target.sink, route),
      link: link.name,
      spec: rule,
      sourceCluster: target.name,
      targetCluster: target.name,
      budget: new ByteBudget(BUDGET_BYTES),
      clock,
      log,
      random,
      marks,
      leases,
    };
  }

  /** No mirror has such a name. Apart for each source topic: several may keep their letters in one topic, and each has its own place in that. */
  #key({ topic }: Counts): MirrorKey {
    const { link, mirror } = this.request.key;
    return { link, mirror: `${mirror}~replay~${topic}` };
  }

  #group({ topic, deadLetterTopic, targetTopic }: Counts): string {
    const { link, mirror } = this.request.key;
    const names = { rename: `${topic} ${deadLetterTopic} ${targetTopic}`, renames: [] };
    return groupName({ link, mirror: `${mirror}-replay` }, this.#mirror.target.name, names);
  }
}

/** Whether a lane has come past the last letter that is wanted of it. */
function isPast({ next, plan }: Lane, { last }: LetterRoute): boolean {
  const wanted = last.get(plan.lane.lane);
  return wanted !== undefined && next !== undefined && comparePositions(next, wanted) > 0;
}

function stallOf(mirror: Mirror, { deadLetterTopic }: Counts): IsthmusError {
  const waiting = mirror.lanes.map(({ phase }) => phase).find((phase) => phase.kind === 'waiting');
  if (waiting?.kind === 'waiting') return waiting.error;
  return new IsthmusError(
    'REQUEST_TIMEOUT',
    `replaying ${deadLetterTopic}: nothing has moved for ${STALLED_MILLIS / 1000} s; start it again`,
  );
}
