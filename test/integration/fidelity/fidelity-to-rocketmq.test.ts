import { createHash, generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judge } from '../../checkers/verdict.ts';
import { type Brokers, pulsarEndpoints, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { clusterEyes } from '../../kit/cluster-eyes.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from '../../kit/mirror-under-test.ts';
import type { PulsarEyes, PulsarMessage, PulsarRow } from '../../kit/pulsar-eyes.ts';
import { pulsarAdmin, restPath } from '../../kit/pulsar-pair.ts';
import type { RocketmqEyes, RocketmqRow } from '../../kit/rocketmq-eyes.ts';

// The rows of docs/FIDELITY.md, Pulsar to RocketMQ: official clients write everything at the source, one process with one mirror per rule runs, and official clients read the target.

const pulsarAt = pulsarEndpoints('pulsar-west', testOffset);
const rocketmq = rocketmqEndpoints('rmq-east', testOffset);
const run = `tormq${Date.now().toString(36)}`;
const names = {
  words: `${run}-words`,
  typed: `${run}-typed`,
  loaded: `${run}-loaded`,
  // Each of these has a mirror of its own.
  spread: `spread-${run}`,
  bad: `bad-${run}`,
  stopped: `stopped-${run}`,
  retry: `${run}-group-RETRY`,
};
const partitions = 2;
const [loadCount, spreadCount] = [2_000, 1_000];
const limitBytes = 4 * 2 ** 20;
/** Leaves room for mark, id and facts. */
const nearBytes = 32_000;
const eventTime = 1_763_750_000_123;

let brokers: Brokers;
let eyes: Eyes;
let source: PulsarEyes;
let target: RocketmqEyes;
let mirror: MirrorUnderTest;
/** What the source holds, and what the target got of it. */
let written: readonly PulsarRow[];
let stored: readonly RocketmqRow[];

const full = (name: string): string => `persistent://public/default/${name}`;
const sha256 = (body: Buffer | string): string => createHash('sha256').update(body).digest('hex');

const words: readonly PulsarMessage[] = [
  {
    body: 'all',
    key: 'schlüssel',
    sequenceId: 41,
    eventTime,
    properties: { id: 'all', note: 'grüße, 您好' },
  },
  { bodyHex: '00ff01028081', properties: { id: 'bytes' } },
  { body: 'none', properties: { id: 'none' } },
  { body: 'b', keyHex: '00ff80', orderingKeyHex: '6f72646572', properties: { id: 'key of bytes' } },
  { body: 'b', nullKey: true, properties: { id: 'null key' } },
  {
    body: 'b',
    properties: { id: 'reserved', CLUSTER: 'mine', TRAN_MSG: 'true', INNER_NUM: '2', TIMER_OUT_MS: '1', PULSAR_KEY_BASE64: 'x' },
  },
  {
    body: 'b',
    key: 'k1',
    properties: { id: 'rocket', KEYS: 'k1 k2', TAGS: 'paid', __SHARDINGKEY: 's1', UNIQ_KEY: 'U1', ROCKETMQ_FLAG: '7' },
  },
  { body: 'b', key: 'k1', properties: { id: 'first of keys', KEYS: 'k1 k2' } },
  { body: 'b', properties: { id: 'near', long: 'x'.repeat(nearBytes) } },
  { body: 'b', deliverAfterMs: 3_600_000, properties: { id: 'late' } },
  { body: 'b', properties: { id: 'nameless', '': 'nobody asks for it' } },
  { body: 'b', properties: { id: 'told', PULSAR_PRODUCER: 'the application’s' } },
  { bodyHex: Buffer.alloc(limitBytes, 'L').toString('hex'), properties: { id: 'large' } },
];

const refused: readonly PulsarMessage[] = [
  { body: '', properties: { id: 'empty' } },
  { key: 'gone', properties: { id: 'tombstone' } },
  { bodyHex: Buffer.alloc(limitBytes + 1).toString('hex'), properties: { id: 'too large' } },
  { body: 'b', properties: { id: 'separator', a: 'b\u0001c' } },
  { body: 'b', key: 'a\u0002', properties: { id: 'separator in the key' } },
  { body: 'b', properties: { id: 'long', long: 'x'.repeat(32_800) } },
];

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east', 'pulsar-west']);
  eyes = await startEyes();
  source = eyes.pulsar(pulsarAt);
  target = eyes.rocketmq(rocketmq.namesrv);
  await Promise.all(Object.values(names).map(async (name) => await source.createTopic(full(name), partitions)));
  await writeSource();
  written = (await Promise.all([names.words, names.typed].map(async (name) => await source.read(full(name))))).flat();
  const mirrors = {
    m: { topics: [full(`${run}-*`)] },
    spread: { topics: [full(names.spread)], routing: { mode: 'key', partitions: 3 } },
    bad: { topics: [full(names.bad)], onBadRecord: 'dead-letter' },
    stopped: { topics: [full(names.stopped)], onBadRecord: 'stop-lane' },
  };
  mirror = await linksUnderTest([{ name: 'l', from: 'pulsar-west', to: 'rmq-east', mirrors }]);
  mirror.process.start();
  await mirror.listening();
  await arrived('m', names.words, words.length + 4);
  await arrived('m', names.typed, 1);
  await arrived('m', names.loaded, loadCount);
  await arrived('spread', names.spread, spreadCount);
  await arrived('bad', names.bad, 2);
  stored = (await Promise.all([names.words, names.typed].map(async (name) => await target.read(name)))).flat();
});

afterAll(async () => {
  await mirror.remove();
  await eyes.close();
  await brokers.stop();
});

async function writeSource(): Promise<void> {
  await source.send(full(names.words), words, { producer: 'shop' });
  const batch = ['one', 'two', 'three'].map((id) => ({ body: id, key: id, partition: 1, eventTime, properties: { id } }));
  await source.send(full(names.words), batch, { batch: true, compression: 'LZ4', producer: 'batcher' });
  const chunked = { bodyHex: Buffer.alloc(200_000, 'part').toString('hex'), partition: 1, properties: { id: 'chunked' } };
  await source.send(full(names.words), [chunked], { chunking: true, chunkBytes: 50_000 });
  const schema = { type: 'STRING', schema: '', properties: {} };
  await pulsarAdmin('POST', `${pulsarAt.adminUrl}/admin/v2/schemas/${restPath(full(names.typed))}/schema`, schema);
  await source.send(full(names.typed), [{ body: 'text', properties: { id: 'typed' } }], { schema: true });
  await source.load(full(names.loaded), { count: loadCount, keys: 40 });
  await source.load(full(names.spread), { count: spreadCount, keys: 50 });
  await source.send(full(names.retry), [{ body: 'again' }]);
  for (const name of [names.bad, names.stopped]) {
    await source.send(full(name), [{ body: 'before', properties: { id: 'before' } }]);
    await source.send(full(name), name === names.bad ? refused : refused.slice(1, 2));
    if (name === names.bad) await source.send(full(name), [{ body: 'secret' }], { publicKey: publicKey() });
    await source.send(full(name), [{ body: 'after', properties: { id: 'after' } }]);
  }
}

function publicKey(): string {
  const pem = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'pem' }).toString();
  return `data:application/x-pem-file;base64,${Buffer.from(pem).toString('base64')}`;
}

/** Waits until the target has taken so many messages; a lane that stops instead fails the test at once. */
async function arrived(mirrorName: string, topic: string, count: number): Promise<void> {
  const there = clusterEyes(eyes, 'rmq-east', testOffset);
  let stopped: readonly string[] = [];
  await eventually(
    `${count} are in ${topic}`,
    async () => {
      const lanes = (await mirror.lanes(mirrorName)).filter(({ state }) => state === 'stopped');
      stopped = lanes.map(({ trouble }) => trouble?.message ?? '');
      return stopped.length > 0 || (await there.messagesIn(topic)) >= count;
    },
    mirror.process,
  );
  expect(stopped).toEqual([]);
}

function pairOf(id: string): { readonly original: PulsarRow; readonly copy: RocketmqRow } {
  const [originals, copies] = [written, stored].map((rows) => rows.filter(({ properties }) => properties['id'] === id));
  expect([id, originals?.length, copies?.length]).toEqual([id, 1, 1]);
  // Both were counted.
  return { original: originals?.[0] as PulsarRow, copy: copies?.[0] as RocketmqRow };
}

/** The properties of a copy but for its id and mark. */
function propertiesOf(id: string): Record<string, string> {
  const { UNIQ_KEY: _, ISTHMUS: __, id: ___, ...rest } = pairOf(id).copy.properties;
  return rest;
}

describe('a mirrored record', () => {
  it('has its body, key, properties, and what RocketMQ has no field for as properties', () => {
    const { original, copy } = pairOf('all');
    expect(copy).toMatchObject({ bodyHex: original.bodyHex, flag: 0, sysFlag: 0, reconsumeTimes: 0, queue: 0 });
    const { BORN_TIMESTAMP: born = String(copy.bornTimestamp), ...rest } = propertiesOf('all');
    expect(born).toBe(String(eventTime));
    expect(rest).toEqual({
      note: 'grüße, 您好',
      __SHARDINGKEY: 'schlüssel',
      PULSAR_PRODUCER: 'shop-0',
      PULSAR_SEQUENCE: '41',
    });
  });

  it('has a body of any bytes, up to what the target takes', () => {
    expect(pairOf('bytes').copy.bodyHex).toBe('00ff01028081');
    const { original, copy } = pairOf('large');
    expect([copy.bodyLength, copy.bodySha256]).toEqual([limitBytes, original.bodySha256]);
  });

  it('has no key where it had none, and as born time, without one of its own, when it was published', () => {
    const { original, copy } = pairOf('none');
    const { BORN_TIMESTAMP: born = String(copy.bornTimestamp), ...rest } = propertiesOf('none');
    expect(Object.keys(rest).sort((x, y) => x.localeCompare(y))).toEqual(['PULSAR_PRODUCER', 'PULSAR_SEQUENCE']);
    expect(Math.abs(Number(born) - original.publishTime)).toBeLessThanOrEqual(1_000);
  });

  it('has a key of bytes as text, its ordering key and a null key as properties', () => {
    const { original } = pairOf('key of bytes');
    expect(original).toMatchObject({ key: Buffer.from('00ff80', 'hex').toString('base64'), keyIsBase64: true });
    expect(propertiesOf('key of bytes')).toMatchObject({
      __SHARDINGKEY: original.key,
      PULSAR_KEY_BASE64: 'true',
      PULSAR_ORDERING_KEY: 'order',
    });
    expect(pairOf('null key').original).toMatchObject({ hasKey: false, nullKey: true });
    expect(propertiesOf('null key')).toMatchObject({ PULSAR_KEY_NULL: 'true' });
    expect(propertiesOf('null key')).not.toHaveProperty('__SHARDINGKEY');
  });

  it('keeps the names that RocketMQ would take for its own, or we for ours, behind a prefix', () => {
    const { PULSAR_PRODUCER: _, PULSAR_SEQUENCE: __, BORN_TIMESTAMP: ___, ...rest } = propertiesOf('reserved');
    expect(rest).toEqual({
      PULSAR_CLUSTER: 'mine',
      PULSAR_TRAN_MSG: 'true',
      PULSAR_INNER_NUM: '2',
      PULSAR_TIMER_OUT_MS: '1',
      PULSAR_PULSAR_KEY_BASE64: 'x',
    });
  });

  it('is what its properties say where they are RocketMQ’s', () => {
    const { copy } = pairOf('rocket');
    expect(copy.flag).toBe(7);
    expect(copy.properties).toMatchObject({ KEYS: 'k1 k2', TAGS: 'paid', __SHARDINGKEY: 's1', UNIQ_KEY: 'U1' });
    expect(copy.properties).not.toHaveProperty('ROCKETMQ_FLAG');
    expect(propertiesOf('first of keys')).toMatchObject({ KEYS: 'k1 k2' });
    expect(propertiesOf('first of keys')).not.toHaveProperty('__SHARDINGKEY');
  });

  it('keeps a fact that the application tells itself, and loses a property without a name', () => {
    expect(propertiesOf('told')['PULSAR_PRODUCER']).toBe('the application’s');
    expect(Object.values(propertiesOf('nameless'))).not.toContain('nobody asks for it');
  });

  it('has properties up to the limit', () => {
    expect(propertiesOf('near')['long']).toHaveLength(nearBytes);
  });

  it('that is delayed comes at once, and says when it was to come', () => {
    const { original, copy } = pairOf('late');
    expect(original.deliverAtTime).toBeGreaterThan(Date.now() + 600_000);
    expect(copy.properties['PULSAR_DELIVER_AT']).toBe(String(original.deliverAtTime));
  });

  it('names the schema that the source’s registry has', () => {
    const { original } = pairOf('typed');
    expect(original.schemaVersionHex).toBe('0000000000000000');
    expect(propertiesOf('typed')['PULSAR_SCHEMA_VERSION']).toBe(original.schemaVersionHex);
  });

  it('of a compressed batch is a message of its own, and one that came in pieces is whole', () => {
    for (const id of ['one', 'two', 'three']) {
      const { original, copy } = pairOf(id);
      expect([copy.bodyHex, copy.sysFlag, copy.queue]).toEqual([original.bodyHex, 0, 1]);
    }
    expect(pairOf('chunked').copy).toMatchObject({ bodyLength: 200_000, bodySha256: sha256(Buffer.alloc(200_000, 'part')) });
  });

  it('tells where it comes from and when that was stored, and has an id that follows from it', () => {
    for (const id of ['bytes', 'two']) {
      const { original, copy } = pairOf(id);
      const [version, cluster, topic, lane, position, time] = copy.properties['ISTHMUS']?.split(';') ?? [];
      expect([version, cluster, topic, lane]).toEqual(['1', 'pulsar-west', full(names.words), String(original.partition)]);
      expect(position).toBe(original.messageId.replace(/:-1$/, ''));
      expect(Number.parseInt(time ?? '', 36)).toBe(original.publishTime);
      expect(copy.properties['UNIQ_KEY']).toMatch(/^[0-9A-F]{32}$/);
    }
    expect(new Set(stored.map(({ properties }) => properties['UNIQ_KEY'])).size).toBe(stored.length);
  });
});

describe('order', () => {
  it('of every partition is the order of its queue', async () => {
    const rows = await target.readRows(names.loaded);
    expect(judge(await source.readRows(full(names.loaded)), rows, 'lane')).toMatchObject({
      source: loadCount,
      target: loadCount,
      lost: 0,
      doubled: 0,
      reordered: 0,
      strangers: 0,
    });
    const partitionOf = new Map((await source.readRows(full(names.loaded))).map(({ id, lane }) => [id, `broker-a:${lane}`]));
    expect(rows.filter(({ id, lane }) => partitionOf.get(id) !== lane)).toEqual([]);
  });

  it('per key holds with other numbers of queues, in a topic for ordered messages', async () => {
    const rows = await target.readRows(names.spread);
    expect(judge(await source.readRows(full(names.spread)), rows)).toMatchObject({
      source: spreadCount,
      target: spreadCount,
      lost: 0,
      doubled: 0,
      reordered: 0,
    });
    const queuesOf = new Map<string | null, Set<string>>();
    for (const { key, lane } of rows) queuesOf.set(key, (queuesOf.get(key) ?? new Set()).add(lane));
    expect([...queuesOf.values()].every((queues) => queues.size === 1)).toBe(true);
    expect(new Set(rows.map(({ lane }) => lane)).size).toBe(3);
    const { body } = await mirror.api('GET', `/v1/clusters/rmq-east/topics/${names.spread}`);
    expect(body).toMatchObject({ settings: { 'message.type': 'FIFO' } });
  });
});

describe('what is not mirrored', () => {
  it('are the retry topics of subscriptions, unless that is asked for', async () => {
    const { body } = await mirror.api<{ readonly matchedTopics: readonly string[] }>('GET', `/v1/mirrors/${mirror.link}/m`);
    expect(body.matchedTopics).toEqual([names.loaded, names.typed, names.words].map(full));
  });

  it('goes to the dead-letter topic with the reason and its place, and its lane goes on', async () => {
    expect((await target.read(names.bad)).map(({ properties }) => properties['id'])).toEqual(['before', 'after']);
    const letters = await target.read(`${names.bad}-dead-letter`);
    const reasons = letters
      .filter(({ properties }) => 'ISTHMUS-DEAD-LETTER-POSITION' in properties)
      .map(({ properties }) => [properties['id'], properties['ISTHMUS-DEAD-LETTER-REASON']]);
    expect(reasons).toEqual([
      ['empty', expect.stringContaining('empty')],
      ['tombstone', expect.stringContaining('tombstone')],
      ['too large', expect.stringContaining(String(limitBytes + 1))],
      ['separator', expect.stringContaining('0x01')],
      ['separator in the key', expect.stringContaining('0x01')],
      // Its properties are a message of their own.
      [undefined, expect.stringContaining('properties')],
      [undefined, expect.stringContaining('encrypted')],
    ]);
    const separated = letters.find(({ properties }) => properties['id'] === 'separator');
    expect(separated?.properties).toMatchObject({
      a: 'b%01c',
      'ISTHMUS-DEAD-LETTER-CLUSTER': 'pulsar-west',
      'ISTHMUS-DEAD-LETTER-TOPIC': full(names.bad),
      'ISTHMUS-DEAD-LETTER-LANE': '0',
    });
    const parts = letters.filter(({ properties }) => properties['ISTHMUS-DEAD-LETTER-PART']?.endsWith('/2'));
    expect(parts.reduce((sum, { bodyLength }) => sum + bodyLength, 0)).toBe(limitBytes + 1);
  });

  it('stops its lane otherwise, at exactly this record', async () => {
    await eventually('the lane has stopped', async () =>
      (await mirror.lanes('stopped')).some(({ state }) => state === 'stopped'),
    );
    const lane = (await mirror.lanes('stopped')).find(({ state }) => state === 'stopped');
    expect(lane).toMatchObject({
      lane: '0',
      trouble: { code: 'RECORD_REFUSED', message: expect.stringContaining('tombstone') },
    });
    expect((await target.read(names.stopped)).map(({ properties }) => properties['id'])).toEqual(['before']);
  });
});
