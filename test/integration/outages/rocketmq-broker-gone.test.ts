import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { judge } from '../../checkers/verdict.ts';
import { type Brokers, pulsarEndpoints, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { eventually, type MirrorUnderTest, mirrorUnderTest } from '../../kit/mirror-under-test.ts';
import type { PulsarEyes } from '../../kit/pulsar-eyes.ts';
import type { RocketmqEyes } from '../../kit/rocketmq-eyes.ts';

let brokers: Brokers;
let eyes: Eyes;
let source: RocketmqEyes;
let target: PulsarEyes;
let mirror: MirrorUnderTest;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east', 'rmq-east-b', 'pulsar-west']);
  await openEyes();
});

async function openEyes(): Promise<void> {
  eyes = await startEyes();
  source = eyes.rocketmq(rocketmqEndpoints('rmq-east', testOffset).namesrv);
  target = eyes.pulsar(pulsarEndpoints('pulsar-west', testOffset));
}

afterEach(async () => {
  await mirror.remove();
});

afterAll(async () => {
  await eyes.close();
  await brokers.stop();
});

const full = (topic: string): string => `persistent://public/default/${topic}`;

async function expectFaithful(topic: string, count: number): Promise<void> {
  // Read, not asked for by statistics: those count the writers' markers as well.
  await eventually(`${topic} has ${count} messages`, async () => (await target.readRows(full(topic))).length >= count);
  const verdict = judge(await source.readRows(topic, { expect: count }), await target.readRows(full(topic)));
  expect(verdict).toMatchObject({ source: count, target: count, lost: 0, doubled: 0, reordered: 0, strangers: 0 });
}

async function lanesRun(count: number): Promise<void> {
  await eventually(
    `${count} lanes run`,
    async () => (await mirror.lanes()).filter(({ state }) => state === 'running').length === count,
  );
}

/** Which lanes have written to each partition, by the marks on the entries. */
async function lanesByPartition(topic: string): Promise<string[][]> {
  const lanes: Set<string>[] = [];
  for (const row of await target.read(full(topic))) {
    const mark = row.entry.properties.find(([name]) => name === 'ISTHMUS')?.[1].split(';') ?? [];
    lanes[row.partition] ??= new Set();
    lanes[row.partition]?.add(`${mark[1]} ${mark[3]}`);
  }
  return lanes.map((set) => [...set]);
}

describe('a topic on two brokers', () => {
  it('keeps each queue in its partition when a broker goes, when the state is lost meanwhile, and when the broker comes back', async () => {
    const topic = `two-brokers-${Date.now().toString(36)}`;
    await eventually('both brokers have the topic', async () => {
      await source.createTopic(topic, { queues: 2 });
      return (await source.topicStatus(topic)).length === 4;
    });
    await source.load(topic, { count: 2_000 });
    mirror = await mirrorUnderTest({ state: 'file', mirror: { topics: [topic] } });
    mirror.process.start();
    await expectFaithful(topic, 2_000);
    const before = await lanesByPartition(topic);
    expect(before.flat()).toHaveLength(4);
    await brokers.shutDown('rmq-east-b');
    await mirror.process.kill();
    mirror.forgetState();
    mirror.process.start();
    await lanesRun(2);
    await brokers.start('rmq-east-b');
    await lanesRun(4);
    // The official client looks for brokers each 30 s only: new eyes see both at once.
    await eyes.close();
    await openEyes();
    await source.load(topic, { count: 2_000, from: 2_000 });
    await expectFaithful(topic, 4_000);
    expect(await lanesByPartition(topic)).toEqual(before);
  });
});
