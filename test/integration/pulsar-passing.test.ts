import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseProvenance, readPlace } from '../../src/model/provenance.ts';
import type { Cluster } from '../../src/spi/cluster.ts';
import type { Sink, WriterOptions } from '../../src/spi/sink.ts';
import { type Brokers, pulsarEndpoints, startBrokers, testOffset } from '../kit/brokers.ts';
import { type Eyes, startEyes } from '../kit/eyes.ts';
import { type EntrySource, entrySource, passAll } from '../kit/pulsar-entries.ts';
import type { PulsarEyes, PulsarMessage, PulsarRow, PulsarSendOptions } from '../kit/pulsar-eyes.ts';
import { openTestCluster, openTestWriter, type TestWriter } from '../kit/pulsar-writing.ts';

const source = pulsarEndpoints('pulsar-east', testOffset);
const target = pulsarEndpoints('pulsar-west', testOffset);
let brokers: Brokers;
let eyes: Eyes;
let east: PulsarEyes;
let west: PulsarEyes;
let entries: EntrySource;
let cluster: Cluster & { readonly sink: Sink };

beforeAll(async () => {
  brokers = await startBrokers(['pulsar-east', 'pulsar-west']);
  eyes = await startEyes();
  east = eyes.pulsar(source);
  west = eyes.pulsar(target);
  entries = entrySource(source.serviceUrl);
  cluster = openTestCluster(target);
});

afterAll(async () => {
  entries.close();
  await cluster.close();
  await eyes.close();
  await brokers.stop();
});

async function newTopic(): Promise<string> {
  const topic = `persistent://public/default/passing-${randomUUID()}`;
  await east.createTopic(topic, 1);
  await cluster.admin.ensureTopic(topic, 1);
  return topic;
}

function openPasser(topic: string, options: Partial<WriterOptions> = {}): Promise<TestWriter> {
  return openTestWriter(cluster.sink, topic, { sourceCluster: 'pulsar-east', lane: { topic, lane: '0' }, ...options });
}

/** Passes all entries of the topic's partition on; gives what consumers see on both sides. */
async function pass(topic: string, options: Partial<WriterOptions> = {}): Promise<{ before: PulsarRow[]; after: PulsarRow[] }> {
  const stored = await entries.read(`${topic}-partition-0`);
  const { writer, until } = await openPasser(topic, options);
  await passAll(writer, stored);
  await until(stored.reduce((sum, { messages }) => sum + messages, 0));
  await writer.close(0);
  return { before: [...(await east.read(topic))], after: [...(await west.read(topic))] };
}

/** What only an entry without batch format shows of having been passed on. */
const ADDED = ['ISTHMUS', 'ISTHMUS-PRODUCER'];

/** All that a consumer can see of a message and that is its producer's. */
function seen(row: PulsarRow): Record<string, unknown> {
  const { messageId: _place, entry, producer: _producer, sequenceId, properties, propertyList, ...rest } = row;
  const own = propertyList.filter(([name]) => !ADDED.includes(name));
  const isBatch = entry.messages !== null;
  return {
    ...rest,
    own,
    compression: entry.compression,
    ...(isBatch ? { sequenceId, properties, messages: entry.messages } : {}),
  };
}

const messages: readonly PulsarMessage[] = [
  { body: 'hello', key: 'schlüssel', properties: { note: 'grüße 🌍', empty: '' }, eventTime: 1_763_750_000_123, sequenceId: 70 },
  { body: '', properties: {}, sequenceId: 71 },
  { key: 'tombstone', sequenceId: 72 },
  { bodyHex: '00ff00', keyHex: '00ff', orderingKeyHex: 'abcd', sequenceId: 80 },
  { body: 'x'.repeat(20_000), orderingKeyHex: '01', properties: { long: 'y'.repeat(5_000) }, sequenceId: 81 },
  { body: 'no key', sequenceId: 90 },
];

describe('an entry that is passed on', () => {
  const forms: readonly [string, PulsarSendOptions][] = [
    ['a batch', { batch: true }],
    ['batches of one key each', { batch: true, keyBased: true }],
  ];
  const compressions = ['NONE', 'LZ4', 'ZLIB', 'ZSTD', 'SNAPPY'] as const;
  const variants = forms.flatMap(([form, options]) =>
    compressions.map((compression): [string, PulsarSendOptions] => [`${form}, ${compression}`, { ...options, compression }]),
  );

  it.each(variants)('is the same to consumers but for who sent it: %s', async (_, options) => {
    const topic = await newTopic();
    await east.send(topic, messages, { producer: 'original', ...options });
    const { before, after } = await pass(topic);
    expect(before).toHaveLength(messages.length);
    expect(after.map(seen)).toEqual(before.map(seen));
    const [first] = after;
    expect(first?.entry.producer).toBe(`isthmus/east-west/pulsar-east/${topic.replaceAll('/', '%2F')}/0`);
    expect(new Map(first?.entry.properties).get('ISTHMUS-PRODUCER')).toBe('70;original-0');
    const mark = parseProvenance(new Map(first?.entry.properties).get('ISTHMUS') ?? '');
    const [ledger, entry] = (before[0]?.messageId ?? '').split(':').map(Number);
    expect(mark).toMatchObject({ cluster: 'pulsar-east', topic, lane: '0', passed: [] });
    expect(mark?.runs).toEqual([{ first: { major: ledger, minor: entry, index: -1 }, count: 1 }]);
  });

  it.each(compressions)('shows two properties and our sequence id where it is no batch: %s', async (compression) => {
    const topic = await newTopic();
    await east.send(topic, messages, { producer: 'original', compression });
    const { before, after } = await pass(topic);
    expect(after.map(seen)).toEqual(before.map(seen));
    for (const [k, row] of after.entries()) {
      expect(row.properties['ISTHMUS-PRODUCER']).toBe(`${before[k]?.sequenceId};original-0`);
      expect(parseProvenance(row.properties['ISTHMUS'] ?? '')).toMatchObject({ cluster: 'pulsar-east', topic });
      expect(row.propertyList).toHaveLength((before[k]?.propertyList.length ?? 0) + 2);
    }
  });

  it('may be a part of a chunked message, which consumers put together', async () => {
    const topic = await newTopic();
    const body = 'chunk'.repeat(700_000);
    await east.send(topic, [{ body: 'before' }, { body, key: 'big' }, { body: 'after' }], {
      chunking: true,
      chunkBytes: 1 << 20,
    });
    const { before, after } = await pass(topic);
    expect(before).toHaveLength(3);
    const facts = (row: PulsarRow): unknown[] => [row.bodyLength, row.bodySha256, row.key, row.publishTime];
    expect(after.map(facts)).toEqual(before.map(facts));
  });
});

describe('an entry that came from elsewhere before', () => {
  it('keeps its origin, and says where it was read', async () => {
    const topic = await newTopic();
    await east.send(topic, [{ body: 'a' }, { body: 'b' }], { batch: true });
    const stored = await entries.read(`${topic}-partition-0`);
    const { writer, until } = await openPasser(topic);
    await passAll(writer, stored, new Map([[0, '1;pulsar-north;orders;3;7:8;mhx3k2a0;pulsar-east']]));
    await until(2);
    await writer.close(0);
    const [row] = await west.read(topic);
    const mark = parseProvenance(new Map(row?.entry.properties).get('ISTHMUS') ?? '');
    expect(mark).toMatchObject({ cluster: 'pulsar-north', topic: 'orders', lane: '3', passed: ['pulsar-east'] });
    const [first] = stored;
    const run = { first: { major: first?.ledger, minor: first?.entry, index: -1 }, count: 1 };
    expect(mark === undefined ? undefined : readPlace(mark)).toMatchObject({
      cluster: 'pulsar-east',
      topic,
      lane: '0',
      runs: [run],
    });
  });
});
