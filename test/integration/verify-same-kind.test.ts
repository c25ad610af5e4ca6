import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { VerificationStatus } from '../../src/control/verification-api.ts';
import { type Brokers, startBrokers, testOffset } from '../kit/brokers.ts';
import { type ClusterName, clusterEyes } from '../kit/cluster-eyes.ts';
import { type Eyes, startEyes } from '../kit/eyes.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from '../kit/mirror-under-test.ts';

const MESSAGES = 5_000;

// What is passed on whole or copied as it was stored has other marks than what is put together anew.
describe.each<[ClusterName, ClusterName]>([
  ['pulsar-east', 'pulsar-west'],
  ['rmq-west', 'rmq-east'],
])('verifying a mirror from %s to %s', (from, to) => {
  let brokers: Brokers;
  let eyes: Eyes;
  let mirror: MirrorUnderTest;

  beforeAll(async () => {
    brokers = await startBrokers([from, to]);
    eyes = await startEyes();
  });
  afterEach(() => mirror.remove());
  afterAll(async () => {
    await eyes.close();
    await brokers.stop();
  });

  it.each([1, 33])('finds nothing wrong with batches of %i', async (batch) => {
    const name = `verify-${Date.now().toString(36)}`;
    const [source, target] = [clusterEyes(eyes, from, testOffset), clusterEyes(eyes, to, testOffset)];
    await source.createTopic(name, 2);
    mirror = await linksUnderTest([{ name: 'l', from, to, mirrors: { m: { topics: [source.full(name)] } } }]);
    mirror.process.start();
    await mirror.listening();
    await source.load(name, { count: MESSAGES, batch, stubborn: true });
    const written = (await source.count(name)).messages;
    await eventually('all is there', async () => (await target.count(name)).messages >= written, mirror.process);
    await eventually('the lanes are at their ends', async () =>
      (await mirror.lanes('m')).every(({ lagSeconds }) => lagSeconds === 0),
    );

    const begun = await mirror.api<{ id: string }>('POST', '/v1/verifications', { link: mirror.link, mirror: 'm' });
    let answer: VerificationStatus | undefined;
    await eventually('it is compared', async () => {
      answer = (await mirror.api<VerificationStatus>('GET', `/v1/verifications/${begun.body.id}`)).body;
      return answer.state !== 'running';
    });
    expect(answer).toMatchObject({
      state: 'equal',
      progress: { sourceRecords: written, targetRecords: written, unequalBlocks: 0 },
      notes: [],
      trouble: null,
    });
  });
});
