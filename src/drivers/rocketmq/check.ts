import { toIsthmusError } from '../../errors.ts';
import type { CheckItem, CheckTopics } from '../../spi/cluster.ts';
import { type AdminParts, clusterInfo } from './admin-parts.ts';
import { accepted, refusal } from './refusal.ts';
import { ResponseCode } from './wire/codes.ts';
import type { Command } from './wire/command.ts';
import { createConsumerGroup } from './wire/consumer-group.ts';
import { type BrokerRoute, getRoute, readRoute } from './wire/get-route.ts';
import { PullEncoder } from './wire/pull-message.ts';
import { getRuntimeInfo, readBrokerVersion } from './wire/runtime-info.ts';
import { getTopicStats, readTopicStats } from './wire/topic-stats.ts';

/** The group that a check pulls with; it never commits an offset. */
const CHECK_GROUP = 'isthmus-check';
const PULL_TIMEOUT_MILLIS = 5_000;
/** What rocketmq-replicator writes on the messages that it has brought. */
const REPLICATOR_PROPERTY = 'REPLICATOR-BORN-SOURCE';
const LOOK_MESSAGES = 8;
/** Per broker. */
const LOOK_QUEUES = 4;

/** Tries what a mirror needs of the cluster, step by step; each step becomes one line. */
export async function checkCluster(parts: AdminParts, { reads, writes }: CheckTopics): Promise<CheckItem[]> {
  const items: CheckItem[] = [];
  const { network, routes } = parts;
  const info = await attempt(items, 'name servers', async () => {
    const found = await clusterInfo(network);
    return [found, `${found.brokers.length} broker(s): ${found.brokers.map(({ name }) => name).join(', ') || 'none'}`];
  });
  for (const { name, master } of info?.brokers ?? []) {
    await attempt(items, `broker ${name}`, async () => {
      if (master === undefined) throw new Error('it has no master now');
      const told = await network.call(master, getRuntimeInfo());
      // Users may lack the right to ask; nothing but this line needs the version.
      const version = told.code === ResponseCode.SUCCESS ? readBrokerVersion(told) : `version not told (${told.code})`;
      accepted(await network.call(master, createConsumerGroup(CHECK_GROUP)), `creating the consumer group ${CHECK_GROUP}`);
      return [undefined, `${master}, ${version}; consumer groups can be created`];
    });
  }
  for (const topic of reads) {
    await attempt(items, `topic ${topic}`, async () => {
      const { brokers } = await routes.fetch(topic);
      for (const broker of brokers) await tryPull(parts, topic, broker);
      return [
        undefined,
        `readable: ${brokers.map(({ brokerName, readQueues }) => `${readQueues} queue(s) at ${brokerName}`).join(', ')}`,
      ];
    });
    items.push(...(await replicatorNote(parts, topic)));
  }
  for (const topic of writes) await attempt(items, `write ${topic}`, async () => [undefined, await describeTarget(parts, topic)]);
  return items;
}

async function describeTarget({ network }: AdminParts, topic: string): Promise<string> {
  const answer = await network.callNamesrv(getRoute(topic));
  if (answer.code === ResponseCode.TOPIC_NOT_EXIST) return 'does not exist yet; it will be created';
  const { brokers } = readRoute(accepted(answer, `finding the brokers of topic ${topic}`));
  const closed = brokers.filter(({ writable }) => !writable).map(({ brokerName }) => brokerName);
  if (closed.length === brokers.length) throw new Error('no broker gives it write permission (perm has no 2)');
  const queues = brokers.map(({ brokerName, writeQueues }) => `${writeQueues} queue(s) at ${brokerName}`).join(', ');
  return `writable: ${queues}${closed.length === 0 ? '' : `; read-only at ${closed.join(', ')}`}`;
}

async function replicatorNote(parts: AdminParts, topic: string): Promise<CheckItem[]> {
  // What keeps us from reading is said by the topic's own line.
  const found = await carriesReplicatorMarks(parts, topic).catch(() => false);
  if (!found) return [];
  const detail = `its newest messages carry ${REPLICATOR_PROPERTY}: rocketmq-replicator writes here, which knows nothing of our marks; mirrored both ways its messages would go in circles`;
  return [{ what: `other replication of ${topic}`, ok: true, note: 'warning', detail }];
}

/** Whether rocketmq-replicator writes into a topic, by the property that its newest messages have. */
async function carriesReplicatorMarks({ network, routes }: AdminParts, topic: string): Promise<boolean> {
  const { brokers } = await routes.fetch(topic);
  for (const { brokerName, reader, readable } of brokers) {
    if (reader === undefined || !readable) continue;
    const answer = await network.call(reader, getTopicStats(topic));
    const queues = readTopicStats(accepted(answer, `reading the extents of ${topic} at ${brokerName}`));
    for (const { queueId, minOffset, maxOffset } of queues.slice(0, LOOK_QUEUES)) {
      const offset = Math.max(minOffset, maxOffset - LOOK_MESSAGES);
      if (offset >= maxOffset) continue;
      const { body } = await pull(network, reader, topic, queueId, { offset, maxMessages: LOOK_MESSAGES });
      if (body.includes(REPLICATOR_PROPERTY)) return true;
    }
  }
  return false;
}

async function attempt<T>(items: CheckItem[], what: string, run: () => Promise<[T, string]>): Promise<T | undefined> {
  try {
    const [result, detail] = await run();
    items.push({ what, ok: true, detail });
    return result;
  } catch (error) {
    items.push({ what, ok: false, detail: toIsthmusError(error).message });
    return undefined;
  }
}

async function pull(
  network: AdminParts['network'],
  reader: string,
  topic: string,
  queueId: number,
  range: { readonly offset: number; readonly maxMessages: number },
): Promise<Command> {
  const connection = await network.connection(reader);
  const encoder = new PullEncoder(CHECK_GROUP, topic, queueId, network.sign);
  return await connection.ask((opaque) => encoder.encode({ ...range, suspendMillis: 0 }, opaque), PULL_TIMEOUT_MILLIS);
}

/** Pulls one message, which tells whether we may read. That there is none, or that offset 0 has expired, is fine. */
async function tryPull({ network }: AdminParts, topic: string, { brokerName, reader, readable }: BrokerRoute): Promise<void> {
  if (!readable) throw new Error(`broker ${brokerName} gives no read permission (its perm has no 4)`);
  if (reader === undefined) throw new Error(`broker ${brokerName} is not up`);
  const answer = await pull(network, reader, topic, 0, { offset: 0, maxMessages: 1 });
  const fine: readonly number[] = [
    ResponseCode.SUCCESS,
    ResponseCode.PULL_NOT_FOUND,
    ResponseCode.PULL_OFFSET_MOVED,
    ResponseCode.PULL_RETRY_IMMEDIATELY,
  ];
  if (!fine.includes(answer.code)) throw refusal(answer, `pulling from broker ${brokerName}`);
}
