import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Brokers, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type ClusterName, clusterConfig, clusterEyes } from '../../kit/cluster-eyes.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { type ConsumerKind, expectPredicted, type Followed, type FollowingCase, follow } from '../../kit/following.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from '../../kit/mirror-under-test.ts';
import { createPopGroup, POP_WINDOW_MILLIS } from '../../kit/pop-members.ts';
import { seeded, testSeed } from '../../kit/random.ts';

// Like groups-follow.test.ts, with consumers over gRPC: what they were handed and have not acknowledged comes to the target, and nothing else does.

const MESSAGES = 300;
const LANES = 2;

let brokers: Brokers;
let eyes: Eyes;
let mirror: MirrorUnderTest | undefined;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east', 'rmq-timer', 'pulsar-west']);
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
    name: 'Pulsar to RocketMQ',
    from: 'pulsar-west',
    to: 'rmq-timer',
    kinds: [
      ['Failover', 'POP'],
      ['Shared', 'POP'],
    ],
  },
  {
    name: 'RocketMQ to Pulsar',
    from: 'rmq-timer',
    to: 'pulsar-west',
    kinds: [
      ['POP', 'Failover'],
      ['POP', 'Shared'],
    ],
  },
  { name: 'push consumers to POP consumers', from: 'rmq-east', to: 'rmq-timer', kinds: [['push', 'POP']] },
  { name: 'POP consumers to push consumers', from: 'rmq-timer', to: 'rmq-east', kinds: [['POP', 'push']] },
];

describe.each(WAYS)('a group that moves from $name', ({ from, to, kinds }) => {
  it('gets everything once, but for what was predicted', async () => {
    const random = seeded(testSeed);
    const run = randomUUID().slice(0, 8);
    const source = clusterEyes(eyes, from, testOffset);
    const target = clusterEyes(eyes, to, testOffset);
    const cases: FollowingCase[] = kinds.map(([sourceKind, targetKind], i) => ({
      from,
      to,
      sourceKind,
      targetKind,
      topic: `pop-${run}-${i}`,
      group: `app-${run}-${i}`,
      messages: MESSAGES,
      stopAfter: 50 + Math.floor(random() * 150),
      ...(sourceKind === 'Shared' || sourceKind === 'POP' ? { leaveEvery: 5 + Math.floor(random() * 10) } : {}),
    }));
    for (const { topic, group, sourceKind } of cases) {
      await source.createTopic(topic, LANES);
      // Entries of 7 messages: places in the middle of an entry occur.
      await source.load(topic, { count: MESSAGES, keys: 50, batch: 7 });
      if (sourceKind === 'POP') await createPopGroup(group);
    }
    mirror = await linksUnderTest(
      [
        {
          name: 'l',
          from,
          to,
          groups: { every: '1s' },
          mirrors: {
            m: {
              topics: [source.full(`pop-${run}-*`)],
              rename: target.kind === 'pulsar' ? 'persistent://public/default/{name}' : '{name}',
            },
          },
        },
      ],
      {
        clusters:
          from === 'rmq-timer'
            ? { [from]: { ...clusterConfig(from, testOffset), popWindow: `${POP_WINDOW_MILLIS / 1_000}s` } }
            : {},
      },
    );
    mirror.process.start();
    for (const { topic } of cases) {
      await eventually(`${topic} is mirrored`, async () => (await target.count(topic)).distinct === MESSAGES, mirror.process);
    }
    const followed = await Promise.all(cases.map(async (each) => await follow(eyes, mirror as MirrorUnderTest, each)));
    expect(followed).toHaveLength(cases.length);
    for (const [i, each] of cases.entries()) {
      // A consumer that has left nothing would show nothing here.
      const mostDone = each.sourceKind === 'POP' ? each.stopAfter - 1 : each.stopAfter;
      expect(followed[i]?.done.size).toBeLessThanOrEqual(mostDone);
      expectPredicted(each, followed[i] as Followed);
    }
  });
});
