/** One face for both clusters of the demo: what applications write and what the official clients read there. */
import type { Row } from '../../test/checkers/row.ts';
import type { Eyes } from '../../test/kit/eyes.ts';
import type { PulsarRow } from '../../test/kit/pulsar-eyes.ts';
import type { RocketmqRow } from '../../test/kit/rocketmq-eyes.ts';
import { idProperty, type Order, toPulsar, toRocketmq } from './orders.ts';
import { type Plan, type Region, topicIn } from './plan.ts';

/** A stored message: its place, and what its producer said. Times are milliseconds since 1970. */
export type View = Row & {
  readonly bodySha256: string;
  readonly eventTime: number;
  /** When its cluster, or whoever wrote it there, got it. */
  readonly storedAt: number;
  readonly properties: Readonly<Record<string, string>>;
};

export type SideOfDemo = {
  readonly createTopic: (topic: string, lanes: number) => Promise<void>;
  readonly deleteTopic: (topic: string) => Promise<void>;
  /** Orders of one lane, in their order. */
  readonly send: (topic: string, orders: readonly Order[]) => Promise<void>;
  /** How many messages the topic has, by the brokers' counters; 0 where it does not exist yet. */
  readonly messagesIn: (topic: string) => Promise<number>;
  /** Every message, lane by lane in its order; `expect` waits until so many are visible. */
  readonly read: (topic: string, expect: number) => Promise<readonly View[]>;
};

export function sidesOf(eyes: Eyes, plan: Plan): Readonly<Record<Region, SideOfDemo>> {
  const rocketmq = eyes.rocketmq(plan.rocketmq.namesrv);
  const pulsar = eyes.pulsar(plan.pulsar);
  const full = (topic: string): string => topicIn('west', topic);
  return {
    east: {
      createTopic: async (topic, queues) => await rocketmq.createTopic(topic, { queues, messageType: 'FIFO' }),
      deleteTopic: async (topic) => await rocketmq.deleteTopic(topic),
      send: async (topic, orders) => {
        await rocketmq.send(topic, orders.map(toRocketmq), { batch: true, queue: orders[0]?.lane ?? 0 });
      },
      messagesIn: async (topic) => {
        const queues = await rocketmq.topicStatus(topic).catch(() => []);
        return queues.reduce((sum, { min, max }) => sum + max - min, 0);
      },
      read: async (topic, expect) => (await rocketmq.read(topic, { expect })).map(rocketmqView),
    },
    west: {
      createTopic: async (topic, partitions) => await pulsar.createTopic(full(topic), partitions),
      deleteTopic: async (topic) => await pulsar.deleteTopic(full(topic)),
      send: async (topic, orders) => {
        const now = Date.now();
        const messages = orders.map((order) => toPulsar(order, now));
        await pulsar.send(full(topic), messages, { batch: true, keep: true });
      },
      messagesIn: async (topic) => await pulsar.messagesIn(full(topic)).catch(() => 0),
      read: async (topic) => (await pulsar.read(full(topic), { decoded: true })).map(pulsarView),
    },
  };
}

export function rocketmqView(row: RocketmqRow): View {
  return {
    lane: `${row.broker}:${row.queue}`,
    place: row.offset,
    id: row.properties[idProperty] ?? null,
    key: row.properties['__SHARDINGKEY'] ?? null,
    bodySha256: row.bodySha256,
    // A batch has one born time; what differs from it is told by the property.
    eventTime: Number(row.properties['BORN_TIMESTAMP'] ?? row.bornTimestamp),
    storedAt: row.storeTimestamp,
    properties: row.properties,
  };
}

/** Rows come partition by partition in their order, so that the place in the list is a place in the partition. */
export function pulsarView(row: PulsarRow, place: number): View {
  return {
    lane: String(row.partition),
    place,
    id: row.properties[idProperty] ?? null,
    key: row.key,
    bodySha256: row.bodySha256,
    eventTime: row.eventTime,
    storedAt: row.publishTime,
    properties: row.properties,
  };
}
