import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { ApplyRequest } from '../../../../src/control/groups/api.ts';
import type { Supervisor } from '../../../../src/control/supervisor.ts';
import type { GroupsRule } from '../../../../src/model/mirror-spec.ts';
import { type Stage, specOf } from '../kit.ts';
import { done, EVERY, followingStage, given, produceApart, undone } from './following.ts';

// Minutes of virtual time, in which the mirrors run as well.
vi.setConfig({ testTimeout: 30_000 });

const mirrors = [specOf('m')];
const PLAIN: ApplyRequest = { link: 'l', force: false, dryRun: false };
const FORCED: ApplyRequest = { ...PLAIN, force: true };
/** Only shown, so that nothing but what is asked for moves. */
const NEVER: GroupsRule = { ...EVERY, apply: 'never' };

describe('groups that somebody has asked to be moved', () => {
  let stage: Stage;
  beforeEach(() => {
    stage = followingStage();
  });

  async function prepared(groups: GroupsRule | undefined, offsets: readonly [number, number]): Promise<Supervisor> {
    const supervisor = stage.start({ mirrors, ...(groups === undefined ? {} : { groups }) });
    await produceApart(stage, 10);
    done(stage, 'app', offsets);
    await stage.time.pass(12_000);
    return supervisor;
  }

  it('go to their places once, also where the link only shows them or has no rule at all', async () => {
    const { groups } = await prepared(undefined, [4, 7]);
    expect(given(stage, 'app')).toEqual([undefined, undefined]);
    expect(await stage.outcome(groups.apply(PLAIN))).toMatchObject({
      trouble: null,
      groups: [
        { group: 'app', state: 'synced', topics: [{ places: [{ outcome: 'applied', was: null }, { outcome: 'applied' }] }] },
      ],
    });
    expect(given(stage, 'app')).toEqual(undone(stage, [4, 7]));
    done(stage, 'app', [8, 8]);
    await stage.time.pass(20_000);
    expect(given(stage, 'app')).toEqual(undone(stage, [4, 7]));
  });

  it('are left alone without force where they are in use or further on', async () => {
    const { groups } = await prepared(EVERY, [8, 8]);
    done(stage, 'app', [2, 2]);
    expect(await stage.outcome(groups.apply(PLAIN))).toMatchObject({ groups: [{ state: 'ahead', rereads: null }] });
    stage.target.members.set('app', 1);
    expect(await stage.outcome(groups.apply(PLAIN))).toMatchObject({ groups: [{ state: 'active', rereads: null }] });
    expect(given(stage, 'app')).toEqual(undone(stage, [8, 8]));
  });

  it('are moved back by force, without a promise of how much that is, and stay there', async () => {
    const { groups } = await prepared(EVERY, [8, 8]);
    done(stage, 'app', [2, 8]);
    const answer = await stage.outcome(groups.apply(FORCED));
    expect(answer).toMatchObject({
      force: true,
      groups: [
        {
          state: 'synced',
          rereads: null,
          topics: [
            {
              places: [
                { outcome: 'applied', rereads: null, reason: expect.stringContaining('further on') },
                { outcome: 'same', rereads: 0 },
              ],
            },
          ],
        },
      ],
    });
    expect(given(stage, 'app')).toEqual(undone(stage, [2, 8]));
    await stage.time.pass(20_000);
    expect(given(stage, 'app')).toEqual(undone(stage, [2, 8]));
    expect(groups.get('l', 'app').state).toBe('synced');
  });

  it('are moved by force although consumers are connected', async () => {
    const { groups } = await prepared(EVERY, [4, 4]);
    stage.target.members.set('app', 2);
    done(stage, 'app', [6, 6]);
    expect(await stage.outcome(groups.apply(FORCED))).toMatchObject({ groups: [{ state: 'synced', rereads: 0 }] });
    expect(given(stage, 'app')).toEqual(undone(stage, [6, 6]));
  });

  it('are those that were named, and the others follow on as before', async () => {
    const { groups } = await prepared(NEVER, [4, 4]);
    done(stage, 'other', [3, 3]);
    expect(await stage.outcome(groups.apply({ ...FORCED, group: 'app', topic: 'orders' }))).toMatchObject({
      groups: [{ group: 'app' }],
    });
    expect(given(stage, 'app')).toEqual(undone(stage, [4, 4]));
    expect(given(stage, 'other')).toEqual([undefined, undefined]);
    expect(await stage.outcome(groups.apply({ ...PLAIN, group: 'nobody' }))).toEqual({ code: 'NOT_FOUND' });
    expect(await stage.outcome(groups.apply({ ...PLAIN, group: 'app', topic: 'bills' }))).toEqual({ code: 'NOT_FOUND' });
  });

  it('are not moved by a dry run, which shows where they are and where they would go', async () => {
    const { groups } = await prepared(EVERY, [8, 8]);
    done(stage, 'app', [2, 2]);
    const [place] = groups.get('l', 'app').topics[0]?.places ?? [];
    const answer = await stage.outcome(groups.apply({ ...FORCED, dryRun: true }));
    expect(answer).toMatchObject({
      dryRun: true,
      groups: [{ state: 'shown', topics: [{ places: [{ was: place?.next }, {}] }] }],
    });
    expect(given(stage, 'app')).toEqual(undone(stage, [8, 8]));
  });

  it('have no place by force either where none is known', async () => {
    const { groups } = await prepared(NEVER, [4, 4]);
    stage.source.commit('orders', 'broker-a:0', 'half', 4);
    expect(await stage.outcome(groups.apply({ ...FORCED, group: 'half' }))).toMatchObject({
      groups: [{ kind: 'unknown', state: 'waiting', rereads: null }],
    });
    expect(given(stage, 'half')).toEqual([undefined, undefined]);
  });
});
