import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { offsetPosition } from '../../../src/model/position.ts';
import { parseProvenance } from '../../../src/model/provenance.ts';
import { type Brokers, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { batchOf, numbered, offsetsIn, openTestWriter, type TestRecord } from '../../kit/pulsar-writing.ts';
import type { RocketmqEyes } from '../../kit/rocketmq-eyes.ts';
import { openWritingCluster, type WritingCluster } from '../../kit/rocketmq-writing.ts';

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

describe('a dead letter', () => {
  const letter = (record: TestRecord, topic: string) => ({
    topic,
    reason: 'it is too large',
    retentionMinutes: 60,
    sourceCluster: 'pulsar-east',
    lane: { topic: 'persistent://public/default/orders', lane: '3' },
    batch: batchOf([record]),
    i: 0,
  });

  it('keeps the record as it was, says why and where from, and makes its topic', async () => {
    const topic = `dead-${randomUUID()}`;
    await cluster.sink.writeDeadLetter(letter({ offset: 12, key: 'k', body: 'bad', properties: [['a', 'b\u0002c']] }, topic));
    const [row] = await reader.read(topic, { expect: 1 });
    expect(row).toMatchObject({ bodySha256: sha256('bad') });
    expect(row?.properties).toMatchObject({
      a: 'b%02c',
      __SHARDINGKEY: 'k',
      'ISTHMUS-DEAD-LETTER-REASON': 'it is too large',
      'ISTHMUS-DEAD-LETTER-CLUSTER': 'pulsar-east',
      'ISTHMUS-DEAD-LETTER-TOPIC': 'persistent://public/default/orders',
      'ISTHMUS-DEAD-LETTER-LANE': '3',
      'ISTHMUS-DEAD-LETTER-POSITION': '12',
    });
    expect(parseProvenance(row?.properties['ISTHMUS'] ?? '')).toMatchObject({ cluster: 'pulsar-east', lane: '3' });
  });

  it('that no message can hold comes in parts, which together are the record', async () => {
    const topic = `dead-${randomUUID()}`;
    const body = Buffer.alloc(9 * 2 ** 20, 'part');
    const properties: [string, string][] = [['long', 'x'.repeat(40_000)]];
    await cluster.sink.writeDeadLetter(letter({ offset: 7, body, properties }, topic));
    const rows = await reader.read(topic, { expect: 4 });
    expect(rows.map((row) => row.properties['ISTHMUS-DEAD-LETTER-PART'])).toEqual(['1/3', '2/3', '3/3', 'properties']);
    expect(rows.map((row) => row.properties['ISTHMUS-DEAD-LETTER-POSITION'])).toEqual(['7', undefined, undefined, undefined]);
    expect(rows.slice(0, 3).reduce((sum, row) => sum + row.bodyLength, 0)).toBe(body.length);
    expect(rows[3]?.bodySha256).toBe(sha256(JSON.stringify(properties)));
  });
});

describe('a topic that is created for a mirror', () => {
  it('is for ordered messages where keys are ordered, else of the kind of its source; growing changes neither', async () => {
    const fifo = `made-${randomUUID()}`;
    expect(
      (await cluster.admin.ensureTopic(fifo, 2, { ordered: true, like: { 'message.type': 'DELAY' } })).settings,
    ).toMatchObject({
      'message.type': 'FIFO',
      perm: '6',
    });
    const grown = await cluster.admin.ensureTopic(fifo, 4, { like: { 'message.type': 'NORMAL' } });
    expect(grown.lanes).toHaveLength(4);
    expect(grown.settings['message.type']).toBe('FIFO');
    const alike = await cluster.admin.ensureTopic(`made-${randomUUID()}`, 1, {
      like: { 'message.type': 'DELAY', perm: '4', retention: '3' },
    });
    expect(alike.settings['message.type']).toBe('DELAY');
    const unknown = await cluster.admin.ensureTopic(`made-${randomUUID()}`, 1, { like: { 'message.type': 'MIXED' } });
    expect(unknown.settings['message.type']).toBeUndefined();
  });

  it('is refused by its name before it is made', () => {
    const refused = (topic: string) => cluster.sink.refusesTopicName(topic);
    expect(refused('orders-1_a%b|c')).toBeUndefined();
    expect(refused('a.b')).toContain('characters');
    expect(refused('x'.repeat(128))).toContain('128');
    expect(refused('%RETRY%group')).toContain('RocketMQ');
    expect(refused('rmq_sys_x')).toContain('RocketMQ');
  });
});
