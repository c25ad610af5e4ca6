import { describe, expect, it, vi } from 'vitest';
import { entryPosition } from '../../../../src/model/position.ts';
import { BOTH } from './both-ways.ts';
import { EVERY, followingStage, LANES, produceApart } from './following.ts';

// Minutes of virtual time, in which the mirrors run as well.
vi.setConfig({ testTimeout: 30_000 });

describe('a group that exists at one of two ends alone, with a link each way', () => {
  it('comes to the other end and keeps neither link from a failover, unless it has no place in a lane of its own end', async () => {
    const stage = followingStage();
    const { groups, failovers } = stage.start({ ...BOTH, backGroups: EVERY });
    await produceApart(stage, 20);
    await stage.time.pass(40_000);
    for (const partition of LANES.keys()) {
      const records = [{ body: Buffer.from('west'), key: undefined, mark: undefined }];
      stage.target.store('orders-copy', partition, { records, mark: undefined, batched: false });
      stage.target.commit('orders-copy', partition, 'west-app', entryPosition(10, 3));
    }
    stage.target.commit('orders-copy', 0, 'west-half', entryPosition(10, 3));
    await stage.time.pass(60_000);
    for (const link of ['back', 'l'])
      expect(groups.get(link, 'west-app'), link).toMatchObject({ kind: 'exact', rereads: 0, state: 'synced' });
    expect(await stage.outcome(failovers.plan('l', 'planned'))).toMatchObject({ blockers: [], pending: [] });
    expect(await stage.outcome(failovers.plan('back', 'planned'))).toMatchObject({
      blockers: [
        expect.stringContaining('where west-half goes on in orders-copy is unknown: the group has no place in the lane 1'),
      ],
      pending: [],
    });
  });
});
