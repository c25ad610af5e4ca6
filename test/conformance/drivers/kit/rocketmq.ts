/** A RocketMQ cluster, with the official client's eyes on it, for both its drivers. */
import { rocketmqEndpoints, testOffset } from '../../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../../kit/eyes.ts';
import type { RocketmqEyes } from '../../../kit/rocketmq-eyes.ts';
import type { Surroundings } from './under-test.ts';

export type RocketmqWorld = Pick<Surroundings, 'send' | 'see' | 'stop'> & { readonly java: RocketmqEyes };

export const rocketmqAddresses: ReturnType<typeof rocketmqEndpoints> = rocketmqEndpoints('rmq-timer', testOffset);

export async function rocketmqWorld(): Promise<RocketmqWorld> {
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
