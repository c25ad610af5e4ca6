import { IsthmusError } from '../errors.ts';
import type { LanePlan } from '../mirror/lane-plan.ts';
import { windowName } from '../mirror/window/record-ids.ts';
import type { TopicDescription } from '../model/lane.ts';
import type { MirrorSpec } from '../model/mirror-spec.ts';
import type { Cluster, NewTopicOptions } from '../spi/cluster.ts';
import type { DedupWindows } from '../spi/dedup-window.ts';
import type { Sink } from '../spi/sink.ts';
import type { MirrorKey, StateStore } from '../spi/state-store.ts';
import { extendLaneTable, rebuildLaneTable } from './lane-table.ts';
import { extendTargetLanes, partitionsByName } from './target-lanes.ts';

interface PlannerParts {
  readonly key: MirrorKey;
  readonly spec: MirrorSpec;
  readonly source: Cluster;
  readonly target: Cluster;
  readonly writes: Sink;
  readonly store: StateStore;
  readonly windows: DedupWindows;
}

/** Several processes that start together agree after a few tries: each time at least one of them has got through. */
const AGREEING_TRIES = 10;

/** Decides which lane of a source topic feeds which partitions of its target, and makes the target large enough first. */
export class LanePlanner {
  readonly #parts: PlannerParts;
  readonly #tables = new Map<string, string[]>();
  readonly #targets = new Map<string, readonly string[]>();

  constructor(parts: PlannerParts) {
    this.#parts = parts;
  }

  async plan(source: TopicDescription, targetTopic: string): Promise<LanePlan[]> {
    const partitionsOf =
      this.#parts.spec.routing.mode === 'key' ? await this.#byKey(source, targetTopic) : await this.#byLane(source, targetTopic);
    const targetPartition = (name: string): number | undefined => this.#numberOf(targetTopic, name);
    return source.lanes
      .filter((lane) => lane.readable)
      .map(({ lane }) => ({ lane: { topic: source.topic, lane }, targetTopic, partitions: partitionsOf(lane), targetPartition }));
  }

  /** The state store was emptied: what is known here goes into it again. */
  async rewriteState(): Promise<void> {
    const { store, key, target } = this.#parts;
    for (const [topic, lanes] of this.#targets) await store.saveTargetLanes(target.name, topic, lanes, []);
    for (const [topic, table] of this.#tables) await store.saveLaneTable(key, topic, table, []);
  }

  async #byKey(source: TopicDescription, targetTopic: string): Promise<(lane: string) => readonly number[]> {
    const { target, spec } = this.#parts;
    const wanted = spec.routing.mode === 'key' ? spec.routing.partitions : undefined;
    // An existing topic keeps its number of partitions: growing it would move keys away from their earlier records.
    const there = await target.admin.describeTopic(targetTopic);
    const isThere = there !== undefined && there.lanes.length > 0;
    const count = wanted ?? source.lanes.length;
    const numbered = isThere
      ? await this.#number(targetTopic, there, false)
      : await this.#makeTarget(targetTopic, count, this.#newTopic(source, true));
    const all = partitionsByName(numbered);
    return () => all;
  }

  async #byLane(source: TopicDescription, targetTopic: string): Promise<(lane: string) => readonly number[]> {
    const table = await this.#laneTable(source, targetTopic);
    return (lane) => [table.indexOf(lane)];
  }

  async #laneTable(source: TopicDescription, targetTopic: string): Promise<string[]> {
    const { store, key } = this.#parts;
    const names = source.lanes.map((lane) => lane.lane);
    const known = this.#tables.get(source.topic);
    if (known !== undefined && names.every((lane) => known.includes(lane))) return known;
    for (let tries = 0; tries < AGREEING_TRIES; tries++) {
      // Another process may have given the new lanes their partitions already; only an emptied store knows less than we do.
      const kept = await store.loadLaneTable(key, source.topic);
      const table = kept.length > 0 ? kept : (known ?? (await this.#learnTable(source, targetTopic)));
      const extended = extendLaneTable(table, names);
      // The target grows before a lane begins that needs the new partition.
      await this.#makeTarget(targetTopic, extended.length, this.#newTopic(source, false));
      if (!isSame(extended, kept) && !(await store.saveLaneTable(key, source.topic, extended, kept))) continue;
      this.#tables.set(source.topic, extended);
      return extended;
    }
    throw disagreement(`sharing out the partitions of ${targetTopic}`);
  }

  async #learnTable(source: TopicDescription, targetTopic: string): Promise<string[]> {
    const { target, writes } = this.#parts;
    const there = await target.admin.describeTopic(targetTopic);
    if (there === undefined) return [];
    await this.#number(targetTopic, there, false);
    return rebuildLaneTable(writes, this.#parts.source.name, source, targetTopic, there.lanes.length);
  }

  /** Sees to it that the target has so many partitions, and gives them their numbers. */
  async #makeTarget(targetTopic: string, partitions: number, options: NewTopicOptions): Promise<readonly string[]> {
    const { target } = this.#parts;
    const formerLanes = target.type === 'rocketmq' ? await this.#knownLanes(targetTopic) : [];
    const made = await target.admin.ensureTopic(targetTopic, partitions, { ...options, formerLanes });
    const isNew = made.created === true;
    const numbered = await this.#number(targetTopic, made, isNew);
    if (isNew) await this.#forgetWindow(targetTopic, numbered.length);
    return numbered;
  }

  /**
   * What a window knows of a topic that was made just now lay in its former self: such records would be left out, and be in no topic at all. Once something has been stored,
   * another process was faster, has forgotten before that, and the window speaks of the new topic.
   */
  async #forgetWindow(targetTopic: string, partitions: number): Promise<void> {
    const { windows, writes, target, spec } = this.#parts;
    if (spec.dedup === undefined) return;
    for (let partition = 0; partition < partitions; partition++)
      if ((await writes.tail(targetTopic, partition)) !== undefined) return;
    await windows.forget(target.name, windowName(targetTopic, spec.dedup.id));
  }

  async #knownLanes(targetTopic: string): Promise<readonly string[]> {
    const { store, target } = this.#parts;
    const kept = await store.loadTargetLanes(target.name, targetTopic);
    return kept.length > 0 ? kept : (this.#targets.get(targetTopic) ?? []);
  }

  /** Gives the target's lanes their partition numbers, and tells the sink. All mirrors and processes that write the topic agree on them in the store. */
  async #number(targetTopic: string, { lanes }: TopicDescription, isNew: boolean): Promise<readonly string[]> {
    const { writes, store, target } = this.#parts;
    // A queue that is only read (the topic has more of them than are written) would be waited for without end.
    const writable = lanes.filter((lane) => lane.writable);
    const present = (writable.length > 0 ? writable : lanes).map(({ lane }) => lane);
    // Only a lane that belongs to one broker can be away while others are there; elsewhere a missing lane is none.
    if (target.type !== 'rocketmq') return present;
    for (let tries = 0; tries < AGREEING_TRIES; tries++) {
      const kept = await store.loadTargetLanes(target.name, targetTopic);
      // What is kept of a topic that was made just now speaks of its former self.
      const known = isNew ? [] : kept.length > 0 ? kept : (this.#targets.get(targetTopic) ?? []);
      const extended = extendTargetLanes(known, present);
      if (!isSame(extended, kept) && !(await store.saveTargetLanes(target.name, targetTopic, extended, kept))) continue;
      this.#targets.set(targetTopic, extended);
      writes.setPartitions(targetTopic, extended);
      return extended;
    }
    throw disagreement(`numbering the partitions of ${targetTopic}`);
  }

  /** The partition number of a target lane; asked for each record that came from there. */
  #numberOf(targetTopic: string, lane: string): number | undefined {
    if (this.#parts.target.type !== 'rocketmq') return /^\d{1,9}$/.test(lane) ? Number(lane) : undefined;
    const number = this.#targets.get(targetTopic)?.indexOf(lane) ?? -1;
    return number < 0 ? undefined : number;
  }

  #newTopic(source: TopicDescription, ordered: boolean): NewTopicOptions {
    const sameType = this.#parts.source.type === this.#parts.target.type;
    return {
      retentionMinutes: this.#parts.spec.retentionMinutes,
      ordered,
      ...(sameType ? { like: source.settings } : {}),
    };
  }
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each, i) => each === b[i]);
}

function disagreement(doing: string): IsthmusError {
  return new IsthmusError('CONFLICT', `${doing}: other processes keep changing the table in the state store`, {
    retryable: true,
  });
}
