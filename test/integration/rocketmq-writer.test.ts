import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { offsetPosition } from '../../src/model/position.ts';
import { parseProvenance } from '../../src/model/provenance.ts';
import { type Brokers, rocketmqEndpoints, startBrokers, testOffset } from '../kit/brokers.ts';
import { type Eyes, startEyes } from '../kit/eyes.ts';
import { batchOf, numbered, offsetsIn, openTestWriter, type TestRecord } from '../kit/pulsar-writing.ts';
import type { RocketmqEyes } from '../kit/rocketmq-eyes.ts';
import { openWritingCluster, type WritingCluster } from '../kit/rocketmq-writing.ts';

const target = rocketmqEndpoints('rmq-west', testOffset);
let brokers: Brokers;
let eyes: Eyes;
let reader: RocketmqEyes;
let cluster: WritingCluster;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-west']);
  eyes = await startEyes();
  reader = eyes.rocketmq(target.namesrv);
  cluster = openWritingCluster(target.namesrv);
});

afterAll(async () => {
  await cluster.close();
  await eyes.close();
  await brokers.stop();
});

async function newTopic(queues = 1): Promise<string> {
  const topic = `writer-${randomUUID()}`;
  await cluster.admin.ensureTopic(topic, queues);
  return topic;
}

function sha256(body: Buffer | string): string {
  return createHash('sha256').update(body).digest('hex');
}

describe('what the official client reads of records that were written', () => {
  it('is body, properties, key and born time, with one mark for each', async () => {
    const topic = await newTopic();
    const records: TestRecord[] = [
      { offset: 40, key: 'schlüssel-1', body: 'hello', eventTime: 1_763_750_000_123, properties: [['note', 'grüße 🌍']] },
      {
        offset: 41,
        key: 'k2',
        body: Buffer.alloc(70_000, 7),
        properties: [['long', 'x'.repeat(20_000)]],
        eventTime: 1_763_750_000_456,
      },
      { offset: 43, body: 'marked', extras: [['ROCKETMQ_FLAG', '-7']], mark: '1;mysql-a;orders;binlog;9;0;rmq-east' },
    ];
    const { write, until, writer, stored } = await openTestWriter(cluster.sink, topic);
    await write(records);
    await until(records.length);
    await writer.close(0);

    const rows = await reader.read(topic, { expect: 3 });
    expect(rows.map((row) => [row.bodyLength, row.bodySha256])).toEqual(
      records.map(({ body }) => [Buffer.byteLength(body), sha256(body)]),
    );
    expect(rows.map((row) => row.offset)).toEqual([0, 1, 2]);
    expect(rows.map((row) => row.flag)).toEqual([0, 0, -7]);
    expect(rows.map((row) => row.properties['__SHARDINGKEY'])).toEqual(['schlüssel-1', 'k2', undefined]);
    expect(rows[0]?.properties['note']).toBe('grüße 🌍');
    expect(rows.map((row) => row.properties['BORN_TIMESTAMP'] ?? String(row.bornTimestamp))).toEqual([
      '1763750000123',
      '1763750000456',
      '1763750000123',
    ]);
    const marks = rows.map((row) => parseProvenance(row.properties['ISTHMUS'] ?? ''));
    expect(marks[0]).toMatchObject({
      cluster: 'rmq-east',
      topic: 'orders',
      lane: 'broker-a:0',
      runs: [{ first: { major: 40 }, count: 1 }],
    });
    expect(marks[2]).toMatchObject({
      cluster: 'mysql-a',
      via: { topic: 'orders', lane: 'broker-a:0', runs: [{ first: { major: 43 } }] },
    });
    expect(stored).toMatchObject([
      {
        partition: 0,
        count: 3,
        target: { major: 0 },
        runs: [
          { first: { major: 40 }, count: 2 },
          { first: { major: 43 }, count: 1 },
        ],
      },
    ]);
  });
});

describe('a writer', () => {
  it('stores a backlog in order, and its marks are found from any place on', async () => {
    const topic = await newTopic();
    const { write, until, writer, stored } = await openTestWriter(cluster.sink, topic);
    await write(numbered(0, 20_000), 5_000);
    await until(20_000);
    await writer.close(0);
    const rows = await reader.readRows(topic, { expect: 20_000 });
    expect(rows.map((row) => Number(row.id))).toEqual(Array.from({ length: 20_000 }, (_, i) => i));
    expect(Math.max(...stored.map((each) => each.count))).toBeLessThanOrEqual(4_096);
    expect([...(await offsetsIn(cluster.sink, topic))]).toEqual(Array.from({ length: 20_000 }, (_, i) => [i, 1]));
    const found: number[] = [];
    const report = await cluster.sink.scan(topic, 0, offsetPosition(19_989), 0, (mark) => found.push(mark.target.major));
    expect(found).toEqual(Array.from({ length: 10 }, (_, i) => 19_990 + i));
    expect(report).toEqual({ entries: 10, fromBeginning: false });
    expect(await cluster.sink.tail(topic, 0)).toEqual(offsetPosition(19_999));
  });

  it('refuses what RocketMQ cannot hold, and goes on with the next', async () => {
    const topic = await newTopic();
    const { writer, until } = await openTestWriter(cluster.sink, topic);
    const refused = (record: TestRecord) => writer.append(batchOf([record]), 0);
    expect(refused({ offset: 0, body: Buffer.alloc(4 * 2 ** 20 + 1) })).toMatchObject({
      refused: expect.stringContaining('4194305'),
    });
    expect(refused({ offset: 1, body: 'x', properties: [['p', 'y'.repeat(32_767)]] })).toMatchObject({
      refused: expect.stringContaining('properties'),
    });
    expect(refused({ offset: 2, body: '' })).toMatchObject({ refused: expect.stringContaining('empty') });
    expect(refused({ offset: 3, body: 'x', properties: [['p', 'a\u0002b']] })).toMatchObject({
      refused: expect.stringContaining('0x01'),
    });
    expect(writer.append(batchOf([{ offset: 4, body: 'small' }]), 0)).toBe('taken');
    writer.flush();
    await until(1);
    await writer.close(0);
  });

  it('stores a body of 4 MiB, which no batch can hold, between others', async () => {
    const topic = await newTopic();
    const { write, until, writer } = await openTestWriter(cluster.sink, topic);
    const body = Buffer.alloc(4 * 2 ** 20, 'large');
    await write([
      { offset: 0, body: 'before' },
      {
        offset: 1,
        body,
        key: 'k',
        properties: [
          ['DELAY', '3'],
          ['own', 'kept'],
        ],
      },
      { offset: 2, body: 'after' },
    ]);
    await until(3);
    await writer.close(0);
    const rows = await reader.read(topic, { expect: 3 });
    expect(rows.map((row) => row.bodySha256)).toEqual([sha256('before'), sha256(body), sha256('after')]);
    expect(rows[1]?.properties).toMatchObject({ __SHARDINGKEY: 'k', own: 'kept' });
    expect([...(await offsetsIn(cluster.sink, topic)).keys()]).toEqual([0, 1, 2]);
  });
});
