import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Brokers, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type ClusterName, clusterEyes } from '../../kit/cluster-eyes.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { type ConsumerKind, expectPredicted, type Followed, type FollowingCase, follow } from '../../kit/following.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from '../../kit/mirror-under-test.ts';
import { seeded, testSeed } from '../../kit/random.ts';

// A consumer of the official client stops at the source at a seeded moment, and one starts at the target: between them they get everything, and what both get is what was predicted.

const MESSAGES = 400;
const LANES = 2;

let brokers: Brokers;
let eyes: Eyes;
let mirror: MirrorUnderTest | undefined;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east', 'rmq-west', 'pulsar-east', 'pulsar-west']);
  eyes = await startEyes();
});

afterEach(async () => {
  await mirror?.remove();
  mirror = undefined;
});

afterAll(async () => {
  await eyes.close();
  await brokers.stop();
});

type Way = {
  readonly name: string;
  readonly from: ClusterName;
  readonly to: ClusterName;
  readonly kinds: readonly (readonly [ConsumerKind, ConsumerKind])[];
};

const WAYS: readonly Way[] = [
  {
    name: 'RocketMQ to Pulsar',
    from: 'rmq-east',
    to: 'pulsar-west',
    kinds: [
      ['push', 'Failover'],
      ['push', 'Shared'],
    ],
  },
  {
    name: 'Pulsar to RocketMQ',
    from: 'pulsar-west',
    to: 'rmq-east',
    kinds: [
      ['Failover', 'push'],
      ['Shared', 'push'],
    ],
  },
  { name: 'RocketMQ to RocketMQ', from: 'rmq-east', to: 'rmq-west', kinds: [['push', 'push']] },
  {
    name: 'Pulsar to Pulsar',
    from: 'pulsar-east',
    to: 'pulsar-west',
    kinds: [
      ['Failover', 'Failover'],
      ['Failover', 'Shared'],
      ['Shared', 'Failover'],
      ['Shared', 'Shared'],
    ],
  },
];

describe.each(WAYS)('a group that moves from $name', ({ from, to, kinds }) => {
  it('gets everything once, but for what was predicted', async () => {
    const random = seeded(testSeed);
    const run = randomUUID().slice(0, 8);
    const [source, target] = [clusterEyes(eyes, from, testOffset), clusterEyes(eyes, to, testOffset)];
    const cases: FollowingCase[] = kinds.map(([sourceKind, targetKind], i) => ({
      from,
      to,
      sourceKind,
      targetKind,
      topic: `follow-${run}-${i}`,
      group: `app-${run}-${i}`,
      messages: MESSAGES,
      stopAfter: 50 + Math.floor(random() * 300),
      ...(sourceKind === 'Shared' ? { leaveEvery: 5 + Math.floor(random() * 10) } : {}),
    }));
    for (const { topic } of cases) {
      await source.createTopic(topic, LANES);
      // Entries of 7 messages: places in the middle of an entry occur.
      await source.load(topic, { count: MESSAGES, keys: 50, batch: 7 });
    }
    mirror = await linksUnderTest([
      {
        name: 'l',
        from,
        to,
        groups: { every: '1s' },
        mirrors: {
          m: {
            topics: [source.full(`follow-${run}-*`)],
            rename: target.kind === 'pulsar' ? 'persistent://public/default/{name}' : '{name}',
          },
        },
      },
    ]);
    mirror.process.start();
    for (const { topic } of cases) {
      await eventually(`${topic} is mirrored`, async () => (await target.count(topic)).distinct === MESSAGES, mirror.process);
    }
    const followed = await Promise.all(cases.map(async (each) => await follow(eyes, mirror as MirrorUnderTest, each)));
    expect(followed).toHaveLength(cases.length);
    for (const [i, each] of cases.entries()) expectPredicted(each, followed[i] as Followed);
  });
});
