import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { isFaithful, judge } from '../../checkers/verdict.ts';
import { type Brokers, pulsarEndpoints, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { eventually, type MirrorUnderTest, mirrorUnderTest } from '../../kit/mirror-under-test.ts';
import type { PulsarEyes } from '../../kit/pulsar-eyes.ts';
import { seeded, testSeed } from '../../kit/random.ts';
import type { RocketmqEyes } from '../../kit/rocketmq-eyes.ts';

const QUEUES = 8;
const MESSAGES = 100_000;

let brokers: Brokers;
let eyes: Eyes;
let source: RocketmqEyes;
let target: PulsarEyes;
let mirror: MirrorUnderTest | undefined;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east', 'pulsar-west', 'redis-east']);
  eyes = await startEyes();
  source = eyes.rocketmq(rocketmqEndpoints('rmq-east', testOffset).namesrv);
  target = eyes.pulsar(pulsarEndpoints('pulsar-west', testOffset));
});

afterEach(async () => {
  await mirror?.remove();
  mirror = undefined;
});

afterAll(async () => {
  await eyes.close();
  await brokers.stop();
});

function uniqueTopic(what: string): string {
  return `${what}-${Date.now().toString(36)}`;
}

async function loaded(topic: string): Promise<void> {
  await source.createTopic(topic, { queues: QUEUES });
  await source.load(topic, { count: MESSAGES, size: 128 });
}

async function storedIn(topic: string): Promise<number> {
  return await target.messagesIn(`persistent://public/default/${topic}`);
}

/** Waits until every lane has stored all, and compares by id and per key with what the official clients read. */
async function expectFaithful(topic: string): Promise<void> {
  await eventually('every lane has caught up', async () => {
    mirror?.process.assertRunning();
    const lanes = (await mirror?.lanes()) ?? [];
    return lanes.length === QUEUES && lanes.every((lane) => lane.lagRecords === 0);
  });
  const verdict = judge(
    await source.readRows(topic, { expect: MESSAGES }),
    await target.readRows(`persistent://public/default/${topic}`),
  );
  expect(verdict).toMatchObject({ source: MESSAGES, target: MESSAGES, lost: 0, doubled: 0, reordered: 0, strangers: 0 });
  expect(isFaithful(verdict)).toBe(true);
}

describe('a mirror of 100,000 messages', () => {
  // A number that a failure prints is enough to repeat its moments.

  it.each(['file', 'redis'] as const)(
    `is exact after ten SIGKILLs at seeded moments, with ${'%s'} state (seed ${testSeed})`,
    async (state) => {
      const topic = uniqueTopic(`kill-${state}`);
      await loaded(topic);
      mirror = await mirrorUnderTest({ state, mirror: { topics: [topic] } });
      const random = seeded(testSeed);
      for (let kill = 0; kill < 10; kill++) {
        // Moments are counted in messages, not in time, so that a faster or slower machine kills in the middle as well.
        const moment = Math.floor(((kill + random()) / 10) * MESSAGES);
        mirror.process.start();
        await eventually(`${moment} messages are stored`, async () => {
          mirror?.process.assertRunning();
          return (await storedIn(topic).catch(() => 0)) >= moment;
        });
        await sleep(random() * 60);
        await mirror.process.kill();
      }
      mirror.process.start();
      await expectFaithful(topic);
    },
  );

  it.each(['rmq-east', 'pulsar-west'] as const)('is exact after %s was killed and started again in the middle', async (name) => {
    const topic = uniqueTopic(`broker-${name}`);
    await loaded(topic);
    mirror = await mirrorUnderTest({ state: 'redis', mirror: { topics: [topic] } });
    mirror.process.start();
    await eventually('a third is stored', async () => (await storedIn(topic).catch(() => 0)) >= MESSAGES / 3);
    await brokers.kill(name);
    await sleep(1_000);
    await brokers.start(name);
    await expectFaithful(topic);
  });

  it('goes on while Redis is away, and is exact after Redis came back empty and the replicator was killed', async () => {
    const topic = uniqueTopic('redis');
    await loaded(topic);
    mirror = await mirrorUnderTest({ state: 'redis', mirror: { topics: [topic] } });
    mirror.process.start();
    await eventually('some are stored', async () => (await storedIn(topic).catch(() => 0)) >= 10_000);
    await brokers.kill('redis-east');
    const before = await storedIn(topic);
    await eventually('more are stored without Redis', async () => (await storedIn(topic)) > Math.min(before, MESSAGES - 1));
    await eventually('the process says that its state is away', async () => !(await mirror?.status())?.stateAvailable, 30_000);
    // The kit's Redis keeps nothing on disk: it comes back empty.
    await brokers.start('redis-east');
    await eventually('the process has met the new state', async () => (await mirror?.status())?.stateAvailable === true, 30_000);
    await mirror.process.kill();
    mirror.process.start();
    await expectFaithful(topic);
  });
});
