import { beforeEach, describe, expect, it } from 'vitest';
import { groupName } from '../../../src/control/group-name.ts';
import { offsetPosition } from '../../../src/model/position.ts';
import type { Cluster } from '../../../src/spi/cluster.ts';
import { Stage, specOf } from './kit.ts';

const KEY = { link: 'l', mirror: 'm' };

describe('a supervisor', () => {
  let stage: Stage;
  beforeEach(() => {
    stage = new Stage();
    stage.source.addQueues('orders', 'broker-a', 2);
    stage.target.ensureTopic('other', 1);
  });

  it('runs the mirrors of the file, and says when all is well', async () => {
    const supervisor = stage.start({ mirrors: [specOf('m')] });
    expect(supervisor.status().ready).toBe(false);
    stage.produce(30);
    await stage.time.pass(3_000);
    expect(stage.stored()).toEqual(stage.sent());
    expect(supervisor.status()).toMatchObject({ ready: true, reasons: [], stateAvailable: true });
    expect(supervisor.mirror(KEY)).toMatchObject({
      state: 'running',
      topics: ['orders'],
      lagRecords: 0,
      lagSeconds: 0,
      definedBy: 'file',
    });
  });

  it('adds a mirror at runtime that the next process runs as well', async () => {
    const first = stage.start();
    await stage.time.pass(1_000);
    expect(await stage.outcome(first.addMirror('l', specOf('m')))).toMatchObject({ definedBy: 'api' });
    stage.produce(10);
    await stage.time.pass(3_000);
    expect(await stage.close(first)).toBeLessThan(10_000);
    stage.produce(10);
    const second = stage.start();
    await stage.time.pass(5_000);
    expect(stage.stored()).toEqual(stage.sent());
    expect(second.mirror(KEY)).toMatchObject({ state: 'running', definedBy: 'api' });
  });

  it('refuses what does not fit, with a code each', async () => {
    const supervisor = stage.start({ mirrors: [specOf('m')] });
    await stage.time.pass(1_000);
    const outcomes = [
      await stage.outcome(supervisor.addMirror('l', specOf('m'))),
      await stage.outcome(supervisor.addMirror('nowhere', specOf('n'))),
      await stage.outcome(supervisor.addMirror('back', specOf('n'))),
      await stage.outcome(supervisor.changeMirror(KEY, specOf('m'))),
      await stage.outcome(supervisor.deleteMirror(KEY)),
      await stage.outcome(supervisor.pauseMirror({ link: 'l', mirror: 'none' })),
    ];
    expect(outcomes).toMatchObject(
      ['CONFLICT', 'NOT_FOUND', 'INVALID_REQUEST', 'CONFLICT', 'CONFLICT', 'NOT_FOUND'].map((code) => ({ code })),
    );
    expect(await stage.store.loadRegistry()).toEqual([]);
  });

  it('keeps a mirror still while it is paused, also over a restart, and goes on where it was', async () => {
    const first = stage.start({ mirrors: [specOf('m')] });
    stage.produce(10);
    await stage.time.pass(3_000);
    expect(await stage.outcome(first.pauseMirror(KEY))).toMatchObject({ state: 'paused' });
    stage.produce(10);
    await stage.time.pass(10_000);
    expect(stage.stored()).toHaveLength(10);
    await stage.close(first);
    const second = stage.start({ mirrors: [specOf('m')] });
    await stage.time.pass(10_000);
    expect(stage.stored()).toHaveLength(10);
    expect(second.status().ready).toBe(true);
    await stage.outcome(second.resumeMirror(KEY));
    expect(stage.stored()).toEqual(stage.sent());
  });

  it('deletes a mirror with its state, and leaves what it made on the target', async () => {
    const supervisor = stage.start();
    await stage.time.pass(1_000);
    await stage.outcome(supervisor.addMirror('l', specOf('m')));
    stage.produce(10);
    await stage.time.pass(3_000);
    await stage.outcome(supervisor.deleteMirror(KEY));
    expect(supervisor.mirrors()).toEqual([]);
    expect([await stage.store.loadRegistry(), await stage.store.loadCheckpoints(KEY)]).toEqual([[], []]);
    stage.produce(10);
    await stage.time.pass(10_000);
    expect(stage.stored()).toHaveLength(10);
  });

  it('goes on under another name after a change, from where it was', async () => {
    const supervisor = stage.start();
    await stage.time.pass(1_000);
    await stage.outcome(supervisor.addMirror('l', specOf('m')));
    stage.produce(10);
    await stage.time.pass(3_000);
    await stage.outcome(supervisor.changeMirror(KEY, specOf('m', { rename: '{topic}-new' })));
    stage.produce(10);
    await stage.time.pass(8_000);
    expect(stage.stored()).toEqual(stage.sent().slice(0, 10));
    expect(stage.stored('orders-new')).toEqual(stage.sent().slice(10));
  });

  it('begins at its start when it was deleted and is added again for another target topic, and goes on where it was for the same one', async () => {
    const supervisor = stage.start();
    await stage.time.pass(1_000);
    for (const rename of ['{topic}-copy', '{topic}-new', '{topic}-copy']) {
      await stage.outcome(supervisor.addMirror('l', specOf('m', { rename })));
      stage.produce(10);
      await stage.time.pass(8_000);
      await stage.outcome(supervisor.deleteMirror(KEY));
    }
    expect(stage.stored('orders-new').toSorted()).toEqual(stage.sent().slice(0, 20).toSorted());
    expect(stage.stored().toSorted()).toEqual(stage.sent().toSorted());
  });

  it('keeps the order of keys and every record when routing changes', async () => {
    const supervisor = stage.start();
    await stage.time.pass(1_000);
    const byKey = { mode: 'key', by: { kind: 'default' }, partitions: 3 } as const;
    await stage.outcome(supervisor.addMirror('l', specOf('m', { routing: byKey })));
    for (let i = 0; i < 5; i++) {
      stage.produce(4, { key: `k${i}` });
      await stage.time.pass(2_000);
      const routing = i % 2 === 0 ? ({ mode: 'identity' } as const) : byKey;
      await stage.outcome(supervisor.changeMirror(KEY, specOf('m', { routing })));
    }
    await stage.time.pass(8_000);
    expect(stage.stored().toSorted()).toEqual(stage.sent().toSorted());
  });

  it('opens a stopped lane again when it is told to, and the bad record is all that was waited for', async () => {
    stage.faults = { ...stage.faults, refusals: true };
    const supervisor = stage.start({ mirrors: [specOf('m')] });
    stage.produce(5);
    stage.produce(1, { body: Buffer.from('refuse:me') });
    stage.produce(5);
    await stage.time.pass(5_000);
    expect(supervisor.mirror(KEY)).toMatchObject({ state: 'stopped', trouble: { code: 'RECORD_REFUSED' } });
    expect(supervisor.lanes(KEY)[0]).toMatchObject({ state: 'stopped', next: '5' });
    expect(supervisor.lanes(KEY)[1]).toMatchObject({ state: 'running' });
    expect(stage.stored()).toEqual(stage.sent().slice(0, 5));
    stage.faults = { ...stage.faults, refusals: false };
    await stage.outcome(supervisor.restartMirror(KEY));
    expect(stage.stored()).toEqual(stage.sent());
  });

  it('gives a topic that two mirrors take to one of them, although both look at the same time', async () => {
    const mirrors = [
      specOf('a', { topics: ['ord*'], rename: '{topic}-a' }),
      specOf('b', { topics: ['*ers'], rename: '{topic}-b' }),
    ];
    const supervisor = stage.start({ mirrors });
    stage.produce(10);
    await stage.time.pass(8_000);
    expect([stage.stored('orders-a'), stage.stored('orders-b')].map((rows) => rows.length).toSorted((a, b) => a - b)).toEqual([
      0, 10,
    ]);
    expect(
      supervisor
        .mirrors()
        .map(({ state }) => state)
        .toSorted(),
    ).toEqual(['running', 'waiting']);
    expect(supervisor.mirrors().find(({ state }) => state === 'waiting')?.trouble).toMatchObject({ code: 'CONFLICT' });
  });

  it('runs the others when one mirror cannot run', async () => {
    const supervisor = stage.start({ mirrors: [specOf('back'), specOf('m')] });
    stage.produce(3);
    await stage.time.pass(3_000);
    expect(stage.stored()).toEqual(stage.sent());
    expect(supervisor.mirror({ link: 'back', mirror: 'back' })).toMatchObject({
      state: 'failed',
      trouble: { code: 'INVALID_REQUEST' },
    });
  });

  it('mirrors new topics and new queues within 10 s, and moves no lane when a broker comes that sorts first', async () => {
    stage.source.addQueues('orders', 'broker-m', 1);
    stage.start({ mirrors: [specOf('m', { topics: ['orders*'] })] });
    stage.produce(2, {}, 'orders', 'broker-m:0');
    await stage.time.pass(3_000);
    stage.source.addQueues('orders', 'broker-0', 2);
    stage.source.addQueues('orders-eu', 'broker-a', 1);
    stage.produce(2, {}, 'orders', 'broker-0:1');
    stage.produce(2, {}, 'orders', 'broker-m:0');
    stage.produce(2, {}, 'orders-eu');
    await stage.time.pass(10_000);
    expect(stage.target.history('orders-copy', 2).flatMap(({ records }) => records.map(({ body }) => body.toString()))).toEqual(
      stage.source.history('orders', 'broker-m:0').map(({ body }) => body.toString()),
    );
    expect(stage.stored().toSorted()).toEqual(stage.sent().toSorted());
    expect(stage.stored('orders-eu-copy')).toEqual(stage.sent('orders-eu'));
  });

  it('takes over the partitions that another process has given to new queues', async () => {
    const before = stage.source.describe('orders');
    let behind = false;
    const late = (cluster: Cluster): Cluster => ({
      ...cluster,
      admin: { ...cluster.admin, describeTopic: async (topic) => (behind ? before : await cluster.admin.describeTopic(topic)) },
    });
    const supervisors = [
      stage.start({ mirrors: [specOf('m')] }),
      stage.start({ mirrors: [specOf('m')], wrap: { source: late } }),
    ];
    await stage.time.pass(2_000);
    behind = true;
    stage.source.addQueues('orders', 'broker-b', 1);
    await stage.time.pass(7_000);
    behind = false;
    stage.source.addQueues('orders', 'broker-0', 1);
    await stage.time.pass(7_000);
    const tables = supervisors.map((supervisor) =>
      supervisor
        .lanes(KEY)
        .map(({ lane, targetPartitions }) => `${lane} -> ${targetPartitions.join()}`)
        .toSorted(),
    );
    const table = ['broker-0:0 -> 3', 'broker-a:0 -> 0', 'broker-a:1 -> 1', 'broker-b:0 -> 2'];
    expect(tables).toEqual([table, table]);
  });

  it('waits for a topic that is named and not there, and says so', async () => {
    const supervisor = stage.start({ mirrors: [specOf('m', { topics: ['later'] })] });
    await stage.time.pass(3_000);
    expect(supervisor.mirror(KEY)).toMatchObject({ state: 'waiting', trouble: { code: 'TOPIC_NOT_FOUND' } });
    stage.source.addQueues('later', 'broker-a', 1);
    stage.produce(3, {}, 'later');
    await stage.time.pass(10_000);
    expect(stage.stored('later-copy')).toEqual(stage.sent('later'));
    expect(supervisor.mirror(KEY)).toMatchObject({ state: 'running', trouble: null });
  });
});

describe('the state store', () => {
  let stage: Stage;
  beforeEach(() => {
    stage = new Stage();
    stage.source.addQueues('orders', 'broker-a', 2);
  });

  it('is waited for at the start, because paused mirrors would run without it', async () => {
    stage.storeIsAway = true;
    const supervisor = stage.start({ mirrors: [specOf('m')] });
    stage.produce(5);
    await stage.time.pass(5_000);
    expect(stage.stored()).toEqual([]);
    expect(supervisor.status()).toMatchObject({ ready: false, stateAvailable: false });
    expect(await stage.outcome(supervisor.addMirror('l', specOf('n')))).toMatchObject({ code: 'STATE_UNAVAILABLE' });
    stage.storeIsAway = false;
    await stage.time.pass(5_000);
    expect(stage.stored()).toEqual(stage.sent());
  });

  it('may be away for a while: mirrors go on, it is said, and the checkpoints follow', async () => {
    const supervisor = stage.start({ mirrors: [specOf('m')] });
    stage.produce(5);
    await stage.time.pass(3_000);
    stage.storeIsAway = true;
    stage.produce(5);
    await stage.time.pass(10_000);
    expect(stage.stored()).toEqual(stage.sent());
    expect(supervisor.status().stateAvailable).toBe(false);
    stage.storeIsAway = false;
    await stage.time.pass(5_000);
    expect(supervisor.status().stateAvailable).toBe(true);
    const places = (await stage.store.loadCheckpoints(KEY)).map(({ lane, next }) => [lane.lane, next]);
    expect(Object.fromEntries(places)).toMatchObject({ 'broker-a:0': offsetPosition(10) });
  });

  it('gets everything again when it was emptied: mirrors, wishes, tables and checkpoints', async () => {
    const supervisor = stage.start();
    await stage.time.pass(1_000);
    await stage.outcome(supervisor.addMirror('l', specOf('m')));
    await stage.outcome(supervisor.addMirror('l', specOf('still', { topics: ['none'] })));
    await stage.outcome(supervisor.pauseMirror({ link: 'l', mirror: 'still' }));
    stage.produce(5);
    await stage.time.pass(3_000);
    const before = await stage.store.loadCheckpoints(KEY);
    stage.store.empty();
    await stage.time.pass(6_000);
    const places = async (): Promise<unknown> =>
      (await stage.store.loadCheckpoints(KEY)).map(({ lane, next }) => ({ lane, next }));
    expect(await places()).toEqual(before.map(({ lane, next }) => ({ lane, next })));
    expect(await stage.store.loadLaneTable(KEY, 'orders')).toEqual(['broker-a:0', 'broker-a:1']);
    expect((await stage.store.loadRegistry()).map(({ key, document }) => [key.mirror, JSON.parse(document).paused])).toEqual([
      ['m', false],
      ['still', true],
    ]);
  });

  it('may be emptied between two processes: nothing is lost or doubled, and no lane moves', async () => {
    stage.source.addQueues('orders', 'broker-m', 1);
    const first = stage.start({ mirrors: [specOf('m')] });
    stage.produce(20);
    stage.produce(20, {}, 'orders', 'broker-m:0');
    await stage.time.pass(3_000);
    await stage.close(first);
    stage.store.empty();
    stage.source.addQueues('orders', 'broker-0', 1);
    stage.produce(20);
    stage.produce(20, {}, 'orders', 'broker-m:0');
    stage.start({ mirrors: [specOf('m')] });
    await stage.time.pass(5_000);
    expect(stage.stored()).toEqual([
      ...stage.source.history('orders', 'broker-a:0').map(({ body }) => body.toString()),
      ...stage.source.history('orders', 'broker-m:0').map(({ body }) => body.toString()),
    ]);
  });
});

describe('a source that loses its tail', () => {
  const LANE = 'broker-a:0';
  let stage: Stage;
  beforeEach(() => {
    stage = new Stage();
    stage.source.addQueues('orders', 'broker-a', 2);
  });

  const produce = (from: number, count: number): void => {
    for (let i = from; i < from + count; i++) stage.produce(1, { body: Buffer.from(`r${i}`) });
  };
  const names = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `r${from + i}`);

  it('is followed to the place where it begins again, and what comes there is stored although its offsets were used before', async () => {
    const supervisor = stage.start({ mirrors: [specOf('m')] });
    produce(0, 20);
    await stage.time.pass(3_000);
    stage.source.cut('orders', LANE, 12);
    produce(20, 15);
    await stage.time.pass(10_000);
    expect(stage.stored()).toEqual([...names(0, 20), ...names(20, 35)]);
    expect(supervisor.lanes(KEY)[0]).toMatchObject({
      state: 'running',
      next: '27',
      gaps: [{ from: '20', to: '12', reason: 'truncated' }],
    });
    expect(stage.source.peekCommitted('orders', LANE, groupName(KEY, 'west', specOf('m')))).toBe(27);
  });

  it.each([0, 100, 500, 1_500, 6_000])('doubles and loses nothing when the process ends %i ms after that', async (millis) => {
    const first = stage.start({ mirrors: [specOf('m')] });
    produce(0, 20);
    await stage.time.pass(3_000);
    stage.source.cut('orders', LANE, 12);
    produce(20, 3);
    await stage.time.pass(2_100 + millis);
    await stage.close(first);
    produce(23, 12);
    stage.start({ mirrors: [specOf('m')] });
    await stage.time.pass(20_000);
    expect(stage.stored()).toEqual([...names(0, 20), ...names(20, 35)]);
  });

  it('goes on also when a look at the target fails in the middle of it', async () => {
    const supervisor = stage.start({ mirrors: [specOf('m')] });
    produce(0, 20);
    await stage.time.pass(3_000);
    stage.source.cut('orders', LANE, 12);
    stage.faults = { ...stage.faults, lostReplies: 0.5 };
    produce(20, 15);
    await stage.time.pass(60_000);
    stage.faults = { ...stage.faults, lostReplies: 0 };
    await stage.time.pass(20_000);
    expect(stage.stored()).toEqual([...names(0, 20), ...names(20, 35)]);
    expect(supervisor.lanes(KEY)[0]).toMatchObject({ state: 'running', next: '27' });
  });

  it('stops for a person where the place cannot be known', async () => {
    const first = stage.start({ mirrors: [specOf('m')] });
    produce(0, 20);
    await stage.time.pass(3_000);
    await stage.close(first);
    stage.source.cut('orders', LANE, 12);
    const second = stage.start({ mirrors: [specOf('m')] });
    await stage.time.pass(20_000);
    expect(second.lanes(KEY)[0]).toMatchObject({ state: 'stopped', trouble: { code: 'SOURCE_REWOUND' } });
    expect(second.lanes(KEY)[1]).toMatchObject({ state: 'running' });
  });
});
