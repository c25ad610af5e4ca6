import { IsthmusError } from '../../errors.ts';
import { type LaneId, laneKey } from '../../model/lane.ts';
import { takesTopic, targetTopicOf } from '../../model/topic-name.ts';
import type { Sink } from '../../spi/sink.ts';
import type { Checkpoint, StateStore } from '../../spi/state-store.ts';
import { endsOf } from '../managed-mirror.ts';
import { expectLooks, type ReadableMirror } from '../readable-mirror.ts';
import { feeding } from '../verification/plan.ts';

/** A lane of a mirror, with what is needed to look what the target has of it. */
export interface LaneToList {
  readonly mirror: ReadableMirror;
  readonly sink: Sink;
  readonly lane: LaneId;
  readonly targetTopic: string;
  readonly partitions: readonly number[];
  readonly checkpoint: Checkpoint | undefined;
  /** The number of a lane of the target topic. */
  readonly targetPartition: (lane: string) => number | undefined;
}

/** All lanes that a mirror has or would have if it ran, and what could not be looked at; with `only`, those of one source topic. Rejects while a cluster or the store does not answer. */
export async function lanesOf(
  mirror: ReadableMirror,
  store: StateStore,
  only?: string,
): Promise<{ readonly lanes: readonly LaneToList[]; readonly notes: readonly string[] }> {
  const { key, source } = mirror;
  expectLooks(mirror.link, source);
  const checkpoints = new Map((await store.loadCheckpoints(key)).map((each) => [laneKey(each.lane), each]));
  const topics = only === undefined ? await topicsOf(mirror, [...checkpoints.values()]) : [only];
  const lanes: LaneToList[] = [];
  const notes: string[] = [];
  for (const topic of topics) {
    const described = await source.admin.describeTopic(topic);
    const there = new Set((described?.lanes ?? []).filter(({ readable }) => readable).map(({ lane }) => lane));
    for (const { lane } of checkpoints.values())
      if (lane.topic === topic && !there.has(lane.lane))
        notes.push(
          `${topic} ${lane.lane}: ${source.name} does not name it now, so it is not in the list; what it has comes when it is back and the mirror runs`,
        );
    lanes.push(...(await lanesOfTopic(mirror, topic, [...there], checkpoints, store)));
  }
  return { lanes, notes };
}

/** Those that were mirrored, and those that have come since. */
async function topicsOf({ spec, source }: ReadableMirror, checkpoints: readonly Checkpoint[]): Promise<string[]> {
  const listed = await source.admin.listTopics({ retryTopics: spec.retryTopics, globs: spec.topics });
  const known = checkpoints.map(({ lane }) => lane.topic);
  return [...new Set([...listed.filter((topic) => takesTopic(spec, topic)), ...known])].sort();
}

async function lanesOfTopic(
  mirror: ReadableMirror,
  topic: string,
  names: readonly string[],
  checkpoints: ReadonlyMap<string, Checkpoint>,
  store: StateStore,
): Promise<LaneToList[]> {
  const targetTopic = targetTopicOf(mirror.spec, topic);
  const targetLanes = await targetLanesOf(mirror, targetTopic, store);
  const sink = endsOf(mirror).writes;
  if (targetLanes.length > 0) sink.setPartitions(targetTopic, targetLanes);
  const partitionsOf = await feeding(mirror, topic, targetLanes, store);
  const numbers = new Map(targetLanes.map((lane, number) => [lane, number]));
  return names.map((name) => {
    const lane = { topic, lane: name };
    return {
      mirror,
      sink,
      lane,
      targetTopic,
      partitions: partitionsOf(name),
      checkpoint: checkpoints.get(laneKey(lane)),
      targetPartition: (each) => numbers.get(each),
    };
  });
}

/** Empty when the target never had the topic. */
async function targetLanesOf({ target }: ReadableMirror, targetTopic: string, store: StateStore): Promise<readonly string[]> {
  const kept = await store.loadTargetLanes(target.name, targetTopic);
  const present = ((await target.admin.describeTopic(targetTopic))?.lanes ?? []).map(({ lane }) => lane);
  const away = kept.find((lane) => !present.includes(lane));
  // What it holds would look as if the target did not have it.
  if (away !== undefined)
    throw new IsthmusError('CONNECT_FAILED', `failing back: the lane ${away} of ${targetTopic} on ${target.name} is away`);
  return [...kept, ...present.filter((lane) => !kept.includes(lane))];
}
