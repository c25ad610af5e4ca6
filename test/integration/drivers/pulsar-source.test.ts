import { createHash, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Position, parsePosition } from '../../../src/model/position.ts';
import { type Brokers, pulsarEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import type { PulsarEyes, PulsarMessage, PulsarRow, PulsarSendOptions } from '../../kit/pulsar-eyes.ts';
import { type PulsarReadRecord, type PulsarSourceUnderTest, pulsarSourceUnderTest } from '../../kit/pulsar-source.ts';

const source = pulsarEndpoints('pulsar-east', testOffset);
let brokers: Brokers;
let eyes: Eyes;
let java: PulsarEyes;
let under: PulsarSourceUnderTest;

beforeAll(async () => {
  brokers = await startBrokers(['pulsar-east']);
  eyes = await startEyes();
  java = eyes.pulsar(source);
});

beforeEach(() => {
  under = pulsarSourceUnderTest(source);
});

afterEach(async () => {
  await under.close();
});

afterAll(async () => {
  await eyes.close();
  await brokers.stop();
});

async function newTopic(partitions = 1): Promise<string> {
  const topic = `persistent://public/default/source-${randomUUID()}`;
  await java.createTopic(topic, partitions);
  return topic;
}

function position(text: string): ReturnType<typeof parsePosition> & object {
  const parsed = parsePosition(text);
  if (parsed === undefined) throw new Error(`not a position: ${text}`);
  return parsed;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function placeOf(record: PulsarReadRecord | undefined): ReturnType<typeof position> {
  return position(record?.position ?? '');
}

/** What the Java client sees of a message and our reader of a record, in the same words. */
function seenByJava(row: PulsarRow): unknown {
  return {
    position: row.messageId.replace(/:-1$/, ''),
    key: row.key ?? undefined,
    keyIsBase64: row.keyIsBase64,
    orderingKeyHex: row.orderingKeyHex ?? undefined,
    propertyList: row.propertyList,
    producer: row.producer,
    sequenceId: row.sequenceId,
    schemaVersionHex: row.schemaVersionHex ?? undefined,
    nullValue: row.nullValue,
    bodySha256: row.bodySha256,
    bodyLength: row.bodyLength,
    eventTime: row.eventTime,
    storeTime: row.publishTime,
  };
}

function seenByUs(record: PulsarReadRecord): unknown {
  const {
    position: at,
    key,
    keyIsBase64,
    orderingKeyHex,
    propertyList,
    producer,
    sequenceId,
    schemaVersionHex,
    nullValue,
  } = record;
  const { bodySha256, bodyLength, eventTime, storeTime } = record;
  return {
    position: at,
    key,
    keyIsBase64,
    orderingKeyHex,
    propertyList,
    producer,
    sequenceId,
    schemaVersionHex,
    nullValue,
    bodySha256,
    bodyLength,
    eventTime,
    storeTime,
  };
}

function numbered(from: number, count: number): PulsarMessage[] {
  return Array.from({ length: count }, (_, i) => ({
    body: `body ${from + i}`,
    key: `k${i % 3}`,
    properties: { seq: String(from + i) },
  }));
}

function seqs(records: readonly PulsarReadRecord[]): number[] {
  return records.map(({ propertyList }) => Number(propertyList.find(([name]) => name === 'seq')?.[1]));
}

describe('what is read of messages of the official client', () => {
  const messages: PulsarMessage[] = [
    {
      body: 'hello',
      key: 'schlüssel',
      properties: { seq: '0', note: 'grüße 🌍', TAGS: 'paid', empty: '' },
      eventTime: 1_763_750_000_123,
    },
    { body: '', properties: { seq: '1' } },
    { keyHex: '00ff10', orderingKeyHex: 'cafe', bodyHex: '0001fe', sequenceId: 77 },
    { key: 'tombstone', properties: { seq: '3' } },
    { body: 'x'.repeat(70_000), properties: { long: 'y'.repeat(20_000) } },
  ];

  it.each<PulsarSendOptions>([
    { batch: false },
    { batch: true },
    { batch: true, compression: 'LZ4' },
    { batch: true, compression: 'ZLIB' },
    { batch: true, compression: 'ZSTD' },
    { batch: true, compression: 'SNAPPY' },
    { batch: false, compression: 'ZSTD' },
  ])('is what that client reads, sent with %o', async (options) => {
    const topic = await newTopic();
    await java.send(topic, messages, options);
    const tail = await under.tail(topic);
    await tail.until(messages.length);
    const rows = await java.read(topic);
    expect(tail.records.map(seenByUs)).toEqual(rows.map(seenByJava));
    expect(tail.records.map(({ tag, damaged }) => [tag, damaged])).toEqual(
      messages.map((_, i) => [i === 0 ? 'paid' : undefined, undefined]),
    );
    expect(tail.gaps).toEqual([]);
  });
});

describe('what is special about a message', () => {
  it('is kept where its producer has cut it into pieces', async () => {
    const topic = await newTopic();
    const body = randomBytes(200_000).toString('hex');
    const sent = [{ body: 'before' }, { body, key: 'big', properties: { note: 'x' } }, { body: 'after' }];
    await java.send(topic, sent, { chunking: true, chunkBytes: 50_000, compression: 'LZ4' });
    const tail = await under.tail(topic);
    await tail.until(3);
    expect(tail.records.map(({ bodySha256 }) => bodySha256)).toEqual(sent.map((each) => sha256(each.body)));
    expect(tail.records[1]).toMatchObject({ key: 'big', propertyList: [['note', 'x']], damaged: undefined });
    const [first, last] = [placeOf(tail.records[0]), placeOf(tail.records[1])];
    expect(last.minor - first.minor).toBeGreaterThan(2);
    // In the middle of its pieces: they are still there, because the subscription stays before the first one until the last one is done.
    await tail.reader.close();
    const again = await under.tail(topic, { from: { ...last, minor: last.minor - 1 } });
    await again.until(2);
    expect(again.records.map(({ bodySha256 }) => bodySha256)).toEqual([sha256(body), sha256('after')]);
    expect(again.gaps).toEqual([]);
    await again.reader.close();

    const whole = await under.tail(topic, { wholeFrom: position('0:0') });
    await whole.until(last.minor + 2);
    expect(whole.records.every((record) => record.whole)).toBe(true);
  });

  it('is kept where it is delayed: it comes at once, and says when it was to come', async () => {
    const topic = await newTopic();
    await java.send(topic, [{ body: 'later', deliverAfterMs: 3_600_000 }]);
    const tail = await under.tail(topic);
    await tail.until(1);
    const [row] = await java.read(topic);
    expect(tail.records[0]?.extras).toEqual({ PULSAR_DELIVER_AT: String(row?.deliverAtTime) });
  });

  it('makes a damaged record of it where it is encrypted, and passes whole', async () => {
    const topic = await newTopic();
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const url = `data:application/x-pem-file;base64,${Buffer.from(pem).toString('base64')}`;
    await java.send(topic, numbered(0, 3), { batch: true, publicKey: url });
    const tail = await under.tail(topic);
    await tail.until(1);
    expect(tail.records.map(({ damaged }) => damaged)).toEqual([expect.stringContaining('encrypted')]);
    await tail.reader.close();
    const whole = await under.tail(topic, { wholeFrom: position('0:0') });
    await whole.until(1);
    expect(whole.records.map((each) => [each.whole, each.records, each.damaged])).toEqual([[true, 3, undefined]]);
  });
});

describe('a place to begin at', () => {
  it('is exact inside a batch, wherever the subscription is', async () => {
    const topic = await newTopic();
    await java.send(topic, numbered(0, 10), { batch: true });
    await java.send(topic, numbered(10, 3));
    const rows = await java.read(topic);
    const first = await under.tail(topic);
    await first.until(13);
    // Ahead of where the next reader begins.
    await first.reader.commit(first.ends.at(-1) ?? position('0:0'));
    await first.reader.close();
    for (const [from, expected] of [
      [rows[4]?.messageId, [4, 5, 6, 7, 8, 9, 10, 11, 12]],
      [rows[11]?.messageId.replace(/:-1$/, ''), [11, 12]],
      [rows[0]?.messageId, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]],
    ] as const) {
      const tail = await under.tail(topic, { from: position(from ?? '') });
      await tail.until(expected.length);
      expect(seqs(tail.records)).toEqual(expected);
      await tail.reader.close();
    }
  });

  it('is found for the earliest, the latest and a time', async () => {
    const topic = await newTopic();
    const lane = { topic, lane: '0' };
    const atStart = await under.source.resolveStart(lane, { kind: 'latest' });
    await java.send(topic, numbered(0, 3), { batch: true });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const between = Date.now();
    await java.send(topic, numbered(3, 3));
    const latest = await under.source.resolveStart(lane, { kind: 'latest' });
    const back = async (entries: number): Promise<Position> => (await under.source.back?.(lane, latest, entries)) ?? latest;
    const cases = [
      [atStart, [0, 1, 2, 3, 4, 5]],
      [await under.source.resolveStart(lane, { kind: 'earliest' }), [0, 1, 2, 3, 4, 5]],
      [await under.source.resolveStart(lane, { kind: 'time', time: between }), [3, 4, 5]],
      [await under.source.resolveStart(lane, { kind: 'time', time: 1 }), [0, 1, 2, 3, 4, 5]],
      [await back(2), [4, 5]],
    ] as const;
    const future = await under.source.resolveStart(lane, { kind: 'time', time: Date.now() + 60_000 });
    expect(future).toEqual(latest);
    expect(await back(4)).toEqual(await under.source.resolveStart(lane, { kind: 'earliest' }));
    expect(await back(99)).toEqual(await back(4));
    for (const [from, expected] of cases) {
      const tail = await under.tail(topic, { from });
      await tail.until(expected.length);
      expect(seqs(tail.records)).toEqual(expected);
      await tail.reader.close();
    }
    const tail = await under.tail(topic, { from: latest });
    await java.send(topic, numbered(6, 2));
    await tail.until(2);
    expect(seqs(tail.records)).toEqual([6, 7]);
  });
});

describe('the subscription', () => {
  it('is nowhere before it is used, and where it was committed after', async () => {
    const topic = await newTopic();
    const lane = { topic, lane: '0' };
    expect(await under.source.committed(lane, under.group)).toBeUndefined();
    await java.send(topic, numbered(0, 4), { batch: true });
    await java.send(topic, numbered(4, 2));
    const tail = await under.tail(topic);
    await tail.until(6);
    const rows = await java.read(topic);
    const inside = position(rows[2]?.messageId ?? '');
    await tail.reader.commit(inside);
    // Part of an entry is not done.
    expect(await under.source.committed(lane, under.group)).toEqual({ ...inside, index: -1 });
    const second = position(rows[5]?.messageId.replace(/:-1$/, '') ?? '');
    await tail.reader.commit(second);
    expect(await under.source.committed(lane, under.group)).toEqual(second);
    expect(tail.reader.extent()?.end).toEqual(under.source.next(second));
  });
});

describe('whole entries', () => {
  it('come as they are stored from the place on from which they may', async () => {
    const topic = await newTopic();
    await java.send(topic, numbered(0, 5), { batch: true });
    await java.send(topic, numbered(5, 4), { batch: true, compression: 'LZ4' });
    await java.send(topic, numbered(9, 2));
    const rows = await java.read(topic);
    const wholeFrom = position((rows[5]?.messageId ?? '').replace(/:\d+$/, ''));
    const tail = await under.tail(topic, { wholeFrom });
    await tail.until(8);
    expect(tail.records.map(({ whole, records, position: at }) => [whole, records, at])).toEqual([
      ...rows.slice(0, 5).map(({ messageId }) => [false, 1, messageId]),
      [true, 4, rows[5]?.messageId.replace(/:\d+$/, '')],
      ...rows.slice(9).map(({ messageId }) => [true, 1, messageId.replace(/:-1$/, '')]),
    ]);
    expect(tail.records[5]?.native.readUInt16BE(0)).toBe(0x0e01);
  });
});

describe('a topic without partitions', () => {
  it('has one lane', async () => {
    const topic = await newTopic(0);
    await java.send(topic, numbered(0, 3));
    const tail = await under.tail(topic);
    await tail.until(3);
    expect(seqs(tail.records)).toEqual([0, 1, 2]);
  });
});
