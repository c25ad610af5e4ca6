import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseProvenance } from '../../../src/model/provenance.ts';
import type { Cluster } from '../../../src/spi/cluster.ts';
import type { Sink } from '../../../src/spi/sink.ts';
import { type Brokers, pulsarEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import type { PulsarEyes } from '../../kit/pulsar-eyes.ts';
import { consumersOf } from '../../kit/pulsar-pair.ts';
import { batchOf, numbered, openTestCluster, openTestWriter, type TestRecord } from '../../kit/pulsar-writing.ts';

const target = pulsarEndpoints('pulsar-west', testOffset);
let brokers: Brokers;
let eyes: Eyes;
let reader: PulsarEyes;
let cluster: Cluster & { readonly sink: Sink };

beforeAll(async () => {
  brokers = await startBrokers(['pulsar-west']);
  eyes = await startEyes();
  reader = eyes.pulsar(target);
  cluster = openTestCluster(target);
});

afterAll(async () => {
  await cluster.close();
  await eyes.close();
  await brokers.stop();
});

async function newTopic(partitions = 1): Promise<string> {
  const topic = `persistent://public/default/writer-${randomUUID()}`;
  await cluster.admin.ensureTopic(topic, partitions);
  return topic;
}

function sha256(body: Buffer | string): string {
  return createHash('sha256').update(body).digest('hex');
}

describe('what the official client reads of a batch that was written', () => {
  const records: TestRecord[] = [
    {
      offset: 40,
      key: 'schlüssel-1',
      body: 'hello',
      eventTime: 1_763_750_000_123,
      properties: [
        ['note', 'grüße 🌍'],
        ['twice', 'a'],
        ['twice', 'b'],
        ['empty', ''],
      ],
    },
    { offset: 41, body: '', properties: [] },
    { offset: 43, key: 'k2', body: Buffer.alloc(70_000, 7), properties: [['long', 'x'.repeat(20_000)]], eventTime: 1 },
    { offset: 44, key: '', body: 'empty key', extras: [['ROCKETMQ_FLAG', '7']], mark: '1;mysql-a;orders;binlog;9;0' },
  ];

  it.each(['none', 'lz4', 'zlib', 'zstd', 'snappy'] as const)(
    'is the records byte by byte, with compression %s',
    async (compression) => {
      const topic = await newTopic();
      const { write, until, writer, stored } = await openTestWriter(cluster.sink, topic, { compression });
      await write(records);
      await until(records.length);
      await writer.close(0);

      const rows = await reader.read(topic);
      expect(rows.map((row) => [row.bodyLength, row.bodySha256])).toEqual(
        records.map(({ body }) => [Buffer.byteLength(body), sha256(body)]),
      );
      expect(rows.map((row) => row.key)).toEqual(['schlüssel-1', null, 'k2', '']);
      expect(rows.map((row) => row.eventTime)).toEqual([1_763_750_000_123, 0, 1, 0]);
      expect(rows[0]?.propertyList).toEqual(records[0]?.properties);
      expect(rows[1]?.propertyList).toEqual([]);
      expect(rows[2]?.propertyList).toEqual(records[2]?.properties);
      // A mark of earlier places stays with its record; that of the batch stands on the entry, where consumers do not see it.
      expect(rows[3]?.propertyList).toEqual([
        ['ROCKETMQ_FLAG', '7'],
        ['ISTHMUS', '1;mysql-a;orders;binlog;9;0'],
      ]);
      const entry = rows[0]?.entry;
      expect(entry).toMatchObject({ sequenceId: 40, highestSequenceId: 44, messages: 4, compression: compression.toUpperCase() });
      expect(entry?.producer).toBe('isthmus/east-west/rmq-east/orders/broker-a:0');
      // One of the records has a mark of its own.
      expect(entry?.properties.map(([name]) => name)).toEqual(['ISTHMUS', 'ISTHMUS-INNER']);
      expect(parseProvenance(entry?.properties[0]?.[1] ?? '')).toMatchObject({
        cluster: 'rmq-east',
        topic: 'orders',
        lane: 'broker-a:0',
        runs: [
          { first: { major: 40 }, count: 2 },
          { first: { major: 43 }, count: 2 },
        ],
      });
      const { major, minor } = stored[0]?.target ?? { major: 0, minor: 0 };
      expect(rows.map((row) => row.messageId)).toEqual(records.map((_, index) => `${major}:${minor}:${index}`));
    },
  );

  it('is a batch even for a single record, so that its mark stays invisible', async () => {
    const topic = await newTopic();
    const { write, until, writer } = await openTestWriter(cluster.sink, topic);
    await write([{ offset: 0, body: 'alone' }]);
    await until(1);
    await writer.close(0);
    const [row] = await reader.read(topic);
    expect(row).toMatchObject({ batchSize: 1, propertyList: [], entry: { messages: 1 } });
  });
});

describe('per-key batching', () => {
  it('puts one key into each entry, and its key on the entry, in order of the first records', async () => {
    const topic = await newTopic();
    const { write, until, writer } = await openTestWriter(cluster.sink, topic, { batching: 'per-key' });
    const records = numbered(0, 1000, 7).map(
      ({ key, ...keyless }): TestRecord => (keyless.offset % 10 === 3 ? keyless : { ...keyless, key: key ?? '' }),
    );
    await write(records, 250);
    await until(1000);
    await writer.close(0);

    const rows = await reader.read(topic);
    expect(rows).toHaveLength(1000);
    const keysOfEntry = new Map<number, Set<string | null>>();
    for (const row of rows) {
      const keys = keysOfEntry.get(row.entry.sequenceId) ?? new Set();
      keysOfEntry.set(row.entry.sequenceId, keys.add(row.key));
    }
    expect([...keysOfEntry.values()].every((keys) => keys.size === 1)).toBe(true);
    const ids = [...keysOfEntry.keys()];
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
    for (const key of new Set(rows.map((row) => row.key))) {
      const seqs = rows.filter((row) => row.key === key).map((row) => Number(row.properties['seq']));
      expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
    }
  });

  it('is chosen by itself where a Key_Shared subscription reads, whose consumers then see each key in order', async () => {
    const topic = await newTopic();
    const options = { subscription: 'shared', type: 'Key_Shared', consumers: 3, expect: 2000, quietMs: 60_000 } as const;
    const consuming = reader.consume(topic, options);
    await expect.poll(async () => await consumersOf(target.adminUrl, `${topic}-partition-0`), { timeout: 60_000 }).toBe(3);
    const { write, until, writer, stored } = await openTestWriter(cluster.sink, topic, { batching: 'auto' });
    await write(numbered(0, 2000, 10), 500);
    await until(2000);
    await writer.close(0);
    expect(stored).toHaveLength(4 * 10);
    const rows = await consuming;
    expect(rows).toHaveLength(2000);
    const consumersOfKey = new Map<string | null, Set<number>>();
    const seqsOfKey = new Map<string | null, number[]>();
    for (const row of rows) {
      consumersOfKey.set(row.key, (consumersOfKey.get(row.key) ?? new Set()).add(row.consumer));
      seqsOfKey.set(row.key, [...(seqsOfKey.get(row.key) ?? []), Number(row.id)]);
    }
    expect([...consumersOfKey.values()].map((consumers) => consumers.size)).toEqual(Array(10).fill(1));
    for (const seqs of seqsOfKey.values()) expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
  });

  it('is not chosen while nobody reads by key', async () => {
    const topic = await newTopic();
    const { write, until, writer, stored } = await openTestWriter(cluster.sink, topic, { batching: 'auto' });
    await write(numbered(0, 500, 10), 500);
    await until(500);
    await writer.close(0);
    expect(stored).toHaveLength(1);
  });
});

describe('limits', () => {
  it('refuses a record that no entry can hold, and goes on with the next', async () => {
    const topic = await newTopic();
    const { writer, until } = await openTestWriter(cluster.sink, topic);
    const batch = batchOf([
      { offset: 0, body: Buffer.alloc(5 * 2 ** 20) },
      { offset: 1, body: 'small' },
    ]);
    expect(writer.append(batch, 0)).toMatchObject({ refused: expect.stringContaining('bytes') });
    expect(writer.append(batch, 1)).toBe('taken');
    writer.flush();
    await until(1);
    await writer.close(0);
  });

  it('writes a record larger than a usual batch alone', async () => {
    const topic = await newTopic();
    const { write, until, writer, stored } = await openTestWriter(cluster.sink, topic);
    const body = Buffer.alloc(4 * 2 ** 20, 3);
    await write([
      { offset: 0, body: 'before' },
      { offset: 1, body },
      { offset: 2, body: 'after' },
    ]);
    await until(3);
    await writer.close(0);
    expect(stored.map((each) => each.count)).toEqual([1, 1, 1]);
    const rows = await reader.read(topic);
    expect(rows[1]?.bodySha256).toBe(sha256(body));
  });

  it('says full instead of holding more than its bytes, and all arrives', async () => {
    const small = openTestCluster(target, { inFlightBytes: 2 ** 20 });
    const topic = await newTopic();
    const { write, until, writer } = await openTestWriter(small.sink, topic);
    await write(numbered(0, 20_000, 16, 1024), 20_000);
    await until(20_000);
    await writer.close(0);
    await small.close();
    expect(await reader.count(topic)).toEqual({ messages: 20_000, distinct: 20_000 });
  });
});

describe('a dead letter', () => {
  const letter = (record: TestRecord, topic: string) => ({
    topic,
    reason: 'it is too large',
    retentionMinutes: 60,
    sourceCluster: 'rmq-east',
    lane: { topic: 'orders', lane: 'broker-a:0' },
    batch: batchOf([record]),
    i: 0,
  });

  it('keeps the record as it was, says why and where from, and makes its topic', async () => {
    const topic = `persistent://public/default/dead-${randomUUID()}`;
    await cluster.sink.writeDeadLetter(
      letter({ offset: 12, key: 'k', body: 'bad', properties: [['a', 'b']], eventTime: 5 }, topic),
    );
    const [row] = await reader.read(topic);
    expect(row).toMatchObject({ key: 'k', eventTime: 5, bodySha256: sha256('bad'), sequenceId: 12 });
    expect(row?.properties).toMatchObject({
      a: 'b',
      'ISTHMUS-DEAD-LETTER-REASON': 'it is too large',
      'ISTHMUS-DEAD-LETTER-CLUSTER': 'rmq-east',
      'ISTHMUS-DEAD-LETTER-TOPIC': 'orders',
      'ISTHMUS-DEAD-LETTER-LANE': 'broker-a:0',
      'ISTHMUS-DEAD-LETTER-POSITION': '12',
    });
    expect(parseProvenance(row?.properties['ISTHMUS'] ?? '')).toMatchObject({ cluster: 'rmq-east', topic: 'orders' });
  });

  it('that no message can hold is stored in chunks, which the official client puts together', async () => {
    const topic = `persistent://public/default/dead-${randomUUID()}`;
    const body = Buffer.alloc(12 * 2 ** 20, 'chunk');
    await cluster.sink.writeDeadLetter(letter({ offset: 7, key: 'big', body }, topic));
    await cluster.sink.writeDeadLetter(letter({ offset: 8, body: 'next' }, topic));
    const rows = await reader.read(topic);
    expect(rows.map((row) => [row.key, row.bodyLength, row.bodySha256])).toEqual([
      ['big', body.length, sha256(body)],
      [null, 4, sha256('next')],
    ]);
  });
});
