import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { MirrorStatus } from '../../../src/control/api.ts';
import { judge } from '../../checkers/verdict.ts';
import { type Brokers, pulsarEndpoints, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { eventually, type MirrorOptions, type MirrorUnderTest, mirrorUnderTest } from '../../kit/mirror-under-test.ts';
import type { PulsarEyes } from '../../kit/pulsar-eyes.ts';
import { setMessageLimit } from '../../kit/pulsar-policies.ts';
import type { RocketmqEyes, RocketmqMessage } from '../../kit/rocketmq-eyes.ts';

let brokers: Brokers;
let eyes: Eyes;
let source: RocketmqEyes;
let target: PulsarEyes;
let mirror: MirrorUnderTest;
const { adminUrl, serviceUrl } = pulsarEndpoints('pulsar-west', testOffset);

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east', 'pulsar-west', 'redis-east']);
  await openEyes();
});

async function openEyes(): Promise<void> {
  eyes = await startEyes();
  source = eyes.rocketmq(rocketmqEndpoints('rmq-east', testOffset).namesrv);
  target = eyes.pulsar({ serviceUrl, adminUrl });
}

afterEach(async () => {
  await mirror.remove();
});

afterAll(async () => {
  await eyes.close();
  await brokers.stop();
});

const full = (topic: string): string => `persistent://public/default/${topic}`;
const unique = (what: string): string => `${what}-${Date.now().toString(36)}`;

async function started(options: MirrorOptions): Promise<void> {
  mirror = await mirrorUnderTest(options);
  mirror.process.start();
  await mirror.listening();
}

async function hasAll(topic: string, count: number): Promise<void> {
  // Read, not asked for by statistics: those count the writers' markers as well.
  await eventually(`${topic} has ${count} messages`, async () => (await target.readRows(full(topic))).length >= count);
}

async function expectFaithful(topic: string, count: number, targetTopic = topic): Promise<void> {
  await hasAll(targetTopic, count);
  const verdict = judge(await source.readRows(topic, { expect: count }), await target.readRows(full(targetTopic)));
  expect(verdict).toMatchObject({ source: count, target: count, lost: 0, doubled: 0, reordered: 0, strangers: 0 });
}

describe('topics and queues', () => {
  it('finds a new topic that matches, and new queues of it, while it runs', async () => {
    const stem = unique('grow');
    await started({ mirror: { topics: [`${stem}-*`] } });
    await eventually('it has looked for topics', async () => (await mirror.status()).ready);
    const topic = `${stem}-a`;
    await source.createTopic(topic, { queues: 2 });
    await source.load(topic, { count: 500 });
    await expectFaithful(topic, 500);
    await source.createTopic(topic, { queues: 4 });
    await eventually(
      'four lanes run',
      async () => (await mirror.lanes()).filter((lane) => lane.state === 'running').length === 4,
    );
    // Keys stay in their queues only while the number of queues stays, so the order of keys is not compared here.
    await source.load(topic, { count: 500, from: 500, keys: 0 });
    await hasAll(topic, 1000);
    const rows = await target.readRows(full(topic));
    expect(new Set(rows.map((row) => row.id)).size).toBe(1000);
    expect(new Set(rows.map((row) => row.lane)).size).toBe(4);
  });

  it('waits for a named topic that is absent at the source, and says so', async () => {
    const topic = unique('absent');
    await started({ mirror: { topics: [topic] } });
    await eventually('the mirror says what it waits for', async () => {
      const { body } = await mirror.api<MirrorStatus>('GET', `/v1/mirrors/${mirror.link}/m`);
      return body.state === 'waiting' && body.trouble?.code === 'TOPIC_NOT_FOUND' && body.trouble.message.includes(topic);
    });
    await source.createTopic(topic, { queues: 1 });
    await source.load(topic, { count: 10 });
    await expectFaithful(topic, 10);
    // Without it Pulsar would delete what no subscription holds, and with it the marks that recovery looks for.
    const retention = await fetch(`${adminUrl}/admin/v2/persistent/public/default/${topic}/retention`);
    expect(await retention.json()).toMatchObject({ retentionTimeInMinutes: 72 * 60 });
  });
});

describe('clusters that do not answer', () => {
  it('are tried again and named, while the mirrors of others go on', async () => {
    const topic = unique('others');
    await source.createTopic(topic, { queues: 2 });
    await source.load(topic, { count: 100 });
    await started({ deadLinks: true, mirror: { topics: [topic] } });
    await expectFaithful(topic, 100);
    const { mirrors } = (await mirror.api<{ mirrors: MirrorStatus[] }>('GET', '/v1/mirrors')).body;
    const states = Object.fromEntries(mirrors.map((each) => [each.link, [each.state, each.trouble?.code]]));
    expect(states).toMatchObject({
      [mirror.link]: ['running', undefined],
      'dead-source': ['waiting', 'CONNECT_FAILED'],
      'dead-target': ['waiting', 'CONNECT_FAILED'],
    });
    const { ready, reasons } = await mirror.status();
    expect(ready).toBe(false);
    expect(reasons.join('\n')).toMatch(/dead-source.*127\.0\.0\.1:3[^]*dead-target.*127\.0\.0\.1:5/);
  });
});

describe('routing by key', () => {
  it('brings each key to one partition by the hash of the Java client, in order, also across a SIGKILL', async () => {
    const topic = unique('by-key');
    await source.createTopic(topic, { queues: 8 });
    await source.load(topic, { count: 40_000, keys: 500, sharding: true });
    mirror = await mirrorUnderTest({ mirror: { topics: [topic], routing: { mode: 'key', partitions: 3 } } });
    mirror.process.start();
    await eventually('some are stored', async () => (await target.messagesIn(full(topic)).catch(() => 0)) > 5_000);
    await mirror.process.kill();
    mirror.process.start();
    await expectFaithful(topic, 40_000);
    const rows = await target.readRows(full(topic));
    expect(rows.filter((row) => row.lane !== String(javaStringHash(row.key ?? '') % 3))).toEqual([]);
    expect(new Set(rows.map((row) => row.lane)).size).toBe(3);
  });

  function javaStringHash(key: string): number {
    let hash = 0;
    for (let i = 0; i < key.length; i++) hash = (Math.imul(hash, 31) + key.charCodeAt(i)) | 0;
    return hash & 0x7fffffff;
  }
});

describe('mirrors over HTTP', () => {
  it('adds, pauses, resumes and deletes a mirror; it survives a restart, and SIGTERM leaves nothing to be done twice', async () => {
    const [fileTopic, apiTopic] = [unique('file'), unique('api')];
    await source.createTopic(fileTopic, { queues: 1 });
    await source.createTopic(apiTopic, { queues: 2 });
    await source.load(apiTopic, { count: 1_000 });
    await started({ state: 'redis', mirror: { topics: [fileTopic] } });
    const path = `/v1/mirrors/${mirror.link}/added`;
    const made = await mirror.api('POST', '/v1/mirrors', { link: mirror.link, name: 'added', topics: [apiTopic] });
    expect(made.status).toBe(201);
    await expectFaithful(apiTopic, 1_000);
    const again = await mirror.api<{ code: string }>('POST', '/v1/mirrors', {
      link: mirror.link,
      name: 'twin',
      topics: [apiTopic],
    });
    expect([again.status, again.body.code]).toEqual([409, 'CONFLICT']);

    expect((await mirror.api<MirrorStatus>('POST', `${path}/pause`)).body.state).toBe('paused');
    await source.load(apiTopic, { count: 1_000, from: 1_000 });
    expect(await mirror.process.stop()).toBe(true);
    mirror.process.start();
    await mirror.listening();
    await eventually(
      'the mirror is known and still paused',
      async () => (await mirror.api<MirrorStatus>('GET', path)).body.state === 'paused',
    );
    expect(await target.readRows(full(apiTopic))).toHaveLength(1_000);

    await mirror.api('POST', `${path}/resume`);
    await expectFaithful(apiTopic, 2_000);
    expect((await mirror.api('DELETE', path)).status).toBe(204);
    expect((await mirror.api('GET', path)).status).toBe(404);
    expect((await mirror.api('DELETE', `/v1/mirrors/${mirror.link}/m`)).status).toBe(409);
  });
});

describe('bodies as large as RocketMQ takes', () => {
  it('go through one after the other, far more of them than the limits hold at once, and the process answers meanwhile', async () => {
    const topic = unique('large');
    await source.createTopic(topic, { queues: 4 });
    await source.load(topic, { count: 48, size: 4_000_000, batch: 1 });
    await started({ mirror: { topics: [topic] } });
    await eventually('all lanes have caught up', async () => {
      const lanes = await mirror.lanes();
      return lanes.length === 4 && lanes.every((lane) => lane.lagRecords === 0);
    });
    await expectFaithful(topic, 48);
  });
});

describe('a record that the target refuses', () => {
  const limitBytes = 20_000;

  async function prepared(topic: string): Promise<void> {
    await source.createTopic(topic, { queues: 2 });
    await target.createTopic(full(topic), 2);
    await setMessageLimit({ adminUrl }, topic, limitBytes);
    const big = { body: 'x'.repeat(2 * limitBytes), keys: 'big', properties: { seq: '5' }, queue: 0 };
    await source.send(topic, [...small(0, 5, 0), big, ...small(6, 10, 0), ...small(10, 15, 1)]);
  }

  const small = (from: number, to: number, queue: number): RocketmqMessage[] =>
    Array.from({ length: to - from }, (_, i) => ({
      body: `body ${from + i}`,
      keys: `k${from + i}`,
      properties: { seq: String(from + i) },
      queue,
    }));

  it('stops its lane and names reason and position, while the other lane goes on', async () => {
    const topic = unique('refused');
    await prepared(topic);
    await started({ mirror: { topics: [topic], onBadRecord: 'stop-lane' } });
    await eventually('one lane has stopped', async () => (await mirror.lanes()).some((lane) => lane.state === 'stopped'));
    const lanes = await mirror.lanes();
    const stopped = lanes.find((lane) => lane.state === 'stopped');
    expect(stopped).toMatchObject({ lane: 'broker-a:0', next: '5', recordsStored: 5, trouble: { code: 'RECORD_REFUSED' } });
    expect(stopped?.trouble?.message).toContain('broker-a:0 5');
    await hasAll(topic, 10);
    expect(lanes.find((lane) => lane.lane === 'broker-a:1')).toMatchObject({ state: 'running' });
  });

  it('goes to the dead-letter topic whole, with reason and source position, and its lane goes on', async () => {
    const topic = unique('dead');
    await prepared(topic);
    await started({ mirror: { topics: [topic], onBadRecord: 'dead-letter' } });
    await hasAll(topic, 14);
    expect((await target.readRows(full(topic))).map((row) => Number(row.id)).sort((a, b) => a - b)).toEqual([
      0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    ]);
    const letters = await target.read(full(`${topic}-dead-letter`));
    expect(letters).toHaveLength(1);
    expect(letters[0]).toMatchObject({ bodyLength: 2 * limitBytes, key: 'big' });
    expect(letters[0]?.properties['seq']).toBe('5');
    expect(Object.values(letters[0]?.properties ?? {}).join(' ')).toMatch(/broker-a:0/);
    expect(readFileSync(mirror.logFile, 'utf8')).toContain('record-dead-lettered');
  });
});
