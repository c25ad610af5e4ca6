import { randomUUID } from 'node:crypto';
import { openEntryCluster, openQueueCluster } from '../../../src/drivers/memory/cluster.ts';
import { EntryBroker } from '../../../src/drivers/memory/entry-broker.ts';
import { MemoryNetwork, NO_FAULTS } from '../../../src/drivers/memory/network.ts';
import { QueueBroker } from '../../../src/drivers/memory/queue-broker.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { sha256 } from './kit/reading.ts';
import { describeDriver } from './kit/suite.ts';
import type { DriverUnderTest, SeenMessage, Surroundings } from './kit/under-test.ts';

/** Each process has a way of its own to the cluster. */
const newNetwork = (): MemoryNetwork => new MemoryNetwork(systemClock, Math.random, () => ({ ...NO_FAULTS, refusals: true }));

const common = {
  newTopicName: () => `memory-${randomUUID()}`,
  refusedTopicName: 'No.Capitals',
  systemTopic: undefined,
  unfit: { offset: 0, body: 'refuse: me' },
} satisfies Partial<DriverUnderTest>;

type Stored = {
  readonly body: Buffer;
  readonly key?: string | undefined;
  readonly properties?: Readonly<Record<string, string>> | undefined;
};

const seen = (lane: string, { body, key, properties = {} }: Stored): SeenMessage => ({
  lane,
  bodySha256: sha256(body),
  key,
  properties,
});

function queues(): DriverUnderTest {
  const broker = new QueueBroker(systemClock);
  const world: Surroundings = {
    makeTopic: async (topic, lanes) => {
      broker.addQueues(topic, 'broker-a', lanes);
      return broker.lanes(topic);
    },
    makeGroup: async () => undefined,
    send: async (topic, lane, messages) => {
      broker.store(topic, broker.lanes(topic)[lane] ?? '', messages);
    },
    see: async (topic) =>
      broker.lanes(topic).flatMap((lane) => broker.history(topic, lane).map((message) => seen(lane, message))),
    stop: async () => undefined,
  };
  return {
    ...common,
    name: 'memory, with queues',
    open: () => openQueueCluster('memory', broker, newNetwork()),
    start: async () => world,
  };
}

function entries(): DriverUnderTest {
  const broker = new EntryBroker(systemClock, Math.random);
  const world: Surroundings = {
    makeTopic: async (topic, lanes) => {
      broker.ensureTopic(topic, lanes);
      return Array.from({ length: lanes }, (_, lane) => String(lane));
    },
    makeGroup: async () => undefined,
    send: async (topic, lane, messages) => {
      const records = messages.map((message) => ({ key: undefined, mark: undefined, ...message }));
      broker.store(topic, lane, { records, batched: messages.length > 1, mark: undefined });
    },
    see: async (topic) =>
      (broker.describe(topic)?.lanes ?? []).flatMap(({ lane }) =>
        broker.history(topic, Number(lane)).flatMap(({ records }) => records.map((record) => seen(lane, record))),
      ),
    stop: async () => undefined,
  };
  return {
    ...common,
    name: 'memory, with entries',
    open: () => openEntryCluster('memory', broker, newNetwork()),
    start: async () => world,
  };
}

describeDriver(queues());
describeDriver(entries());
