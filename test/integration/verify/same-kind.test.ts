import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Brokers, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type ClusterEyes, type ClusterName, clusterEyes } from '../../kit/cluster-eyes.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from '../../kit/mirror-under-test.ts';
import { verification } from '../../kit/verification.ts';

const MESSAGES = 5_000;

// What is passed on whole or copied as it was stored has other marks than what is put together anew.
describe.each<[ClusterName, ClusterName]>([
  ['pulsar-east', 'pulsar-west'],
  ['rmq-west', 'rmq-east'],
])('verifying a mirror from %s to %s', (from, to) => {
  let brokers: Brokers;
  let eyes: Eyes;
  let source: ClusterEyes;
  let target: ClusterEyes;
  let mirror: MirrorUnderTest;

  beforeAll(async () => {
    brokers = await startBrokers([from, to]);
    eyes = await startEyes();
    source = clusterEyes(eyes, from, testOffset);
    target = clusterEyes(eyes, to, testOffset);
  });
  afterEach(() => mirror.remove());
  afterAll(async () => {
    await eyes.close();
    await brokers.stop();
  });

  async function caughtUp(name: string, count: number): Promise<void> {
    await eventually('all is there', async () => (await target.count(name)).messages >= count, mirror.process);
    await eventually('the lanes are at their ends', async () =>
      (await mirror.lanes('m')).every(({ state, lagSeconds }) => state === 'running' && lagSeconds === 0),
    );
  }

  it.each([1, 33])('finds nothing wrong with batches of %i', async (batch) => {
    const name = `verify-${Date.now().toString(36)}`;
    await source.createTopic(name, 2);
    mirror = await linksUnderTest([{ name: 'l', from, to, mirrors: { m: { topics: [source.full(name)] } } }]);
    mirror.process.start();
    await mirror.listening();
    await source.load(name, { count: MESSAGES, batch, stubborn: true });
    const written = (await source.count(name)).messages;
    await caughtUp(name, written);
    expect(await verification(mirror, { link: mirror.link, mirror: 'm' })).toMatchObject({
      state: 'equal',
      progress: { sourceRecords: written, targetRecords: written, unequalBlocks: 0 },
      notes: [],
      trouble: null,
    });
  });
});
