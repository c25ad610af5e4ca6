import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRocketmqGrpc } from '../../../src/drivers/rocketmq/grpc/driver.ts';
import { ByteBudget } from '../../../src/lib/byte-budget.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { comparePositions, offsetPosition } from '../../../src/model/position.ts';
import { plainMarks } from '../../../src/model/provenance.ts';
import { RecordBatch } from '../../../src/model/record-batch.ts';
import type { Cluster } from '../../../src/spi/cluster.ts';
import type { Stored, WriterOptions } from '../../../src/spi/sink.ts';
import type { LaneReader, Source } from '../../../src/spi/source.ts';
import { type Brokers, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import type { RocketmqEyes } from '../../kit/rocketmq-eyes.ts';
import { sourceUnderTest } from '../../kit/rocketmq-source.ts';
import { makeLog } from '../../simulation/process.ts';

const { namesrv, ports } = rocketmqEndpoints('rmq-timer', testOffset);
const LANE = '*';

let brokers: Brokers;
let eyes: Eyes;
let java: RocketmqEyes;
let cluster: Cluster;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-timer']);
  eyes = await startEyes();
  java = eyes.rocketmq(namesrv);
  const options = { endpoints: [`127.0.0.1:${ports.proxyGrpc}`], namespace: '', auth: undefined, tls: false };
  cluster = openRocketmqGrpc('east', options, {
    clock: systemClock,
    log: makeLog(() => undefined),
    random: Math.random,
    marks: plainMarks,
  });
});

afterAll(async () => {
  await cluster.close();
  await eyes.close();
  await brokers.stop();
});

const unique = (): string => `grpc-${randomUUID()}`;

function sourceOf({ source }: Cluster): Source {
  if (source === undefined) throw new Error('the driver has no source');
  return source;
}

/** A proxy makes no groups. */
async function makeGroup(topic: string, group: string): Promise<void> {
  const ours = sourceUnderTest(namesrv);
  const lane = { topic, lane: 'broker-a:0' };
  const reader = await ours.source.openLane(lane, offsetPosition(0), {
    group,
    budget: new ByteBudget(2 ** 20),
    onTrouble: () => undefined,
  });
  await reader.commit(offsetPosition(0));
  await reader.close();
  await ours.close();
}

async function open(topic: string, group: string): Promise<LaneReader> {
  const source = sourceOf(cluster);
  const lane = { topic, lane: LANE };
  const from = await source.resolveStart(lane, { kind: 'earliest' });
  return source.openLane(lane, from, { group, budget: new ByteBudget(2 ** 24), onTrouble: () => undefined });
}

/** Reads until `count` records have come, and gives what `see` makes of each. */
async function take<T>(reader: LaneReader, count: number, see: (batch: RecordBatch, i: number) => T): Promise<T[]> {
  const seen: T[] = [];
  while (seen.length < count) {
    const delivery = await reader.read();
    if (delivery.kind !== 'records') throw new Error(`unexpected ${delivery.kind}`);
    for (let i = 0; i < delivery.batch.count; i++) seen.push(see(delivery.batch, i));
    delivery.batch.release();
  }
  return seen;
}

describe('a RocketMQ cluster behind its proxy, read', () => {
  it('gives every message with body, key, tag and properties, in ascending positions', async () => {
    const topic = unique();
    await java.createTopic(topic, { queues: 2 });
    const group = `${topic}-group`;
    await makeGroup(topic, group);
    const reader = await open(topic, group);
    const messages = Array.from({ length: 40 }, (_, n) => ({
      body: `body ${n}`,
      tags: 'paid',
      keys: `k${n} other`,
      properties: { seq: String(n) },
    }));
    await java.send(topic, messages);
    const seen = await take(reader, 40, (batch, i) => ({
      body: batch.body(i).toString(),
      key: batch.text(batch.keyStart[i], batch.keyEnd[i]),
      tag: batch.text(batch.tagStart[i], batch.tagEnd[i]),
      seq: batch.property(i, 'seq'),
      id: batch.property(i, 'UNIQ_KEY'),
      position: batch.positionAt(i),
    }));
    expect(seen.map(({ seq }) => Number(seq)).sort((a, b) => a - b)).toEqual(messages.map((_, n) => n));
    for (const { seq, ...record } of seen)
      expect(record).toMatchObject({
        body: `body ${seq}`,
        key: `k${seq}`,
        tag: 'paid',
        id: expect.stringMatching(/^[0-9A-F]{32}/) as string,
      });
    for (const [n, { position }] of seen.entries())
      expect(n === 0 || comparePositions(position, seen[n - 1]?.position ?? position) > 0).toBe(true);
    await reader.close();
  });

  it('gives a message again to the next reader when it was never acknowledged, and no message that was', {
    timeout: 150_000,
  }, async () => {
    const topic = unique();
    const group = `${topic}-group`;
    await java.createTopic(topic, { queues: 1 });
    await makeGroup(topic, group);
    const first = await open(topic, group);
    await java.send(
      topic,
      [0, 1, 2, 3].map((n) => ({ body: 'x', properties: { seq: String(n) } })),
    );
    const seen = await take(first, 4, (batch, i) => ({ seq: Number(batch.property(i, 'seq')), position: batch.positionAt(i) }));
    const half = seen[2];
    if (half === undefined) throw new Error('nothing was read');
    await first.commit(half.position);
    await first.close();
    const second = await open(topic, group);
    const again = await take(second, 2, (batch, i) => Number(batch.property(i, 'seq')));
    expect(again.toSorted((a, b) => a - b)).toEqual(
      seen
        .slice(2)
        .map(({ seq }) => seq)
        .toSorted((a, b) => a - b),
    );
    await second.close();
  });
});

describe('a RocketMQ cluster behind its proxy, written', () => {
  const write = async (topic: string, batch: RecordBatch): Promise<Stored[]> => {
    const stored: Stored[] = [];
    const options: WriterOptions = {
      topic,
      partition: 0,
      sourceCluster: 'west',
      lane: { topic: 'orders', lane: '3' },
      link: 'l',
      batching: 'mixed',
      compression: 'none',
      signal: new AbortController().signal,
      onStored: (each) => stored.push(each),
      onFailed: (error) => {
        throw error;
      },
      onTrouble: () => undefined,
    };
    const writer = await cluster.sink?.openWriter(options);
    if (writer === undefined) throw new Error('the driver cannot write');
    for (let i = 0; i < batch.count; i++) expect(writer.append(batch, i)).toBe('taken');
    await writer.close(20_000);
    return stored;
  };

  it('refuses a topic that does not keep order, and one that does not exist', async () => {
    const topic = unique();
    await java.createTopic(topic, { queues: 1 });
    await expect(
      write(
        topic,
        batchOf(1, () => 'k'),
      ),
    ).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' });
    await expect(
      write(
        unique(),
        batchOf(1, () => 'k'),
      ),
    ).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' });
  });
});

describe('the check of a proxy', () => {
  it('tells what cannot be had, and which topics are there', async () => {
    const topic = unique();
    await java.createTopic(topic, { queues: 2, messageType: 'FIFO' });
    const items = await cluster.admin.check({ reads: [topic, 'absent-topic', 'orders-*'], writes: [] });
    expect(items.map(({ what, ok }) => [what, ok])).toEqual([
      ['driver grpc', true],
      ['proxy', true],
      [`topic ${topic}`, true],
      ['topic absent-topic', false],
      ['topic orders-*', false],
    ]);
  });
});

function batchOf(count: number, keyOf: (n: number) => string): RecordBatch {
  const batch = new RecordBatch(count);
  const parts: Buffer[] = [];
  let length = 0;
  const put = (text: string): readonly [number, number] => {
    const bytes = Buffer.from(text);
    parts.push(bytes);
    length += bytes.length;
    return [length - bytes.length, length];
  };
  for (let n = 0; n < count; n++) {
    const { major } = offsetPosition(n);
    batch.major[n] = major;
    [batch.bodyStart[n], batch.bodyEnd[n]] = put(`body ${n}`);
    [batch.keyStart[n], batch.keyEnd[n]] = put(keyOf(n));
    batch.tagStart[n] = batch.provenanceStart[n] = -1;
  }
  batch.count = count;
  batch.bytes = Buffer.concat(parts);
  return batch;
}
