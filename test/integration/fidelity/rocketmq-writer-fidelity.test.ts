import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseProvenance } from '../../../src/model/provenance.ts';
import { type Brokers, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { type Copied, copyTopic } from '../../kit/lane-copy.ts';
import { openTestWriter } from '../../kit/pulsar-writing.ts';
import { sendRaw } from '../../kit/raw-rocketmq.ts';
import type { RocketmqEyes, RocketmqRow } from '../../kit/rocketmq-eyes.ts';
import { openWritingCluster, type WritingCluster } from '../../kit/rocketmq-writing.ts';

// The rows of "RocketMQ to RocketMQ" in docs/FIDELITY.md: official clients write at the source and read at the target.

const east = rocketmqEndpoints('rmq-east', testOffset);
const west = rocketmqEndpoints('rmq-west', testOffset);
const topic = `spliced-${randomUUID()}`;
const text = 'compressed '.repeat(1_000);
const messages = 16;
const maxBodyBytes = 4 * 2 ** 20;

let brokers: Brokers;
let eyes: Eyes;
let source: RocketmqEyes;
let target: RocketmqEyes;
let from: WritingCluster;
let to: WritingCluster;
let copied: Copied;
let written: readonly RocketmqRow[];
let stored: readonly RocketmqRow[];

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east', 'rmq-west']);
  eyes = await startEyes();
  source = eyes.rocketmq(east.namesrv);
  target = eyes.rocketmq(west.namesrv);
  await source.createTopic(topic, { queues: 2 });
  await target.createTopic(topic, { queues: 2 });
  from = openWritingCluster(east.namesrv);
  await writeSource();
  to = openWritingCluster(west.namesrv);
  written = await source.read(topic, { expect: messages });
  copied = await copyTopic(from, topic, to.sink, topic);
  stored = await target.read(topic, { expect: messages - copied.refused.size - copied.damaged.size });
});

afterAll(async () => {
  await from.close();
  await to.close();
  await eyes.close();
  await brokers.stop();
});

async function writeSource(): Promise<void> {
  const kept = {
    MSG_TYPE: 'x',
    CORRELATION_ID: 'c',
    REPLY_TO_CLIENT: 'r',
    TTL: '9',
    __LITE_TOPIC: 'l',
    RETRY_TOPIC: 'rt',
    ORIGIN_MESSAGE_ID: 'om',
  };
  const dropped = {
    WAIT: 'true',
    CLUSTER: 'other',
    MSG_REGION: 'r',
    TRACE_ON: 'true',
    PGROUP: 'g',
    TRAN_MSG: 'true',
    POP_CK: 'ck',
    REAL_QID: '3',
    INNER_NUM: '2',
  };
  await source.send(topic, [
    {
      body: 'all',
      queue: 0,
      tags: 'paid',
      keys: 'k1 k2',
      shardingKey: 's1',
      flag: 7,
      properties: { id: 'all', note: 'grüße, 您好' },
    },
    { body: 'second', queue: 0, flag: -1, properties: { id: 'second' } },
    { bodyHex: '00ff01028081', queue: 1, properties: { id: 'bytes' } },
    { body: 'long', queue: 1, properties: { id: 'near', long: 'x'.repeat(32_100) } },
    { body: 'too long', queue: 1, properties: { id: 'too-long', long: 'x'.repeat(32_500) } },
  ]);
  await source.send(
    topic,
    [
      { body: '', properties: { id: 'empty', nothing: '' } },
      { body: 'kept', properties: { id: 'kept', ...kept, ...dropped, __BORNHOST: '10.0.0.1', BORN_TIMESTAMP: '5' } },
    ],
    { batch: true, queue: 0 },
  );
  await sendRaw(east.broker, { topic, queue: 0, body: Buffer.from('again'), reconsumeTimes: 3, properties: { id: 'again' } });
  for (const compress of ['ZLIB', 'LZ4', 'ZSTD'] as const) {
    await source.send(topic, [{ body: text, queue: 1, keys: 'k', properties: { id: compress } }], {
      compress,
      compressAbove: 1_000,
    });
  }
  // One sysFlag for a whole batch: what follows must not be taken for compressed.
  await source.send(topic, [{ body: 'plain between', queue: 1, properties: { id: 'plain' } }]);
  await source.send(topic, [{ body: 'L'.repeat(maxBodyBytes - 1), queue: 1, flag: 9, tags: 'big', properties: { id: 'large' } }]);
  await source.send(topic, [{ body: 'late', queue: 0, delayLevel: 1, properties: { id: 'late' } }]);
  // As a broker with a timer wheel delivers it; official clients would have it delayed.
  const delivered = await openTestWriter(from.sink, topic);
  await delivered.write([
    {
      offset: 0,
      body: 'delayed',
      properties: [
        ['id', 'timer'],
        ['TIMER_DELAY_MS', '9000'],
      ],
      eventTime: Date.now(),
    },
  ]);
  await delivered.until(1);
  // Last in its queue: Java clients lose what follows it in an answer.
  await sendRaw(east.broker, { topic, queue: 1, body: gzipSync(text), sysFlag: 1, properties: { id: 'GZIP' } });
}

const originalOf = (id: string): RocketmqRow => rowOf(written, id);
const copyOf = (id: string): RocketmqRow => rowOf(stored, id);

function rowOf(rows: readonly RocketmqRow[], id: string): RocketmqRow {
  const found = rows.filter((row) => row.properties['id'] === id);
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${id}: ${found.length} times`);
  return found[0];
}

describe('a message that was copied from another RocketMQ', () => {
  it('has its body, key, tags, properties and flag, and nothing of the source broker', () => {
    const { ISTHMUS: mark, __BORNHOST: bornHost, ...rest } = copyOf('all').properties;
    expect(rest).toEqual({
      id: 'all',
      note: 'grüße, 您好',
      TAGS: 'paid',
      KEYS: 'k1 k2',
      __SHARDINGKEY: 's1',
      UNIQ_KEY: originalOf('all').properties['UNIQ_KEY'],
    });
    expect(bornHost).toBe('127.0.0.1');
    expect(parseProvenance(mark ?? '')).toMatchObject({
      cluster: from.name,
      topic,
      lane: 'broker-a:0',
      runs: [{ first: { major: originalOf('all').offset }, count: 1 }],
      time: originalOf('all').storeTimestamp,
    });
    expect(copyOf('all')).toMatchObject({
      bodyHex: originalOf('all').bodyHex,
      flag: 7,
      sysFlag: 0,
      msgId: originalOf('all').msgId,
    });
    expect(copyOf('second').flag).toBe(-1);
    expect(copyOf('bytes').bodyHex).toBe('00ff01028081');
  });

  it('says when it was made, in its batch or in a property', () => {
    for (const row of stored) {
      // One says itself when it was made, the other is hidden from Java clients at the source.
      if (row.properties['id'] === 'kept' || row.properties['id'] === 'GZIP') continue;
      const original = originalOf(row.properties['id'] ?? '');
      expect(Number(row.properties['BORN_TIMESTAMP'] ?? row.bornTimestamp)).toBe(original.bornTimestamp);
    }
  });

  it('loses what only speaks of the source broker, and keeps what its producer said', () => {
    const { ISTHMUS: _mark, UNIQ_KEY: _key, ...rest } = copyOf('kept').properties;
    expect(rest).toEqual({
      id: 'kept',
      MSG_TYPE: 'x',
      CORRELATION_ID: 'c',
      REPLY_TO_CLIENT: 'r',
      TTL: '9',
      __LITE_TOPIC: 'l',
      RETRY_TOPIC: 'rt',
      ORIGIN_MESSAGE_ID: 'om',
      __BORNHOST: '10.0.0.1',
      BORN_TIMESTAMP: '5',
    });
  });

  it('whose delay has passed keeps it as a fact, marked as delivered', () => {
    expect(copyOf('late').properties).toMatchObject({ DELAY: '1' });
    expect(copyOf('late').properties).not.toHaveProperty('REAL_TOPIC');
    expect(copyOf('timer').properties).toMatchObject({
      TIMER_DELAY_MS: '9000',
      TIMER_OUT_MS: String(originalOf('timer').storeTimestamp),
    });
  });

  it('may be empty', () => {
    expect(copyOf('empty').bodyLength).toBe(0);
  });

  it('has never been tried at the target, and says how often it was at the source', () => {
    expect(copyOf('again')).toMatchObject({ reconsumeTimes: 0, properties: { ROCKETMQ_RECONSUME_TIMES: '3' } });
  });

  it.each([
    ['ZLIB', 0x300],
    ['LZ4', 0x100],
    ['ZSTD', 0x200],
  ] as const)('that was compressed with %s stays so', (id, kind) => {
    const copy = copyOf(id);
    expect(copy).toMatchObject({ bodyLength: text.length, bodySha256: originalOf(id).bodySha256, properties: { KEYS: 'k' } });
    expect([copy.sysFlag & 0x700, originalOf(id).sysFlag & 0x700]).toEqual([kind, kind]);
  });

  it('under the wrong sign of compression is stored as it was written, so that Java clients can read it', () => {
    expect(copyOf('GZIP')).toMatchObject({ bodyLength: text.length, bodySha256: originalOf('ZLIB').bodySha256, sysFlag: 0 });
    expect(copyOf('plain')).toMatchObject({ sysFlag: 0, bodyHex: Buffer.from('plain between').toString('hex') });
  });

  it('may be as large as the source takes', () => {
    expect(copyOf('large')).toMatchObject({ bodyLength: maxBodyBytes - 1, bodySha256: originalOf('large').bodySha256, flag: 9 });
    expect(copyOf('large').properties).toMatchObject({ TAGS: 'big', UNIQ_KEY: originalOf('large').properties['UNIQ_KEY'] });
    expect(parseProvenance(copyOf('large').properties['ISTHMUS'] ?? '')).toMatchObject({ lane: 'broker-a:1' });
  });

  it('has properties as long as there is room for its mark, else it is refused', () => {
    expect(copyOf('near').properties['long']).toBe(originalOf('near').properties['long']);
    expect([...copied.refused]).toEqual([['too-long', expect.stringContaining('properties')]]);
    expect(copied.damaged.size).toBe(0);
  });

  it('comes in the order of its queue', () => {
    for (const queue of [0, 1]) {
      const ids = (rows: readonly RocketmqRow[]): unknown[] =>
        rows
          .filter((row) => row.queue === queue && row.properties['id'] !== 'too-long' && row.properties['id'] !== 'GZIP')
          .map((row) => row.properties['id']);
      expect(ids(stored)).toEqual(ids(written));
    }
  });
});
