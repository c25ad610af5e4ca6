import { IsthmusError } from '../../../errors.ts';
import { field } from '../admin/json.ts';
import type { Rest } from '../admin/rest.ts';
import { internalStatsOf, topicPath } from '../admin/topics.ts';
import { fullTopicName } from '../topic-name.ts';
import { type PartitionState, readPartitionState } from './cursor-state.ts';

/** What the internal statistics of a topic say. */
export interface TopicState {
  /** 0 where the topic has none. */
  readonly partitions: number;
  /** By number; one of a topic without partitions. */
  readonly states: readonly PartitionState[];
}

/** One request, whatever the number of partitions. `undefined` when the topic does not exist; rejects with BROKER_BUSY when a partition is not served now. */
export async function readTopicState(rest: Rest, topic: string): Promise<TopicState | undefined> {
  const all = await rest.get(`${topicPath(topic)}/partitioned-internalStats`);
  const partitions = field(all, 'partitions');
  if (typeof partitions !== 'object' || partitions === null) {
    const single = await internalStatsOf(rest, fullTopicName(topic));
    return single === undefined ? undefined : { partitions: 0, states: [readPartitionState(single)] };
  }
  const states: PartitionState[] = [];
  for (const [name, stats] of Object.entries(partitions)) {
    states[Number(name.slice(name.lastIndexOf('-') + 1))] = readPartitionState(stats);
  }
  const served = Object.keys(states).length;
  const metadata = Number(field(field(all, 'metadata'), 'partitions') ?? states.length);
  // A partition that is missing would look like groups that have no place there.
  if (served < metadata) {
    throw new IsthmusError(
      'BROKER_BUSY',
      `reading the subscriptions of ${topic}: only ${served} of ${metadata} partitions are served now`,
    );
  }
  return { partitions: states.length, states };
}
