/** A RocketMQ cluster, with the official client's eyes on it, for both its drivers. */
import { randomUUID } from 'node:crypto';
import type { Cluster } from '../../../../src/spi/cluster.ts';
import { rocketmqEndpoints, testOffset } from '../../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../../kit/eyes.ts';
import type { RocketmqEyes } from '../../../kit/rocketmq-eyes.ts';
import type { DriverUnderTest, Surroundings } from './under-test.ts';

type World = Pick<Surroundings, 'send' | 'see' | 'stop'> & { readonly java: RocketmqEyes };

export const rocketmqAddresses: ReturnType<typeof rocketmqEndpoints> = rocketmqEndpoints('rmq-timer', testOffset);

async function startWorld(): Promise<World> {
  const eyes: Eyes = await startEyes();
  const java = eyes.rocketmq(rocketmqAddresses.namesrv);
  return {
    java,
    send: async (topic, lane, messages) => {
      const before = await java.count(topic);
      await java.send(
        topic,
        messages.map(({ body, key, properties }) => ({
          bodyHex: body.toString('hex'),
          properties,
          queue: lane,
          ...(key === undefined ? {} : { shardingKey: key }),
        })),
      );
      // What was acknowledged shows late.
      await java.count(topic, { expect: before.messages + messages.length });
    },
    see: async (topic, expect) =>
      (await java.read(topic, { expect })).map(({ broker, queue, bodySha256, properties }) => ({
        lane: `${broker}:${queue}`,
        bodySha256,
        key: properties['__SHARDINGKEY'] ?? properties['KEYS']?.split(' ')[0],
        properties,
      })),
    stop: () => eyes.close(),
  };
}

/** A driver on the cluster, opened by its address, with topics and groups made as it needs them. */
export function rocketmqDriver(
  name: string,
  address: string,
  open: (address: string) => Cluster,
  making: {
    readonly makeTopic: (java: RocketmqEyes, topic: string, lanes: number) => Promise<readonly string[]>;
    readonly makeGroup: Surroundings['makeGroup'];
  },
): DriverUnderTest {
  return {
    name,
    open: () => open(address),
    openNowhere: () => open('127.0.0.1:1'),
    newTopicName: () => `conformance-${randomUUID()}`,
    refusedTopicName: 'no.dots',
    systemTopic: 'TBW102',
    unfit: { offset: 0, body: Buffer.alloc(4 * 2 ** 20 + 1) },
    start: async () => {
      const { java, ...world } = await startWorld();
      return { ...world, ...making, makeTopic: (topic, lanes) => making.makeTopic(java, topic, lanes) };
    },
  };
}
