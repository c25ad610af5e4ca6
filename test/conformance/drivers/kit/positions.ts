/** What the positions of a source are good for, where they are the cluster's own, and what is said instead where they are not. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { comparePositions } from '../../../../src/model/position.ts';
import { numberedMessages, seqsOf, upTo } from './reading.ts';
import type { Shore } from './shore.ts';
import { openBoth } from './under-test.ts';

export function describePositions(shore: Shore): void {
  const { exactPositions, readsWithoutGroup } = shore.cluster.capabilities;
  describe('the positions of a source', () => {
    if (exactPositions) exact(shore);
    else counted(shore);
  });
  describe('a look without a group', () => {
    if (readsWithoutGroup) looks(shore);
    else noLooks(shore);
  });
  if (shore.cluster.source.passesWhole) wholeEntries(shore);
}

function exact(shore: Shore): void {
  it('begin reading at the very record, whichever it is', async () => {
    const { topic, lane, group } = await shore.newTopic();
    await shore.world.send(topic, 0, numberedMessages(0, 40));
    const whole = await shore.read(lane, { group });
    const positions = (await whole.take(40)).map(({ position }) => position);
    await whole.close();
    for (const first of [39, 17, 0]) {
      const reader = await shore.read(lane, { group }, positions[first]);
      const records = await reader.take(40 - first);
      expect(seqsOf(records)).toEqual(upTo(40, first));
      expect(records[0]?.position).toEqual(positions[first]);
      await reader.close();
    }
  });

  it('are the same for every process', async () => {
    const { topic, lane, group } = await shore.newTopic();
    await shore.world.send(topic, 0, numberedMessages(0, 10));
    const ours = await shore.read(lane, { group });
    const records = await ours.take(10);
    await ours.close();
    const other = openBoth(shore.driver);
    const from = await other.source.resolveStart(lane, { kind: 'earliest' });
    await other.close();
    const theirs = await shore.read(lane, { group }, from);
    expect((await theirs.take(10)).map(({ position }) => position)).toEqual(records.map(({ position }) => position));
    await theirs.close();
  });

  it('are found for the earliest record, the end, and the first record of a time', async () => {
    const { topic, lane, group } = await shore.newTopic();
    const { source } = shore.cluster;
    await shore.world.send(topic, 0, numberedMessages(0, 3));
    await sleep(50);
    const between = Date.now();
    await sleep(50);
    await shore.world.send(topic, 0, numberedMessages(3, 6));
    const latest = await source.resolveStart(lane, { kind: 'latest' });
    expect(await source.resolveStart(lane, { kind: 'time', time: Date.now() + 3_600_000 })).toEqual(latest);
    for (const [start, first] of [
      [{ kind: 'earliest' }, 0],
      [{ kind: 'time', time: 1 }, 0],
      [{ kind: 'time', time: between }, 3],
    ] as const) {
      const reader = await shore.read(lane, { group }, await source.resolveStart(lane, start));
      expect(seqsOf(await reader.take(6 - first))).toEqual(upTo(6, first));
      await reader.close();
    }
    const atEnd = await shore.read(lane, { group }, latest);
    await shore.world.send(topic, 0, numberedMessages(6, 8));
    expect(seqsOf(await atEnd.take(2))).toEqual([6, 7]);
    await atEnd.close();
  });

  it('tell where a group stands: nowhere at first, then where any process has put it', async () => {
    const { topic, lane, group } = await shore.newTopic();
    const { source } = shore.cluster;
    expect(await source.committed(lane, group)).toBeUndefined();
    for (const n of upTo(5)) await shore.world.send(topic, 0, numberedMessages(n, n + 1));
    const reader = await shore.read(lane, { group });
    const records = await reader.take(5);
    for (const place of [records[2]?.position, source.next(records[4]?.position ?? { major: -1, minor: -1, index: -1 })]) {
      if (place === undefined) throw new Error('nothing was read');
      await reader.reader.commit(place);
      const other = openBoth(shore.driver);
      const committed = await other.source.committed(lane, group);
      await other.close();
      if (committed === undefined) throw new Error('nothing was committed');
      const left = records.filter(({ position }) => comparePositions(position, committed) >= 0);
      expect(left).toEqual(records.filter(({ position }) => comparePositions(position, place) >= 0));
    }
    await reader.close();
    expect(await source.committed(lane, `never-${randomUUID()}`)).toBeUndefined();
  });

  it('tell where each lane begins and ends', async () => {
    const { topic, lanes, group } = await shore.newTopic(2);
    const [used, empty] = lanes;
    if (used === undefined || empty === undefined) throw new Error('two lanes are wanted');
    const { admin, source } = shore.cluster;
    await shore.world.send(topic, 0, numberedMessages(0, 8));
    const reader = await shore.read(used, { group });
    const records = await reader.take(8);
    const [first, last] = [records[0]?.position, records[7]?.position];
    if (first === undefined || last === undefined) throw new Error('nothing was read');
    const extents = await admin.extents(topic);
    expect([...extents.keys()].sort()).toEqual([used.lane, empty.lane].sort());
    const [extent, none] = [extents.get(used.lane), extents.get(empty.lane)];
    expect(none?.begin).toEqual(none?.end);
    expect(comparePositions(extent?.begin ?? last, first)).toBeLessThanOrEqual(0);
    expect(comparePositions(extent?.end ?? first, last)).toBeGreaterThan(0);
    expect(await source.resolveStart(used, { kind: 'latest' })).toEqual(extent?.end);
    // By asking again now and then: for lag.
    await expect.poll(() => comparePositions(reader.reader.extent()?.end ?? first, last), { timeout: 10_000 }).toBeGreaterThan(0);
    await reader.close();
  });
}

function wholeEntries(shore: Shore): void {
  it('entries come whole from where they may, so that each record comes once, in an entry or by itself', async () => {
    const { topic, lane, group } = await shore.newTopic();
    await shore.world.send(topic, 0, numberedMessages(0, 5));
    await shore.world.send(topic, 0, numberedMessages(5, 9));
    const apart = await shore.read(lane, { group });
    const wholeFrom = { ...((await apart.take(9))[5]?.position ?? { major: -1, minor: -1 }), index: -1 };
    await apart.close();
    const { reader } = await shore.read(lane, { group, wholeFrom });
    const counts: [boolean, number][] = [];
    while (counts.reduce((sum, [, records]) => sum + records, 0) < 9) {
      const delivery = await reader.read();
      if (delivery.kind !== 'records') throw new Error(`unexpected ${delivery.kind}`);
      const { batch } = delivery;
      for (let i = 0; i < batch.count; i++) counts.push([batch.whole, batch.records[i] ?? 0]);
      batch.release();
    }
    expect(counts.slice(0, 5)).toEqual(upTo(5).map(() => [false, 1]));
    expect(counts.slice(5).every(([whole]) => whole)).toBe(true);
    expect(counts.reduce((sum, [, records]) => sum + records, 0)).toBe(9);
    await reader.close();
  });
}

function counted(shore: Shore): void {
  it('are counted by arrival, from higher on in each process than in any before it', async () => {
    const { lane } = await shore.newTopic();
    const first = await shore.cluster.source.resolveStart(lane, { kind: 'earliest' });
    await sleep(5);
    const second = await shore.cluster.source.resolveStart(lane, { kind: 'earliest' });
    expect(comparePositions(second, first)).toBeGreaterThan(0);
  });

  it('say nothing of groups, and nothing of where lanes begin and end', async () => {
    const { topic, lane, group } = await shore.newTopic();
    await shore.world.send(topic, 0, numberedMessages(0, 2));
    const reader = await shore.read(lane, { group });
    const last = (await reader.take(2))[1]?.position;
    if (last === undefined) throw new Error('nothing was read');
    await reader.reader.commit(shore.cluster.source.next(last));
    expect(await shore.cluster.source.committed(lane, group)).toBeUndefined();
    expect(reader.reader.extent()).toBeUndefined();
    expect(await shore.cluster.admin.extents(topic)).toEqual(new Map());
    expect(shore.cluster.groups).toBeUndefined();
    await reader.close();
  });
}

function looks(shore: Shore): void {
  it('gives what there is, moves no group, and leaves the group’s own reader alone', async () => {
    const { topic, lane, group } = await shore.newTopic();
    const { source } = shore.cluster;
    await shore.world.send(topic, 0, numberedMessages(0, 6));
    const own = await shore.read(lane, { group });
    const records = await own.take(6);
    const place = records[3]?.position;
    if (place === undefined) throw new Error('nothing was read');
    await own.reader.commit(place);
    const before = await source.committed(lane, group);
    const looker = await shore.read(lane, { group, onlook: true }, await source.resolveStart(lane, { kind: 'earliest' }));
    expect(seqsOf(await looker.take(6))).toEqual(upTo(6));
    await shore.world.send(topic, 0, numberedMessages(6, 8));
    expect(seqsOf(await own.take(8))).toEqual(upTo(8));
    await looker.close();
    expect(await source.committed(lane, group)).toEqual(before);
    await own.close();
  });

  it('makes no place for a group that has none', async () => {
    const { topic, lane, group } = await shore.newTopic();
    await shore.world.send(topic, 0, numberedMessages(0, 2));
    const looker = await shore.read(lane, { group, onlook: true });
    await looker.take(2);
    await looker.close();
    expect(await shore.cluster.source.committed(lane, group)).toBeUndefined();
  });
}

function noLooks(shore: Shore): void {
  it('is refused, with the reason', async () => {
    const { lane, group } = await shore.newTopic();
    await expect(shore.read(lane, { group, onlook: true })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('driver') as string,
    });
  });
}
