import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { VerificationAnswer } from '../../../src/cli/answers.ts';
import { type Brokers, pulsarEndpoints, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type ClusterEyes, type ClusterName, clusterEyes } from '../../kit/cluster-eyes.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from '../../kit/mirror-under-test.ts';
import type { PulsarEyes } from '../../kit/pulsar-eyes.ts';
import type { RocketmqEyes } from '../../kit/rocketmq-eyes.ts';

let brokers: Brokers;
let eyes: Eyes;
let rocket: RocketmqEyes;
let pulsar: PulsarEyes;
let mirror: MirrorUnderTest;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east', 'pulsar-west']);
  eyes = await startEyes();
  rocket = eyes.rocketmq(rocketmqEndpoints('rmq-east', testOffset).namesrv);
  pulsar = eyes.pulsar(pulsarEndpoints('pulsar-west', testOffset));
});

afterEach(async () => {
  await mirror.remove();
});

afterAll(async () => {
  await eyes.close();
  await brokers.stop();
});

/** A message with a key of its own, in the first lane. With `lost`, the mirror's first filter leaves it out. */
interface Probe {
  readonly key: string;
  readonly lost?: boolean;
}

/** A probe in the source: its position there, and its client's id where it has one. */
interface Sent {
  readonly key: string;
  readonly position: string;
  readonly id: string | undefined;
}

/** What differs between the directions: how an official client writes probes, and copies of them with the mark of a mirrored record. */
interface Way {
  readonly from: ClusterName;
  readonly to: ClusterName;
  readonly firstLane: string;
  readonly rename: (name: string) => string;
  send(topic: string, probes: readonly Probe[]): Promise<Sent[]>;
  copy(topic: string, target: string, sent: Sent, body: string, lost: boolean): Promise<void>;
}

const bodyOf = (key: string): string => `body of ${key}`;
const full = (name: string): string => `persistent://public/default/${name}`;
const markOf = (cluster: string, topic: string, lane: string, position: string): string =>
  `1;${cluster};${topic};${lane};${position};${Date.now().toString(36)}`;
/** The same number for a key at all times, which counting asks for. */
const numbers: string[] = [];
function propertiesOf(key: string, lost: boolean | undefined): Record<string, string> {
  if (!numbers.includes(key)) numbers.push(key);
  return { seq: String(1_000_000 + numbers.indexOf(key)), ...(lost === true ? { lost: 'yes' } : {}) };
}

const toPulsar: Way = {
  from: 'rmq-east',
  to: 'pulsar-west',
  firstLane: 'broker-a:0',
  rename: full,
  async send(topic, probes) {
    const messages = probes.map(({ key, lost }) => ({
      body: bodyOf(key),
      keys: key,
      queue: 0,
      properties: propertiesOf(key, lost),
    }));
    const receipts = await rocket.send(topic, messages);
    return receipts.map(({ offset, uniqKey }, i) => ({ key: probes[i]?.key ?? '', position: String(offset), id: uniqKey }));
  },
  async copy(topic, target, { key, position, id = '' }, body, lost) {
    const mark = markOf('rmq-east', topic, 'broker-a:0', position);
    const properties = { ...propertiesOf(key, lost), KEYS: key, UNIQ_KEY: id, ISTHMUS: mark };
    await pulsar.send(target, [{ body, key, properties, partition: 0 }]);
  },
};

const toRocketmq: Way = {
  from: 'pulsar-west',
  to: 'rmq-east',
  firstLane: '0',
  rename: (name) => name,
  async send(topic, probes) {
    const messages = probes.map(({ key, lost }) => ({
      body: bodyOf(key),
      key,
      partition: 0,
      properties: propertiesOf(key, lost),
    }));
    const receipts = await pulsar.send(topic, messages);
    return receipts.map(({ messageId }, i) => ({
      key: probes[i]?.key ?? '',
      position: messageId.replace(/:-1$/, ''),
      id: undefined,
    }));
  },
  async copy(topic, target, { key, position }, body, lost) {
    const mark = markOf('pulsar-west', topic, '0', position);
    await rocket.send(target, [{ body, shardingKey: key, queue: 0, properties: { ...propertiesOf(key, lost), ISTHMUS: mark } }]);
  },
};

async function verify(args: readonly string[] = []): Promise<{ readonly code: number; readonly answer: VerificationAnswer }> {
  const command = ['scripts/isthmus.js', 'verify', `${mirror.link}/v`, '--json', '--url', mirror.url, ...args];
  const { code, stdout, stderr } = await promisify(execFile)('node', command, { maxBuffer: 64 * 1024 * 1024 }).then(
    (done) => ({ ...done, code: 0 }),
    (failed: { code: number; stdout: string; stderr: string }) => failed,
  );
  if (stdout === '') throw new Error(`isthmus verify ended with ${code}: ${stderr}`);
  return { code, answer: JSON.parse(stdout) as VerificationAnswer };
}

const found = ({ differences }: VerificationAnswer): string[] =>
  differences.map(({ kind, position }) => `${kind} ${position}`).sort();
const numbered = (what: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${what}-${i}`);

async function caughtUp(target: ClusterEyes, topic: string, count: number): Promise<void> {
  await eventually(`${topic} has ${count} messages`, async () => (await target.count(topic)).messages >= count, mirror.process);
  await eventually('the lanes are at their ends', async () =>
    (await mirror.lanes('v')).every(({ lagRecords, lagSeconds }) => lagRecords === 0 || lagSeconds === 0),
  );
}

describe.each([
  ['RocketMQ to Pulsar', toPulsar],
  ['Pulsar to RocketMQ', toRocketmq],
])('isthmus verify, %s', (_, way) => {
  it('finds exactly what was planted, sends what is missing once, and nothing else', async () => {
    const name = `verify-${Date.now().toString(36)}`;
    const [source, target] = [clusterEyes(eyes, way.from, testOffset), clusterEyes(eyes, way.to, testOffset)];
    const topic = source.full(name);
    await source.createTopic(name, 4);
    mirror = await linksUnderTest([
      { name: 'l', from: way.from, to: way.to, mirrors: { unused: { topics: ['nothing-of-this-name'] } } },
    ]);
    mirror.process.start();
    await mirror.listening();
    await eventually('the mirror is added', async () => {
      const body = {
        link: mirror.link,
        name: 'v',
        topics: [topic],
        rename: way.rename(name),
        filter: { except: { lost: ['yes'] } },
      };
      return (await mirror.api('POST', '/v1/mirrors', body)).status === 201;
    });

    await source.load(name, { count: 10_000 });
    const missing = await way.send(
      topic,
      numbered('missing', 30).map((key) => ({ key, lost: true })),
    );
    const changed = await way.send(
      topic,
      numbered('changed', 3).map((key) => ({ key, lost: true })),
    );
    const late = await way.send(
      topic,
      numbered('late', 3).map((key) => ({ key, lost: true })),
    );
    const twice = await way.send(
      topic,
      numbered('twice', 3).map((key) => ({ key })),
    );
    await way.send(
      topic,
      numbered('late', 3).map((key) => ({ key })),
    );
    await source.load(name, { count: 10_000, from: 10_000 });
    // Not counted at the source: right after writing, a busy RocketMQ broker does not show all of it yet.
    const written = 20_042;
    const wanted = written - missing.length - changed.length - late.length;
    await caughtUp(target, name, wanted);

    const before = await verify();
    expect(before).toMatchObject({ code: 0, answer: { state: 'equal', differences: [], notes: [], absences: { property: 36 } } });
    expect(before.answer.progress).toMatchObject({ sourceRecords: written, targetRecords: wanted, unequalBlocks: 0 });

    await mirror.api('PATCH', `/v1/mirrors/${mirror.link}/v`, { filter: null });
    for (const sent of changed) await way.copy(topic, way.rename(name), sent, 'something else', true);
    for (const sent of late) await way.copy(topic, way.rename(name), sent, bodyOf(sent.key), true);
    for (const sent of twice) await way.copy(topic, way.rename(name), sent, bodyOf(sent.key), false);
    // An application's own message is nobody's copy.
    await (way === toPulsar
      ? pulsar.send(full(name), [{ body: 'own', partition: 0, properties: propertiesOf('own', false) }])
      : rocket.send(name, [{ body: 'own', queue: 0, properties: propertiesOf('own', false) }]));
    await eventually('the mirror runs again', async () => (await mirror.lanes('v')).every(({ state }) => state === 'running'));

    const after = await verify();
    const expected = [
      ...missing.map(({ position }) => `missing ${position}`),
      ...changed.map(({ position }) => `changed ${position}`),
      ...late.map(({ position }) => `reordered ${position}`),
      ...twice.map(({ position }) => `doubled ${position}`),
    ].sort();
    expect(found(after.answer)).toEqual(expected);
    expect(after.answer.differences.every(({ lane }) => lane === way.firstLane)).toBe(true);
    expect(after.answer.differences.filter(({ kind }) => kind === 'doubled').map((each) => each.target.length)).toEqual([
      2, 2, 2,
    ]);
    expect([after.code, after.answer.repaired]).toEqual([1, null]);

    const repairing = await verify(['--repair']);
    expect(repairing).toMatchObject({ code: 1, answer: { repaired: { stored: 30, found: 0, left: 0 } } });
    await eventually('the mirror runs again', async () => (await mirror.lanes('v')).every(({ state }) => state === 'running'));
    await source.load(name, { count: 500, from: 20_000 });
    const all = wanted + 9 + 1 + 30 + 500;
    await caughtUp(target, name, all);
    const repaired = await verify(['--repair']);
    expect(repaired.answer).toMatchObject({ counts: { missing: 0, doubled: 3, changed: 3, reordered: 3 }, repaired: null });
    expect((await target.count(name)).messages).toBe(all);
    const rows = await target.readRows(name);
    const keys = rows.flatMap(({ key }) => (key?.startsWith('missing-') === true ? [key] : []));
    expect(keys.sort()).toEqual(missing.map(({ key }) => key).sort());
    // Whoever looks leaves no subscription behind; the mirror has one where it reads.
    expect(await subscriptionsOf(full(name))).toHaveLength(way === toPulsar ? 0 : 1);
  });
});

async function subscriptionsOf(topic: string): Promise<string[]> {
  const { adminUrl } = pulsarEndpoints('pulsar-west', testOffset);
  const path = topic.replace('://', '/');
  const response = await fetch(`${adminUrl}/admin/v2/${path}/subscriptions`);
  return (await response.json()) as string[];
}
