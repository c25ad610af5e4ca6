import { randomUUID } from 'node:crypto';
import { openRocketmq } from '../../../src/drivers/rocketmq/driver.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { plainMarks } from '../../../src/model/provenance.ts';
import type { Cluster } from '../../../src/spi/cluster.ts';
import { memoryLog } from '../../kit/pulsar-writing.ts';
import { rocketmqAddresses, rocketmqWorld } from './kit/rocketmq.ts';
import { describeDriver } from './kit/suite.ts';

function open(namesrv: string): Cluster {
  const deps = { clock: systemClock, log: memoryLog([]), random: Math.random, marks: plainMarks };
  return openRocketmq('east', { namesrv: [namesrv], auth: undefined, tls: undefined }, deps);
}

describeDriver({
  name: 'remoting of RocketMQ',
  open: () => open(rocketmqAddresses.namesrv),
  openNowhere: () => open('127.0.0.1:1'),
  newTopicName: () => `conformance-${randomUUID()}`,
  refusedTopicName: 'no.dots',
  systemTopic: 'TBW102',
  unfit: { offset: 0, body: Buffer.alloc(4 * 2 ** 20 + 1) },
  start: async () => {
    const { java, ...world } = await rocketmqWorld();
    return {
      ...world,
      makeTopic: async (topic, lanes) => {
        await java.createTopic(topic, { queues: lanes });
        return Array.from({ length: lanes }, (_, queue) => `broker-a:${queue}`);
      },
      makeGroup: async () => undefined,
    };
  },
});
