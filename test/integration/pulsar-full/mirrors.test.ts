import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LaneStatus } from '../../../src/control/api.ts';
import {
  type Brokers,
  bedCertificate,
  bedToken,
  pulsarEndpoints,
  rocketmqEndpoints,
  startBrokers,
  testOffset,
} from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from '../../kit/mirror-under-test.ts';
import type { PulsarEyes, PulsarMessage, PulsarRow } from '../../kit/pulsar-eyes.ts';
import { pulsarAdmin, restPath } from '../../kit/pulsar-pair.ts';
import type { RocketmqEyes } from '../../kit/rocketmq-eyes.ts';

// What is special about messages and topics, through one process as users run it. It reaches the cluster `pulsar-full` over TLS alone, service and admin, with the token
// of a role that may consume and produce and nothing else; the official clients come without a token, as superuser.

const north = pulsarEndpoints('pulsar-full', testOffset);
const west = pulsarEndpoints('pulsar-west', testOffset);
const run = `full-${Date.now().toString(36)}`;
const full = (topic: string): string => `persistent://public/default/${run}-${topic}`;

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = (text: string | Buffer): string => `data:application/x-pem-file;base64,${Buffer.from(text).toString('base64')}`;
const keys = {
  publicKey: pem(publicKey.export({ type: 'spki', format: 'pem' })),
  privateKey: pem(privateKey.export({ type: 'pkcs8', format: 'pem' })),
};

let brokers: Brokers;
let eyes: Eyes;
let source: PulsarEyes;
let target: PulsarEyes;
let east: RocketmqEyes;
let mirror: MirrorUnderTest;
let doneAt = 0;

beforeAll(async () => {
  brokers = await startBrokers(['pulsar-full', 'pulsar-west', 'rmq-east']);
  eyes = await startEyes();
  source = eyes.pulsar(north);
  target = eyes.pulsar(west);
  east = eyes.rocketmq(rocketmqEndpoints('rmq-east', testOffset).namesrv);
  const rights = `${north.adminUrl}/admin/v2/namespaces/public/default/permissions/isthmus`;
  await pulsarAdmin('POST', rights, ['produce', 'consume']);
  await prepare();
  const tls = { ca: bedCertificate };
  const guarded = { type: 'pulsar', region: 'north', ...north.tls, tls, auth: { token: bedToken('isthmus') } };
  mirror = await linksUnderTest(
    [
      {
        name: 'on',
        from: 'pulsar-full',
        to: 'pulsar-west',
        mirrors: {
          whole: { topics: [full('whole-*')] },
          apart: { topics: [full('apart-*')], transform: { set: { by: 'isthmus' } } },
        },
      },
      {
        name: 'cross',
        from: 'pulsar-full',
        to: 'rmq-east',
        mirrors: { m: { topics: [full('cross-*')], onBadRecord: 'dead-letter' } },
      },
      { name: 'back', from: 'pulsar-west', to: 'pulsar-full', mirrors: { m: { topics: [full('back-*')] } } },
    ],
    { clusters: { 'pulsar-full': guarded } },
  );
  mirror.process.start();
  await mirror.listening();
  // While its lane runs; what becomes of the lane is looked at in the end.
  await arrived('whole-done', 2);
  await terminate(north.adminUrl, 'whole-done');
  doneAt = performance.now();
});

afterAll(async () => {
  await mirror.remove();
  await eyes.close();
  await brokers.stop();
});

const big = randomBytes(100_000).toString('hex');

/** What is there before the mirrors are: they find it when they start, and not 10 s later. */
async function prepare(): Promise<void> {
  for (const name of ['whole-secret', 'whole-chunks', 'whole-late', 'whole-avro', 'whole-done', 'whole-stuck', 'whole-grown'])
    await made(name);
  for (const name of ['whole-money', 'apart-secret', 'cross-special']) await made(name);
  await target.createTopic(full('back-home'), 1);
  await source.createTopic(full('back-home'), 1);
  await source.send(full('whole-done'), [message('a'), message('b')], { batch: true });
  const secret = [message('secret 1'), message('secret 2')];
  await source.send(full('whole-secret'), secret, { publicKey: keys.publicKey, batch: true, compression: 'ZSTD' });
  await source.send(full('whole-secret'), [message('secret 3')], { publicKey: keys.publicKey });
  await source.send(full('apart-secret'), [message('open')]);
  await source.send(full('apart-secret'), secret, { publicKey: keys.publicKey, batch: true });
  const pieces = { chunking: true, chunkBytes: 50_000 };
  await source.send(full('whole-chunks'), [message('before'), { body: big, key: 'big' }, message('after')], pieces);
  await source.send(full('cross-special'), [message('first')]);
  await source.send(full('cross-special'), [{ body: big, key: 'big' }], pieces);
  await source.send(full('cross-special'), secret, { publicKey: keys.publicKey, batch: true });
  await source.send(full('cross-special'), [{ ...message('late'), deliverAfterMs: 3_600_000 }]);
  await source.send(full('cross-special'), [message('last')]);
}

async function made(name: string): Promise<void> {
  await source.createTopic(full(name), 1);
  await source.retain(full(name));
}

function message(body: string): PulsarMessage {
  return { body, properties: { seq: body } };
}

function texts(rows: readonly { readonly bodyHex: string | null }[]): string[] {
  return rows.map(({ bodyHex }) => (bodyHex === null ? 'big' : Buffer.from(bodyHex, 'hex').toString()));
}

async function arrived(name: string, count: number, privateKey?: string): Promise<readonly PulsarRow[]> {
  let rows: readonly PulsarRow[] = [];
  const options = { decoded: true, ...(privateKey === undefined ? {} : { privateKey }) };
  await eventually(`${count} messages of ${name} are there`, async () => {
    rows = await target.read(full(name), options);
    return rows.length >= count;
  });
  expect(rows).toHaveLength(count);
  return rows;
}

async function laneOf(name: string, of = 'whole', link = 0): Promise<LaneStatus> {
  const lane = (await mirror.lanes(of, mirror.links[link])).find(({ topic }) => topic === full(name));
  if (lane === undefined) throw new Error(`${name} has no lane`);
  return lane;
}

describe('encrypted messages', () => {
  it('that are passed whole are read at the target by whoever has the key', async () => {
    const rows = await arrived('whole-secret', 3, keys.privateKey);
    expect(texts(rows)).toEqual(['secret 1', 'secret 2', 'secret 3']);
    expect(rows[0]?.entry).toMatchObject({ messages: 2, compression: 'ZSTD' });
  });

  it('stop their lane where records have to be looked into, after what comes before them', async () => {
    await eventually('the lane has stopped', async () => (await laneOf('apart-secret', 'apart')).state === 'stopped');
    const lane = await laneOf('apart-secret', 'apart');
    expect(lane.trouble).toMatchObject({ code: 'RECORD_DAMAGED', message: expect.stringContaining('encrypted') });
    expect(texts(await arrived('apart-secret', 1))).toEqual(['open']);
  });
});

describe('what crosses over to RocketMQ', () => {
  it('is put together from its pieces, comes before its time and says so, and is a dead letter where it is encrypted', async () => {
    const topic = `${run}-cross-special`;
    let rows: Awaited<ReturnType<RocketmqEyes['read']>> = [];
    await eventually('all is there', async () => {
      rows = await east.read(topic);
      return rows.length >= 4;
    });
    expect(texts(rows)).toEqual(['first', 'big', 'late', 'last']);
    expect(rows[1]).toMatchObject({ bodyLength: big.length });
    expect(Number(rows[2]?.properties['PULSAR_DELIVER_AT'])).toBeGreaterThan(Date.now());
    const letters = await east.read(`${topic}-dead-letter`, { expect: 1 });
    expect(letters).toHaveLength(1);
    expect(letters[0]?.properties['ISTHMUS-DEAD-LETTER-REASON']).toContain('encrypted');
  });
});

describe('messages passed whole', () => {
  it('are put together by consumers of the target where they came in pieces', async () => {
    const rows = await arrived('whole-chunks', 3);
    expect(rows.map(({ bodyLength, key }) => [bodyLength, key])).toEqual([
      [6, null],
      [big.length, 'big'],
      [5, null],
    ]);
  });

  it('are there at once where they are delayed, and wait for their time before Shared consumers of the target', async () => {
    const deliverAfterMs = 6_000;
    const sentAt = Date.now();
    await source.send(full('whole-late'), [{ ...message('late'), deliverAfterMs }]);
    const [row] = await arrived('whole-late', 1);
    expect(row?.deliverAtTime).toBeGreaterThanOrEqual(sentAt + deliverAfterMs);
    expect(Date.now()).toBeLessThan(row?.deliverAtTime ?? 0);
    const options = { subscription: 'waits', type: 'Shared', consumers: 1, expect: 1, quietMs: 30_000 } as const;
    expect(await target.consume(full('whole-late'), options)).toHaveLength(1);
    // Brokers keep such times to about a second.
    expect(Date.now()).toBeGreaterThan((row?.deliverAtTime ?? 0) - 1_000);
  });

  it('are read by their own schema at the target, also when it has grown', async () => {
    const topic = full('whole-avro');
    const register = async (...names: string[]): Promise<unknown> => {
      const fields = names.map((name) => ({ name, type: ['null', 'string'], default: null }));
      const schema = JSON.stringify({ type: 'record', name: 'Order', fields });
      const path = `${north.adminUrl}/admin/v2/schemas/${restPath(topic)}/schema`;
      return await pulsarAdmin('POST', path, { type: 'AVRO', schema, properties: {} });
    };
    // Each field: 02 for a value or 00 for none, its length doubled, the text.
    await register('a');
    await source.send(topic, [{ bodyHex: '020278' }], { schema: true });
    await register('a', 'b');
    await source.send(topic, [{ bodyHex: '02027902027a' }, { bodyHex: '00020271' }], { schema: true, batch: true });
    await arrived('whole-avro', 3);
    const written = [{ a: 'x' }, { a: 'y', b: 'z' }, { a: null, b: 'q' }];
    expect(await source.fields(topic)).toEqual(written);
    expect(await target.fields(topic)).toEqual(written);
  });

  it('of a transaction arrive when it is committed, as plain messages', async () => {
    const topic = full('whole-money');
    const [kept, dropped] = [await source.begin(), await source.begin()];
    await source.send(topic, [message('kept 1')], { transaction: kept });
    await source.send(topic, [message('dropped')], { transaction: dropped });
    await source.send(topic, [message('kept 2'), message('kept 3')], { transaction: kept, batch: true });
    await source.end(dropped, 'abort');
    await source.end(kept, 'commit');
    await source.send(topic, [message('plain')]);
    expect(texts(await arrived('whole-money', 4))).toEqual(['kept 1', 'kept 2', 'kept 3', 'plain']);
    expect((await laneOf('whole-money')).gaps).toEqual([]);
  });
});

describe('a topic that grows', () => {
  it('grows at the target first, and its new partitions are mirrored from their first message', async () => {
    const topic = full('whole-grown');
    await source.send(topic, [message('old')]);
    await pulsarAdmin('POST', `${north.adminUrl}/admin/v2/persistent/${restPath(topic)}/partitions`, 3);
    await source.send(topic, [
      { ...message('one'), partition: 1 },
      { ...message('two'), partition: 2 },
    ]);
    const rows = await arrived('whole-grown', 3);
    expect(rows.map(({ partition, properties }) => [partition, properties['seq']])).toEqual([
      [0, 'old'],
      [1, 'one'],
      [2, 'two'],
    ]);
  });
});

async function terminate(adminUrl: string, name: string): Promise<void> {
  await pulsarAdmin('POST', `${adminUrl}/admin/v2/persistent/${restPath(full(name))}-partition-0/terminate`);
}

describe('a terminated topic', () => {
  const logged = (): string[] =>
    readFileSync(mirror.logFile, 'utf8')
      .split('\n')
      .filter((line) => line.includes('whole-done'))
      .map((line) => String(JSON.parse(line).event));

  it('at the source leaves its lane at its end, in peace, also after a restart', async () => {
    // The lane looks for what it may have missed every 10 s.
    await sleep(Math.max(0, doneAt + 12_000 - performance.now()));
    expect(await laneOf('whole-done')).toMatchObject({ state: 'running', trouble: null, lagRecords: 0, gaps: [] });
    expect(logged()).toEqual(['topic-mirrored', 'lane-recovered']);
    await mirror.process.stop();
    mirror.process.start();
    await mirror.listening();
    await eventually('the lane knows that it is at its end', async () => (await laneOf('whole-done')).lagRecords === 0);
    expect(await laneOf('whole-done')).toMatchObject({ state: 'running', trouble: null, gaps: [] });
    await arrived('whole-done', 2);
  });

  it('at the target stops its lane with a code of its own, and no other', async () => {
    await source.send(full('whole-stuck'), [message('a')]);
    await arrived('whole-stuck', 1);
    await terminate(west.adminUrl, 'whole-stuck');
    await source.send(full('whole-stuck'), [message('b')]);
    await eventually('the lane has stopped', async () => (await laneOf('whole-stuck')).state === 'stopped');
    expect((await laneOf('whole-stuck')).trouble).toMatchObject({ code: 'TOPIC_TERMINATED' });
    expect(await laneOf('whole-done')).toMatchObject({ state: 'running' });
    expect(texts(await arrived('whole-stuck', 1))).toEqual(['a']);
  });
});

describe('a cluster with TLS and tokens', () => {
  it('is written as well as read with rights to produce and to consume', async () => {
    await target.send(full('back-home'), [message('home 1'), message('home 2')], { batch: true });
    await eventually('it is there', async () => (await source.read(full('back-home'))).length >= 2);
    expect(texts(await source.read(full('back-home')))).toEqual(['home 1', 'home 2']);
  });
});
