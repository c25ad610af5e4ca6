/** Moves consumer groups of a source as their consumers would: many of them, which a client each would be too much for. */

import { Network } from '../../src/drivers/rocketmq/network.ts';
import { createConsumerGroup } from '../../src/drivers/rocketmq/wire/consumer-group.ts';
import { updateConsumerOffset } from '../../src/drivers/rocketmq/wire/consumer-offset.ts';
import { PullEncoder } from '../../src/drivers/rocketmq/wire/pull-message.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { FramePool } from '../../src/lib/frame-pool.ts';
import { plainMarks } from '../../src/model/provenance.ts';
import { memoryLog } from '../../test/kit/pulsar-writing.ts';
import { isPulsarName, pulsarEndpoints, type RocketmqName, rocketmqEndpoints } from '../brokers/table.ts';
import type { Bed } from './bed.ts';

/** Topics are the cluster's own names. */
export type GroupHand = {
  /** Makes a group that has done the first `done` records of each lane. */
  readonly make: (topic: string, group: string, done: number) => Promise<void>;
  /** The group has done all `done` records that each lane has by now. */
  readonly commit: (topic: string, group: string, done: number) => Promise<void>;
  readonly close: () => void;
};

const pullTimeoutMs = 10_000;

export function groupHand({ source, offset }: Bed, lanes: number): GroupHand {
  return isPulsarName(source.name)
    ? onPulsar(pulsarEndpoints(source.name, offset).adminUrl, lanes)
    : onRocketmq(source.name, offset, lanes);
}

function onRocketmq(name: RocketmqName, offset: number, lanes: number): GroupHand {
  const { namesrv, broker } = rocketmqEndpoints(name, offset);
  const deps = { clock: systemClock, log: memoryLog([]), random: Math.random, marks: plainMarks };
  const network = new Network({ namesrv: [namesrv], auth: undefined, tls: undefined }, deps, new FramePool());
  const commit = async (topic: string, group: string, done: number): Promise<void> => {
    for (let queueId = 0; queueId < lanes; queueId++) {
      const answer = await network.call(broker, updateConsumerOffset(group, topic, queueId, done));
      if (answer.code !== 0) throw new Error(`${name} does not commit ${group}: ${answer.code} ${answer.remark}`);
    }
  };
  return {
    make: async (topic, group, done) => {
      await network.call(broker, createConsumerGroup(group));
      await commit(topic, group, done);
      // A group of which the broker has never seen a pull may be one of POP consumers, which is told otherwise.
      const encoder = new PullEncoder(group, topic, 0, undefined);
      const connection = await network.connection(broker);
      await connection.ask((opaque) => encoder.encode({ offset: done, maxMessages: 1, suspendMillis: 0 }, opaque), pullTimeoutMs);
    },
    commit,
    close: () => network.close(),
  };
}

function onPulsar(adminUrl: string, lanes: number): GroupHand {
  const send = async (method: 'PUT' | 'POST', path: string, body?: string): Promise<void> => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${adminUrl}/admin/v2/${path}`, { method, headers, ...(body === undefined ? {} : { body }) });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
  };
  const subscription = (topic: string, group: string): string => `${topic.replace('://', '/')}/subscription/${group}`;
  return {
    make: async (topic, group, done) => {
      await send('PUT', subscription(topic, group), '"earliest"');
      for (let lane = 0; lane < lanes && done > 0; lane++)
        await send('POST', `${subscription(`${topic}-partition-${lane}`, group)}/skip/${done}`);
    },
    commit: async (topic, group) => await send('POST', `${subscription(topic, group)}/skip_all`),
    close: () => undefined,
  };
}
