import { IsthmusError, toIsthmusError } from '../errors.ts';
import { within } from '../lib/abort.ts';
import type { ByteBudget } from '../lib/byte-budget.ts';
import { forEachLimited } from '../lib/concurrency.ts';
import type { LanePlan } from '../mirror/lane-plan.ts';
import type { LeaseKeeper } from '../mirror/lease-keeper.ts';
import { Mirror } from '../mirror/mirror.ts';
import type { TargetView } from '../mirror/window/stored-ids.ts';
import type { LinkSpec, MirrorSpec } from '../model/mirror-spec.ts';
import type { MarkCodec } from '../model/provenance.ts';
import { takesTopic, targetTopicOf } from '../model/topic-name.ts';
import { rulesBeyond } from '../spi/capabilities.ts';
import type { Clock } from '../spi/clock.ts';
import type { Cluster } from '../spi/cluster.ts';
import type { DedupWindows } from '../spi/dedup-window.ts';
import type { Log } from '../spi/log.ts';
import type { Recorder } from '../spi/recorder.ts';
import type { Sink } from '../spi/sink.ts';
import type { Source } from '../spi/source.ts';
import type { MirrorKey, StateStore } from '../spi/state-store.ts';
import { groupName } from './group-name.ts';
import { LanePlanner } from './lane-planner.ts';
import { type Trouble, toTrouble } from './trouble.ts';

/** New topics and queues are seen within this time. */
const DISCOVERY_MILLIS = 5_000;
const RETRY_MILLIS = 1_000;
const TOPICS_AT_A_TIME = 8;
/** How long a closing mirror waits for its look for topics. */
const LOOK_MILLIS = 1_000;

export interface ManagedDeps {
  readonly store: StateStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly recorder: Recorder;
  readonly random: () => number;
  readonly marks: MarkCodec;
  readonly leases: LeaseKeeper;
  readonly windows: DedupWindows;
  readonly budget: ByteBudget;
  /** Whether another mirror of the link has this source topic already; its name, for the message. */
  readonly ownerOf: (topic: string, asking: MirrorKey) => string | undefined;
}

/** A rule, and the clusters that it joins. */
export interface Rule {
  readonly link: LinkSpec;
  readonly spec: MirrorSpec;
  readonly source: Cluster;
  readonly target: Cluster;
}

/** What a rule reads from and writes to. Throws INVALID_REQUEST where a driver cannot do that, or not by this rule. */
export function endsOf({ link, spec, source, target }: Rule): { readonly reads: Source; readonly writes: Sink } {
  if (source.source === undefined || target.sink === undefined) {
    throw new IsthmusError(
      'INVALID_REQUEST',
      `mirroring over the link ${link.name}: ${source.type} -> ${target.type} is not supported by this version`,
    );
  }
  // A mirror that waits for topics which nobody lists, or begins elsewhere than it says, would look well.
  const beyond = rulesBeyond(source.capabilities, spec);
  if (beyond.length > 0)
    throw new IsthmusError('INVALID_REQUEST', `mirroring ${link.name}/${spec.name} from ${source.name}: ${beyond.join('; ')}`);
  return { reads: source.source, writes: target.sink };
}

/** How what a target holds is read back, where its driver can read. */
function viewOf({ source, admin }: Cluster): TargetView | undefined {
  return source === undefined ? undefined : { source, extents: (topic) => admin.extents(topic) };
}

/** A wanted mirror that is being made to run: finds its topics again and again, makes their targets, and keeps a Mirror as planned. */
export class ManagedMirror {
  readonly key: MirrorKey;
  readonly link: LinkSpec;
  readonly spec: MirrorSpec;
  readonly #source: Cluster;
  readonly #target: Cluster;
  readonly #reads: Source;
  readonly #writes: Sink;
  readonly #deps: ManagedDeps;
  readonly #log: Log;
  readonly #abort = new AbortController();
  readonly #planner: LanePlanner;
  readonly #plans = new Map<string, readonly LanePlan[]>();
  /** Topics that are ours, from the moment that nobody else had them. */
  readonly #claims = new Set<string>();
  /** Target names, and whose they are. */
  readonly #names = new Map<string, string>();
  readonly #topicTroubles = new Map<string, Trouble>();
  #mirror: Mirror | undefined;
  #trouble: Trouble | undefined;
  #discovered = false;
  readonly #running: Promise<void>;

  constructor(key: MirrorKey, link: LinkSpec, spec: MirrorSpec, source: Cluster, target: Cluster, deps: ManagedDeps) {
    const { reads, writes } = endsOf({ link, spec, source, target });
    this.key = key;
    this.link = link;
    this.spec = spec;
    this.#source = source;
    this.#target = target;
    this.#reads = reads;
    this.#writes = writes;
    this.#deps = deps;
    this.#planner = new LanePlanner({ key, spec, source, target, writes, store: deps.store, windows: deps.windows });
    this.#log = deps.log.child({ link: key.link, mirror: key.mirror });
    this.#running = this.#run();
  }

  get mirror(): Mirror | undefined {
    return this.#mirror;
  }

  get topics(): readonly string[] {
    return [...this.#plans.keys()].sort();
  }

  /** What feeds what, by source topic. */
  get plans(): ReadonlyMap<string, readonly LanePlan[]> {
    return this.#plans;
  }

  /** Whether a topic of the source belongs to this mirror, also while it is still being arranged. */
  claims(topic: string): boolean {
    return this.#claims.has(topic);
  }

  /** Whether the topics were looked for successfully at least once. */
  get discovered(): boolean {
    return this.#discovered;
  }

  /** What keeps the mirror or one of its topics from being as wanted. */
  get trouble(): Trouble | undefined {
    return this.#trouble ?? [...this.#topicTroubles.values()][0];
  }

  async restart(): Promise<void> {
    await this.#mirror?.restart();
  }

  /** The state store was emptied: what is known here goes into it again. */
  async rewriteState(): Promise<void> {
    this.#mirror?.markDirty();
    await this.#planner.rewriteState();
  }

  /** Ends it, with the last checkpoints kept. A look for topics that hangs is left behind: it finds the mirror closed. */
  async close(): Promise<void> {
    this.#abort.abort();
    await Promise.all([within(this.#running, this.#deps.clock, LOOK_MILLIS), this.#mirror?.close()]);
  }

  async #run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      let wait = DISCOVERY_MILLIS;
      try {
        this.#mirror ??= await this.#makeMirror();
        await this.#discover(this.#mirror);
        this.#trouble = undefined;
      } catch (error) {
        this.#noteTrouble(toIsthmusError(error));
        if (this.#mirror === undefined) wait = RETRY_MILLIS;
      }
      await this.#deps.clock.sleep(wait, this.#abort.signal);
    }
  }

  async #makeMirror(): Promise<Mirror> {
    const { store, clock, random, budget, recorder } = this.#deps;
    const checkpoints = await store.loadCheckpoints(this.key);
    if (this.#abort.signal.aborted) throw new IsthmusError('CLOSED', 'starting a mirror: it was closed');
    const context = {
      link: this.link.name,
      spec: this.spec,
      sourceCluster: this.#source.name,
      targetCluster: this.#target.name,
      source: this.#reads,
      sink: this.#writes,
      budget,
      clock,
      log: this.#log,
      random,
      marks: this.#deps.marks,
      leases: this.#deps.leases,
      windows: this.#deps.windows,
      targetView: viewOf(this.#target),
    };
    return new Mirror(
      { key: this.key, context, store, recorder, group: groupName(this.key, this.#target.name, this.spec) },
      checkpoints,
    );
  }

  async #discover(mirror: Mirror): Promise<void> {
    const topics = await this.#findTopics();
    this.#discovered = true;
    // Several at a time: one that waits for its cluster must not keep the others waiting.
    await forEachLimited(topics, TOPICS_AT_A_TIME, async (topic) => {
      if (this.#abort.signal.aborted) return;
      try {
        await this.#arrange(mirror, topic);
        this.#clearTopicTrouble(topic);
      } catch (error) {
        if (!this.#plans.has(topic)) this.#giveUp(topic);
        this.#noteTopicTrouble(topic, toIsthmusError(error));
      }
    });
    for (const topic of this.#topicTroubles.keys()) if (!topics.includes(topic)) this.#clearTopicTrouble(topic);
  }

  /** Topics of the source that the rule takes, and those it names outright even while they are absent. Topics that run already stay. */
  async #findTopics(): Promise<string[]> {
    const { retryTopics, topics: globs } = this.spec;
    const listed = await this.#source.admin.listTopics({ retryTopics, globs });
    const there = listed.filter((topic) => takesTopic(this.spec, topic));
    const named = this.spec.topics.filter((glob) => !/[*?]/.test(glob));
    return [...new Set([...there, ...named, ...this.#plans.keys()])].sort();
  }

  async #arrange(mirror: Mirror, topic: string): Promise<void> {
    const owner = this.#deps.ownerOf(topic, this.key);
    if (owner !== undefined)
      throw new IsthmusError(
        'CONFLICT',
        `mirroring the topic ${topic}: the mirror ${owner} of this link has it already; exclude it from one of the two`,
      );
    // Before anything is waited for: two mirrors that look at the same time would both find the topic free.
    this.#claims.add(topic);
    const targetTopic = targetTopicOf(this.spec, topic);
    this.#takeName(topic, targetTopic);
    const description = await this.#source.admin.describeTopic(topic);
    if (description === undefined || description.lanes.length === 0) throw await this.#absence(topic);
    const refusal = this.#writes.refusesTopicName(targetTopic);
    if (refusal !== undefined)
      throw new IsthmusError('TOPIC_NAME_REFUSED', `mirroring the topic ${topic} as ${targetTopic}: ${refusal}`);
    const plans = await this.#planner.plan(description, targetTopic);
    if (this.#abort.signal.aborted) return;
    await mirror.setTopic(topic, plans);
    if (!this.#plans.has(topic)) this.#log.info('topic-mirrored', { topic, targetTopic, lanes: plans.length });
    this.#plans.set(topic, plans);
  }

  /** Why a topic is not mirrored that the source has not. Its lanes stay open: they alone know what they have read last, by which a topic that is made again is told from the old one. */
  async #absence(topic: string): Promise<IsthmusError> {
    const { name, admin } = this.#source;
    const doing = `mirroring the topic ${topic}`;
    // Of one that was never mirrored here nobody knows whether it was ever there.
    const checkpoints = await this.#deps.store.loadCheckpoints(this.key).catch(() => []);
    const lanes = checkpoints.filter(({ lane }) => lane.topic === topic).map(({ lane }) => lane.lane);
    const deleted = lanes.length > 0 && (await admin.isDeleted?.(topic, lanes).catch(() => false)) === true;
    return deleted
      ? new IsthmusError(
          'SOURCE_GONE',
          `${doing}: it was deleted from ${name}. If it is made again, it is mirrored again (onRecreated); else take it out of the mirror's topics, or exclude it`,
        )
      : new IsthmusError(
          'TOPIC_NOT_FOUND',
          `${doing}: it does not exist on ${name} (or all its brokers are away); it is waited for`,
        );
  }

  /** Rules for names are checked before, but whether two wildcards meet in one name shows only by the topics that there are. */
  #takeName(topic: string, targetTopic: string): void {
    const twin = this.#names.get(targetTopic) ?? topic;
    if (twin !== topic)
      throw new IsthmusError(
        'CONFLICT',
        `mirroring the topic ${topic} as ${targetTopic}: ${twin} has this name already, and their order would be mixed; exclude one of the two, or rename it`,
      );
    this.#names.set(targetTopic, topic);
  }

  #giveUp(topic: string): void {
    this.#claims.delete(topic);
    for (const [name, owner] of this.#names) if (owner === topic) this.#names.delete(name);
  }

  #noteTrouble(error: IsthmusError): void {
    const trouble = toTrouble(error, this.#trouble?.since ?? this.#deps.clock.now());
    if (this.#trouble?.message !== trouble.message) this.#log.warn('mirror-waits', { code: error.code, detail: error.message });
    this.#trouble = trouble;
  }

  #noteTopicTrouble(topic: string, error: IsthmusError): void {
    const before = this.#topicTroubles.get(topic);
    const trouble = toTrouble(error, before?.since ?? this.#deps.clock.now());
    if (before?.message !== trouble.message) this.#log.warn('topic-waits', { topic, code: error.code, detail: error.message });
    this.#topicTroubles.set(topic, trouble);
  }

  #clearTopicTrouble(topic: string): void {
    if (this.#topicTroubles.delete(topic)) this.#log.info('topic-goes-on', { topic });
  }
}
