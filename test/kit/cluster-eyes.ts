/** One face for the eyes on either kind of cluster: what tests of all four directions write and read with. Topics are short names; `full` gives the cluster's own. */
import type { ServerName } from '../../scripts/brokers/table.ts';
import type { StoredRow } from '../checkers/row.ts';
import { isPulsarName, pulsarEndpoints, rocketmqEndpoints } from './brokers.ts';
import type { Eyes } from './eyes.ts';
import type { Arrival } from './follow.ts';
import type { PulsarEyes } from './pulsar-eyes.ts';
import type { RocketmqEyes } from './rocketmq-eyes.ts';

export type ClusterName = Exclude<ServerName, 'rmq-east-b' | 'redis-east' | 'redis-west'>;

/** Messages `from` to `from + count - 1`: property `seq` is the number, and key, lane and random body follow from it. */
export type ClusterLoad = {
  readonly count: number;
  readonly from?: number;
  readonly size?: number;
  readonly keys?: number;
  readonly batch?: number;
  readonly rate?: number;
  /** Goes on through a broker's restart, and sends again what failed, before anything later: a message may then be there twice. */
  readonly stubborn?: boolean;
  /** Sharding key (RocketMQ) or ordering key (Pulsar). */
  readonly sharding?: boolean;
};

export type ClusterEyes = {
  readonly name: ClusterName;
  readonly kind: 'rocketmq' | 'pulsar';
  /** The cluster's own name for a topic. */
  readonly full: (topic: string) => string;
  readonly createTopic: (topic: string, lanes: number) => Promise<void>;
  readonly deleteTopic: (topic: string) => Promise<void>;
  readonly load: (topic: string, options: ClusterLoad) => Promise<number>;
  /** Every message, lane by lane in its order; `expect` waits until so many are visible (30 s at most). */
  readonly readRows: (
    topic: string,
    options?: { readonly expect?: number; readonly idProperty?: string },
  ) => Promise<readonly StoredRow[]>;
  readonly count: (topic: string) => Promise<{ readonly messages: number; readonly distinct: number }>;
  /** How many messages the brokers have taken for the topic, also while it grows; 0 where the topic is not there yet. On Pulsar markers of writers count as well. */
  readonly messagesIn: (topic: string) => Promise<number>;
  readonly tail: (
    topic: string,
    options: { readonly count: number; readonly timeoutMs: number },
  ) => Promise<{ readonly arrived: Promise<readonly Arrival[]> }>;
};

/** The eyes on a cluster of the bed at a port offset. */
export function clusterEyes(eyes: Eyes, name: ClusterName, offset: number): ClusterEyes {
  if (isPulsarName(name)) {
    return onPulsar(name, eyes.pulsar(pulsarEndpoints(name, offset)));
  }
  return onRocketmq(name, eyes.rocketmq(rocketmqEndpoints(name, offset).namesrv));
}

/** The section of a cluster in a configuration file. */
export function clusterConfig(name: ClusterName, offset: number): Readonly<Record<string, unknown>> {
  const region = name.slice(name.indexOf('-') + 1);
  if (!isPulsarName(name)) return { type: 'rocketmq', region, namesrv: [rocketmqEndpoints(name, offset).namesrv] };
  const { serviceUrl, adminUrl } = pulsarEndpoints(name, offset);
  return { type: 'pulsar', region, serviceUrl, adminUrl };
}

function onRocketmq(name: ClusterName, eyes: RocketmqEyes): ClusterEyes {
  return {
    name,
    kind: 'rocketmq',
    full: (topic) => topic,
    createTopic: async (topic, queues) => await eyes.createTopic(topic, { queues }),
    deleteTopic: async (topic) => await eyes.deleteTopic(topic),
    load: async (topic, options) => await eyes.load(topic, options),
    readRows: async (topic, options) => await eyes.readRows(topic, options),
    count: async (topic) => await eyes.count(topic),
    messagesIn: async (topic) => {
      const queues = await eyes.topicStatus(topic).catch(notThere);
      return queues.reduce((sum, { min, max }) => sum + max - min, 0);
    },
    tail: async (topic, options) => await eyes.tail(topic, options),
  };
}

function onPulsar(name: ClusterName, eyes: PulsarEyes): ClusterEyes {
  const full = (topic: string): string => `persistent://public/default/${topic}`;
  return {
    name,
    kind: 'pulsar',
    full,
    createTopic: async (topic, partitions) => {
      await eyes.createTopic(full(topic), partitions);
      // What a mirror has read is to be read by the eyes as well.
      await eyes.retain(full(topic));
    },
    deleteTopic: async (topic) => await eyes.deleteTopic(full(topic)),
    load: async (topic, options) => await eyes.load(full(topic), options),
    readRows: async (topic, { idProperty } = {}) =>
      await eyes.readRows(full(topic), idProperty === undefined ? {} : { idProperty }),
    count: async (topic) => await eyes.count(full(topic)),
    messagesIn: async (topic) => await eyes.messagesIn(full(topic)).catch(() => 0),
    tail: async (topic, options) => await eyes.tail(full(topic), options),
  };
}

function notThere(): readonly [] {
  return [];
}
