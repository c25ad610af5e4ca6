import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { offsetPosition } from '../../../src/model/position.ts';
import { type Brokers, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import type { RocketmqEyes, RocketmqRow } from '../../kit/rocketmq-eyes.ts';
import { type ReadRecord, type SourceUnderTest, sourceUnderTest } from '../../kit/rocketmq-source.ts';

const { namesrv } = rocketmqEndpoints('rmq-east', testOffset);
/** What the driver leaves out of the properties that the official client shows. */
const DROPPED = [
  'CLUSTER',
  'MSG_REGION',
  'TRACE_ON',
  'WAIT',
  'RECONSUME_TIME',
  'PGROUP',
  'MIN_OFFSET',
  'MAX_OFFSET',
  'REAL_TOPIC',
  'REAL_QID',
];

let brokers: Brokers;
let eyes: Eyes;
let java: RocketmqEyes;
let ours: SourceUnderTest;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east']);
  eyes = await startEyes();
  java = eyes.rocketmq(namesrv);
  ours = sourceUnderTest(namesrv);
});

afterAll(async () => {
  await ours.close();
  await eyes.close();
  await brokers.stop();
});

async function newTopic(queues: number): Promise<string> {
  const topic = `source-${randomUUID()}`;
  await java.createTopic(topic, { queues });
  return topic;
}

/** A row of the official client, as the driver should deliver it. */
function expected(row: RocketmqRow): Partial<ReadRecord> {
  const properties = Object.fromEntries(Object.entries(row.properties).filter(([name]) => !DROPPED.includes(name)));
  const key = properties['__SHARDINGKEY'] ?? properties['KEYS']?.split(' ')[0];
  return {
    lane: `${row.broker}:${row.queue}`,
    offset: row.offset,
    key,
    tag: properties['TAGS'],
    properties,
    bodySha256: row.bodySha256,
    bodyLength: row.bodyLength,
    eventTime: row.bornTimestamp,
    storeTime: row.storeTimestamp,
    damaged: undefined,
  };
}

const inOrder = (records: readonly ReadRecord[]): readonly ReadRecord[] =>
  records.toSorted((a, b) => a.lane.localeCompare(b.lane) || a.offset - b.offset);

async function expectSame(topic: string, count: number): Promise<readonly ReadRecord[]> {
  const rows = await java.read(topic, { expect: count });
  expect(rows).toHaveLength(count);
  const records = inOrder(await ours.readAll(topic, count));
  expect(records).toMatchObject(rows.map(expected));
  return records;
}

describe('the RocketMQ source on a real broker', () => {
  it('sees what the official client sees: body, keys, tags, properties, times', async () => {
    const topic = await newTopic(2);
    await java.send(topic, [
      { body: 'plain' },
      { body: 'all', keys: 'k1 k2', tags: 'paid', shardingKey: 's1', properties: { note: 'grüße 値', amount: '12' }, queue: 1 },
      { bodyHex: '00ff017f', keys: 'only', flag: -7 },
    ]);
    const records = await expectSame(topic, 3);
    expect(records.find(({ key }) => key === 'only')?.extras).toEqual({ ROCKETMQ_FLAG: '-7' });
  });

  it.each(['ZLIB', 'LZ4', 'ZSTD'] as const)('decompresses what a producer compressed with %s', async (compress) => {
    const topic = await newTopic(1);
    const body = `${randomUUID()} hello `.repeat(4_000);
    await java.send(
      topic,
      [
        { body, keys: 'k' },
        { body: 'short', keys: 'k' },
      ],
      { compress, compressAbove: 100 },
    );
    const records = await expectSame(topic, 2);
    expect(records[0]?.bodyLength).toBe(body.length);
  });

  it('reads batches, with empty bodies and empty properties in them', async () => {
    const topic = await newTopic(1);
    await java.send(topic, [{ body: 'a', keys: 'k' }, { body: '' }, { body: 'c', properties: { empty: '', full: 'x' } }], {
      batch: true,
      queue: 0,
    });
    await java.read(topic, { expect: 3 });
    const records = await ours.readAll(topic, 3);
    expect(records.map(({ bodyLength }) => bodyLength)).toEqual([1, 0, 1]);
    expect(records[2]?.properties).toMatchObject({ empty: '', full: 'x' });
  });

  it('delivers 30,000 messages of eight queues once each and in order', async () => {
    const topic = await newTopic(8);
    const count = 30_000;
    await java.load(topic, { count });
    const rows = await java.readRows(topic, { expect: count });
    const records = inOrder(await ours.readAll(topic, count));
    const short = (lane: string, id: string | null | undefined): string => `${lane} ${id}`;
    const wanted = rows.map(({ lane, id }) => short(lane, id)).sort();
    expect(records.map(({ lane, properties }) => short(lane, properties['seq'])).sort()).toEqual(wanted);
    for (const lane of new Set(records.map((record) => record.lane))) {
      const offsets = records.filter((record) => record.lane === lane).map(({ offset }) => offset);
      expect(offsets).toEqual(offsets.map((_, i) => i));
    }
  });

  it('reads bodies of 4 MiB within its byte budget', async () => {
    const topic = await newTopic(2);
    const body = 'x'.repeat(4 * 1024 * 1024 - 200);
    for (let i = 0; i < 6; i++) await java.send(topic, [{ body, keys: String(i), queue: i % 2 }]);
    const records = await ours.readAll(topic, 6);
    expect(records.map(({ bodyLength }) => bodyLength)).toEqual(Array.from({ length: 6 }, () => body.length));
  });

  it('follows the end of a queue', async () => {
    const topic = await newTopic(1);
    const tail = await ours.tail(topic, 'broker-a:0');
    for (let i = 0; i < 20; i++) {
      await java.send(topic, [{ body: `m${i}`, queue: 0 }]);
      while (tail.records.length <= i) await sleep(2);
    }
    expect(tail.records.map(({ offset }) => offset)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(tail.reader.extent()).toMatchObject({ begin: { major: 0 }, end: { major: 20 } });
    expect(tail.troubles).toEqual([]);
  });

  it('starts at the earliest, the latest, and the first record of a time', async () => {
    const topic = await newTopic(1);
    const lane = { topic, lane: 'broker-a:0' };
    await java.send(topic, [{ body: 'a', queue: 0 }]);
    await sleep(50);
    const between = Date.now();
    await sleep(50);
    await java.send(topic, [
      { body: 'b', queue: 0 },
      { body: 'c', queue: 0 },
    ]);
    await java.read(topic, { expect: 3 });
    const at = async (start: Parameters<SourceUnderTest['source']['resolveStart']>[1]): Promise<number> =>
      (await ours.source.resolveStart(lane, start)).major;
    expect(await at({ kind: 'earliest' })).toBe(0);
    expect(await at({ kind: 'latest' })).toBe(3);
    expect(await at({ kind: 'time', time: between })).toBe(1);
    expect(await at({ kind: 'time', time: 0 })).toBe(0);
    expect(await at({ kind: 'time', time: Date.now() + 60_000 })).toBe(3);
    expect((await ours.source.back?.(lane, offsetPosition(3), 2))?.major).toBe(1);
    expect((await ours.source.back?.(lane, offsetPosition(3), 99))?.major).toBe(0);
  });

  it('keeps its place as the offset of a group of its own, which it creates', async () => {
    const topic = await newTopic(1);
    await java.send(topic, [
      { body: 'a', queue: 0 },
      { body: 'b', queue: 0 },
    ]);
    const tail = await ours.tail(topic, 'broker-a:0');
    const lane = { topic, lane: 'broker-a:0' };
    expect(await ours.source.committed(lane, `never-${randomUUID()}`)).toBeUndefined();
    await tail.reader.commit(offsetPosition(2));
    await tail.reader.close();
    const other = await ours.tail(topic, 'broker-a:0', 2);
    await other.reader.commit(offsetPosition(1));
    const groups = (await java.groupOffsets(ours.group, topic)).map(({ committed }) => committed);
    expect(groups).toEqual([1]);
    expect(await ours.source.committed(lane, ours.group)).toEqual(offsetPosition(1));
  });

  it('speaks TLS on the same port', async () => {
    const topic = await newTopic(1);
    await java.send(topic, [{ body: 'secret' }]);
    const secure = sourceUnderTest(namesrv, { allowUntrusted: true });
    expect((await secure.readAll(topic, 1)).map(({ bodyLength }) => bodyLength)).toEqual([6]);
    await secure.close();
    const strict = sourceUnderTest(namesrv, {});
    await expect(strict.cluster.admin.describeTopic(topic)).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    await strict.close();
  });
});
