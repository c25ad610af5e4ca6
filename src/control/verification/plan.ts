import { IsthmusError } from '../../errors.ts';
import type { LaneScope, TopicScope } from '../../mirror/audit/plan.ts';
import { laneKey } from '../../model/lane.ts';
import type { StartRule } from '../../model/mirror-spec.ts';
import { comparePositions, neighbourDistance, type Position } from '../../model/position.ts';
import { targetTopicOf } from '../../model/topic-name.ts';
import type { StartAt } from '../../spi/source.ts';
import type { StateStore } from '../../spi/state-store.ts';
import { type LaneProgress, newestStored, type ReadableMirror } from '../readable-mirror.ts';
import type { VerificationRequest } from './api.ts';

/** The target's clock may be behind the source's by so much, and still nothing of a range is overlooked. */
const CLOCK_MARGIN_MILLIS = 3_600_000;

/** What is compared of a topic. */
export interface PlannedTopic {
  readonly scope: TopicScope;
  /** Records of the source, `undefined` where the cluster does not count them. */
  readonly records: number | undefined;
  readonly notes: readonly string[];
}

/** Makes out what of a topic is compared. Rejects while a cluster or the store does not answer. */
export async function planTopic(
  mirror: ReadableMirror,
  topic: string,
  progress: ReadonlyMap<string, LaneProgress>,
  request: VerificationRequest,
  store: StateStore,
): Promise<PlannedTopic> {
  const { spec, source, target, reads } = mirror;
  const targetTopic = targetTopicOf(spec, topic);
  const [described, copy] = await Promise.all([source.admin.describeTopic(topic), target.admin.describeTopic(targetTopic)]);
  if (described === undefined)
    throw new IsthmusError('TOPIC_NOT_FOUND', `verifying ${topic}: ${source.name} has it not (or all its brokers are away)`);
  if (copy === undefined)
    throw new IsthmusError(
      'TOPIC_NOT_FOUND',
      `verifying ${topic}: ${target.name} has no topic ${targetTopic} (or all its brokers are away)`,
    );
  const kept = await store.loadTargetLanes(target.name, targetTopic);
  const present = copy.lanes.map(({ lane }) => lane);
  const targetLanes = [...kept.filter((lane) => present.includes(lane)), ...present.filter((lane) => !kept.includes(lane))];
  const notes: string[] = [];
  for (const { lane } of progress.values()) {
    if (lane.topic === topic && !described.lanes.some((each) => each.lane === lane.lane))
      notes.push(`${topic} ${lane.lane}: the source does not name it now, so nothing of it is compared`);
  }
  for (const lane of kept)
    if (!present.includes(lane))
      throw new IsthmusError(
        'CONNECT_FAILED',
        `verifying ${topic}: the lane ${lane} of ${targetTopic} is away, what it holds would look lost`,
      );
  const partitionsOf = await feeding(mirror, topic, targetLanes, store);
  const lanes: LaneScope[] = [];
  let records: number | undefined = 0;
  for (const { lane } of described.lanes) {
    const id = { topic, lane };
    const next = progress.get(laneKey(id))?.next;
    if (next === undefined) {
      notes.push(`${topic} ${lane}: it has not begun, so nothing of it is compared`);
      continue;
    }
    const from = await reads.resolveStart(id, startOf(spec.start, request.from));
    const to = request.to === undefined ? next : earlier(next, await reads.resolveStart(id, { kind: 'time', time: request.to }));
    const count = Math.max(0, neighbourDistance(from, to) ?? Number.NaN);
    records = records === undefined || Number.isNaN(count) || from.minor >= 0 ? undefined : records + count;
    lanes.push({ lane, from, to, partitions: partitionsOf(lane) });
  }
  const targetSince = request.from === undefined ? undefined : request.from - CLOCK_MARGIN_MILLIS;
  return {
    scope: {
      topic,
      targetTopic,
      lanes,
      targetLanes,
      stored: newestStored(mirror, topic),
      targetSince,
      startsInside: spec.start === 'latest',
    },
    records,
    notes,
  };
}

/** Which target lanes a source lane feeds, by their numbers. */
export async function feeding(
  { key, spec, running }: ReadableMirror,
  topic: string,
  targetLanes: readonly string[],
  store: StateStore,
): Promise<(lane: string) => readonly number[]> {
  const all = targetLanes.map((_, number) => number);
  if (spec.routing.mode === 'key') return () => all;
  const table = await store.loadLaneTable(key, topic);
  return (lane) => {
    const planned = running?.lane({ topic, lane })?.plan.partitions;
    if (planned !== undefined) return planned;
    const partition = table.indexOf(lane);
    return partition < 0 ? all : [partition];
  };
}

/** Where a mirror with this rule has begun at the earliest. With `latest` nobody knows: the target tells (TopicScope.startsInside). */
function startOf(rule: StartRule, since: number | undefined): StartAt {
  const times = [rule, since].filter((each) => typeof each === 'number');
  return times.length === 0 ? { kind: 'earliest' } : { kind: 'time', time: Math.max(...times) };
}

function earlier(a: Position, b: Position): Position {
  return comparePositions(a, b) <= 0 ? a : b;
}
