import { Observations } from '../../mirror/groups/observations.ts';
import type { LaneView, TopicView } from '../../mirror/groups/translation.ts';
import type { LanePlan } from '../../mirror/lane-plan.ts';
import type { MirrorSpec } from '../../model/mirror-spec.ts';
import type { Position } from '../../model/position.ts';
import { takesTopic, targetTopicOf } from '../../model/topic-name.ts';
import type { Cluster } from '../../spi/cluster.ts';
import type { TopicSurvey } from '../../spi/groups.ts';
import type { LaneExtent } from '../../spi/source.ts';
import type { Checkpoint, MirrorKey, StateStore } from '../../spi/state-store.ts';
import { reverseGroupPattern } from '../group-name.ts';

/** A mirror whose groups follow, running or not. */
export interface FollowedMirror {
  readonly key: MirrorKey;
  readonly spec: MirrorSpec;
  /** By source topic, as far as it runs here. */
  readonly plans: ReadonlyMap<string, readonly LanePlan[]>;
}

/** Mirrors that bring the target's records to the source, as far as they are known here. */
export type MirrorsBack = () => readonly FollowedMirror[];

/** A mirrored topic with its target, and the names of the target's partitions. */
export interface FollowedTopic {
  readonly mirror: FollowedMirror;
  readonly topic: string;
  readonly targetTopic: string;
  /** Lanes of the source, as far as something was mirrored of them. */
  readonly sourceLanes: readonly string[];
  /** index = partition number. */
  readonly targetLanes: readonly string[];
}

/** What the target says of a topic. */
export interface TargetSide {
  /** By partition number. */
  readonly extents: ReadonlyMap<number, LaneExtent>;
  /** By partition number, the place of the mirror that brings the target's records to the source; `undefined` where there is none. */
  readonly givenBack: ReadonlyMap<number, Position> | undefined;
}

/** Makes the views by which places of one mirror's topics are translated, from the state store and from both clusters. */
export class TopicViews {
  readonly #source: Cluster;
  readonly #target: Cluster;
  readonly #store: StateStore;
  /** Groups of mirrors that bring the target's records to the source. */
  readonly #reverse: RegExp;
  readonly #observations = new Map<string, Observations>();
  readonly #back: MirrorsBack;

  /** `back`: mirrors of this configuration from the target to the source. */
  constructor(source: Cluster, target: Cluster, store: StateStore, back: MirrorsBack) {
    this.#source = source;
    this.#target = target;
    this.#store = store;
    this.#reverse = reverseGroupPattern(source.name);
    this.#back = back;
  }

  /** The topics of a mirror: those that run, and those of which there are checkpoints (the source may be gone). Checkpoints stay of topics that the rule does not take any more. */
  async topics(mirror: FollowedMirror, checkpoints: readonly Checkpoint[]): Promise<FollowedTopic[]> {
    const kept = checkpoints.map(({ lane }) => lane).filter(({ topic }) => takesTopic(mirror.spec, topic));
    const names = new Set([...mirror.plans.keys(), ...kept.map(({ topic }) => topic)]);
    return await Promise.all(
      [...names].sort().map(async (topic) => {
        const targetTopic = targetTopicOf(mirror.spec, topic);
        const sourceLanes = kept.filter((each) => each.topic === topic).map(({ lane }) => lane);
        return { mirror, topic, targetTopic, sourceLanes, targetLanes: await this.#targetLanes(targetTopic) };
      }),
    );
  }

  /** What the target says, by the numbers of its partitions. */
  targetSide({ targetLanes }: FollowedTopic, { extents: byLane, groups }: TopicSurvey): TargetSide {
    const partitionOf = new Map(targetLanes.map((lane, partition) => [lane, partition]));
    const partition = (lane: string): number => partitionOf.get(lane) ?? (this.#target.type === 'rocketmq' ? -1 : Number(lane));
    const extents = new Map<number, LaneExtent>();
    for (const [lane, extent] of byLane) if (partition(lane) >= 0) extents.set(partition(lane), extent);
    const reverse = groups.filter(({ group }) => this.#reverse.test(group));
    if (reverse.length === 0) return { extents, givenBack: undefined };
    const givenBack = new Map<number, Position>();
    for (const { lanes } of reverse) for (const { lane, next } of lanes) givenBack.set(partition(lane), next);
    return { extents, givenBack };
  }

  /** Puts together what was read. `checkpoints`: of this topic. `observed`: both sides were asked now, in the order in which `Observation` wants it. */
  view(
    followed: FollowedTopic,
    target: TargetSide,
    sourceEnds: ReadonlyMap<string, Position>,
    checkpoints: readonly Checkpoint[],
    observed: boolean,
  ): TopicView {
    const { mirror, topic, targetTopic } = followed;
    const lanes = laneViews(mirror.plans.get(topic) ?? [], checkpoints);
    // Two mirrors may bring one topic to two places.
    const key = JSON.stringify([mirror.key.mirror, topic, targetTopic]);
    const observations = this.#observations.get(key) ?? new Observations();
    this.#observations.set(key, observations);
    const targetEnds = new Map([...target.extents].map(([partition, { end }]) => [partition, end]));
    if (observed) observations.note({ sourceEnds, targetEnds, givenBack: target.givenBack }, lanes);
    return {
      sourceCluster: this.#source.name,
      topic,
      targetTopic,
      lanes,
      extents: target.extents,
      // Before a mirror back has its group, too: what applications have written on the target by then would count as nobody's.
      // Without a mirror straight back, records of the target may still come around over other clusters; how far they have come nobody here knows.
      bothWays:
        target.givenBack !== undefined ||
        this.#back().some(({ spec }) => takesTopic(spec, targetTopic) && targetTopicOf(spec, targetTopic) === topic) ||
        lanes.some(({ checkpoint }) => checkpoint?.cuts !== undefined),
      observations: observations.list,
    };
  }

  /** Pulsar's partitions are their numbers; RocketMQ's queues have theirs in the store. */
  async #targetLanes(targetTopic: string): Promise<readonly string[]> {
    return this.#target.type === 'rocketmq' ? await this.#store.loadTargetLanes(this.#target.name, targetTopic) : [];
  }
}

function laneViews(plans: readonly LanePlan[], checkpoints: readonly Checkpoint[]): LaneView[] {
  const views = new Map<string, LaneView>();
  for (const { lane, partitions } of plans) views.set(lane.lane, { lane: lane.lane, partitions, checkpoint: undefined });
  for (const checkpoint of checkpoints) {
    const { lane } = checkpoint.lane;
    views.set(lane, { lane, partitions: views.get(lane)?.partitions ?? [], checkpoint });
  }
  return [...views.values()];
}
