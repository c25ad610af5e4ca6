import { IsthmusError } from '../../errors.ts';
import type { LaneInfo, TopicDescription } from '../../model/lane.ts';
import { offsetPosition } from '../../model/position.ts';
import type { ClusterAdmin, NewTopicOptions } from '../../spi/cluster.ts';
import type { LaneExtent } from '../../spi/source.ts';
import { type AdminParts, clusterInfo } from './admin-parts.ts';
import { checkCluster } from './check.ts';
import type { Network } from './network.ts';
import { accepted } from './refusal.ts';
import { formatLane, parseLane, type QueueName } from './routes.ts';
import { isApplicationTopic } from './system-topics.ts';
import { ResponseCode } from './wire/codes.ts';
import { type BrokerRoute, getRoute, PERM_READ, PERM_WRITE, readRoute, type TopicRoute } from './wire/get-route.ts';
import { listTopics, readTopics } from './wire/list-topics.ts';
import { getTopicConfig, putTopicConfig, readTopicSettings } from './wire/topic-config.ts';
import { getTopicStats, readTopicStats } from './wire/topic-stats.ts';

/** Retry and dead-letter topics of consumer groups. */
const GROUP_TOPIC = /^%(?:RETRY|DLQ)%/;
const ROUTE_WAIT_MILLIS = 100;
const ROUTE_WAITS = 50;

export function rocketmqAdmin(parts: AdminParts): ClusterAdmin {
  return {
    check: (topics) => checkCluster(parts, topics),
    listTopics: ({ retryTopics = false } = {}) => applicationTopics(parts.network, retryTopics),
    describeTopic: (topic) => describeTopic(parts, topic),
    isDeleted: (topic, formerLanes) => isDeleted(parts, topic, formerLanes),
    extents: (topic) => extents(parts, topic),
    ensureTopic: async (topic, partitions, options) => {
      const created = await ensureTopic(parts, topic, partitions, options);
      const made = await describeTopic(parts, topic);
      if (made === undefined)
        throw new IsthmusError('CONFLICT', `creating topic ${topic}: it was deleted at the same time`, { retryable: true });
      return { ...made, created };
    },
  };
}

async function applicationTopics(network: Network, retryTopics: boolean): Promise<string[]> {
  const info = await clusterInfo(network);
  const topics = readTopics(accepted(await network.callNamesrv(listTopics()), 'listing topics'));
  const brokers = info.brokers.map(({ name }) => name);
  const isWanted = (topic: string): boolean =>
    isApplicationTopic(topic, info.clusters, brokers) || (retryTopics && GROUP_TOPIC.test(topic));
  return topics.filter(isWanted).sort();
}

/** The route as it is now, `undefined` when no broker has the topic. */
async function freshRoute(network: Network, topic: string): Promise<TopicRoute | undefined> {
  const answer = await network.callNamesrv(getRoute(topic));
  if (answer.code === ResponseCode.TOPIC_NOT_EXIST) return undefined;
  return readRoute(accepted(answer, `finding the brokers of topic ${topic}`));
}

async function describeTopic({ network }: AdminParts, topic: string): Promise<TopicDescription | undefined> {
  const route = await freshRoute(network, topic);
  return route === undefined ? undefined : { topic, lanes: lanesOf(route), settings: await settings(network, topic, route) };
}

/** A name server says the same of a topic that was deleted and of one whose brokers are away. So the brokers that had it are asked, each of which must be there. */
async function isDeleted({ network }: AdminParts, topic: string, formerLanes: readonly string[]): Promise<boolean> {
  if ((await freshRoute(network, topic)) !== undefined) return false;
  const { brokers } = await clusterInfo(network);
  const names = [...new Set(formerLanes.map((lane) => parseLane(lane).brokerName))];
  for (const name of names) {
    const master = brokers.find((each) => each.name === name)?.master;
    if (master === undefined) return false;
    if ((await network.call(master, getTopicConfig(topic))).code !== ResponseCode.TOPIC_NOT_EXIST) return false;
  }
  return names.length > 0;
}

function lanesOf(route: TopicRoute): LaneInfo[] {
  return route.brokers.flatMap((broker) =>
    Array.from({ length: Math.max(broker.readQueues, broker.writeQueues) }, (_, queueId) => ({
      lane: formatLane(broker.brokerName, queueId),
      readable: broker.readable && queueId < broker.readQueues,
      writable: broker.writable && queueId < broker.writeQueues,
    })),
  );
}

/** For people to read, so a broker that does not answer only makes it shorter. */
async function settings(network: Network, topic: string, route: TopicRoute): Promise<Record<string, string>> {
  const texts: Record<string, string> = { brokers: route.brokers.map(({ brokerName }) => brokerName).join(',') };
  if (route.static) texts['static'] = 'true';
  const address = route.brokers.find(({ reader }) => reader !== undefined)?.reader;
  if (address === undefined) return texts;
  try {
    const answer = accepted(await network.call(address, getTopicConfig(topic)), `reading the settings of topic ${topic}`);
    return { ...texts, ...readTopicSettings(answer) };
  } catch (error) {
    return { ...texts, unavailable: error instanceof IsthmusError ? error.message : 'unknown' };
  }
}

async function extents({ network }: AdminParts, topic: string): Promise<ReadonlyMap<string, LaneExtent>> {
  const route = await freshRoute(network, topic);
  if (route === undefined) throw new IsthmusError('TOPIC_NOT_FOUND', `reading the extents of topic ${topic}: no broker has it`);
  const all = new Map<string, LaneExtent>();
  for (const { brokerName, reader } of route.brokers) {
    if (reader === undefined) continue;
    const answer = accepted(
      await network.call(reader, getTopicStats(topic)),
      `reading the extents of topic ${topic} at ${brokerName}`,
    );
    for (const { queueId, minOffset, maxOffset } of readTopicStats(answer)) {
      all.set(formatLane(brokerName, queueId), { begin: offsetPosition(minOffset), end: offsetPosition(maxOffset) });
    }
  }
  return all;
}

function writeQueues(route: TopicRoute | undefined): number {
  return route?.brokers.reduce((sum, broker) => sum + broker.writeQueues, 0) ?? 0;
}

/** Kinds of messages that a topic can be made for and that any broker allows; the gRPC proxy refuses what is of another kind. */
const MESSAGE_TYPES: ReadonlySet<string> = new Set(['NORMAL', 'FIFO', 'DELAY', 'TRANSACTION']);

/** What a topic gets that has to be created. */
function newTopicAttributes({ ordered, like }: NewTopicOptions): string {
  const type = ordered === true ? 'FIFO' : like?.['message.type'];
  return type !== undefined && MESSAGE_TYPES.has(type) ? `+message.type=${type}` : '';
}

/** Queues of brokers that the route does not name. */
function queuesAway(formerLanes: readonly string[], route: TopicRoute | undefined): QueueName[] {
  return formerLanes
    .map(parseLane)
    .filter((queue) => route?.brokers.every(({ brokerName }) => brokerName !== queue.brokerName) !== false);
}

/**
 * Queues are spread evenly over all brokers that have a master; a broker that has more keeps them. What a topic has already stays, its kind of messages too. Gives whether
 * there was none.
 */
async function ensureTopic(
  { network, routes, sleep }: AdminParts,
  topic: string,
  partitions: number,
  options: NewTopicOptions = {},
): Promise<boolean> {
  const before = await freshRoute(network, topic);
  const away = queuesAway(options.formerLanes ?? [], before);
  if (before !== undefined && writeQueues(before) + away.length >= partitions) return false;
  const masters = (await clusterInfo(network)).brokers.filter(({ master }) => master !== undefined);
  const gone = before === undefined ? away.find(({ brokerName }) => masters.every(({ name }) => name !== brokerName)) : undefined;
  if (gone !== undefined)
    throw new IsthmusError(
      'BROKER_BUSY',
      `creating topic ${topic}: its broker ${gone.brokerName} is away, and may have it still; it is waited for. If it is gone for good, create the topic by hand`,
    );
  if (masters.length === 0) throw new IsthmusError('BROKER_BUSY', `creating topic ${topic}: no broker has a master now`);
  const each = Math.ceil(partitions / masters.length);
  for (const { name, master } of masters) {
    const there = before?.brokers.find(({ brokerName }) => brokerName === name);
    const request = putTopicConfig(
      topic,
      Math.max(each, there?.readQueues ?? 0),
      Math.max(each, there?.writeQueues ?? 0),
      there === undefined ? PERM_READ | PERM_WRITE : permOf(there),
      before === undefined ? newTopicAttributes(options) : await attributesAt(network, topic, before, there),
    );
    accepted(await network.call(master ?? '', request), `creating topic ${topic} at ${name}`);
  }
  routes.markStale(topic);
  await waitForQueues(network, topic, partitions, sleep);
  return before === undefined;
}

/** Growing a topic must not open one that was closed. */
function permOf({ readable, writable }: BrokerRoute): number {
  return (readable ? PERM_READ : 0) | (writable ? PERM_WRITE : 0);
}

/** A broker that joins a topic takes over what the topic is elsewhere. */
async function attributesAt(
  network: Network,
  topic: string,
  before: TopicRoute,
  there: BrokerRoute | undefined,
): Promise<string> {
  const type = there === undefined ? (await settings(network, topic, before))['message.type'] : undefined;
  return type !== undefined && MESSAGE_TYPES.has(type) ? `+message.type=${type}` : '';
}

/** Brokers tell the name servers at once, but not before they answer. */
async function waitForQueues(network: Network, topic: string, partitions: number, sleep: AdminParts['sleep']): Promise<void> {
  for (let i = 0; i < ROUTE_WAITS; i++) {
    if (writeQueues(await freshRoute(network, topic)) >= partitions) return;
    await sleep(ROUTE_WAIT_MILLIS);
  }
  throw new IsthmusError('BROKER_BUSY', `creating topic ${topic}: the name servers do not show ${partitions} queues yet`);
}
