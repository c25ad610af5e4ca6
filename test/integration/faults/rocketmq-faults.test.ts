import { randomUUID } from 'node:crypto';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Brokers, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import type { RocketmqEyes } from '../../kit/rocketmq-eyes.ts';
import { type SourceUnderTest, sourceUnderTest } from '../../kit/rocketmq-source.ts';

// A cluster of its own: this file kills its broker and puts older data under it.
const { namesrv } = rocketmqEndpoints('rmq-west', testOffset);
const LANE = 'broker-a:0';

let folder: string;
let brokers: Brokers;
let eyes: Eyes;
let java: RocketmqEyes;
let ours: SourceUnderTest;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'isthmus-faults-'));
  brokers = await startBrokers(['rmq-west'], { dataDirectory: folder });
  eyes = await startEyes();
  java = eyes.rocketmq(namesrv);
  ours = sourceUnderTest(namesrv);
});

afterAll(async () => {
  await ours.close();
  await eyes.close();
  await brokers.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function newTopic(queues: number): Promise<string> {
  const topic = `faults-${randomUUID()}`;
  await java.createTopic(topic, { queues });
  return topic;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(20);
}

describe('the RocketMQ source when its broker fails', () => {
  it('loses and doubles nothing when the broker is killed in the middle and started again', async () => {
    const topic = await newTopic(4);
    const count = 40_000;
    await java.load(topic, { count });
    const lanes = [0, 1, 2, 3].map((queue) => `broker-a:${queue}`);
    const { promise: gate, resolve: goOn } = Promise.withResolvers<void>();
    const tails = await Promise.all(lanes.map((lane) => ours.tail(topic, lane, 0, gate)));
    const seen = (): number => tails.reduce((sum, { records }) => sum + records.length, 0);
    await until(() => tails.every(({ records }) => records.length > 0));
    await brokers.kill('rmq-west');
    goOn();
    await until(() => tails.some(({ troubles }) => troubles.length > 0));
    await brokers.start('rmq-west');
    await until(() => seen() >= count);
    await java.load(topic, { from: count, count: 1_000 });
    await until(() => seen() >= count + 1_000);
    const ids = tails.flatMap(({ records }) => records.map(({ properties }) => Number(properties['seq'])));
    expect(ids.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count + 1_000 }, (_, i) => i));
    for (const { records, gaps } of tails) {
      expect(records.map(({ offset }) => offset)).toEqual(records.map((_, i) => i));
      expect(gaps).toEqual([]);
    }
    for (const { reader } of tails) await reader.close();
  });

  it('goes on after the broker was frozen', async () => {
    const topic = await newTopic(1);
    const tail = await ours.tail(topic, LANE);
    await java.send(topic, [{ body: 'before', queue: 0 }]);
    await until(() => tail.records.length === 1);
    await brokers.pause('rmq-west');
    await sleep(3_000);
    await brokers.resume('rmq-west');
    await java.send(topic, [{ body: 'after', queue: 0 }]);
    await until(() => tail.records.length === 2);
    expect(tail.gaps).toEqual([]);
    await tail.reader.close();
  });

  it('says that a topic was recreated, and does not read its new messages under old offsets', async () => {
    const topic = await newTopic(1);
    await java.send(
      topic,
      Array.from({ length: 20 }, (_, i) => ({ body: `old${i}`, queue: 0 })),
      { batch: true, queue: 0 },
    );
    const tail = await ours.tail(topic, LANE);
    await until(() => tail.records.length === 20);
    await java.deleteTopic(topic);
    await java.createTopic(topic, { queues: 1 });
    await java.send(topic, [{ body: 'new', queue: 0 }]);
    expect(await tail.ended).toMatchObject({ code: 'SOURCE_REWOUND', stops: 'lane' });
    expect(tail.gaps).toEqual(['20-0 recreated']);
    expect(tail.records).toHaveLength(20);
    const again = await ours.tail(topic, LANE, 0);
    await until(() => again.records.length === 1);
    await again.reader.close();
  });

  it('says from where on the end of a queue was lost and replaced', async () => {
    const topic = await newTopic(1);
    const batch = (name: string, count: number): Promise<unknown> =>
      java.send(
        topic,
        Array.from({ length: count }, (_, i) => ({ body: `${name}${i}` })),
        { batch: true, queue: 0 },
      );
    await batch('common', 100);
    const tail = await ours.tail(topic, LANE);
    await until(() => tail.records.length === 100);
    const store = join(folder, 'rmq-west', 'store');
    await brokers.shutDown('rmq-west');
    cpSync(store, join(folder, 'older'), { recursive: true });
    await brokers.start('rmq-west');
    await batch('lost', 50);
    await until(() => tail.records.length === 150);
    // What a failover to a replica that lacked the last 50 messages leaves behind.
    await brokers.kill('rmq-west');
    rmSync(store, { recursive: true });
    cpSync(join(folder, 'older'), store, { recursive: true });
    await brokers.start('rmq-west');
    await batch('new', 80);
    expect(await tail.ended).toMatchObject({ code: 'SOURCE_REWOUND' });
    expect(tail.gaps).toEqual(['150-100 truncated']);
    const again = await ours.tail(topic, LANE, 100);
    await until(() => again.records.length === 80);
    expect(again.gaps).toEqual([]);
    await again.reader.close();
  });
});
