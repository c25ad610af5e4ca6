import { openRocketmq } from '../../../src/drivers/rocketmq/driver.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { plainMarks } from '../../../src/model/provenance.ts';
import type { Cluster } from '../../../src/spi/cluster.ts';
import { memoryLog } from '../../kit/pulsar-writing.ts';
import { rocketmqAddresses, rocketmqDriver } from './kit/rocketmq.ts';
import { describeDriver } from './kit/suite.ts';

function open(namesrv: string): Cluster {
  const deps = { clock: systemClock, log: memoryLog([]), random: Math.random, marks: plainMarks };
  return openRocketmq('east', { namesrv: [namesrv], auth: undefined, tls: undefined }, deps);
}

describeDriver(
  rocketmqDriver('remoting of RocketMQ', rocketmqAddresses.namesrv, open, {
    makeTopic: async (java, topic, lanes) => {
      await java.createTopic(topic, { queues: lanes });
      return Array.from({ length: lanes }, (_, queue) => `broker-a:${queue}`);
    },
    makeGroup: async () => undefined,
  }),
);
