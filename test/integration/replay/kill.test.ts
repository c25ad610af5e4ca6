import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ReplayAnswer } from '../../../src/cli/answers.ts';
import { judge } from '../../checkers/verdict.ts';
import { type Brokers, pulsarEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type ClusterEyes, type ClusterName, clusterEyes } from '../../kit/cluster-eyes.ts';
import { type ClusterProxy, clusterProxy } from '../../kit/cluster-proxy.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from '../../kit/mirror-under-test.ts';
import { setMessageLimit } from '../../kit/pulsar-policies.ts';

// A replay is a mirror of its own, and the truth is in the target for it as well: the replicator is killed in the middle of one again and again, and a new replay goes on
// where the target says that the last one was.

const pulsarAt = pulsarEndpoints('pulsar-west', testOffset);
const KILLS = 2;
/** Round trips slow enough that a replay can be met in the middle. */
const DELAY_MILLIS = 100;

/** A way to have every message of a topic refused until the cause is mended. */
interface Way {
  readonly from: ClusterName;
  readonly to: ClusterName;
  readonly letters: number;
  write(source: ClusterEyes, name: string): Promise<unknown>;
  /** Before anything is mirrored. */
  spoil(name: string): Promise<void>;
  mend(name: string): Promise<void>;
}

let brokers: Brokers;
let eyes: Eyes;
let mirror: MirrorUnderTest;
let proxy: ClusterProxy;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east', 'pulsar-west']);
  eyes = await startEyes();
});
afterEach(async () => {
  await mirror.remove();
  await proxy.close();
});
afterAll(async () => {
  await eyes.close();
  await brokers.stop();
});

const toPulsar: Way = {
  from: 'rmq-east',
  to: 'pulsar-west',
  letters: 240,
  write: async (source, name) => await source.load(name, { count: 240, size: 90_000, keys: 20 }),
  spoil: async (name) => await setMessageLimit(pulsarAt, name, 64 * 1024),
  mend: async (name) => await setMessageLimit(pulsarAt, name, 1024 * 1024),
};

// RocketMQ can hold no such character in a property; the letter has it written otherwise, so there is nothing to be mended.
const toRocketmq: Way = {
  from: 'pulsar-west',
  to: 'rmq-east',
  letters: 400,
  write: async (source, name) => {
    const messages = Array.from({ length: 400 }, (_, i) => ({
      body: 'x'.repeat(30_000),
      key: `k${i % 20}`,
      partition: i % 2,
      properties: { seq: String(i), odd: 'a\u0001b' },
    }));
    await eyes.pulsar(pulsarAt).send(source.full(name), messages);
  },
  spoil: async () => undefined,
  mend: async () => undefined,
};

async function replayed(path: string): Promise<ReplayAnswer> {
  let answer: ReplayAnswer | undefined;
  await eventually(
    'the replay has ended',
    async () => {
      answer = (await mirror.api<ReplayAnswer>('GET', path)).body;
      return answer.state !== 'running';
    },
    mirror.process,
  );
  if (answer === undefined) throw new Error('there was no replay');
  return answer;
}

describe.each([
  ['Pulsar', toPulsar],
  ['RocketMQ', toRocketmq],
])('a replay into %s', (_, way) => {
  it('that is killed in the middle again and again puts every letter back once, in order', async () => {
    const name = `killed-${Date.now().toString(36)}`;
    const [source, target] = [clusterEyes(eyes, way.from, testOffset), clusterEyes(eyes, way.to, testOffset)];
    await source.createTopic(name, 2);
    await target.createTopic(name, 2);
    await way.spoil(name);
    proxy = await clusterProxy(way.to, testOffset);
    const rules = { topics: [source.full(name)], rename: target.full(name), onBadRecord: 'dead-letter' };
    mirror = await linksUnderTest([{ name: 'l', from: way.from, to: way.to, mirrors: { m: rules } }], {
      clusters: { [way.to]: proxy.config },
    });
    mirror.process.start();
    await mirror.listening();
    await way.write(source, name);
    await eventually(
      'all are refused',
      async () => (await mirror.lanes()).reduce((sum, lane) => sum + lane.deadLetters, 0) >= way.letters,
      mirror.process,
    );
    expect((await target.readRows(name)).length).toBe(0);
    // Its last checkpoints have to be behind what was refused: a mirror that took it again would store it now that the cause is mended, and there would be nothing to be replayed.
    await mirror.process.stop();
    mirror.process.start();
    await mirror.listening();
    await way.mend(name);

    const path = `/v1/mirrors/${mirror.link}/m/replay`;
    const storedAtKill: number[] = [];
    for (let kill = 1; kill <= KILLS; kill++) {
      proxy.delay(DELAY_MILLIS);
      expect((await mirror.api('POST', path, {})).status).toBe(202);
      const moment = (way.letters * kill) / (KILLS + 2);
      await eventually('some more are stored', async () => (await target.messagesIn(name)) >= moment, mirror.process);
      await sleep(kill * 15);
      await mirror.process.kill();
      storedAtKill.push((await target.readRows(name)).length);
      proxy.delay(0);
      mirror.process.start();
      await mirror.listening();
      // A process that starts knows of no replay: what was replayed is known by the place and by the target.
      expect((await mirror.api('GET', path)).status).toBe(404);
    }
    // Else nothing was killed in the middle.
    expect(storedAtKill.some((stored) => stored > 0 && stored < way.letters)).toBe(true);

    expect((await mirror.api('POST', path, {})).status).toBe(202);
    expect(await replayed(path)).toMatchObject({ state: 'done', trouble: null });
    const rows = await target.readRows(name);
    expect(judge(await source.readRows(name), rows)).toMatchObject({
      target: way.letters,
      lost: 0,
      doubled: 0,
      reordered: 0,
      strangers: 0,
    });
    expect((await mirror.api('POST', path, {})).status).toBe(202);
    expect(await replayed(path)).toMatchObject({ state: 'done', topics: [{ found: 0, replayed: 0 }] });
    expect((await target.readRows(name)).length).toBe(way.letters);
  });
});
