import { beforeEach, describe, expect, it, vi } from 'vitest';
import { groupName } from '../../../../src/control/group-name.ts';
import { IsthmusError } from '../../../../src/errors.ts';
import { entryPosition } from '../../../../src/model/position.ts';
import type { Cluster } from '../../../../src/spi/cluster.ts';
import type { GroupMove } from '../../../../src/spi/groups.ts';
import { type Stage, specOf } from '../kit.ts';
import { done, EVERY, followingStage, given, produceApart, undone } from './following.ts';

// Minutes of virtual time, in which the mirrors run as well.
vi.setConfig({ testTimeout: 30_000 });

const mirrors = [specOf('m')];
const NOWHERE = [undefined, undefined];

describe('the groups of a link', () => {
  let stage: Stage;
  beforeEach(() => {
    stage = followingStage();
  });

  it('are brought to their places, again and again as they go forward', async () => {
    const supervisor = stage.start({ mirrors, groups: EVERY });
    await produceApart(stage, 20);
    done(stage, 'app', [4, 11]);
    await stage.time.pass(12_000);
    expect(given(stage, 'app')).toEqual(undone(stage, [4, 11]));
    expect(supervisor.groups.get('l', 'app')).toMatchObject({ kind: 'exact', rereads: 0, state: 'synced', targetGroup: 'app' });
    done(stage, 'app', [20, 12]);
    await stage.time.pass(12_000);
    expect(given(stage, 'app')).toEqual(undone(stage, [20, 12]));
    expect(supervisor.groups.list('l')).toMatchObject({ apply: 'idle', trouble: null, groups: [{ group: 'app' }] });
  });

  it('say how old their places are, and that none is older than a pass', async () => {
    const supervisor = stage.start({ mirrors, groups: EVERY });
    await produceApart(stage, 5);
    done(stage, 'app', [1, 1]);
    await stage.time.pass(20_000);
    for (let i = 0; i < 20; i++) {
      await stage.time.pass(1_000);
      const [row] = supervisor.groups.rows();
      expect(row).toMatchObject({ link: 'l', group: 'app', state: 'synced', rereads: 0 });
      expect(row?.syncAgeSeconds).toBeLessThan(5.2);
    }
  });

  it('are left alone where their consumers are connected to the target, and follow when these are gone', async () => {
    const supervisor = stage.start({ mirrors, groups: EVERY });
    await produceApart(stage, 10);
    stage.target.members.set('app', 1);
    done(stage, 'app', [4, 4]);
    await stage.time.pass(20_000);
    expect(given(stage, 'app')).toEqual(NOWHERE);
    expect(supervisor.groups.get('l', 'app').state).toBe('active');
    stage.target.members.delete('app');
    await stage.time.pass(12_000);
    expect(given(stage, 'app')).toEqual(undone(stage, [4, 4]));
  });

  it('are not moved back where they are further on', async () => {
    const supervisor = stage.start({ mirrors, groups: EVERY });
    await produceApart(stage, 10);
    done(stage, 'app', [8, 8]);
    await stage.time.pass(12_000);
    done(stage, 'app', [2, 8]);
    await stage.time.pass(40_000);
    expect(given(stage, 'app')).toEqual(undone(stage, [8, 8]));
    expect(supervisor.groups.get('l', 'app').state).toBe('ahead');
    done(stage, 'app', [9, 9]);
    await stage.time.pass(12_000);
    expect(given(stage, 'app')).toEqual(undone(stage, [9, 9]));
    expect(supervisor.groups.get('l', 'app').state).toBe('synced');
  });

  it('come back to their places when somebody has taken these away on the target', async () => {
    stage.start({ mirrors, groups: EVERY });
    await produceApart(stage, 10);
    done(stage, 'app', [8, 8]);
    await stage.time.pass(12_000);
    stage.target.commit('orders-copy', 0, 'app', entryPosition(10, 0));
    await stage.time.pass(6_000);
    expect(given(stage, 'app')).toEqual(undone(stage, [8, 8]));
    stage.target.forgetGroups();
    await stage.time.pass(6_000);
    expect(given(stage, 'app')).toEqual(undone(stage, [8, 8]));
  });

  it('cost one request each when they are moved, and none while they stand still', async () => {
    const moves: GroupMove[] = [];
    stage.start({ mirrors, groups: EVERY, wrap: { target: (cluster) => withMoves(cluster, (move) => moves.push(move)) } });
    await produceApart(stage, 10);
    for (let i = 0; i < 20; i++) done(stage, `app-${i}`, [4, 4]);
    await stage.time.pass(12_000);
    expect(moves).toHaveLength(20);
    await stage.time.pass(35_000);
    expect(moves).toHaveLength(20);
    done(stage, 'app-7', [5, 4]);
    await stage.time.pass(12_000);
    expect(moves.slice(20).map(({ group }) => group)).toEqual(['app-7']);
  });

  it('follow as the rule says: included, not excluded, under another name', async () => {
    const groups = { ...EVERY, include: ['app-*'], exclude: ['*-test'], rename: 'east.{group}' };
    const supervisor = stage.start({ mirrors, groups });
    await produceApart(stage, 10);
    for (const group of ['app-one', 'app-test', 'other']) done(stage, group, [3, 3]);
    await stage.time.pass(12_000);
    expect(supervisor.groups.list('l').groups.map(({ group, targetGroup }) => [group, targetGroup])).toEqual([
      ['app-one', 'east.app-one'],
    ]);
    expect(given(stage, 'east.app-one')).toEqual(undone(stage, [3, 3]));
    for (const group of ['app-one', 'app-test', 'other', 'east.other']) expect(given(stage, group)).toEqual(NOWHERE);
  });

  it('are never those of Isthmus itself', async () => {
    const supervisor = stage.start({ mirrors, groups: EVERY });
    await produceApart(stage, 10);
    await stage.time.pass(30_000);
    const own = groupName({ link: 'l', mirror: 'm' }, 'west', specOf('m'));
    expect(stage.source.committed('orders', 'broker-a:0', own)).toBe(10);
    expect(supervisor.groups.list('l').groups).toEqual([]);
    expect(given(stage, own)).toEqual(NOWHERE);
  });

  it('are only shown where that is wanted', async () => {
    const supervisor = stage.start({ mirrors, groups: { ...EVERY, apply: 'never' } });
    await produceApart(stage, 10);
    done(stage, 'app', [4, 4]);
    await stage.time.pass(12_000);
    expect(supervisor.groups.get('l', 'app')).toMatchObject({ state: 'shown', kind: 'exact' });
    expect(given(stage, 'app')).toEqual(NOWHERE);
  });

  it('keep their places while the mirror is paused', async () => {
    const supervisor = stage.start({ mirrors, groups: EVERY });
    await produceApart(stage, 10);
    done(stage, 'app', [4, 4]);
    await stage.time.pass(12_000);
    await stage.outcome(supervisor.pauseMirror({ link: 'l', mirror: 'm' }));
    done(stage, 'app', [6, 4]);
    await stage.time.pass(12_000);
    expect(given(stage, 'app')).toEqual(undone(stage, [6, 4]));
  });

  it('have no place where the group has none in a lane that has records, and none is applied', async () => {
    const supervisor = stage.start({ mirrors, groups: EVERY });
    await produceApart(stage, 10);
    stage.source.commit('orders', 'broker-a:0', 'half', 4);
    await stage.time.pass(12_000);
    const status = supervisor.groups.get('l', 'half');
    expect(status).toMatchObject({ kind: 'unknown', rereads: null, state: 'waiting', syncedAt: null });
    expect(status.topics[0]?.places[0]?.reason).toContain('no place in the lane broker-a:1');
    expect(given(stage, 'half')).toEqual(NOWHERE);
  });

  it('are said to be too old where the target has deleted what they have not done', async () => {
    const supervisor = stage.start({ mirrors, groups: EVERY });
    await produceApart(stage, 10);
    done(stage, 'app', [2, 9]);
    stage.target.trim('orders-copy', 0, 4);
    await stage.time.pass(12_000);
    expect(supervisor.groups.get('l', 'app')).toMatchObject({ kind: 'too-old', state: 'synced' });
    expect(given(stage, 'app')[0]).toEqual(undone(stage, [6, 9])[0]);
  });
});

describe('what is wrong with one of them', () => {
  let stage: Stage;
  beforeEach(() => {
    stage = followingStage();
    stage.source.addQueues('bills', 'broker-b', 2);
  });

  it('does not keep the others from following: a topic that the target says nothing of', async () => {
    let broken = false;
    const supervisor = stage.start({
      mirrors: [specOf('m', { topics: ['orders', 'bills'] })],
      groups: EVERY,
      wrap: { target: (cluster) => withExtents(cluster, () => broken) },
    });
    await produceApart(stage, 10);
    for (const lane of ['broker-b:0', 'broker-b:1']) {
      stage.produce(10, {}, 'bills', lane);
      stage.source.commit('bills', lane, 'clerk', 0);
    }
    done(stage, 'app', [4, 4]);
    await stage.time.pass(12_000);
    expect(supervisor.groups.get('l', 'clerk').state).toBe('synced');
    broken = true;
    done(stage, 'app', [6, 6]);
    const before = supervisor.groups.get('l', 'clerk').syncedAt ?? 0;
    await stage.time.pass(12_000);
    expect(given(stage, 'app')).toEqual(undone(stage, [6, 6]));
    const { trouble, groups } = supervisor.groups.list('l');
    expect(trouble).toMatchObject({ code: 'BROKER_BUSY' });
    // It is still shown, and as old as it is.
    expect(groups.find(({ group }) => group === 'clerk')?.syncedAt).toBeLessThanOrEqual(before + 5_000);
    broken = false;
    await stage.time.pass(12_000);
    expect(supervisor.groups.list('l').trouble).toBeNull();
  });

  it('does not keep the others from following: a group that cannot be moved', async () => {
    const refuse = (move: GroupMove): void => {
      if (move.group === 'bad') throw new IsthmusError('BROKER_REFUSED', 'no');
    };
    const supervisor = stage.start({ mirrors, groups: EVERY, wrap: { target: (cluster) => withMoves(cluster, refuse) } });
    await produceApart(stage, 10);
    for (const group of ['app', 'bad', 'cap']) done(stage, group, [4, 4]);
    await stage.time.pass(12_000);
    expect(supervisor.groups.list('l').groups.map(({ group, state }) => [group, state])).toEqual([
      ['app', 'synced'],
      ['bad', 'waiting'],
      ['cap', 'synced'],
    ]);
    expect(supervisor.groups.get('l', 'bad').topics[0]?.places[0]?.reason).toBe('no');
  });
});

describe('a source that does not answer', () => {
  it('leaves the places as they are, and lets those be known that it has said last', async () => {
    const stage = followingStage();
    const supervisor = stage.start({ mirrors, groups: EVERY });
    await produceApart(stage, 10);
    done(stage, 'app', [4, 4]);
    await stage.time.pass(12_000);
    stage.source.setAway('broker-a', true);
    await stage.time.pass(12_000);
    expect(supervisor.groups.list('l')).toMatchObject({ trouble: { code: 'CONNECT_FAILED' }, groups: [{ group: 'app' }] });
    const sync = supervisor.groups.sync('l');
    expect(await stage.outcome(sync.pass({ apply: true, orKept: false }))).toEqual({ code: 'CONNECT_FAILED' });
    stage.target.forgetGroups();
    expect(await stage.outcome(sync.pass({ apply: true, orKept: true }))).toMatchObject({
      sourceAway: expect.stringContaining('away'),
      groups: [{ group: 'app', kind: 'exact' }],
    });
    expect(given(stage, 'app')).toEqual(undone(stage, [4, 4]));
  });

  it('is known by the next process as well, from the state store', async () => {
    const stage = followingStage();
    const first = stage.start({ mirrors, groups: EVERY });
    await produceApart(stage, 10);
    done(stage, 'app', [4, 4]);
    await stage.time.pass(12_000);
    stage.source.setAway('broker-a', true);
    stage.kill(first);
    const second = stage.start({ mirrors, groups: EVERY });
    await stage.time.pass(30_000);
    stage.target.forgetGroups();
    await stage.outcome(second.groups.sync('l').pass({ apply: true, orKept: true }));
    expect(given(stage, 'app')).toEqual(undone(stage, [4, 4]));
  });
});

describe('several processes', () => {
  it('have one that moves the groups, and another that goes on when it is gone', async () => {
    const stage = followingStage();
    const moves: string[] = [];
    const start = (name: string): ReturnType<Stage['start']> =>
      stage.start({ mirrors, groups: EVERY, wrap: { target: (cluster) => withMoves(cluster, () => moves.push(name)) } });
    const first = start('first');
    await stage.time.pass(1_000);
    start('second');
    await produceApart(stage, 10);
    for (let at = 1; at <= 4; at++) {
      done(stage, 'app', [at, at]);
      await stage.time.pass(6_000);
    }
    expect(new Set(moves)).toEqual(new Set(['first']));
    stage.kill(first);
    moves.length = 0;
    await stage.time.pass(15_000);
    done(stage, 'app', [10, 10]);
    await stage.time.pass(25_000);
    expect(new Set(moves)).toEqual(new Set(['second']));
    expect(given(stage, 'app')).toEqual([[], []]);
  });
});

function withMoves(cluster: Cluster, onMove: (move: GroupMove) => unknown): Cluster {
  const { groups } = cluster;
  if (groups === undefined) throw new Error('no groups');
  return {
    ...cluster,
    groups: {
      progress: (topics) => groups.progress(topics),
      refusesGroupName: (group) => groups.refusesGroupName(group),
      move: async (move) => {
        onMove(move);
        return await groups.move(move);
      },
    },
  };
}

function withExtents(cluster: Cluster, broken: () => boolean): Cluster {
  return {
    ...cluster,
    admin: {
      ...cluster.admin,
      extents: async (topic) => {
        if (topic === 'bills-copy' && broken()) throw new IsthmusError('BROKER_BUSY', 'one partition is not served');
        return await cluster.admin.extents(topic);
      },
    },
  };
}
