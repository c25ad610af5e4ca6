import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import { forEachLimited } from '../../../lib/concurrency.ts';
import { compareGroups, type GroupProgress, type LaneProgress, type Sharing } from '../../../model/progress.ts';
import type { GroupMove, Groups, MovedLane, TopicSurvey } from '../../../spi/groups.ts';
import { field, listField, textField } from '../admin/json.ts';
import { extentOf, topicPath } from '../admin/topics.ts';
import { type GroupsParts, moveCursors } from './cursor-move.ts';
import { after, type PartitionState } from './cursor-state.ts';
import { readTopicState } from './topic-state.ts';

const TOPICS_AT_A_TIME = 8;
/** Who is connected, and how, is asked for this seldom: it is for people, and a move asks anew. */
const CONSUMERS_KEPT_MILLIS = 15_000;
/** Far more than a process mirrors; the oldest go. */
const MAX_KEPT_TOPICS = 10_000;

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
    for (const each of (await this.survey(topics)).values()) {
      if (each instanceof IsthmusError) throw each;
      found.push(...each.groups);
    }
    return found.sort(compareGroups);
  }

  async survey(topics: readonly string[]): Promise<Map<string, TopicSurvey | IsthmusError>> {
    const surveys = new Map<string, TopicSurvey | IsthmusError>();
    await forEachLimited([...new Set(topics)], TOPICS_AT_A_TIME, async (topic) => {
      try {
        surveys.set(topic, await this.#survey(topic));
      } catch (error) {
        surveys.set(topic, toIsthmusError(error));
      }
    });
    return surveys;
  }

  async #survey(topic: string): Promise<TopicSurvey> {
    const state = await readTopicState(this.#parts.rest, topic);
    if (state === undefined) return { groups: [], extents: new Map() };
    const extents = new Map(state.states.map(({ ledgers }, partition) => [String(partition), extentOf(ledgers)]));
    if (state.states.every(({ cursors }) => cursors.size === 0)) return { groups: [], extents };
    const consumers = await this.#keptConsumers(topic, state.partitions);
    return { groups: groupsOf(topic, state.states, consumers), extents };
  }

  async move(move: GroupMove): Promise<MovedLane[]> {
    const { group, topic } = move;
    const state = await readTopicState(this.#parts.rest, topic);
    if (state === undefined) {
      throw new IsthmusError('TOPIC_NOT_FOUND', `moving the subscription ${group} of ${topic}: the topic does not exist`);
    }
    const members = (await this.#consumers(topic, state.partitions)).get(group)?.members ?? 0;
    return await moveCursors(this.#parts, move, members, state);
  }

  refusesGroupName(group: string): string | undefined {
    if (group === '') return 'it is empty';
    if (/^(?:pulsar\.(?:dedup|repl)|__compaction)/.test(group)) return 'Pulsar keeps names like this for itself';
    return undefined;
  }

  async #keptConsumers(topic: string, partitions: number): Promise<ReadonlyMap<string, Consumers>> {
    const { clock } = this.#parts;
    const kept = this.#kept.get(topic);
    if (kept !== undefined && clock.monotonic() - kept.at < CONSUMERS_KEPT_MILLIS) return kept.consumers;
    const consumers = await this.#consumers(topic, partitions);
    this.#kept.delete(topic);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size < MAX_KEPT_TOPICS) break;
      this.#kept.delete(oldest);
    }
    this.#kept.set(topic, { at: clock.monotonic(), consumers });
    return consumers;
  }

  /** Also those of a topic without partitions (0). */
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
  const groups = [...lanes].map(([group, progress]) => {
    const { members, sharing } = consumers.get(group) ?? {};
    // A broker that has just loaded the topic has forgotten the type of a subscription that nobody uses; holes come from acknowledging one by one.
    const shared = progress.some(({ done }) => done.length > 0);
    return { group, topic, sharing: sharing ?? (shared ? 'shared' : undefined), members, lanes: progress };
  });
  return groups.sort(compareGroups);
}
