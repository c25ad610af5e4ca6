import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { javaCommand } from '../../../scripts/brokers/tools.ts';
import type { Row } from '../../checkers/row.ts';
import { judge } from '../../checkers/verdict.ts';
import { type Brokers, pulsarEndpoints, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { compileJava } from '../../kit/java-program.ts';
import type { PulsarEyes } from '../../kit/pulsar-eyes.ts';
import type { RocketmqEyes } from '../../kit/rocketmq-eyes.ts';

// What the eyes say is what all other tests believe, so they are looked at themselves, with no driver of ours in between:
// the bridge of the benchmark, made of the official clients, carries the messages over.
describe('the independent eyes', () => {
  const source = rocketmqEndpoints('rmq-east', testOffset);
  const target = pulsarEndpoints('pulsar-west', testOffset);
  let brokers: Brokers;
  let eyes: Eyes;
  let rocketmq: RocketmqEyes;
  let pulsar: PulsarEyes;

  beforeAll(async () => {
    brokers = await startBrokers(['rmq-east', 'pulsar-west']);
    eyes = await startEyes();
    rocketmq = eyes.rocketmq(source.namesrv);
    pulsar = eyes.pulsar(target);
  });

  afterAll(async () => {
    await eyes.close();
    await brokers.stop();
  });

  async function newTopic(queues: number, messageType?: 'FIFO'): Promise<string> {
    const topic = `eyes-${randomUUID()}`;
    await rocketmq.createTopic(topic, { queues, ...(messageType === undefined ? {} : { messageType }) });
    return topic;
  }

  async function newTarget(topic: string, partitions: number): Promise<string> {
    const to = `persistent://public/default/${topic}`;
    await pulsar.createTopic(to, partitions);
    return to;
  }

  async function carryOver(topic: string, to: string, count: number): Promise<void> {
    const classPath = await compileJava(join(import.meta.dirname, '../../../bench/java-bridge'));
    const addresses = ['--way', 'rocketmq-to-pulsar', '--source', source.namesrv, '--target', target.serviceUrl];
    const work = ['--topic', topic, '--to', to, '--count', String(count)];
    await promisify(execFile)(javaCommand(), ['-cp', classPath, 'Bridge', ...addresses, ...work]);
  }

  it('show a RocketMQ message as it was sent, reserved and foreign properties included', async () => {
    const topic = await newTopic(4, 'FIFO');
    const properties = { note: 'grüße', RETRY_TOPIC: 'other' };
    const message = { body: 'hello', tags: 'paid', keys: 'k1 k2', shardingKey: 's1', flag: 7, queue: 2, properties };
    const [receipt] = await rocketmq.send(topic, [message]);
    expect(receipt).toMatchObject({ status: 'SEND_OK', queue: 2, offset: 0 });
    const [row, ...more] = await rocketmq.read(topic, { expect: 1 });
    expect(more).toEqual([]);
    expect(row).toMatchObject({
      broker: 'broker-a',
      queue: 2,
      offset: 0,
      properties: { ...properties, TAGS: 'paid', KEYS: 'k1 k2', __SHARDINGKEY: 's1', UNIQ_KEY: receipt?.uniqKey },
      bodySha256: createHash('sha256').update('hello').digest('hex'),
      bodyLength: 5,
      bodyHex: Buffer.from('hello').toString('hex'),
      flag: 7,
      reconsumeTimes: 0,
      msgId: receipt?.uniqKey,
    });
    expect(row?.storeTimestamp).toBeGreaterThanOrEqual(row?.bornTimestamp ?? Number.NaN);
    expect(row?.properties).not.toHaveProperty('MAX_OFFSET');
  });

  it('send batches that hold empty bodies, and bodies compressed in three ways', async () => {
    const topic = await newTopic(2);
    await rocketmq.send(topic, [{ body: '' }, { bodyHex: 'ff00' }], { batch: true, queue: 1 });
    const body = 'z'.repeat(5_000);
    for (const compress of ['ZLIB', 'LZ4', 'ZSTD'] as const) {
      await rocketmq.send(topic, [{ body, queue: 0 }], { compress, compressAbove: 1_000 });
    }
    const rows = await rocketmq.read(topic, { expect: 5 });
    expect(rows.map(({ queue, bodyLength, bodyHex }) => [queue, bodyLength, bodyHex])).toEqual([
      [0, 5_000, null],
      [0, 5_000, null],
      [0, 5_000, null],
      [1, 0, ''],
      [1, 2, 'ff00'],
    ]);
    // The type stays in bits 8 to 10 when the client has taken the compression bit away: LZ4 1, ZSTD 2, ZLIB 3.
    expect(rows.slice(0, 3).map((row) => row.sysFlag >> 8)).toEqual([3, 1, 2]);
  });

  it('write the same load each time, all of a key in one queue and in the order of its numbers', async () => {
    const [first, second] = [await newTopic(4), await newTopic(4)];
    await rocketmq.load(first, { count: 300, keys: 20, sharding: true });
    await rocketmq.load(second, { count: 200, keys: 20, sharding: true, batch: 1 });
    await rocketmq.load(second, { count: 100, from: 200, keys: 20, sharding: true, rate: 500 });
    const rows = await rocketmq.readRows(first, { expect: 300 });
    const again = await rocketmq.readRows(second, { expect: 300 });
    const content = ({ lane, place, id, key }: Row): Row => ({ lane, place, id, key });
    expect(again.map(content)).toEqual(rows.map(content));
    expect(new Set(rows.map((row) => row.id)).size).toBe(300);
    expect(new Set(rows.map((row) => `${row.lane} ${row.key}`)).size).toBe(20);
    const places = rows.filter((row) => row.lane === 'broker-a:1').map((row) => Number(row.id));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
  });

  it('tell how full queues are, and a group without offsets from one at zero', async () => {
    const topic = await newTopic(2);
    await rocketmq.send(topic, [{ body: 'a' }, { body: 'b' }], { batch: true, queue: 1 });
    await rocketmq.read(topic, { expect: 2 });
    expect(await rocketmq.topicStatus(topic)).toEqual([
      { broker: 'broker-a', queue: 0, min: 0, max: 0 },
      { broker: 'broker-a', queue: 1, min: 0, max: 2 },
    ]);
    expect((await rocketmq.groupOffsets('nobody', topic)).map((queue) => queue.committed)).toEqual([null, null]);
    await rocketmq.deleteTopic(topic);
    await expect(rocketmq.topicStatus(topic)).rejects.toThrow(/No topic route info/);
  });

  it('show a Pulsar message with its entry, its key and its properties', async () => {
    const topic = await newTopic(1);
    await rocketmq.send(topic, [{ body: 'hello', keys: 'k1', properties: { seq: '1' } }]);
    const [sent] = await rocketmq.read(topic, { expect: 1 });
    const to = await newTarget(topic, 1);
    await carryOver(topic, to, 1);
    const [row, ...more] = await pulsar.read(to);
    expect(more).toEqual([]);
    expect(row).toMatchObject({
      partition: 0,
      messageId: expect.stringMatching(/^\d+:0:-1$/),
      sequenceId: 0,
      hasKey: true,
      key: 'k1',
      keyIsBase64: false,
      orderingKeyHex: null,
      properties: { seq: '1', KEYS: 'k1', UNIQ_KEY: sent?.msgId, 'origin-pos': '0:0' },
      eventTime: sent?.bornTimestamp,
      deliverAtTime: 0,
      schemaVersionHex: null,
      nullValue: false,
      replicatedFrom: null,
      bodySha256: sent?.bodySha256,
      bodyLength: 5,
      bodyHex: sent?.bodyHex,
      entry: { producer: row?.producer, sequenceId: 0, compression: 'NONE', messages: null },
    });
    expect(row?.propertyList).toContainEqual(['seq', '1']);
    expect(row?.entry.properties).toEqual(row?.propertyList);
    expect(row?.publishTime).toBeGreaterThanOrEqual(sent?.storeTimestamp ?? Number.NaN);
  });

  it('show the messages of a batch with their properties as they were written', async () => {
    const topic = await newTopic(1);
    await rocketmq.load(topic, { count: 40, keys: 0 });
    await rocketmq.read(topic, { expect: 40 });
    const to = await newTarget(topic, 1);
    await carryOver(topic, to, 40);
    const rows = await pulsar.read(to);
    expect(rows.map((row) => row.properties['seq'])).toEqual(Array.from({ length: 40 }, (_, i) => String(i)));
    expect(rows.filter((row) => row.batchSize > 1).length).toBeGreaterThan(0);
    for (const row of rows) {
      expect(Object.fromEntries(row.propertyList)).toEqual(row.properties);
      expect(row.propertyList).toHaveLength(Object.keys(row.properties).length);
    }
  });

  it('compare a large topic with its mirror, follow its end and count it', async () => {
    const count = 20_000;
    const topic = await newTopic(4);
    await rocketmq.load(topic, { count });
    const to = await newTarget(topic, 3);
    expect(await pulsar.partitionedTopics('public/default')).toContain(to);
    const { arrived } = await pulsar.tail(to, { count, timeoutMs: 60_000 });
    await carryOver(topic, to, count);
    expect(new Set((await arrived).map((arrival) => arrival.id)).size).toBe(count);
    expect(await pulsar.messagesIn(to)).toBe(count);
    expect(await pulsar.count(to)).toEqual({ messages: count, distinct: count });
    const rows = await rocketmq.readRows(topic, { expect: count });
    expect(judge(rows, await pulsar.readRows(to))).toMatchObject({ source: count, target: count, examples: [] });
    // The bridge spreads keys over its partitions, so the order of whole queues has to be lost.
    expect(judge(rows, await pulsar.readRows(to), 'lane').reordered).toBeGreaterThan(0);
    const consumed = await pulsar.consume(to, { subscription: 'eyes', type: 'Failover', consumers: 3, expect: count });
    expect(new Set(consumed.map((row) => row.consumer)).size).toBe(3);
    expect(judge(rows, consumed)).toMatchObject({ target: count, examples: [] });
    await pulsar.deleteTopic(to);
    expect(await pulsar.partitionedTopics('public/default')).not.toContain(to);
  });

  it('say what went wrong, and go on', async () => {
    await expect(pulsar.read(`persistent://public/default/${randomUUID()}`)).rejects.toThrow(/pulsar-read: .*TopicDoesNotExist/);
    await expect(pulsar.createTopic('orders', 1)).rejects.toThrow(/not a full topic name/);
    expect(await pulsar.partitionedTopics('public/default')).toBeInstanceOf(Array);
  });
});
