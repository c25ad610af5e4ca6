import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Brokers, pulsarEndpoints, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { eventually, type MirrorUnderTest, mirrorUnderTest } from '../../kit/mirror-under-test.ts';
import type { PulsarEyes } from '../../kit/pulsar-eyes.ts';
import type { RocketmqEyes } from '../../kit/rocketmq-eyes.ts';

// Apart from fidelity.test.ts, because a broker that has the timer wheel or has seen a transaction burns a processor from then on:
// it runs for these tests alone.

const run = `fidelity-timer-${Date.now().toString(36)}`;
const [timed, transacted] = [`${run}-timed`, `${run}-transacted`];

let brokers: Brokers;
let eyes: Eyes;
let source: RocketmqEyes;
let target: PulsarEyes;
let mirror: MirrorUnderTest;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-timer', 'pulsar-west']);
  eyes = await startEyes();
  source = eyes.rocketmq(rocketmqEndpoints('rmq-timer', testOffset).namesrv);
  target = eyes.pulsar(pulsarEndpoints('pulsar-west', testOffset));
  await source.createTopic(timed, { queues: 1, messageType: 'DELAY' });
  await source.createTopic(transacted, { queues: 1, messageType: 'TRANSACTION' });
  mirror = await mirrorUnderTest({ source: 'rmq-timer', mirror: { topics: [`${run}-*`] } });
  mirror.process.start();
  await mirror.listening();
});

afterAll(async () => {
  await mirror.remove();
  await eyes.close();
  await brokers.stop();
});

async function idsIn(topic: string): Promise<readonly (string | undefined)[]> {
  return (await target.read(`persistent://public/default/${topic}`)).map((row) => row.properties['id']);
}

describe('on a broker with timers and transactions', () => {
  it('a timer message is mirrored when it is delivered, with the delay that was asked for and nothing of the timer', async () => {
    await source.send(timed, [{ body: 'late', delayMs: 3_000, properties: { id: 'late' } }]);
    await eventually('the message is mirrored', async () => (await idsIn(timed)).length > 0);
    const [original] = await source.read(timed);
    expect(original?.properties).toHaveProperty('TIMER_OUT_MS');
    const [copy, ...more] = await target.read(`persistent://public/default/${timed}`);
    expect(more).toEqual([]);
    expect(copy).toMatchObject({ deliverAtTime: 0, bodyHex: original?.bodyHex });
    const asked = Object.entries(original?.properties ?? {}).filter(([name]) => /^TIMER_DEL(AY|IVER)_/.test(name));
    expect(asked.length).toBeGreaterThan(0);
    expect(copy?.properties).toEqual({ id: 'late', UNIQ_KEY: original?.properties['UNIQ_KEY'], ...Object.fromEntries(asked) });
  });

  it('a committed transaction is mirrored as a plain message, and one that was rolled back never', async () => {
    await source.send(transacted, [{ body: 'no', properties: { id: 'rolled-back' } }], { transaction: 'rollback' });
    await source.send(transacted, [{ body: 'yes', tags: 'paid', properties: { id: 'committed' } }], { transaction: 'commit' });
    await source.send(transacted, [{ body: 'plain', properties: { id: 'plain' } }]);
    // The plain one is last in its queue, so nothing can follow that is mirrored later.
    await eventually('the last message is mirrored', async () => (await idsIn(transacted)).includes('plain'));
    expect((await idsIn(transacted)).map(String).toSorted()).toEqual(['committed', 'plain']);
    const written = (await source.read(transacted)).find((row) => row.properties['id'] === 'committed');
    expect(written?.properties).toHaveProperty('TRAN_MSG');
    const stored = (await target.read(`persistent://public/default/${transacted}`)).find(
      (row) => row.properties['id'] === 'committed',
    );
    expect(stored?.properties).toEqual({ id: 'committed', TAGS: 'paid', UNIQ_KEY: written?.properties['UNIQ_KEY'] });
  });
});
