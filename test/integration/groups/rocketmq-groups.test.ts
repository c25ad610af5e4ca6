import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RequestCode } from '../../../src/drivers/rocketmq/wire/codes.ts';
import { comparePositions, formatPosition, offsetPosition } from '../../../src/model/position.ts';
import type { GroupProgress } from '../../../src/model/progress.ts';
import type { Groups } from '../../../src/spi/groups.ts';
import { type Brokers, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import type { Member, MemberRow } from '../../kit/members.ts';
import { askBroker, createPopGroup, POP_WINDOW_MILLIS, startPopMember } from '../../kit/pop-members.ts';
import type { RocketmqEyes } from '../../kit/rocketmq-eyes.ts';
import { openWritingCluster, type WritingCluster } from '../../kit/rocketmq-writing.ts';

const UPDATE_BROKER_CONFIG = 25;
const LANE = 'broker-a:0';

const { namesrv } = rocketmqEndpoints('rmq-timer', testOffset);
let brokers: Brokers;
let eyes: Eyes;
let java: RocketmqEyes;
let cluster: WritingCluster;
let groups: Groups;

beforeAll(async () => {
  brokers = await startBrokers(['rmq-timer']);
  eyes = await startEyes();
  java = eyes.rocketmq(namesrv);
  cluster = openWritingCluster(namesrv, { popWindowMillis: POP_WINDOW_MILLIS });
  if (cluster.groups === undefined) throw new Error('this driver knows its groups');
  groups = cluster.groups;
});

afterAll(async () => {
  await cluster.close();
  await eyes.close();
  await brokers.stop();
});

const unique = (what: string): string => `${what}-${randomUUID()}`;

async function filledTopic(queues: number, count: number): Promise<string> {
  const topic = unique('groups');
  await java.createTopic(topic, { queues });
  await java.load(topic, { count, keys: 0 });
  return topic;
}

async function progressOf(topic: string, group: string): Promise<GroupProgress | undefined> {
  return (await groups.progress([topic])).find((each) => each.group === group);
}

function places(progress: GroupProgress | undefined): Record<string, string> {
  return Object.fromEntries((progress?.lanes ?? []).map(({ lane, next }) => [lane, formatPosition(next)]));
}

/** Ids of messages by lane and offset. */
async function idsIn(topic: string): Promise<ReadonlyMap<string, string>> {
  return new Map((await java.readRows(topic)).map(({ lane, place, id }) => [`${lane} ${place}`, String(id)]));
}

/** Whether the progress says that the group has done the message at a lane and offset. */
function saysDone(progress: GroupProgress | undefined, place: string): boolean {
  const [lane, offset] = place.split(' ');
  const at = offsetPosition(Number(offset));
  const found = progress?.lanes.find((each) => each.lane === lane);
  if (found === undefined) return false;
  if (comparePositions(at, found.next) < 0) return true;
  return found.done.some(({ from, to }) => comparePositions(from, at) <= 0 && comparePositions(at, to) < 0);
}

/** What the progress says is done, as ids. */
function doneIds(progress: GroupProgress | undefined, ids: ReadonlyMap<string, string>): string[] {
  return sorted([...ids].filter(([place]) => saysDone(progress, place)).map(([, id]) => id));
}

const sorted = (ids: Iterable<string>): string[] => [...new Set(ids)].sort((a, b) => Number(a) - Number(b));
const acknowledgedIn = (rows: readonly MemberRow[]): string[] =>
  sorted(rows.filter(({ acknowledged }) => acknowledged).map(({ id }) => id));

/** A Java consumer that gets no lock on a queue, or that is told of a reset, comes back to it after 20 s. */
async function received(member: Member, count: number): Promise<void> {
  await expect.poll(() => member.received(), { timeout: 60_000 }).toBeGreaterThanOrEqual(count);
}

describe('the progress of groups that pull', () => {
  it('is where a Java push consumer has stopped, queue by queue', async () => {
    const topic = await filledTopic(2, 100);
    const group = unique('push');
    const member = await eyes.member({ namesrv, topic, group, stopAfter: 60 });
    await received(member, 60);
    // It tells the broker of its place once a second.
    await expect
      .poll(async () => await progressOf(topic, group), { timeout: 20_000 })
      .toMatchObject({ sharing: 'ordered', members: 1 });
    const rows = await member.stop();
    const progress = await progressOf(topic, group);
    expect(doneIds(progress, await idsIn(topic))).toEqual(acknowledgedIn(rows));
    expect(progress?.lanes.every(({ done }) => done.length === 0)).toBe(true);
    expect(progress?.behindBecause).toBeUndefined();
  });

  it('does not count messages that wait in the retry topic of a push group', { timeout: 90_000 }, async () => {
    const topic = await filledTopic(1, 40);
    const group = unique('push');
    const member = await eyes.member({ namesrv, topic, group, leaveEvery: 10 });
    await received(member, 40);
    // It has given four back; their delay of 10 s is not over yet.
    await sleep(2_500);
    const rows = await member.stop();
    expect(acknowledgedIn(rows)).toHaveLength(36);
    const ids = await idsIn(topic);
    await expect
      .poll(async () => doneIds(await progressOf(topic, group), ids), { timeout: 30_000, interval: 1_000 })
      .toEqual(acknowledgedIn(rows));
  });

  it('is none of a group that was never there, nor of a topic that is not', async () => {
    const topic = await filledTopic(1, 10);
    expect(await groups.progress([topic, `${topic}-absent`])).toEqual([]);
  });
});

describe('the progress of groups of gRPC consumers', () => {
  it('is what a FIFO group has acknowledged, at once', { timeout: 60_000 }, async () => {
    const topic = unique('groups');
    const group = unique('fifo');
    await java.createTopic(topic, { queues: 1, messageType: 'FIFO' });
    await java.load(topic, { count: 20, keys: 5, sharding: true });
    await createPopGroup(group, true);
    // The last one of eight is not acknowledged, nor is any behind it.
    const member = await startPopMember({ topic, group, stopAfter: 8, leaveEvery: 8 });
    await received(member, 8);
    await expect.poll(async () => places(await progressOf(topic, group))).toEqual({ [LANE]: '7' });
    expect(await progressOf(topic, group)).toMatchObject({ sharing: 'ordered', members: 1, lanes: [{ done: [] }] });
    await member.stop();
  });

  it('never says done what was handed out and not acknowledged, however often, and is exact in the end', {
    timeout: 200_000,
  }, async () => {
    const topic = await filledTopic(2, 40);
    const group = unique('pop');
    const ids = await idsIn(topic);
    await createPopGroup(group);
    const done = new Set<string>();
    const wrong: string[] = [];
    // All through, the group is looked at as a link does it.
    const watch = new AbortController();
    const watching = (async () => {
      while (!watch.signal.aborted) {
        // What is acknowledged meanwhile may be in the answer or not.
        for (const id of doneIds(await progressOf(topic, group), ids)) if (!done.has(id)) wrong.push(id);
        await sleep(500);
      }
    })();
    const consume = async (count: number, leaveEvery: number): Promise<void> => {
      const member = await startPopMember({ topic, group, stopAfter: count, leaveEvery, onAcknowledge: (id) => done.add(id) });
      await received(member, count);
      await member.stop();
    };
    await consume(40, 4);
    expect(done.size).toBe(30);
    const exact = async (): Promise<void> =>
      await expect
        .poll(async () => doneIds(await progressOf(topic, group), ids), { timeout: 40_000, interval: 500 })
        .toEqual(sorted(done));
    await exact();
    expect(await progressOf(topic, group)).toMatchObject({ sharing: 'shared', members: 0 });
    // The ten come again, and five of them are left once more: the retry topic's own place runs ahead as well.
    await consume(10, 2);
    expect(done.size).toBe(35);
    await sleep(POP_WINDOW_MILLIS + 4_000);
    await exact();
    watch.abort();
    await watching;
    expect(wrong).toEqual([]);
  });

  it('knows the other name that retry topics may have', { timeout: 90_000 }, async () => {
    const setV2 = async (on: boolean): Promise<void> => {
      const { code, remark } = await askBroker(UPDATE_BROKER_CONFIG, [], `enableRetryTopicV2=${on}`);
      expect([code, remark]).toEqual([0, '']);
    };
    const topic = await filledTopic(1, 12);
    const group = unique('pop');
    await createPopGroup(group);
    await setV2(true);
    try {
      const member = await startPopMember({ topic, group, stopAfter: 12, leaveEvery: 4 });
      await received(member, 12);
      const rows = await member.stop();
      const ids = await idsIn(topic);
      await expect
        .poll(async () => doneIds(await progressOf(topic, group), ids), { timeout: 40_000, interval: 500 })
        .toEqual(acknowledgedIn(rows));
      const { text } = await askBroker(RequestCode.GET_ALL_CONSUMER_OFFSET, []);
      expect(text).toContain(`"%RETRY%${group}+${topic}@${group}"`);
    } finally {
      await setV2(false);
    }
  });
});

describe('moving a group', () => {
  const moveTo = async (topic: string, group: string, offset: number, force = false, lane = LANE) =>
    await groups.move({
      topic,
      group,
      sharing: undefined,
      places: [{ lane, next: offsetPosition(offset), done: [] }],
      force,
    });

  it('makes it at a place where no consumer has been yet, and reads it back', async () => {
    const topic = await filledTopic(1, 30);
    const group = unique('new');
    expect(await moveTo(topic, group, 12)).toEqual([{ lane: LANE, outcome: 'applied', next: offsetPosition(12), rereads: 0 }]);
    expect(await moveTo(topic, group, 12)).toMatchObject([{ outcome: 'same' }]);
    const member = await eyes.member({ namesrv, topic, group });
    await received(member, 18);
    await sleep(1_000);
    expect((await member.stop()).map(({ place }) => Number(place))).toEqual(Array.from({ length: 18 }, (_, i) => 12 + i));
  });

  it('moves it on, never back unasked, and back by force; after that on again, though the broker drops plain moves then', async () => {
    const topic = await filledTopic(1, 30);
    const group = unique('app');
    expect(await moveTo(topic, group, 5)).toMatchObject([{ outcome: 'applied', next: offsetPosition(5) }]);
    expect(await moveTo(topic, group, 20)).toMatchObject([{ outcome: 'applied', next: offsetPosition(20) }]);
    expect(await moveTo(topic, group, 10)).toMatchObject([{ outcome: 'ahead', next: offsetPosition(20) }]);
    expect(await moveTo(topic, group, 10, true)).toMatchObject([{ outcome: 'applied', next: offsetPosition(10) }]);
    expect(await moveTo(topic, group, 14)).toMatchObject([{ outcome: 'applied', next: offsetPosition(14) }]);
    const member = await eyes.member({ namesrv, topic, group });
    await received(member, 16);
    expect((await member.stop()).map(({ place }) => Number(place))).toEqual(Array.from({ length: 16 }, (_, i) => 14 + i));
  });

  it('sets POP consumers to the place too', { timeout: 60_000 }, async () => {
    const topic = await filledTopic(1, 30);
    const group = unique('pop');
    expect(await moveTo(topic, group, 21)).toMatchObject([{ outcome: 'applied' }]);
    const ids = await idsIn(topic);
    const member = await startPopMember({ topic, group, stopAfter: 9 });
    await received(member, 9);
    expect(sorted((await member.stop()).map(({ id }) => id))).toEqual(
      sorted(Array.from({ length: 9 }, (_, i) => ids.get(`${LANE} ${21 + i}`) ?? '')),
    );
  });

  it('leaves a group alone that has consumers, also those behind the proxy', { timeout: 60_000 }, async () => {
    const topic = await filledTopic(1, 30);
    const [push, pop] = [unique('push'), unique('pop')];
    await createPopGroup(pop);
    const members = [
      await eyes.member({ namesrv, topic, group: push, stopAfter: 3 }),
      await startPopMember({ topic, group: pop, stopAfter: 3 }),
    ];
    for (const member of members) await received(member, 3);
    for (const group of [push, pop]) expect(await moveTo(topic, group, 15)).toMatchObject([{ outcome: 'active' }]);
    for (const member of members) await member.stop();
    for (const group of [push, pop]) expect(await moveTo(topic, group, 15)).toMatchObject([{ outcome: 'applied' }]);
  });

  it('says how many records are read again, because the broker keeps no holes', async () => {
    const topic = await filledTopic(1, 30);
    const done = [
      { from: offsetPosition(6), to: offsetPosition(9), records: 3 },
      { from: offsetPosition(12), to: offsetPosition(20), records: 8 },
    ];
    const places = [{ lane: LANE, next: offsetPosition(4), done }];
    expect(await groups.move({ topic, group: unique('app'), sharing: 'shared', places, force: false })).toMatchObject([
      { outcome: 'applied', next: offsetPosition(4), rereads: 11 },
    ]);
  });

  it('tells what is wrong with a broker or a topic that is not there', async () => {
    const topic = await filledTopic(1, 3);
    const [group, gone] = [unique('app'), unique('gone')];
    expect(await moveTo(topic, group, 1, false, 'broker-z:0')).toMatchObject([{ outcome: 'failed', next: undefined }]);
    expect(await moveTo(gone, group, 1)).toMatchObject([
      { outcome: 'failed', detail: expect.stringContaining('TOPIC_NOT_FOUND') as string },
    ]);
  });
});
