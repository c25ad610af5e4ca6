import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { javaCommand } from '../../../scripts/brokers/tools.ts';
import { judge } from '../../checkers/verdict.ts';
import { type Brokers, isPulsarName, pulsarEndpoints, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type ClusterEyes, type ClusterName, clusterEyes } from '../../kit/cluster-eyes.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { compileJava } from '../../kit/java-program.ts';

// As in eyes.test.ts, the bridge made of the official clients carries messages over, here in the directions that end or begin elsewhere.

const COUNT = 2_000;
let brokers: Brokers;
let eyes: Eyes;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east', 'rmq-west', 'pulsar-east', 'pulsar-west']);
  eyes = await startEyes();
});

afterAll(async () => {
  await eyes.close();
  await brokers.stop();
});

const uniqueTopic = (): string => `both-${Date.now().toString(36)}`;

function addressOf(name: ClusterName): string {
  return isPulsarName(name) ? pulsarEndpoints(name, testOffset).serviceUrl : rocketmqEndpoints(name, testOffset).namesrv;
}

async function carryOver(source: ClusterEyes, target: ClusterEyes, topic: string): Promise<void> {
  const classPath = await compileJava(join(import.meta.dirname, '../../../bench/java-bridge'));
  const from = ['--source', addressOf(source.name), '--topic', source.full(topic)];
  const to = ['--target', addressOf(target.name), '--to', target.full(topic)];
  const way = ['--way', `${source.kind}-to-${target.kind}`, '--count', String(COUNT)];
  await promisify(execFile)(javaCommand(), ['-cp', classPath, 'Bridge', ...way, ...from, ...to]);
}

describe('the eyes on any cluster', () => {
  it.each([
    ['pulsar-east', 'pulsar-west'],
    ['pulsar-west', 'rmq-east'],
    ['rmq-east', 'rmq-west'],
  ] as const)('write to %s and read from %s the same messages, in the same way', async (from, to) => {
    const [source, target] = [clusterEyes(eyes, from, testOffset), clusterEyes(eyes, to, testOffset)];
    const topic = uniqueTopic();
    await source.createTopic(topic, 4);
    await target.createTopic(topic, 4);
    expect(await target.messagesIn(topic)).toBe(0);
    const tail = await target.tail(topic, { count: COUNT, timeoutMs: 60_000 });
    expect(await source.load(topic, { count: COUNT, batch: 33 })).toBe(COUNT);
    await carryOver(source, target, topic);
    expect(new Set((await tail.arrived).map(({ id }) => id)).size).toBe(COUNT);
    expect(await target.count(topic)).toEqual({ messages: COUNT, distinct: COUNT });
    expect(await target.messagesIn(topic)).toBe(COUNT);
    const written = await source.readRows(topic, { expect: COUNT });
    const verdict = judge(written, await target.readRows(topic, { expect: COUNT }));
    expect(verdict).toMatchObject({ source: COUNT, target: COUNT, lost: 0, doubled: 0, strangers: 0 });
    expect(written.every(({ storeTimestamp }) => Math.abs(Date.now() - storeTimestamp) < 600_000)).toBe(true);
  });

  it('load a Pulsar topic with entries of exactly the size that was asked for, each key in one partition and in order', async () => {
    const topic = uniqueTopic();
    const east = clusterEyes(eyes, 'pulsar-east', testOffset);
    await east.createTopic(topic, 2);
    await east.load(topic, { count: 600, batch: 100, keys: 10 });
    const rows = await eyes.pulsar(pulsarEndpoints('pulsar-east', testOffset)).read(east.full(topic));
    const sizes = new Map(rows.map((row) => [row.messageId.split(':').slice(0, 2).join(':'), row.batchSize]));
    expect([...sizes.values()].filter((size) => size !== 100)).toHaveLength(2);
    const partitionOf = new Map<string, number>();
    const lastOf = new Map<string, number>();
    for (const { key, partition, properties } of rows) {
      const seq = Number(properties['seq']);
      expect(partitionOf.get(key ?? '') ?? partition).toBe(partition);
      expect(seq).toBeGreaterThan(lastOf.get(key ?? '') ?? -1);
      partitionOf.set(key ?? '', partition);
      lastOf.set(key ?? '', seq);
    }
  });

  it('send single messages to Pulsar as they are described', async () => {
    const topic = uniqueTopic();
    const west = clusterEyes(eyes, 'pulsar-west', testOffset);
    const pulsar = eyes.pulsar(pulsarEndpoints('pulsar-west', testOffset));
    await west.createTopic(topic, 2);
    const properties = { note: 'grüße' };
    const sent = await pulsar.send(west.full(topic), [
      { body: 'one', key: 'k', orderingKeyHex: '00ff', properties, eventTime: 1234, partition: 1 },
      { keyHex: '00fe', partition: 1 },
    ]);
    const rows = await pulsar.read(west.full(topic));
    expect(rows.map(({ partition, messageId }) => ({ partition, messageId }))).toEqual(sent);
    expect(rows[0]).toMatchObject({ key: 'k', orderingKeyHex: '00ff', properties, eventTime: 1234, bodyLength: 3, batchSize: 0 });
    expect(rows[1]).toMatchObject({ keyIsBase64: true, nullValue: true });
  });
});
