import type { LanePlan } from '../mirror/lane-plan.ts';
import type { TopicDescription } from '../model/lane.ts';
import type { MirrorSpec } from '../model/mirror-spec.ts';
import type { Cluster, NewTopicOptions } from '../spi/cluster.ts';
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
}

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
    return source.lanes
      .filter((lane) => lane.readable)
      .map(({ lane }) => ({ lane: { topic: source.topic, lane }, targetTopic, partitions: partitionsOf(lane) }));
  }

  /** The state store was emptied: what is known here goes into it again. */
  async rewriteState(): Promise<void> {
    const { store, key } = this.#parts;
    for (const [topic, table] of this.#tables) await store.saveLaneTable(key, topic, table);
  }

  async #byKey(source: TopicDescription, targetTopic: string): Promise<(lane: string) => readonly number[]> {
    const { target, spec } = this.#parts;
    const wanted = spec.routing.mode === 'key' ? spec.routing.partitions : undefined;
    // An existing topic keeps its number of partitions: growing it would move keys away from their earlier records.
    const there = await target.admin.describeTopic(targetTopic);
    const made =
      there !== undefined && there.lanes.length > 0
        ? there
        : await target.admin.ensureTopic(targetTopic, wanted ?? source.lanes.length, this.#newTopic(source, true));
    const all = partitionsByName(await this.#number(targetTopic, made));
    return () => all;
  }

  async #byLane(source: TopicDescription, targetTopic: string): Promise<(lane: string) => readonly number[]> {
    const table = await this.#laneTable(source, targetTopic);
    return (lane) => [table.indexOf(lane)];
  }

  async #laneTable(source: TopicDescription, targetTopic: string): Promise<string[]> {
    const { store, key, target } = this.#parts;
    const names = source.lanes.map((lane) => lane.lane);
    const known = this.#tables.get(source.topic);
    if (known !== undefined && names.every((lane) => known.includes(lane))) return known;
    // Another process may have given the new lanes their partitions already; only an emptied store knows less than we do.
    let table = await store.loadLaneTable(key, source.topic);
    if (table.length === 0) table = known ?? [];
    if (table.length === 0) table = await this.#learnTable(source, targetTopic);
    const extended = extendLaneTable(table, names);
    // The target grows before a lane begins that needs the new partition.
    const made = await target.admin.ensureTopic(targetTopic, extended.length, this.#newTopic(source, false));
    await this.#number(targetTopic, made);
    if (extended.length !== table.length || extended.some((lane, i) => lane !== table[i])) {
      await store.saveLaneTable(key, source.topic, extended);
    }
    this.#tables.set(source.topic, extended);
    return extended;
  }

  async #learnTable(source: TopicDescription, targetTopic: string): Promise<string[]> {
    const { target, writes } = this.#parts;
    const there = await target.admin.describeTopic(targetTopic);
    if (there === undefined) return [];
    await this.#number(targetTopic, there);
    return rebuildLaneTable(writes, this.#parts.source.name, source, targetTopic, there.lanes.length);
  }

  /** Gives the target's lanes their partition numbers, and tells the sink. */
  async #number(targetTopic: string, { lanes }: TopicDescription): Promise<readonly string[]> {
    const { writes } = this.#parts;
    const extended = extendTargetLanes(
      this.#targets.get(targetTopic) ?? [],
      lanes.map(({ lane }) => lane),
    );
    this.#targets.set(targetTopic, extended);
    writes.setPartitions(targetTopic, extended);
    return extended;
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
