import { beforeEach, describe, expect, it, vi } from 'vitest';
import { IsthmusError } from '../../../src/errors.ts';
import type { Cluster } from '../../../src/spi/cluster.ts';
import { done, EVERY, followingStage, given, produceApart, undone } from './groups/following.ts';
import { type Stage, specOf } from './kit.ts';

// Minutes of virtual time, in which the mirrors run as well.
vi.setConfig({ testTimeout: 30_000 });

const KEY = { link: 'l', mirror: 'm' };

let stage: Stage;
/** Whether the source can say for sure that a topic was deleted. */
let isSure: boolean;

beforeEach(() => {
  stage = followingStage();
  stage.source.addQueues('refunds', 'broker-a', 2);
  isSure = true;
});

/** A source that knows of an absent topic no more than a name server does. */
function source(cluster: Cluster): Cluster {
  const { admin } = cluster;
  return {
    ...cluster,
    admin: {
      ...admin,
      extents: async (topic) => {
        if ((await admin.describeTopic(topic)) === undefined) throw new IsthmusError('TOPIC_NOT_FOUND', `no broker has ${topic}`);
        return await admin.extents(topic);
      },
      isDeleted: async (topic, lanes) => isSure && lanes.length === 2 && (await admin.describeTopic(topic)) === undefined,
    },
  };
}

const spec = specOf('m', { topics: ['*'], rename: '{topic}-copy' });

async function bothMirrored(): Promise<ReturnType<Stage['start']>> {
  const supervisor = stage.start({ mirrors: [spec], groups: EVERY, wrap: { source } });
  await produceApart(stage, 10);
  await produceApart(stage, 10, 'refunds');
  done(stage, 'app', [4, 4]);
  await stage.time.pass(12_000);
  expect(supervisor.groups.list('l').trouble).toBeNull();
  return supervisor;
}

describe('a source topic that was deleted', () => {
  it('is said to be gone until it is made again, while the others go on', async () => {
    const supervisor = await bothMirrored();
    stage.source.deleteTopic('refunds');
    await stage.time.pass(12_000);
    expect(supervisor.mirror(KEY)).toMatchObject({ state: 'waiting', trouble: { code: 'SOURCE_GONE' } });
    expect(supervisor.mirror(KEY).trouble?.message).toContain('refunds');
    await produceApart(stage, 5);
    await stage.time.pass(5_000);
    expect(stage.stored('orders-copy')).toHaveLength(30);
    stage.source.addQueues('refunds', 'broker-a', 2);
    await stage.time.pass(10_000);
    expect(supervisor.mirror(KEY)).toMatchObject({ state: 'running', trouble: null });
  });

  it('is no trouble of the groups of its link: those of other topics follow, and a pass ends', async () => {
    const supervisor = await bothMirrored();
    stage.source.deleteTopic('refunds');
    done(stage, 'app', [7, 7]);
    await stage.time.pass(12_000);
    expect(supervisor.groups.list('l').trouble).toBeNull();
    expect(given(stage, 'app')).toEqual(undone(stage, [7, 7]));
  });

  it('is waited for where its brokers may only be away', async () => {
    isSure = false;
    const supervisor = await bothMirrored();
    stage.source.deleteTopic('refunds');
    await stage.time.pass(12_000);
    expect(supervisor.mirror(KEY)).toMatchObject({ state: 'waiting', trouble: { code: 'TOPIC_NOT_FOUND' } });
    expect(supervisor.groups.list('l').trouble).toMatchObject({ code: 'TOPIC_NOT_FOUND' });
  });

  it('is no trouble any more when the rule does not take it, whatever was kept of it', async () => {
    isSure = false;
    stage.kill(await bothMirrored());
    stage.source.deleteTopic('refunds');
    const supervisor = stage.start({ mirrors: [{ ...spec, exclude: ['refunds'] }], groups: EVERY, wrap: { source } });
    await stage.time.pass(30_000);
    expect(supervisor.mirror(KEY).trouble).toBeNull();
    expect(supervisor.groups.list('l')).toMatchObject({ trouble: null, groups: [{ group: 'app' }] });
  });
});
