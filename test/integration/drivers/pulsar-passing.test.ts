import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { entryPosition } from '../../../src/model/position.ts';
import { parseProvenance, readPlace } from '../../../src/model/provenance.ts';
import type { Sink } from '../../../src/spi/sink.ts';
import { passAll } from '../../kit/pulsar-entries.ts';
import type { PulsarMessage, PulsarRow, PulsarSendOptions } from '../../kit/pulsar-eyes.ts';
import { type PulsarPair, pulsarAdmin, pulsarPair, restPath } from '../../kit/pulsar-pair.ts';
import { type LogLine, openTestCluster, type TestRecord } from '../../kit/pulsar-writing.ts';
import { tcpProxy } from '../../kit/tcp-proxy.ts';

let pair: PulsarPair;

beforeAll(async () => {
  pair = await pulsarPair();
});

afterAll(async () => {
  await pair.close();
});

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
    const topic = await pair.newTopic();
    await pair.east.send(topic, messages, { producer: 'original', ...options });
    const { before, after } = await pair.pass(topic);
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
    const topic = await pair.newTopic();
    await pair.east.send(topic, [...messages, { body: 'later', deliverAfterMs: 3_600_000 }], {
      producer: 'original',
      compression,
    });
    const { before, after } = await pair.pass(topic);
    expect(after.map(seen)).toEqual(before.map(seen));
    for (const [k, row] of after.entries()) {
      expect(row.properties['ISTHMUS-PRODUCER']).toBe(`${before[k]?.sequenceId};original-0`);
      expect(parseProvenance(row.properties['ISTHMUS'] ?? '')).toMatchObject({ cluster: 'pulsar-east', topic });
      expect(row.propertyList).toHaveLength((before[k]?.propertyList.length ?? 0) + 2);
    }
  });

  // The second size is the broker's limit on a message, which the client's parts then fill up.
  it.each([2 ** 20, 5 * 2 ** 20])(
    'may be a part of a chunked message, which consumers put together: of %i bytes',
    async (chunkBytes) => {
      const topic = await pair.newTopic();
      const body = 'chunk'.repeat(2_500_000);
      await pair.east.send(topic, [{ body: 'before' }, { body, key: 'big' }, { body: 'after' }], {
        chunking: true,
        chunkBytes,
      });
      const { before, after } = await pair.pass(topic);
      expect(before).toHaveLength(3);
      const facts = (row: PulsarRow): unknown[] => [row.bodyLength, row.bodySha256, row.key, row.publishTime];
      expect(after.map(facts)).toEqual(before.map(facts));
    },
  );
});

describe('a topic without partitions', () => {
  it.each(['mixed', 'auto'] as const)('is written and looked at as one with a single partition: %s', async (batching) => {
    const topic = `persistent://public/default/single-${randomUUID()}`;
    await pair.west.createTopic(topic, 0);
    const { writer, write, until } = await pair.openWriter(topic, { batching });
    await write(
      Array.from({ length: 50 }, (_, k): TestRecord => ({ offset: 0, position: entryPosition(812, 45, k), body: 'b' })),
      25,
    );
    await until(50);
    await writer.close(0);
    expect(await pair.storedPlaces(topic)).toEqual(['812:45:0+25', '812:45:25+25']);
    expect(await pair.cluster.sink.tail(topic, 0)).toBeDefined();
    expect(await pair.cluster.sink.scan(topic, 0, undefined, 100, () => undefined)).toEqual({ entries: 2, fromBeginning: true });
    expect(await pair.west.read(topic)).toHaveLength(50);
    expect((await pair.cluster.admin.describeTopic(topic))?.settings['partitions']).toBe('0');
    await expect(pair.openWriter(topic, { partition: 1 })).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' });
  });
});

describe('an entry that came from elsewhere before', () => {
  it('keeps its origin, and says where it was read', async () => {
    const topic = await pair.newTopic();
    await pair.east.send(topic, [{ body: 'a' }, { body: 'b' }], { batch: true });
    const stored = await pair.entries.read(`${topic}-partition-0`);
    const { writer, until } = await pair.openWriter(topic);
    await passAll(writer, stored, new Map([[0, '1;pulsar-north;orders;3;7:8;mhx3k2a0;pulsar-east']]));
    await until(2);
    await writer.close(0);
    const [row] = await pair.west.read(topic);
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

describe('whole entries on their way to a broker in trouble', () => {
  /** Passes a few thousand entries while something happens again and again. */
  async function passThrough(
    sink: Sink,
    happens: (topic: string) => Promise<void>,
  ): Promise<{ wanted: string[]; found: string[] }> {
    const topic = await pair.newTopic();
    await pair.east.load(topic, { count: 3_000, batch: 1, size: 300, keys: 0 });
    const stored = await pair.entries.read(`${topic}-partition-0`);
    const { writer, until, failures } = await pair.openWriter(topic, {}, sink);
    for (let from = 0; from < stored.length; from += 500) {
      const passing = passAll(writer, stored.slice(from, from + 500));
      await happens(topic);
      await passing;
    }
    await until(stored.length);
    expect(failures).toEqual([]);
    await writer.close(0);
    return { wanted: stored.map(({ ledger, entry }) => `${ledger}:${entry}`), found: await pair.storedPlaces(topic) };
  }

  it('are stored once and in order while the topic is unloaded again and again', async () => {
    const { wanted, found } = await passThrough(
      pair.cluster.sink,
      async (topic) =>
        void (await pulsarAdmin('PUT', `${pair.target.adminUrl}/admin/v2/persistent/${restPath(topic)}-partition-0/unload`)),
    );
    expect(found).toEqual(wanted);
  });

  it('are stored once and in order while connections are cut and answers get lost', async () => {
    const proxy = await tcpProxy({ target: { host: '127.0.0.1', port: pair.target.ports.service } });
    const through = openTestCluster({ ...pair.target, serviceUrl: `pulsar://127.0.0.1:${proxy.port}` });
    const { wanted, found } = await passThrough(through.sink, async () => {
      proxy.dropReplies();
      await sleep(20);
      proxy.cut();
    });
    await through.close();
    await proxy.close();
    expect(found).toEqual(wanted);
  });
});

describe('a broker that deduplicates', () => {
  async function deduplicatingTopic(): Promise<string> {
    const namespace = `public/dedup-${randomUUID()}`;
    for (const { adminUrl } of [pair.source, pair.target])
      await pulsarAdmin('PUT', `${adminUrl}/admin/v2/namespaces/${namespace}`, {});
    await pulsarAdmin('POST', `${pair.target.adminUrl}/admin/v2/namespaces/${namespace}/deduplication`, true);
    return await pair.newTopic(namespace);
  }

  it('keeps an entry that failed while later ones were stored, whose id it takes for a copy afterwards', async () => {
    const topic = await deduplicatingTopic();
    await pair.east.send(topic, [{ body: 'first' }, { body: 'SECOND' }, { body: 'third' }, { body: 'fourth' }]);
    const stored = await pair.entries.read(`${topic}-partition-0`);
    const proxy = await tcpProxy({ target: { host: '127.0.0.1', port: pair.target.ports.service } });
    const lines: LogLine[] = [];
    const through = openTestCluster({ ...pair.target, serviceUrl: `pulsar://127.0.0.1:${proxy.port}` }, {}, lines);
    const { writer, until } = await pair.openWriter(topic, {}, through.sink);
    proxy.damage('SECOND');
    await passAll(writer, stored);
    await until(stored.length);
    await writer.close(0);
    await through.close();
    await proxy.close();
    const events = lines.map(({ event }) => event);
    expect(events.filter((event) => event === 'order-broken')).toHaveLength(2);
    const bodies = (await pair.west.read(topic)).map(({ bodyHex }) => Buffer.from(bodyHex ?? '', 'hex').toString());
    expect(bodies).toEqual(['first', 'third', 'fourth', 'SECOND']);
  });

  it('takes nothing new for a copy, whatever batches are made of the entries, and also after a restart', async () => {
    const topic = await deduplicatingTopic();
    const lines: LogLine[] = [];
    const strict = openTestCluster(pair.target, {}, lines);
    // Several batches come from one entry, and the next begins in the middle of another.
    const records = Array.from({ length: 200 }, (_, k): TestRecord => {
      const position = entryPosition(812, Math.floor(k / 50), k % 50);
      return { offset: 0, position, key: `key-${k % 7}`, body: 'b', properties: [['seq', String(k)]] };
    });
    for (const [from, batching] of [
      [0, 'mixed'],
      [70, 'per-key'],
      [140, 'mixed'],
    ] as const) {
      const { write, until, writer } = await pair.openWriter(topic, { batching }, strict.sink);
      const end = from === 140 ? 200 : from + 70;
      await write(records.slice(from, end), 20);
      await until(end - from);
      await writer.close(0);
    }
    await strict.close();
    expect(lines.filter(({ event }) => event === 'writer-in-doubt')).toEqual([]);
    expect(await pair.west.count(topic)).toEqual({ messages: 200, distinct: 200 });
  });
});
