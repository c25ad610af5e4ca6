import { IsthmusError } from '../../../errors.ts';
import { forEachLimited } from '../../../lib/concurrency.ts';
import { compareGroups, type GroupProgress, type LaneProgress, type Sharing } from '../../../model/progress.ts';
import type { Clock } from '../../../spi/clock.ts';
import type { GroupMove, Groups, MovedLane } from '../../../spi/groups.ts';
import { field, listField, textField } from '../admin/json.ts';
import type { Rest } from '../admin/rest.ts';
import { internalStatsOf, partitionsOf, topicPath } from '../admin/topics.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import { fullTopicName, partitionName } from '../topic-name.ts';
import { type CursorMove, moveCursor } from './cursor-move.ts';
import { after, type PartitionState, readPartitionState } from './cursor-state.ts';

const TOPICS_AT_A_TIME = 8;
const PARTITIONS_AT_A_TIME = 4;
/** Who is connected, and how, is asked for this seldom: it is for people, and a move asks anew. */
const CONSUMERS_KEPT_MILLIS = 15_000;
/** Far more than a process mirrors; the oldest go. */
const MAX_KEPT_TOPICS = 10_000;

export interface GroupsParts {
  readonly rest: Rest;
  readonly pool: BrokerPool;
  readonly clock: Clock;
}

interface Consumers {
  readonly members: number;
  readonly sharing: Sharing | undefined;
}

const SHARING: Readonly<Record<string, Sharing>> = {
  Exclusive: 'ordered',
  Failover: 'ordered',
  Shared: 'shared',
  Key_Shared: 'shared',
};

/** The durable subscriptions of a cluster, by the admin REST. */
export class PulsarGroups implements Groups {
  readonly #parts: GroupsParts;
  readonly #kept = new Map<string, { readonly at: number; readonly consumers: ReadonlyMap<string, Consumers> }>();

  constructor(parts: GroupsParts) {
    this.#parts = parts;
  }

  async progress(topics: readonly string[]): Promise<GroupProgress[]> {
    const found: GroupProgress[] = [];
    await forEachLimited(topics, TOPICS_AT_A_TIME, async (topic) => {
      const states = await this.#states(topic);
      if (states === undefined) return;
      const consumers = states.some(({ cursors }) => cursors.size > 0)
        ? await this.#keptConsumers(topic)
        : new Map<string, Consumers>();
      found.push(...groupsOf(topic, states, consumers));
    });
    return found.sort(compareGroups);
  }

  async move({ group, topic, places, force }: GroupMove): Promise<MovedLane[]> {
    const partitions = await partitionsOf(this.#parts.rest, topic);
    if (partitions === undefined) {
      throw new IsthmusError('TOPIC_NOT_FOUND', `moving the subscription ${group} of ${topic}: the topic does not exist`);
    }
    const members = (await this.#consumers(topic, partitions)).get(group)?.members ?? 0;
    const moved: MovedLane[] = Array.from({ length: places.length });
    await forEachLimited([...places.entries()], PARTITIONS_AT_A_TIME, async ([i, place]) => {
      const partition = partitionName(topic, Number(place.lane), partitions);
      const partitionIndex = partitions === 0 ? -1 : Number(place.lane);
      const move: CursorMove = { partition, partitionIndex, subscription: group, place, members, force };
      moved[i] = await moveCursor(this.#parts, move);
    });
    return moved;
  }

  refusesGroupName(group: string): string | undefined {
    if (group === '') return 'it is empty';
    if (/^(?:pulsar\.(?:dedup|repl)|__compaction)/.test(group)) return 'Pulsar keeps names like this for itself';
    return undefined;
  }

  /** The partitions of a topic in their order, `undefined` when it does not exist. One request, whatever their number. */
  async #states(topic: string): Promise<PartitionState[] | undefined> {
    const { rest } = this.#parts;
    const all = await rest.get(`${topicPath(topic)}/partitioned-internalStats`);
    const partitions = field(all, 'partitions');
    if (typeof partitions !== 'object' || partitions === null) {
      const single = await internalStatsOf(rest, fullTopicName(topic));
      return single === undefined ? undefined : [readPartitionState(single)];
    }
    const states: PartitionState[] = [];
    for (const [name, stats] of Object.entries(partitions)) {
      states[Number(name.slice(name.lastIndexOf('-') + 1))] = readPartitionState(stats);
    }
    const metadata = Number(field(field(all, 'metadata'), 'partitions') ?? states.length);
    // A partition that is missing would look like groups that have no place there.
    if (Object.keys(states).length < metadata) {
      throw new IsthmusError(
        'BROKER_BUSY',
        `reading the subscriptions of ${topic}: only ${Object.keys(states).length} of ${metadata} partitions are served now`,
      );
    }
    return states;
  }

  async #keptConsumers(topic: string): Promise<ReadonlyMap<string, Consumers>> {
    const { clock, rest } = this.#parts;
    const kept = this.#kept.get(topic);
    if (kept !== undefined && clock.monotonic() - kept.at < CONSUMERS_KEPT_MILLIS) return kept.consumers;
    const partitions = await partitionsOf(rest, topic);
    const consumers = await this.#consumers(topic, partitions ?? 0);
    this.#kept.delete(topic);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size < MAX_KEPT_TOPICS) break;
      this.#kept.delete(oldest);
    }
    this.#kept.set(topic, { at: clock.monotonic(), consumers });
    return consumers;
  }

  async #consumers(topic: string, partitions: number): Promise<ReadonlyMap<string, Consumers>> {
    const what = partitions === 0 ? 'stats' : 'partitioned-stats?perPartition=false';
    const stats = await this.#parts.rest.get(`${topicPath(topic)}/${what}`);
    const found = new Map<string, Consumers>();
    for (const [name, subscription] of Object.entries(field(stats, 'subscriptions') ?? {})) {
      found.set(name, {
        members: listField(subscription, 'consumers').length,
        sharing: SHARING[textField(subscription, 'type')],
      });
    }
    return found;
  }
}

function groupsOf(topic: string, states: readonly PartitionState[], consumers: ReadonlyMap<string, Consumers>): GroupProgress[] {
  const lanes = new Map<string, LaneProgress[]>();
  for (const [partition, { cursors }] of states.entries()) {
    for (const [group, { markDelete, done }] of cursors) {
      const lane = { lane: String(partition), next: after(markDelete), done };
      const known = lanes.get(group);
      if (known === undefined) lanes.set(group, [lane]);
      else known.push(lane);
    }
  }
  return [...lanes].map(([group, progress]) => {
    const { members, sharing } = consumers.get(group) ?? {};
    // A broker that has just loaded the topic has forgotten the type of a subscription that nobody uses; holes come from acknowledging one by one.
    const shared = progress.some(({ done }) => done.length > 0);
    return { group, topic, sharing: sharing ?? (shared ? 'shared' : undefined), members, lanes: progress };
  });
}
