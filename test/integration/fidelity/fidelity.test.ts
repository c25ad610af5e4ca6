import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sharedKeys } from '../../checkers/reordered.ts';
import type { ConsumedRow } from '../../checkers/row.ts';
import { judge } from '../../checkers/verdict.ts';
import { type Brokers, pulsarEndpoints, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { eventually, type MirrorUnderTest, mirrorUnderTest } from '../../kit/mirror-under-test.ts';
import type { PulsarEyes, PulsarRow } from '../../kit/pulsar-eyes.ts';
import { setMessageLimit } from '../../kit/pulsar-policies.ts';
import { sendRaw } from '../../kit/raw-rocketmq.ts';
import type { RocketmqEyes, RocketmqRow } from '../../kit/rocketmq-eyes.ts';

// The rows of docs/FIDELITY.md: official clients write everything at the source, the mirror runs, and official clients read the target.

const rocketmq = rocketmqEndpoints('rmq-east', testOffset);
const pulsarAt = pulsarEndpoints('pulsar-west', testOffset);
const run = `fidelity${Date.now().toString(36)}`;
const topics = {
  words: `${run}-words`,
  packed: `${run}-packed`,
  large: `${run}-large`,
  delayed: `${run}-delayed`,
  shared: `${run}-shared`,
  retry: `%RETRY%${run}-group`,
  dead: `%DLQ%${run}-group`,
  // Each of these has a mirror of its own.
  spread: `spread-${run}`,
  bad: `bad-${run}`,
  stopped: `stopped-${run}`,
};
const sharedCount = 2_000;
const maxBodyBytes = 4 * 2 ** 20;

let brokers: Brokers;
let eyes: Eyes;
let source: RocketmqEyes;
let target: PulsarEyes;
let mirror: MirrorUnderTest;
let consumed: readonly ConsumedRow[];

const targetName = (topic: string): string => `persistent://public/default/${topic}`;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east', 'pulsar-west']);
  eyes = await startEyes();
  source = eyes.rocketmq(rocketmq.namesrv);
  target = eyes.pulsar(pulsarAt);
  for (const topic of Object.values(topics)) {
    await source.createTopic(topic, { queues: 4, ...(topic === topics.shared ? { messageType: 'FIFO' } : {}) });
  }
  await writeSource();
  // The subscription has to be there before the mirror, which looks for it when it opens a partition.
  await target.createTopic(targetName(topics.shared), 4);
  const consuming = target.consume(targetName(topics.shared), {
    subscription: 'shared',
    type: 'Key_Shared',
    consumers: 3,
    expect: sharedCount,
    quietMs: 120_000,
  });
  await eventually('the subscription is there', async () => await hasSubscription(topics.shared, 'shared'));
  await target.createTopic(targetName(topics.bad), 4);
  await setMessageLimit(pulsarAt, topics.bad, 100 * 1024);
  mirror = await mirrorUnderTest({ mirror: { topics: [`*${run}-*`] } });
  mirror.process.start();
  await mirror.listening();
  await addMirror('spread', { topics: [topics.spread], routing: { mode: 'key', partitions: 5 } });
  await addMirror('bad', { topics: [topics.bad], onBadRecord: 'dead-letter' });
  await addMirror('stopped', { topics: [topics.stopped], onBadRecord: 'stop-lane' });
  await mirrored('m', [topics.words, topics.packed, topics.large, topics.delayed, topics.shared]);
  await mirrored('spread', [topics.spread]);
  await mirrored('bad', [topics.bad]);
  consumed = await consuming;
});

afterAll(async () => {
  await mirror.remove();
  await eyes.close();
  await brokers.stop();
});

async function addMirror(name: string, rule: object): Promise<void> {
  const { status, body } = await mirror.api('POST', '/v1/mirrors', { link: mirror.link, name, ...rule });
  expect([status, body]).toEqual([201, expect.anything()]);
}

async function mirrored(name: string, wanted: readonly string[]): Promise<void> {
  await eventually(`${name} has mirrored everything`, async () => {
    mirror.process.assertRunning();
    const lanes = await mirror.lanes(name);
    return wanted.every((topic) => lanes.filter((lane) => lane.topic === topic && lane.lagRecords === 0).length === 4);
  });
}

async function hasSubscription(topic: string, subscription: string): Promise<boolean> {
  const response = await fetch(`${pulsarAt.adminUrl}/admin/v2/persistent/public/default/${topic}-partition-3/subscriptions`);
  return JSON.stringify(await response.json()).includes(`"${subscription}"`);
}

async function writeSource(): Promise<void> {
  await source.send(topics.words, [
    {
      body: 'all',
      queue: 0,
      tags: 'paid',
      keys: 'k1 k2',
      shardingKey: 's1',
      flag: 7,
      properties: { id: 'all', note: 'grüße, 您好' },
    },
    { bodyHex: '00ff01028081', queue: 1, properties: { id: 'bytes' } },
    { body: 'keys', queue: 1, keys: 'k1 k2', properties: { id: 'keys' } },
    { body: 'none', queue: 2, properties: { id: 'none' } },
    { body: 'near the limit', queue: 3, properties: { id: 'near', long: 'x'.repeat(32_400) } },
  ]);
  const kept = { id: 'kept', MSG_TYPE: 'x', CORRELATION_ID: 'c', TTL: '9', __BORNHOST: '10.0.0.1', BORN_TIMESTAMP: '5' };
  const dropped = {
    CLUSTER: 'other',
    MSG_REGION: 'r',
    TRACE_ON: 'true',
    PGROUP: 'g',
    POP_CK: 'ck',
    TIMER_OUT_MS: '7',
    REAL_QID: '3',
    INNER_NUM: '2',
  };
  await source.send(
    topics.words,
    [
      { body: '', properties: { id: 'empty', nothing: '' } },
      { body: 'kept', properties: { ...kept, ...dropped } },
    ],
    { batch: true, queue: 2 },
  );
  await sendRaw(rocketmq.broker, {
    topic: topics.words,
    queue: 3,
    body: Buffer.from('again'),
    reconsumeTimes: 3,
    properties: { id: 'again' },
  });

  const text = 'compressed '.repeat(1_000);
  for (const compress of ['ZLIB', 'LZ4', 'ZSTD'] as const) {
    await source.send(topics.packed, [{ body: text, queue: 0, properties: { id: compress } }], {
      compress,
      compressAbove: 1_000,
    });
  }
  await sendRaw(rocketmq.broker, {
    topic: topics.packed,
    queue: 1,
    body: gzipSync(text),
    sysFlag: 1,
    properties: { id: 'GZIP' },
  });

  await source.send(topics.large, [{ body: 'L'.repeat(maxBodyBytes - 1), queue: 0, properties: { id: 'large' } }]);
  await source.send(topics.delayed, [{ body: 'late', queue: 0, delayLevel: 1, properties: { id: 'late' } }]);
  await source.load(topics.shared, { count: sharedCount, keys: 40, sharding: true });
  await source.load(topics.spread, { count: 1_000, keys: 50 });
  for (const topic of [topics.retry, topics.dead]) await sendRaw(rocketmq.broker, { topic, queue: 0, body: Buffer.from('dead') });

  for (const topic of [topics.bad, topics.stopped]) {
    await source.send(topic, [{ body: 'before', queue: 0, properties: { id: 'before' } }]);
    await sendRaw(rocketmq.broker, {
      topic,
      queue: 0,
      body: Buffer.from('not gzip at all'),
      sysFlag: 1,
      properties: { id: 'damaged', KEYS: 'k9' },
    });
    await source.send(topic, [{ body: 'after', queue: 0, properties: { id: 'after' } }]);
  }
  await source.send(topics.bad, [{ body: 'x'.repeat(90_000), queue: 1, tags: 'paid', properties: { id: 'too-large' } }]);
}

async function pairOf(topic: string, id: string): Promise<{ readonly written: RocketmqRow; readonly stored: PulsarRow }> {
  const written = (await source.read(topic)).filter((row) => row.properties['id'] === id);
  const stored = (await target.read(targetName(topic))).filter((row) => row.properties['id'] === id);
  const [[original], [copy]] = [written, stored];
  if (original === undefined || copy === undefined) throw new Error(`${id}: ${written.length} written, ${stored.length} stored`);
  expect([written.length, stored.length]).toEqual([1, 1]);
  return { written: original, stored: copy };
}

describe('a mirrored message', () => {
  it('has its body, key, tags, properties, flag and times, and nothing of the source broker', async () => {
    const { written, stored } = await pairOf(topics.words, 'all');
    expect(stored).toMatchObject({
      bodyHex: written.bodyHex,
      hasKey: true,
      key: 's1',
      keyIsBase64: false,
      orderingKeyHex: null,
      eventTime: written.bornTimestamp,
      deliverAtTime: 0,
      schemaVersionHex: null,
      nullValue: false,
      replicatedFrom: null,
      partition: written.queue,
    });
    expect(stored.properties).toEqual({
      id: 'all',
      note: 'grüße, 您好',
      TAGS: 'paid',
      KEYS: 'k1 k2',
      __SHARDINGKEY: 's1',
      UNIQ_KEY: written.properties['UNIQ_KEY'],
      ROCKETMQ_FLAG: '7',
    });
  });

  it('has a body of any bytes as it was', async () => {
    const { stored } = await pairOf(topics.words, 'bytes');
    expect(stored.bodyHex).toBe('00ff01028081');
  });

  it('has the first of its KEYS as key where there is no sharding key, and none where there is neither', async () => {
    expect((await pairOf(topics.words, 'keys')).stored).toMatchObject({ key: 'k1', properties: { KEYS: 'k1 k2' } });
    expect((await pairOf(topics.words, 'none')).stored).toMatchObject({ hasKey: false, key: null });
  });

  it('may be empty, with properties without a value', async () => {
    const { stored } = await pairOf(topics.words, 'empty');
    expect(stored).toMatchObject({ bodyLength: 0, nullValue: false, properties: { nothing: '' } });
  });

  it('loses what only speaks of the source broker, and keeps what its producer said', async () => {
    const { written, stored } = await pairOf(topics.words, 'kept');
    expect(written.properties).toMatchObject({ PGROUP: 'g', INNER_NUM: '2' });
    const { UNIQ_KEY: uniqKey, ...rest } = stored.properties;
    expect(uniqKey).toBe(written.properties['UNIQ_KEY']);
    expect(rest).toEqual({
      id: 'kept',
      MSG_TYPE: 'x',
      CORRELATION_ID: 'c',
      TTL: '9',
      __BORNHOST: '10.0.0.1',
      BORN_TIMESTAMP: '5',
    });
  });

  it('has properties up to the limit of the source', async () => {
    const { written, stored } = await pairOf(topics.words, 'near');
    expect(stored.properties['long']).toBe(written.properties['long']);
  });

  it('says how often it was retried at the source', async () => {
    const { written, stored } = await pairOf(topics.words, 'again');
    expect([written.reconsumeTimes, stored.properties['ROCKETMQ_RECONSUME_TIMES']]).toEqual([3, '3']);
  });

  it.each(['ZLIB', 'LZ4', 'ZSTD', 'GZIP'])('that was compressed with %s arrives as it was before', async (id) => {
    const stored = (await target.read(targetName(topics.packed))).find((row) => row.properties['id'] === id);
    expect(stored).toMatchObject({
      bodyLength: 11_000,
      bodySha256: createHash('sha256').update('compressed '.repeat(1_000)).digest('hex'),
    });
  });

  it('may be as large as the source takes', async () => {
    const { written, stored } = await pairOf(topics.large, 'large');
    expect(stored).toMatchObject({ bodyLength: maxBodyBytes - 1, bodySha256: written.bodySha256 });
  });

  it('that was delayed is mirrored when the source delivers it, and delays nothing a second time', async () => {
    const { written, stored } = await pairOf(topics.delayed, 'late');
    expect(written.properties).toMatchObject({ REAL_TOPIC: topics.delayed });
    expect(stored).toMatchObject({ deliverAtTime: 0, properties: { DELAY: '1' } });
    expect(Object.keys(stored.properties)).not.toContain('REAL_TOPIC');
  });

  it('tells on its entry, unseen by consumers, which queue and offsets it comes from and when that was stored', async () => {
    const { written, stored } = await pairOf(topics.words, 'bytes');
    const [[name, mark] = [], ...more] = stored.entry.properties;
    expect([name, more]).toEqual(['ISTHMUS', []]);
    const [version, cluster, topic, lane, positions, time] = mark?.split(';') ?? [];
    expect([version, cluster, topic, lane]).toEqual(['1', 'rmq-east', topics.words, 'broker-a:1']);
    expect(positions).toMatch(/^0(\+2)?$/);
    expect(Number.parseInt(time ?? '', 36)).toBe(written.storeTimestamp);
    expect(stored.properties).not.toHaveProperty('ISTHMUS');
  });
});

describe('order', () => {
  it('of every queue is the order of its partition', async () => {
    expect(judge(await source.readRows(topics.shared), await target.readRows(targetName(topics.shared)), 'lane')).toMatchObject({
      source: sharedCount,
      target: sharedCount,
      lost: 0,
      doubled: 0,
      strangers: 0,
    });
    const rows = await target.read(targetName(topics.shared));
    const queues = new Map((await source.read(topics.shared)).map((row) => [row.properties['seq'], row.queue]));
    expect(rows.every((row) => row.partition === queues.get(row.properties['seq']))).toBe(true);
  });

  it('per key is what Key_Shared consumers see, each key at one of them, because a batch has one key', async () => {
    expect(judge(await source.readRows(topics.shared), consumed)).toMatchObject({
      target: sharedCount,
      lost: 0,
      doubled: 0,
      reordered: 0,
    });
    expect(sharedKeys(consumed)).toEqual([]);
    expect(new Set(consumed.map((row) => row.consumer)).size).toBe(3);
    const keysOf = new Map<string, Set<string | null>>();
    for (const row of await target.read(targetName(topics.shared))) {
      const entry = `${row.partition} ${row.messageId.slice(0, row.messageId.lastIndexOf(':'))}`;
      keysOf.set(entry, (keysOf.get(entry) ?? new Set()).add(row.key));
    }
    expect([...keysOf.values()].every((keys) => keys.size === 1)).toBe(true);
  });

  it('per key holds with other numbers of partitions, each key where a Java producer would put it', async () => {
    const rows = await target.readRows(targetName(topics.spread));
    expect(judge(await source.readRows(topics.spread), rows)).toMatchObject({
      source: 1_000,
      target: 1_000,
      lost: 0,
      doubled: 0,
      reordered: 0,
    });
    const javaHash = (text: string): number =>
      [...text].reduce((hash, c) => (Math.imul(hash, 31) + c.charCodeAt(0)) | 0, 0) & 0x7fffffff;
    expect(rows.filter((row) => Number(row.lane) !== javaHash(row.key ?? '') % 5)).toEqual([]);
    expect(new Set(rows.map((row) => row.lane)).size).toBe(5);
  });
});

describe('what is not mirrored', () => {
  it('are the retry and dead-letter topics of consumer groups, whatever a glob matches', async () => {
    const { body } = await mirror.api<{ readonly matchedTopics: readonly string[] }>('GET', `/v1/mirrors/${mirror.link}/m`);
    expect(body.matchedTopics).toEqual([topics.delayed, topics.large, topics.packed, topics.shared, topics.words]);
    const there = (await target.partitionedTopics('public/default')).filter((topic) => topic.includes(run));
    expect(there.filter((topic) => /RETRY|DLQ/.test(topic))).toEqual([]);
  });

  it('are the topics that RocketMQ keeps for itself; the type of the others is told, for Pulsar has none', async () => {
    const cluster = '/v1/clusters/rmq-east/topics';
    const { body } = await mirror.api<{ readonly topics: readonly string[] }>('GET', cluster);
    expect(body.topics.filter((topic) => /^(SCHEDULE_|rmq_sys_|RMQ_SYS_|TBW102|%|rmq-east|broker-a)/.test(topic))).toEqual([]);
    expect((await mirror.api('GET', `${cluster}/${topics.shared}`)).body).toMatchObject({ settings: { 'message.type': 'FIFO' } });
  });

  it('goes to the dead-letter topic with its bytes, the reason and its place where that was asked for, and its lane goes on', async () => {
    const stored = await target.read(targetName(topics.bad));
    expect(stored.map((row) => row.properties['id'])).toEqual(['before', 'after']);
    const dead = await target.read(targetName(`${topics.bad}-dead-letter`));
    expect(dead.map((row) => String(row.properties['id'])).sort()).toEqual(['damaged', 'too-large']);
    const origin = { 'ISTHMUS-DEAD-LETTER-CLUSTER': 'rmq-east', 'ISTHMUS-DEAD-LETTER-TOPIC': topics.bad };
    expect(dead.find((row) => row.properties['id'] === 'damaged')).toMatchObject({
      bodyHex: Buffer.from('not gzip at all').toString('hex'),
      key: 'k9',
      properties: {
        ...origin,
        'ISTHMUS-DEAD-LETTER-REASON': expect.stringContaining('does not decompress'),
        'ISTHMUS-DEAD-LETTER-LANE': 'broker-a:0',
        'ISTHMUS-DEAD-LETTER-POSITION': '1',
      },
    });
    expect(dead.find((row) => row.properties['id'] === 'too-large')).toMatchObject({
      bodyLength: 90_000,
      properties: {
        ...origin,
        TAGS: 'paid',
        'ISTHMUS-DEAD-LETTER-REASON': expect.stringMatching(/has \d+ bytes/),
        'ISTHMUS-DEAD-LETTER-LANE': 'broker-a:1',
        'ISTHMUS-DEAD-LETTER-POSITION': '0',
      },
    });
  });

  it('stops its lane otherwise, at exactly this message', async () => {
    await eventually('the lane has stopped', async () =>
      (await mirror.lanes('stopped')).some((lane) => lane.state === 'stopped'),
    );
    const lane = (await mirror.lanes('stopped')).find((each) => each.state === 'stopped');
    const message = expect.stringContaining(`${topics.stopped} broker-a:0 1:`);
    expect(lane).toMatchObject({ lane: 'broker-a:0', trouble: { code: 'RECORD_DAMAGED', message } });
    const stored = await target.read(targetName(topics.stopped));
    expect(stored.map((row) => row.properties['id'])).toEqual(['before']);
  });
});
