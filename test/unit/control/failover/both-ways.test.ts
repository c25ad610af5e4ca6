import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Supervisor } from '../../../../src/control/supervisor.ts';
import type { FailoverRule } from '../../../../src/model/mirror-spec.ts';
import { BOTH, writeBoth } from '../groups/both-ways.ts';
import { done, EVERY, followingStage, given, LANES, produceApart } from '../groups/following.ts';
import { type ProcessOptions, type Stage, specOf } from '../kit.ts';

// Minutes of virtual time, in which the mirrors run as well.
vi.setConfig({ testTimeout: 60_000 });

const planned = { link: 'l', kind: 'planned', drainMillis: 30_000, force: false } as const;
const AT_TARGET = { source: false, target: true };

describe('a planned failover of a link whose both ends are written', () => {
  let stage: Stage;
  beforeEach(() => {
    stage = followingStage();
  });

  async function prepared(options: ProcessOptions = {}): Promise<Supervisor> {
    const supervisor = stage.start({ ...BOTH, ...options });
    await produceApart(stage, 10);
    done(stage, 'app', [4, 7]);
    // Until the mirror back has found its topic.
    await writeBoth(stage, 40_000, { source: true, target: true });
    return supervisor;
  }

  /** A request's outcome while applications write. */
  async function underLoad<T>(request: Promise<T>, where = AT_TARGET): Promise<T> {
    void request.catch(() => undefined);
    await writeBoth(stage, 20_000, where);
    return await request;
  }

  it('does not wait until the target is written no more, leaves nothing behind and loses nothing', async () => {
    const { failovers } = await prepared();
    const [here, there] = LANES.map((lane) => stage.source.history('orders', lane).length);
    done(stage, 'app', [(here ?? 0) - 3, (there ?? 0) - 3]);
    await underLoad(failovers.start(planned));
    await writeBoth(stage, 20_000, AT_TARGET);
    const status = await failovers.status('l');
    expect([status.state, status.trouble]).toEqual(['done', null]);
    expect(status.certificate).toMatchObject({ recordsLeftBehind: 0, groups: [{ group: 'app', state: 'synced' }] });
    const inTarget = new Set(stage.stored());
    expect(stage.sent().filter((body) => !inTarget.has(body))).toEqual([]);
    // Nothing that the group had not done lies before its place, and what it had done lies behind it as often as the certificate says: the two sides have an order of their own.
    const all = LANES.map((lane) => stage.source.history('orders', lane).map(({ body }) => body.toString()));
    const again = LANES.map((_, i) => {
      const finished = ([here, there][i] ?? 0) - 3;
      const got = given(stage, 'app')[i] ?? [];
      expect(all[i]?.slice(finished).filter((body) => !got.includes(body))).toEqual([]);
      return all[i]?.slice(0, finished).filter((body) => got.includes(body)).length ?? 0;
    });
    expect(status.certificate?.groups[0]?.actual.rereads).toBe(again.reduce((a, b) => a + b, 0));
  });

  it('waits as long as the source itself is written, and says so', async () => {
    const { failovers } = await prepared();
    await underLoad(failovers.start(planned), { source: true, target: true });
    await writeBoth(stage, 40_000, { source: true, target: true });
    expect(await failovers.status('l')).toMatchObject({ state: 'failed', step: 'drain', trouble: { code: 'CONFLICT' } });
  });

  it('waits for places that only lag, instead of being refused, and shows that before it changes anything', async () => {
    const first = await prepared();
    stage.kill(first);
    const hooks: string[] = [];
    const failover: FailoverRule = { fence: [{ command: ['fence'], timeoutMillis: 1_000 }], release: [] };
    const runHook: ProcessOptions['runHook'] = async (_, { step }) => {
      hooks.push(step);
      await Promise.resolve();
    };
    const second = stage.start({ ...BOTH, failover, runHook });
    await writeBoth(stage, 300, AT_TARGET);
    const plan = second.failovers.plan('l', 'planned');
    await writeBoth(stage, 100, AT_TARGET);
    expect(await plan).toMatchObject({
      blockers: [],
      pending: [expect.stringContaining('where app goes on in orders is unknown')],
    });
    const started = second.failovers.start(planned);
    await writeBoth(stage, 100, AT_TARGET);
    expect(await started).toMatchObject({ state: 'running', step: 'places' });
    expect(hooks).toEqual([]);
    // Killed while it waits, it waits in the next process.
    stage.kill(second);
    const third = stage.start({ ...BOTH, failover, runHook });
    await writeBoth(stage, 60_000, AT_TARGET);
    const { state, steps, plan: last } = await third.failovers.status('l');
    expect([state, steps.map(({ step }) => step)]).toEqual(['done', ['places', 'fence', 'drain', 'sync', 'release']]);
    expect(last).toMatchObject({ pending: [], groups: [{ group: 'app', kind: 'exact' }] });
  });

  it('is not kept waiting by a group that is in use at the target, however far it is ahead of the mirror at the source', async () => {
    const { failovers } = await prepared();
    stage.target.members.set('west-app', 1);
    done(stage, 'west-app', [100_000, 100_000]);
    void failovers.start(planned).catch(() => undefined);
    // As the mirror back brings it there, all the time a bit further than this mirror has come.
    for (let i = 0; i < 300; i++) {
      done(stage, 'west-app', [100_000 + i, 100_000 + i]);
      await writeBoth(stage, 100, AT_TARGET);
    }
    const status = await failovers.status('l');
    expect([status.state, status.trouble]).toEqual(['done', null]);
    const sync = status.steps.find(({ step }) => step === 'sync');
    expect((sync?.endedAt ?? 0) - (sync?.startedAt ?? 0)).toBeLessThan(8_000);
    expect(status.certificate?.groups.map(({ group, state }) => [group, state])).toEqual([
      ['app', 'synced'],
      ['west-app', 'active'],
    ]);
  });
});

describe('draining', () => {
  it('does not take a state store that is away for a source that is', async () => {
    const stage = followingStage();
    const { failovers } = stage.start({ mirrors: [specOf('m')], groups: EVERY });
    await produceApart(stage, 10);
    done(stage, 'app', [4, 7]);
    await stage.time.pass(12_000);
    void failovers.start(planned).catch(() => undefined);
    for (let i = 0; i < 1_000 && (await failovers.status('l').catch(() => undefined))?.step !== 'drain'; i++)
      await stage.time.pass(5);
    stage.storeIsAway = true;
    await stage.time.pass(8_000);
    stage.storeIsAway = false;
    await stage.time.pass(30_000);
    expect(await failovers.status('l')).toMatchObject({ state: 'done', trouble: null });
  });

  it('takes a source that is silent for a moment for busy, and one that stays so for lost', async () => {
    const stage = followingStage();
    const { failovers } = stage.start({ mirrors: [specOf('m')], groups: EVERY });
    await produceApart(stage, 10);
    done(stage, 'app', [4, 7]);
    await stage.time.pass(12_000);
    for (const [awayMillis, state] of [
      [4_000, 'done'],
      [20_000, 'failed'],
    ] as const) {
      void failovers.start(planned).catch(() => undefined);
      for (let i = 0; i < 1_000 && (await failovers.status('l').catch(() => undefined))?.step !== 'drain'; i++)
        await stage.time.pass(5);
      stage.source.setAway('broker-a', true);
      await stage.time.pass(awayMillis);
      stage.source.setAway('broker-a', false);
      await stage.time.pass(30_000);
      expect((await failovers.status('l')).state).toBe(state);
    }
    expect((await failovers.status('l')).trouble).toMatchObject({ code: 'CONNECT_FAILED' });
  });
});
