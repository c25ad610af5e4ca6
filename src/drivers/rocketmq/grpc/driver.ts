import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import type { TopicDescription } from '../../../model/lane.ts';
import { offsetPosition } from '../../../model/position.ts';
import type { Capabilities } from '../../../spi/capabilities.ts';
import type { CheckItem, Cluster, ClusterAdmin } from '../../../spi/cluster.ts';
import type { Source } from '../../../spi/source.ts';
import type { RocketmqDeps } from '../options.ts';
import { GrpcClients, type GrpcOptions } from './client.ts';
import { GrpcLaneReader } from './lane-reader.ts';
import { GrpcSink } from './sink.ts';

export type { GrpcOptions } from './client.ts';

const CAPABILITIES: Capabilities = {
  listsTopics: false,
  createsTopics: false,
  exactPositions: false,
  readsWithoutGroup: false,
  choosesPartition: false,
  stores: 'at-least-once',
};

/** The one lane of a topic behind a proxy. */
const WHOLE_TOPIC = '*';
/** Arrival numbers per millisecond: a process that starts later counts from higher on than any before it, unless its clock was set back. */
const NUMBERS_PER_MILLI = 1_000;

/**
 * Opens a RocketMQ cluster through its gRPC proxy with the official client, for where brokers cannot be reached. It hands messages out and takes them in, and that is all: no
 * offsets, no tails, no list of topics. So as a source it is at-least-once, as a target too, and progress of groups is not mirrored. Nothing is connected before the first use.
 */
export function openRocketmqGrpc(name: string, options: GrpcOptions, deps: RocketmqDeps): Cluster {
  const clients = new GrpcClients(options, deps);
  const source: Source = {
    passesWhole: false,
    async openLane(lane, from, reading) {
      // What is handed out to a looker would be missing to the mirror that reads as this group, for a minute.
      if (reading.onlook === true)
        throw new IsthmusError(
          'CONFLICT',
          `looking at ${lane.topic}: a proxy hands messages out, and lets nobody look; driver: remoting can`,
        );
      return new GrpcLaneReader(clients, lane, from, reading, deps);
    },
    committed: async () => undefined,
    resolveStart: async () => offsetPosition(deps.clock.now() * NUMBERS_PER_MILLI),
    next: (position) => offsetPosition(position.major + 1),
  };
  return {
    name,
    type: 'rocketmq',
    capabilities: CAPABILITIES,
    admin: grpcAdmin(clients, options),
    source,
    sink: new GrpcSink(clients, deps),
    close: () => clients.close(),
  };
}

function grpcAdmin(clients: GrpcClients, options: GrpcOptions): ClusterAdmin {
  const describeTopic = async (topic: string): Promise<TopicDescription | undefined> => {
    const route = await clients.route(topic);
    if (route === undefined) return undefined;
    const settings = { queues: String(route.queues), 'message.type': route.fifo ? 'FIFO' : 'other' };
    return { topic, lanes: [{ lane: WHOLE_TOPIC, readable: true, writable: true }], settings };
  };
  return {
    check: async ({ reads, writes }) => check(clients, options, [...new Set([...reads, ...writes])]),
    async listTopics() {
      // A proxy has no list. Whether it is there shows all the same.
      await clients.reach();
      return [];
    },
    describeTopic,
    extents: async () => new Map(),
    async ensureTopic(topic, partitions) {
      const there = await describeTopic(topic);
      if (there === undefined)
        throw new IsthmusError(
          'TOPIC_NOT_FOUND',
          `writing ${topic}: it does not exist, and a proxy makes no topics; create it with message.type=FIFO`,
        );
      // Every lane may have a number; where its records go follows from their message groups.
      const lanes = Array.from({ length: Math.max(1, partitions) }, (_, i) => ({
        lane: String(i),
        readable: false,
        writable: true,
      }));
      return { ...there, lanes };
    },
  };
}

async function check(clients: GrpcClients, { endpoints }: GrpcOptions, topics: readonly string[]): Promise<CheckItem[]> {
  const items: CheckItem[] = [
    {
      what: 'driver grpc',
      ok: true,
      detail:
        'at-least-once only: no offsets, so no look at what is stored, no progress of groups, no lag; use driver: remoting where the brokers can be reached',
    },
  ];
  try {
    await clients.reach();
    items.push({ what: 'proxy', ok: true, detail: `answers at ${endpoints.join(', ')}` });
  } catch (error) {
    items.push({ what: 'proxy', ok: false, detail: toIsthmusError(error).message });
    return items;
  }
  for (const topic of topics) items.push(await checkTopic(clients, topic));
  return items;
}

async function checkTopic(clients: GrpcClients, topic: string): Promise<CheckItem> {
  const what = `topic ${topic}`;
  if (/[*?]/.test(topic)) return { what, ok: false, detail: 'a proxy cannot list topics: name each topic outright' };
  try {
    const route = await clients.route(topic);
    if (route === undefined) return { what, ok: false, detail: 'does not exist; a proxy makes no topics' };
    return {
      what,
      ok: true,
      detail: `${route.queues} queues, message.type ${route.fifo ? 'FIFO' : 'other (can be read, not written in order)'}`,
    };
  } catch (error) {
    return { what, ok: false, detail: toIsthmusError(error).message };
  }
}
