import { beforeEach, describe, expect, it } from 'vitest';
import type { ReplayRequest } from '../../../src/control/replay/api.ts';
import type { Supervisor } from '../../../src/control/supervisor.ts';
import type { IsthmusError } from '../../../src/errors.ts';
import type { Capabilities } from '../../../src/spi/capabilities.ts';
import type { Cluster } from '../../../src/spi/cluster.ts';
import { Stage, specOf, type Wrap } from './kit.ts';

const KEY = { link: 'l', mirror: 'm' };
let stage: Stage;
beforeEach(() => {
  stage = new Stage();
  stage.source.addQueues('orders', 'broker-a', 1);
});

const without =
  (...lacks: ('listsTopics' | 'exactPositions' | 'readsWithoutGroup')[]) =>
  (cluster: Cluster): Cluster => {
    const lacking: Partial<Capabilities> = Object.fromEntries(lacks.map((name) => [name, false]));
    // Reading back needs a source; whether it may look is what is asked here.
    return { ...cluster, source: cluster.source ?? unreadable(), capabilities: { ...cluster.capabilities, ...lacking } };
  };

function unreadable(): NonNullable<Cluster['source']> {
  const never = (): never => {
    throw new Error('it must not be read');
  };
  return { passesWhole: false, openLane: never, committed: never, resolveStart: never, next: never };
}

async function start(wrap: Wrap): Promise<Supervisor> {
  const supervisor = stage.start({ wrap });
  await stage.time.pass(1_000);
  return supervisor;
}

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'none';
  } catch (error) {
    return (error as IsthmusError).code;
  }
}

describe('a source whose driver cannot list topics, or keeps no positions', () => {
  it('gets no mirror whose rules need that, neither a new nor a changed one', async () => {
    const supervisor = await start({ source: without('listsTopics', 'exactPositions') });
    const refused = { code: 'INVALID_REQUEST' };
    expect(await stage.outcome(supervisor.addMirror('l', specOf('m', { topics: ['orders*'] })))).toEqual(refused);
    expect(await stage.outcome(supervisor.addMirror('l', specOf('m', { start: 'latest' })))).toEqual(refused);
    expect(await stage.store.loadRegistry()).toEqual([]);
    expect(await stage.outcome(supervisor.addMirror('l', specOf('m')))).toMatchObject({ definedBy: 'api' });
    expect(await stage.outcome(supervisor.changeMirror(KEY, specOf('m', { start: 5 })))).toEqual(refused);
    expect(supervisor.mirror(KEY)).toMatchObject({ state: 'running', spec: { start: 'earliest' } });
  });

  it('fails a mirror of the configuration file that needs it, and says which rule', async () => {
    const mirrors = [specOf('m', { topics: ['orders*'] })];
    const supervisor = stage.start({ mirrors, wrap: { source: without('listsTopics') } });
    await stage.time.pass(1_000);
    expect(supervisor.mirror(KEY)).toMatchObject({
      state: 'failed',
      trouble: { code: 'INVALID_REQUEST', message: expect.stringContaining('orders* would find none') as string },
    });
  });
});

describe('a cluster that only groups can read', () => {
  const request = { key: KEY, topics: undefined, from: undefined, to: undefined, repair: false };

  it('is not compared, at whichever end it is', async () => {
    for (const wrap of [{ source: without('readsWithoutGroup'), target: without() }, { target: without('readsWithoutGroup') }]) {
      const supervisor = await start(wrap);
      await stage.outcome(supervisor.addMirror('l', specOf('m')));
      expect(codeOf(() => supervisor.verifications.start(request))).toBe('CONFLICT');
    }
  });

  it('is replayed from as a source, where nothing of it is read, but not as a target', async () => {
    const replay = { key: KEY, topics: undefined, limit: undefined, dryRun: true } as ReplayRequest;
    const source = await start({ source: without('readsWithoutGroup'), target: without() });
    await stage.outcome(source.addMirror('l', specOf('m')));
    expect(codeOf(() => source.replays.start(replay))).toBe('none');
    const target = await start({ target: without('readsWithoutGroup') });
    expect(codeOf(() => target.replays.start(replay))).toBe('CONFLICT');
  });
});
