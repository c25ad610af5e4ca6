import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { VerificationAnswer } from '../../../src/cli/answers.ts';
import { type Brokers, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type ClusterEyes, clusterEyes } from '../../kit/cluster-eyes.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from '../../kit/mirror-under-test.ts';
import { verification } from '../../kit/verification.ts';

// Both clusters are written under one topic name while each direction is compared again and again: what is on its way is neither missing nor anything else.

/** One round of each writer; as many as it takes. */
const MESSAGES = 2_000;
const MAX_ROUNDS = 40;
const RATE = 500;
/** Comparisons, while it is written, of more than so many records. */
const COMPARED = 4;
const SOME = 100;
const LANES = 4;
/** Ids of the second writer begin here. */
const SECOND = 1_000_000;

let brokers: Brokers;
let eyes: Eyes;
let mirror: MirrorUnderTest;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-east', 'pulsar-west']);
  eyes = await startEyes();
});
afterEach(() => mirror.remove());
afterAll(async () => {
  await eyes.close();
  await brokers.stop();
});

describe('an active-active pair that is written', () => {
  it('shows no difference in either direction, however often it is compared', async () => {
    const name = `written-${Date.now().toString(36)}`;
    const [east, west] = [clusterEyes(eyes, 'rmq-east', testOffset), clusterEyes(eyes, 'pulsar-west', testOffset)];
    for (const cluster of [east, west]) await cluster.createTopic(name, LANES);
    const rule = (from: ClusterEyes, to: ClusterEyes): object => ({ topics: [from.full(name)], rename: to.full(name) });
    mirror = await linksUnderTest([
      { name: 'there', from: east.name, to: west.name, mirrors: { m: { ...rule(east, west) } } },
      { name: 'back', from: west.name, to: east.name, mirrors: { m: { ...rule(west, east) } } },
    ]);
    mirror.process.start();
    await mirror.listening();

    let isWritten = false;
    let rounds = 0;
    const compared: VerificationAnswer[] = [];
    // Of a topic that is written, not only of one that is empty yet or written wholly.
    const middle = (): number => compared.filter(({ progress: { sourceRecords } }) => sourceRecords > SOME).length;
    const writing = (async () => {
      while (middle() < COMPARED && rounds < MAX_ROUNDS) {
        const round = { count: MESSAGES, rate: RATE, stubborn: true };
        await Promise.all([
          east.load(name, { ...round, from: rounds * MESSAGES }),
          west.load(name, { ...round, from: SECOND + rounds * MESSAGES }),
        ]);
        rounds++;
      }
    })().finally(() => {
      isWritten = true;
    });
    // Looked at below; a failure before must not end the test run.
    writing.catch(() => undefined);
    while (!isWritten) {
      const running = mirror.links.map(async (link) => await verification(mirror, { link, mirror: 'm' }));
      compared.push(...(await Promise.all(running)));
    }
    await writing;
    const wrong = compared.filter(({ state }) => state !== 'equal');
    expect(wrong.map(({ counts, differences, notes, trouble }) => ({ counts, differences, notes, trouble }))).toEqual([]);
    expect(middle()).toBeGreaterThanOrEqual(COMPARED);
    const written = rounds * MESSAGES;

    await eventually(
      'both sides have all',
      async () => (await east.count(name)).messages >= 2 * written && (await west.count(name)).messages >= 2 * written,
      mirror.process,
    );
    for (const link of mirror.links) {
      await eventually(
        'it is compared wholly',
        async () => (await verification(mirror, { link, mirror: 'm' })).progress.sourceRecords >= 2 * written,
        mirror.process,
      );
      const last = await verification(mirror, { link, mirror: 'm' });
      expect(last).toMatchObject({ state: 'equal', counts: { missing: 0, doubled: 0, unexpected: 0 } });
      // What came from the other side is not to go back.
      expect(last.absences['loop']).toBeGreaterThanOrEqual(written);
    }
  });
});
