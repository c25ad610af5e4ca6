/** A mirror in one of the four directions, an application that goes on writing at its source, and the verdict at the end: where faults are let loose. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { isFaithful, judgeCopies, type Verdict } from '../checkers/verdict.ts';
import { type Brokers, redisEndpoints, testOffset } from './brokers.ts';
import { type ClusterEyes, type ClusterName, clusterEyes } from './cluster-eyes.ts';
import { type ClusterProxy, clusterProxy } from './cluster-proxy.ts';
import type { Eyes } from './eyes.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from './mirror-under-test.ts';
import { seeded, testSeed } from './random.ts';
import { redisCommand } from './redis-command.ts';

export type Way = { readonly name: string; readonly from: ClusterName; readonly to: ClusterName };

export const ways: Readonly<Record<'rocketmqToPulsar' | 'pulsarToRocketmq' | 'pulsarToPulsar' | 'rocketmqToRocketmq', Way>> = {
  rocketmqToPulsar: { name: 'RocketMQ to Pulsar', from: 'rmq-east', to: 'pulsar-west' },
  pulsarToRocketmq: { name: 'Pulsar to RocketMQ', from: 'pulsar-west', to: 'rmq-east' },
  pulsarToPulsar: { name: 'Pulsar to Pulsar', from: 'pulsar-east', to: 'pulsar-west' },
  rocketmqToRocketmq: { name: 'RocketMQ to RocketMQ', from: 'rmq-east', to: 'rmq-west' },
};

export type End = 'source' | 'target';

export type SceneOptions = {
  /** Dedup windows on the target, and with them the state in Redis. */
  readonly windows: boolean;
  /** Default: what goes with the windows. */
  readonly state?: 'file' | 'redis';
  /** The cluster that the replicator reaches through a proxy. */
  readonly proxied?: End | undefined;
  /** Further rules of the mirror. */
  readonly rules?: Readonly<Record<string, unknown>>;
  readonly imports?: readonly string[];
  /** Half of them are there at the start, the other half comes while the fault lasts. */
  readonly messages: number;
  /** Of the second half, per second. */
  readonly rate: number;
};

export type Scene = {
  readonly way: Way;
  readonly brokers: Brokers;
  readonly ends: Readonly<Record<End, ClusterEyes>>;
  readonly topic: string;
  readonly mirror: MirrorUnderTest;
  /** In front of the end that was asked for. */
  readonly proxy: ClusterProxy;
  readonly random: () => number;
  readonly messages: number;
  /** Resolves when the target has taken so many messages by its own counters, which begin anew with a broker. */
  readonly untilStored: (count: number) => Promise<void>;
  readonly flushRedis: () => Promise<void>;
};

const lanes = 4;
const keys = 200;
/** A late copy would still come within this time. */
const settleMillis = 1_000;
let scenes = 0;

/**
 * Starts the mirror on a new topic, lets `fault` loose when a part is stored, while the application goes on writing, and compares at the end what the
 * official clients read on both sides: the target is to have each message as often as the source, and in order by key.
 */
export async function playScene(
  stage: { readonly brokers: Brokers; readonly eyes: Eyes },
  way: Way,
  options: SceneOptions,
  fault: (scene: Scene) => Promise<void>,
): Promise<Verdict> {
  const { windows, messages, rate, state = windows ? 'redis' : 'file', imports = [] } = options;
  const source = clusterEyes(stage.eyes, way.from, testOffset);
  const target = clusterEyes(stage.eyes, way.to, testOffset);
  const topic = `scene-${Date.now().toString(36)}-${++scenes}`;
  await source.createTopic(topic, lanes);
  await target.createTopic(topic, lanes);
  await source.load(topic, { count: messages / 2, keys });
  const proxied = options.proxied === 'source' ? way.from : way.to;
  const proxy = await clusterProxy(proxied, testOffset);
  const rules = { dedup: windows ? { window: '1h' } : 'off', ...options.rules };
  const mirror = await linksUnderTest(
    [{ ...way, name: 'l', mirrors: { m: { topics: [source.full(topic)], rename: target.full(topic), ...rules } } }],
    { state, imports, clusters: options.proxied === undefined ? {} : { [proxied]: proxy.config } },
  );
  const scene: Scene = {
    way,
    brokers: stage.brokers,
    ends: { source, target },
    topic,
    mirror,
    proxy,
    random: seeded(testSeed + scenes),
    messages,
    untilStored: async (count) =>
      await eventually(`${count} messages are stored`, async () => (await target.messagesIn(topic)) >= count, mirror.process),
    flushRedis: async () => {
      // Only a state in Redis is there to be flushed.
      if (state === 'redis') await flush();
    },
  };
  let verdict: Verdict;
  try {
    mirror.process.start();
    const writing = source.load(topic, { count: messages / 2, from: messages / 2, keys, rate, stubborn: true });
    // Looked at below; a failure before must not end the test run.
    writing.catch(() => undefined);
    await scene.untilStored(messages / 4);
    await fault(scene);
    await writing;
    verdict = await judgeScene(scene);
  } finally {
    await mirror.process.stop();
    await proxy.close();
  }
  // What a failure leaves is kept to be looked at: both topics and the log.
  if (isFaithful(verdict)) {
    await mirror.remove();
    await target.deleteTopic(topic);
    await source.deleteTopic(topic);
  }
  return isFaithful(verdict) ? verdict : { ...verdict, examples: [...verdict.examples, `${topic}, ${mirror.logFile}`] };
}

export function expectFaithful(verdict: Verdict): void {
  expect(verdict).toMatchObject({ lost: 0, doubled: 0, reordered: 0, strangers: 0 });
  expect(isFaithful(verdict)).toBe(true);
}

/** What the official clients read on both sides, compared by id, copies and order per key. */
async function judgeScene({ ends: { source, target }, topic, mirror, messages }: Scene): Promise<Verdict> {
  const written = await source.readRows(topic, { expect: messages });
  if (written.length < messages) throw new Error(`the source has ${written.length} of ${messages} messages`);
  const hasAll = async (): Promise<boolean> => (await target.readRows(topic)).length >= written.length;
  await eventually(`${written.length} messages are on the target`, hasAll, mirror.process);
  await sleep(settleMillis);
  return judgeCopies(written, await target.readRows(topic));
}

async function flush(): Promise<void> {
  await redisCommand(redisEndpoints('redis-east', testOffset).ports.redis, 'FLUSHALL');
}
