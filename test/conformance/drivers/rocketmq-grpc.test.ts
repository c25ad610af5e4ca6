import { openRocketmq } from '../../../src/drivers/rocketmq/driver.ts';
import { openRocketmqGrpc } from '../../../src/drivers/rocketmq/grpc/driver.ts';
import { ByteBudget } from '../../../src/lib/byte-budget.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { offsetPosition } from '../../../src/model/position.ts';
import { plainMarks } from '../../../src/model/provenance.ts';
import type { Cluster } from '../../../src/spi/cluster.ts';
import { memoryLog } from '../../kit/pulsar-writing.ts';
import { rocketmqAddresses, rocketmqDriver } from './kit/rocketmq.ts';
import { describeDriver } from './kit/suite.ts';

const { namesrv, proxyGrpc } = rocketmqAddresses;
const deps = { clock: systemClock, log: memoryLog([]), random: Math.random, marks: plainMarks };

function open(endpoint: string): Cluster {
  return openRocketmqGrpc('east', { endpoints: [endpoint], namespace: '', auth: undefined, tls: false }, deps);
}

/** A proxy makes no groups: the other driver does, by taking a place in each queue. */
async function makeGroup(topic: string, group: string): Promise<void> {
  const brokers = openRocketmq('east', { namesrv: [namesrv], auth: undefined, tls: undefined }, deps);
  const budget = new ByteBudget(2 ** 20);
  for (const { lane } of (await brokers.admin.describeTopic(topic))?.lanes ?? []) {
    const reader = await brokers.source?.openLane({ topic, lane }, offsetPosition(0), {
      group,
      budget,
      onTrouble: () => undefined,
    });
    await reader?.commit(offsetPosition(0));
    await reader?.close();
  }
  await brokers.close();
}

describeDriver(
  rocketmqDriver('grpc of RocketMQ', proxyGrpc, open, {
    makeTopic: async (java, topic, lanes) => {
      await java.createTopic(topic, { queues: lanes, messageType: 'FIFO' });
      // Whatever queues a topic has, it is one lane here.
      return ['*'];
    },
    makeGroup,
  }),
);
