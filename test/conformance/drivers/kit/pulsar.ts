/** A Pulsar cluster, with the official Java client's eyes on it, for both its drivers. */
import { randomUUID } from 'node:crypto';
import type { Cluster } from '../../../../src/spi/cluster.ts';
import { pulsarEndpoints, testOffset } from '../../../kit/brokers.ts';
import { startEyes } from '../../../kit/eyes.ts';
import type { DriverUnderTest, Surroundings } from './under-test.ts';

const endpoints = pulsarEndpoints('pulsar-west', testOffset);

async function start(): Promise<Surroundings> {
  const eyes = await startEyes();
  const java = eyes.pulsar(endpoints);
  return {
    makeTopic: async (topic, lanes) => {
      await java.createTopic(topic, lanes);
      return Array.from({ length: lanes }, (_, partition) => String(partition));
    },
    makeGroup: async () => undefined,
    send: async (topic, lane, messages) => {
      await java.send(
        topic,
        messages.map(({ body, key, properties }) => ({
          bodyHex: body.toString('hex'),
          properties,
          partition: lane,
          ...(key === undefined ? {} : { key }),
        })),
        { batch: messages.length > 1 && messages.every(({ body }) => body.length < 10_000) },
      );
    },
    see: async (topic) =>
      (await java.read(topic, { decoded: true })).map(({ partition, bodySha256, key, properties }) => ({
        lane: String(partition),
        bodySha256,
        key: key ?? undefined,
        properties,
      })),
    stop: () => eyes.close(),
  };
}

/** A driver on the cluster, opened by its two addresses. */
export function pulsarDriver(
  name: string,
  open: (addresses: { serviceUrl: string; adminUrl: string }) => Cluster,
): DriverUnderTest {
  return {
    name,
    open: () => open(endpoints),
    openNowhere: () => open({ serviceUrl: 'pulsar://127.0.0.1:1', adminUrl: 'http://127.0.0.1:1' }),
    newTopicName: () => `persistent://public/default/conformance-${randomUUID()}`,
    refusedTopicName: 'persistent://public/default/conformance-partition-3',
    systemTopic: 'persistent://public/default/__change_events',
    unfit: { offset: 0, body: Buffer.alloc(5 * 2 ** 20 + 1) },
    start,
  };
}
