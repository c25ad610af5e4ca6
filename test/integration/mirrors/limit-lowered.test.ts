import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ReplayAnswer } from '../../../src/cli/answers.ts';
import { type Brokers, pulsarEndpoints, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type ClusterName, clusterEyes } from '../../kit/cluster-eyes.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from '../../kit/mirror-under-test.ts';
import { setMessageLimit } from '../../kit/pulsar-policies.ts';
import { setBrokerSetting } from '../../kit/raw-rocketmq.ts';

// A target's limit is lowered while a mirror runs: what the mirror holds to be small enough is refused by the broker.

const pulsarAt = pulsarEndpoints('pulsar-west', testOffset);
const LARGE = 90_000;
const USUAL_LIMIT = 4 * 1024 * 1024;

interface Way {
  readonly from: ClusterName;
  readonly to: ClusterName;
  limit(name: string, bytes: number): Promise<void>;
  /** A RocketMQ's limit is that of the broker, so the letters are in pieces, which are left to people. */
  readonly comeBack: number;
}

const WAYS: readonly (readonly [string, Way])[] = [
  [
    'Pulsar',
    {
      from: 'rmq-east',
      to: 'pulsar-west',
      comeBack: 30,
      limit: async (name, bytes) => await setMessageLimit(pulsarAt, name, bytes),
    },
  ],
  [
    'RocketMQ',
    {
      from: 'pulsar-west',
      to: 'rmq-east',
      comeBack: 0,
      limit: async (_, bytes) =>
        await setBrokerSetting(rocketmqEndpoints('rmq-east', testOffset).broker, `maxMessageSize=${bytes}`),
    },
  ],
];

let brokers: Brokers;
let eyes: Eyes;
let mirror: MirrorUnderTest;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east', 'pulsar-west']);
  eyes = await startEyes();
});
afterEach(async () => {
  await setBrokerSetting(rocketmqEndpoints('rmq-east', testOffset).broker, `maxMessageSize=${USUAL_LIMIT}`);
  await mirror.remove();
});
afterAll(async () => {
  await eyes.close();
  await brokers.stop();
});

describe.each(WAYS)('%s, when it takes only smaller messages than before,', (_, way) => {
  it('gets what is small enough, the rest become dead letters, and these come back when it takes more again, if they are whole', async () => {
    const name = `lowered-${Date.now().toString(36)}`;
    const [source, target] = [clusterEyes(eyes, way.from, testOffset), clusterEyes(eyes, way.to, testOffset)];
    await source.createTopic(name, 2);
    await target.createTopic(name, 2);
    await way.limit(name, 1024 * 1024);
    const rules = { topics: [source.full(name)], rename: target.full(name), onBadRecord: 'dead-letter' };
    mirror = await linksUnderTest([{ name: 'l', from: way.from, to: way.to, mirrors: { m: rules } }]);
    mirror.process.start();
    await mirror.listening();
    await source.load(name, { count: 20, size: LARGE });
    await eventually('large ones are there', async () => (await target.count(name)).messages >= 20, mirror.process);
    await way.limit(name, 64 * 1024);
    await source.load(name, { count: 30, from: 20, size: LARGE });
    await source.load(name, { count: 50, from: 50, size: 1_000 });
    const letters = async (): Promise<number> => (await mirror.lanes()).reduce((sum, lane) => sum + lane.deadLetters, 0);
    await eventually('the small ones are there', async () => (await target.count(name)).distinct >= 70, mirror.process);
    await eventually('the others are dead letters', async () => (await letters()) >= 30, mirror.process);
    expect((await mirror.lanes()).map(({ state, trouble }) => [state, trouble])).toEqual([
      ['running', null],
      ['running', null],
    ]);
    await way.limit(name, 1024 * 1024);
    const path = `/v1/mirrors/${mirror.link}/m/replay`;
    await mirror.api('POST', path, {});
    await eventually(
      'the replay has ended',
      async () => (await mirror.api<ReplayAnswer>('GET', path)).body.state !== 'running',
      mirror.process,
    );
    expect((await mirror.api<ReplayAnswer>('GET', path)).body).toMatchObject({
      state: 'done',
      topics: [{ replayed: way.comeBack }],
    });
    const there = 70 + way.comeBack;
    expect(await target.count(name)).toEqual({ messages: there, distinct: there });
  });
});
