import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { entryPosition, formatPosition } from '../../../src/model/position.ts';
import type { GroupProgress } from '../../../src/model/progress.ts';
import type { Cluster } from '../../../src/spi/cluster.ts';
import type { GroupPlace, Groups } from '../../../src/spi/groups.ts';
import { type Brokers, pulsarEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import type { PulsarEyes } from '../../kit/pulsar-eyes.ts';
import { openTestCluster } from '../../kit/pulsar-writing.ts';

const west = pulsarEndpoints('pulsar-west', testOffset);
let brokers: Brokers;
let eyes: Eyes;
let pulsar: PulsarEyes;
let cluster: Cluster;
let groups: Groups;

beforeAll(async () => {
  brokers = await startBrokers(['pulsar-west']);
  eyes = await startEyes();
  pulsar = eyes.pulsar(west);
  cluster = openTestCluster(west);
  if (cluster.groups === undefined) throw new Error('this driver knows its groups');
  groups = cluster.groups;
});

afterAll(async () => {
  await cluster.close();
  await eyes.close();
  await brokers.stop();
});

/** A topic with 100 messages in each partition, in entries of 10. */
async function filledTopic(partitions = 2): Promise<string> {
  const topic = `persistent://public/default/groups-${randomUUID()}`;
  await pulsar.createTopic(topic, partitions);
  await pulsar.retain(topic);
  await pulsar.load(topic, { count: 100 * partitions, keys: 0, batch: 10 });
  return topic;
}

/** What an application's consumer does before it is stopped. */
async function consume(
  topic: string,
  group: string,
  type: 'Exclusive' | 'Failover' | 'Shared' | 'Key_Shared',
  count: number,
  leaveEvery?: number,
): Promise<readonly string[]> {
  const member = await eyes.member({
    ...west,
    topic,
    group,
    type,
    stopAfter: count,
    ...(leaveEvery === undefined ? {} : { leaveEvery }),
  });
  await expect.poll(() => member.received(), { timeout: 20_000 }).toBe(count);
  const rows = await member.stop();
  return rows.filter(({ acknowledged }) => acknowledged).map(({ id }) => id);
}

async function progressOf(topic: string, group: string): Promise<GroupProgress | undefined> {
  return (await groups.progress([topic])).find((each) => each.group === group);
}

function places(progress: GroupProgress | undefined): Record<string, string> {
  return Object.fromEntries((progress?.lanes ?? []).map(({ lane, next }) => [lane, formatPosition(next)]));
}

async function firstLedger(topic: string, lane: string): Promise<number> {
  return (await cluster.admin.extents(topic)).get(lane)?.begin.major ?? -1;
}

describe('the progress of subscriptions', () => {
  it('is where a Failover consumer has stopped, partition by partition', async () => {
    const topic = await filledTopic(2);
    await consume(topic, 'app', 'Failover', 200);
    const progress = await progressOf(topic, 'app');
    expect(progress).toMatchObject({
      topic,
      group: 'app',
      lanes: [
        { lane: '0', done: [] },
        { lane: '1', done: [] },
      ],
    });
    const ends = await cluster.admin.extents(topic);
    expect(places(progress)).toEqual({
      '0': formatPosition(ends.get('0')?.end ?? entryPosition(-1, -1)),
      '1': formatPosition(ends.get('1')?.end ?? entryPosition(-1, -1)),
    });
  });

  it('does not count an entry of which a part is missing', async () => {
    const topic = await filledTopic(1);
    await consume(topic, 'app', 'Exclusive', 35);
    expect(places(await progressOf(topic, 'app'))).toEqual({ '0': `${await firstLedger(topic, '0')}:3` });
  });

  it('has the holes that Shared consumers leave', async () => {
    const topic = `persistent://public/default/groups-${randomUUID()}`;
    await pulsar.createTopic(topic, 1);
    await pulsar.send(
      topic,
      Array.from({ length: 10 }, (_, i) => ({ body: `${i}`, properties: { seq: `${i}` } })),
    );
    await consume(topic, 'app', 'Shared', 10, 3);
    const ledger = await firstLedger(topic, '0');
    const [lane] = (await progressOf(topic, 'app'))?.lanes ?? [];
    expect(lane?.next).toEqual(entryPosition(ledger, 2));
    expect(lane?.done.map(({ from, to }) => [from.minor, to.minor])).toEqual([
      [3, 5],
      [6, 8],
      [9, 10],
    ]);
    expect(await progressOf(topic, 'app')).toMatchObject({ sharing: 'shared' });
  });

  it('says who is connected, and how', async () => {
    const topic = await filledTopic(1);
    const member = await eyes.member({ ...west, topic, group: 'live', type: 'Key_Shared' });
    expect(await progressOf(topic, 'live')).toMatchObject({ members: 1, sharing: 'shared' });
    await member.stop();
  });

  it('is told of a topic without partitions, and of one that is not there there is none', async () => {
    const topic = `persistent://public/default/groups-${randomUUID()}`;
    await pulsar.createTopic(topic, 0);
    await pulsar.send(topic, [{ body: 'a', properties: { seq: '0' } }]);
    await consume(topic, 'app', 'Exclusive', 1);
    expect(places(await progressOf(topic, 'app'))).toEqual({ '0': `${await firstLedger(topic, '0')}:1` });
    expect(await groups.progress([`${topic}-absent`])).toEqual([]);
  });
});

describe('moving a subscription', () => {
  function at(ledger: number, entry: number, index = -1, done: GroupPlace['done'] = []): GroupPlace {
    return { lane: '0', next: entryPosition(ledger, entry, index), done };
  }

  it('makes it at a place where no consumer has been yet, and reads it back', async () => {
    const topic = await filledTopic(1);
    const ledger = await firstLedger(topic, '0');
    const move = { topic, group: 'new', sharing: undefined, places: [at(ledger, 4)], force: false };
    expect(await groups.move(move)).toEqual([{ lane: '0', outcome: 'applied', next: entryPosition(ledger, 4), rereads: 0 }]);
    expect(await groups.move(move)).toMatchObject([{ outcome: 'same' }]);
    expect(await consume(topic, 'new', 'Failover', 60)).toHaveLength(60);
  });

  it('moves it on, never back unasked, and back by force', async () => {
    const topic = await filledTopic(1);
    const ledger = await firstLedger(topic, '0');
    const moveTo = async (entry: number, force = false) =>
      await groups.move({ topic, group: 'app', sharing: undefined, places: [at(ledger, entry)], force });
    expect(await moveTo(2)).toMatchObject([{ outcome: 'applied', next: entryPosition(ledger, 2) }]);
    expect(await moveTo(7)).toMatchObject([{ outcome: 'applied', next: entryPosition(ledger, 7) }]);
    expect(await moveTo(5)).toMatchObject([{ outcome: 'ahead', next: entryPosition(ledger, 7) }]);
    expect(await moveTo(5, true)).toMatchObject([{ outcome: 'applied', next: entryPosition(ledger, 5) }]);
    expect(await moveTo(10)).toMatchObject([{ outcome: 'applied', next: entryPosition(ledger, 10) }]);
  });

  it('leaves a subscription alone that has consumers', async () => {
    const topic = await filledTopic(1);
    const ledger = await firstLedger(topic, '0');
    const member = await eyes.member({ ...west, topic, group: 'app', type: 'Shared', stopAfter: 1 });
    expect(await groups.move({ topic, group: 'app', sharing: 'shared', places: [at(ledger, 5)], force: false })).toMatchObject([
      { outcome: 'active' },
    ]);
    await member.stop();
  });

  it('says how many records of an entry are read again, where the place lies inside it', async () => {
    const topic = await filledTopic(1);
    const ledger = await firstLedger(topic, '0');
    const moved = await groups.move({ topic, group: 'app', sharing: undefined, places: [at(ledger, 4, 6)], force: false });
    expect(moved).toMatchObject([{ outcome: 'applied', next: entryPosition(ledger, 4), rereads: 6 }]);
  });

  it.each(['Shared', 'Failover'] as const)('keeps holes, so that %s consumers read nothing again', async (type) => {
    const topic = await filledTopic(1);
    const ledger = await firstLedger(topic, '0');
    const done = [
      { from: entryPosition(ledger, 4), to: entryPosition(ledger, 6), records: 20 },
      { from: entryPosition(ledger, 7, 0), to: entryPosition(ledger, 8), records: 10 },
    ];
    const moved = await groups.move({ topic, group: 'app', sharing: 'shared', places: [at(ledger, 2, -1, done)], force: false });
    expect(moved).toEqual([{ lane: '0', outcome: 'applied', next: entryPosition(ledger, 2), rereads: 0 }]);
    const ids = (await consume(topic, 'app', type, 50)).map(Number);
    const expected = Array.from({ length: 100 }, (_, i) => i).filter(
      (i) => i >= 20 && !(i >= 40 && i < 60) && !(i >= 70 && i < 80),
    );
    expect(ids.toSorted((a, b) => a - b)).toEqual(expected);
  });

  it('counts parts of entries among the holes as read again', async () => {
    const topic = await filledTopic(1);
    const ledger = await firstLedger(topic, '0');
    const done = [{ from: entryPosition(ledger, 4, 0), to: entryPosition(ledger, 5, 3), records: 13 }];
    const moved = await groups.move({ topic, group: 'app', sharing: 'shared', places: [at(ledger, 2, -1, done)], force: false });
    expect(moved).toMatchObject([{ outcome: 'applied', rereads: 3 }]);
  });

  it('tells what is wrong with a partition that is not there', async () => {
    const topic = await filledTopic(1);
    const places = [{ lane: '7', next: entryPosition(1, 1), done: [] }];
    expect(await groups.move({ topic, group: 'app', sharing: undefined, places, force: false })).toMatchObject([
      { lane: '7', outcome: 'failed', detail: expect.stringContaining('TOPIC_NOT_FOUND') },
    ]);
    await expect(
      groups.move({ topic: `${topic}-absent`, group: 'app', sharing: undefined, places, force: false }),
    ).rejects.toMatchObject({
      code: 'TOPIC_NOT_FOUND',
    });
  });
});
