import { beforeEach, describe, expect, it, vi } from 'vitest';
import { FAILOVER_STEPS, type FailoverStep } from '../../../../src/control/failover/api.ts';
import type { Supervisor } from '../../../../src/control/supervisor.ts';
import { IsthmusError } from '../../../../src/errors.ts';
import type { FailoverRule } from '../../../../src/model/mirror-spec.ts';
import { entryPosition } from '../../../../src/model/position.ts';
import { done, EVERY, followingStage, given, produceApart, undone } from '../groups/following.ts';
import { type ProcessOptions, type Stage, specOf } from '../kit.ts';

// Minutes of virtual time, in which the mirrors run as well.
vi.setConfig({ testTimeout: 30_000 });

const failover: FailoverRule = {
  fence: [{ command: ['fence'], timeoutMillis: 1_000 }],
  release: [{ command: ['release'], timeoutMillis: 1_000 }],
};
const planned = { link: 'l', kind: 'planned', drainMillis: 60_000, force: false } as const;

describe('a failover', () => {
  let stage: Stage;
  let hooks: string[];
  beforeEach(() => {
    stage = followingStage();
    hooks = [];
  });

  function start(options: ProcessOptions = {}): Supervisor {
    const runHook: ProcessOptions['runHook'] = async (_, { step }) => {
      hooks.push(step);
      await Promise.resolve();
    };
    return stage.start({ mirrors: [specOf('m')], groups: EVERY, failover, runHook, ...options });
  }

  async function prepared(options: ProcessOptions = {}): Promise<Supervisor> {
    const supervisor = start(options);
    await produceApart(stage, 10);
    done(stage, 'app', [4, 7]);
    await stage.time.pass(12_000);
    return supervisor;
  }

  it('that is planned loses nothing, reads nothing again, and takes its steps in their order', async () => {
    const { failovers } = await prepared();
    done(stage, 'app', [5, 7]);
    expect(await stage.outcome(failovers.start(planned))).toMatchObject({ state: 'running' });
    await stage.time.pass(30_000);
    const status = await failovers.status('l');
    expect(status).toMatchObject({ state: 'done', certificate: { recordsLeftBehind: 0, pausedMirrors: [] } });
    expect(status.steps.map(({ step }) => step)).toEqual(['fence', 'drain', 'sync', 'release']);
    expect(status.certificate?.groups).toMatchObject([
      { group: 'app', actual: { kind: 'exact', rereads: 0, atLeast: false }, state: 'synced' },
    ]);
    expect(hooks).toEqual(['fence', 'release']);
    expect(given(stage, 'app')).toEqual(undone(stage, [5, 7]));
  });

  it('is not begun with a group of which no place is known, unless that is wanted', async () => {
    const { failovers } = await prepared();
    stage.source.commit('orders', 'broker-a:0', 'half', 3);
    expect(await stage.outcome(failovers.start(planned))).toEqual({ code: 'CONFLICT' });
    expect(await stage.outcome(failovers.plan('l', 'planned'))).toMatchObject({
      blockers: [expect.stringContaining('where half goes on in orders is unknown')],
    });
    expect(hooks).toEqual([]);
    expect(await stage.outcome(failovers.start({ ...planned, force: true }))).toMatchObject({ state: 'running' });
  });

  it('does not mind a group of which no place is known and that goes on at the target already', async () => {
    const { failovers } = await prepared();
    stage.source.commit('orders', 'broker-a:0', 'half', 3);
    stage.target.commit('orders-copy', 0, 'half', entryPosition(10, 5));
    stage.target.members.set('half', 2);
    expect(await stage.outcome(failovers.plan('l', 'planned'))).toMatchObject({
      blockers: [],
      warnings: [expect.stringContaining('half has 2 consumers on orders at the target')],
    });
    await stage.outcome(failovers.start(planned));
    await stage.time.pass(30_000);
    expect(await failovers.status('l')).toMatchObject({
      state: 'done',
      certificate: { groups: [{ group: 'app' }, { group: 'half', state: 'active', actual: { rereads: null } }] },
    });
  });

  it('ends where a hook fails, and says why', async () => {
    const { failovers } = await prepared({
      runHook: async () => await Promise.reject(new IsthmusError('HOOK_FAILED', 'it ended with 3')),
    });
    await stage.outcome(failovers.start(planned));
    await stage.time.pass(10_000);
    expect(await failovers.status('l')).toMatchObject({
      state: 'failed',
      step: 'fence',
      trouble: { code: 'HOOK_FAILED', message: expect.stringContaining('it ended with 3') },
    });
  });

  it('is called off before it has released anything, and another can be begun', async () => {
    const { failovers } = await prepared({ runHook: hangsAt('fence') });
    await stage.outcome(failovers.start(planned));
    expect(await stage.outcome(failovers.start(planned))).toEqual({ code: 'CONFLICT' });
    expect(await stage.outcome(failovers.abort('l'))).toMatchObject({ state: 'aborted', step: 'fence' });
    expect(await stage.outcome(failovers.abort('l'))).toEqual({ code: 'CONFLICT' });
    expect(await stage.outcome(failovers.start(planned))).toMatchObject({ state: 'running' });
  });

  it('of a source that is gone goes by what it has said last, and pauses the mirrors', async () => {
    const supervisor = await prepared();
    stage.source.setAway('broker-a', true);
    const { failovers } = supervisor;
    expect(await stage.outcome(failovers.start(planned))).toEqual({ code: 'CONFLICT' });
    await stage.outcome(failovers.start({ ...planned, kind: 'unplanned', drainMillis: 5_000 }));
    await stage.time.pass(90_000);
    expect(await failovers.status('l')).toMatchObject({
      state: 'done',
      certificate: {
        recordsLeftBehind: null,
        pausedMirrors: ['m'],
        // What the group did after that was last seen nobody in the target knows.
        groups: [{ group: 'app', actual: { kind: 'exact', rereads: 0, atLeast: true } }],
      },
    });
    expect(supervisor.mirror({ link: 'l', mirror: 'm' }).state).toBe('paused');
    expect(given(stage, 'app')).toEqual(undone(stage, [4, 7]));
  });

  // Where all places are known it does not begin with `places`.
  it.each(FAILOVER_STEPS.filter((step) => step !== 'places'))(
    'goes on in the next process after a crash while it did its step %s',
    async (step) => {
      const first = await prepared({ runHook: hangsAt(step) });
      const begun = first.failovers.start(planned);
      void begun.catch(() => undefined);
      for (let i = 0; i < 4_000 && (await stepOf(first)) !== step; i++) await stage.time.pass(5);
      expect(await stepOf(first)).toBe(step);
      stage.kill(first);
      const second = start();
      await stage.time.pass(60_000);
      expect(await second.failovers.status('l')).toMatchObject({ state: 'done' });
      expect(hooks.at(-1)).toBe('release');
      expect(given(stage, 'app')).toEqual(undone(stage, [4, 7]));
    },
  );
});

/** A hook that does not end before it is called off, and others that do. */
function hangsAt(step: FailoverStep): NonNullable<ProcessOptions['runHook']> {
  return async (_, { step: at }, signal) => {
    if (at !== step) return;
    await new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(new IsthmusError('CLOSED', 'called off')), { once: true });
    });
  };
}

async function stepOf({ failovers }: Supervisor): Promise<FailoverStep | undefined> {
  try {
    return (await failovers.status('l')).step;
  } catch {
    return undefined;
  }
}
