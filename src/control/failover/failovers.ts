import { IsthmusError, toIsthmusError } from '../../errors.ts';
import { randomSuffix } from '../../lib/random.ts';
import type { LeaseKeeper } from '../../mirror/lease-keeper.ts';
import type { Clock } from '../../spi/clock.ts';
import type { Log } from '../../spi/log.ts';
import type { MirrorKey, StateStore } from '../../spi/state-store.ts';
import type { MirrorStatus } from '../api.ts';
import type { Clusters } from '../clusters.ts';
import type { LinkGroupSync } from '../groups/link-groups.ts';
import { toTrouble } from '../trouble.ts';
import {
  FAILOVER_STEPS,
  type FailoverControl,
  type FailoverKind,
  type FailoverPlan,
  type FailoverRequest,
  type FailoverStatus,
  type FailoverStep,
  type StepStatus,
} from './api.ts';
import type { RunHook } from './hooks.ts';
import { checkpointsOf, type FailoverHost } from './host.ts';
import { makePlan } from './plan.ts';
import { type RunState, runStep, type StepResult } from './run.ts';

export interface FailoversDeps {
  readonly clusters: Clusters;
  readonly store: StateStore;
  readonly leases: LeaseKeeper;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly runHook: RunHook;
  readonly syncOf: (link: string) => LinkGroupSync;
  readonly mirrors: () => readonly MirrorStatus[];
  readonly pause: (key: MirrorKey) => Promise<unknown>;
}

const VERSION = 1;
const RELEASE: FailoverStep = 'release';

/**
 * Failovers, one per link at a time, as a state machine that is kept in the state store.
 *
 * (F1) A step is written down before it begins, and its end before the next one: after a crash the step at hand begins again.
 * (F2) Every step may be done twice.
 * (F3) Nothing is released before all groups are where they belong, or the plan has said that they cannot be.
 */
export class Failovers implements FailoverControl {
  readonly #deps: FailoversDeps;
  readonly #running = new Map<string, { readonly abort: AbortController; readonly ended: Promise<void> }>();
  readonly #latest = new Map<string, RunState>();
  readonly #closing = new AbortController();

  constructor(deps: FailoversDeps) {
    this.#deps = deps;
  }

  /** Goes on with what a process before this one has begun. Called when the registry is known. */
  async resume(): Promise<void> {
    for (const link of this.#deps.clusters.links.keys()) {
      try {
        const kept = await this.#load(link);
        if (kept?.status.state === 'running') this.#go(link, kept);
      } catch (error) {
        this.#deps.log.warn('failover-not-resumed', { link, detail: toIsthmusError(error).message });
      }
    }
  }

  /** Stops where it is; the next process goes on. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  async plan(link: string, kind: FailoverKind): Promise<FailoverPlan> {
    const host = this.#host(link);
    const report = await host.sync.pass({ apply: false, orKept: true });
    const checkpoints = await checkpointsOf(host);
    return makePlan({ ends: host.ends, kind, at: host.clock.now(), report, checkpoints, mirrors: host.mirrors() });
  }

  async start({ link, kind, drainMillis, force }: FailoverRequest): Promise<FailoverStatus> {
    const [own, kept] = [this.#latest.get(link), await this.#load(link)];
    // Of one that ended while the store was away, the store still says that it runs.
    const before = own?.status.id === kept?.status.id ? own : kept;
    if (this.#running.has(link) || before?.status.state === 'running')
      throw new IsthmusError('CONFLICT', `beginning a failover of ${link}: one is running; abort it first, or wait for its end`);
    const plan = await this.plan(link, kind);
    if (plan.blockers.length > 0 && !force)
      throw new IsthmusError('CONFLICT', `beginning a failover of ${link}: ${plan.blockers.join('; ')}. Mend that, or force it`);
    const { clock, random } = this.#deps;
    const first: FailoverStep = plan.pending.length > 0 && !force ? 'places' : 'fence';
    const status: FailoverStatus = {
      id: `${clock.now()}-${randomSuffix(random)}`,
      link,
      kind,
      state: 'running',
      step: first,
      steps: [begun(first, clock.now())],
      plan,
      certificate: null,
      trouble: null,
    };
    const state = { status, drainMillis };
    await this.#save(state);
    this.#go(link, state);
    return status;
  }

  async status(link: string): Promise<FailoverStatus> {
    this.#deps.clusters.link(link);
    const state = this.#latest.get(link) ?? (await this.#load(link));
    if (state === undefined) throw new IsthmusError('NOT_FOUND', `looking for a failover of ${link}: there was none`);
    return state.status;
  }

  async abort(link: string): Promise<FailoverStatus> {
    const { state, step } = await this.status(link);
    if (state !== 'running') throw new IsthmusError('CONFLICT', `aborting the failover of ${link}: it is ${state}`);
    if (step === RELEASE)
      throw new IsthmusError(
        'CONFLICT',
        `aborting the failover of ${link}: the target is being released already; fail back instead`,
      );
    const running = this.#running.get(link);
    running?.abort.abort();
    await running?.ended;
    const kept = this.#latest.get(link) ?? (await this.#load(link));
    if (kept === undefined || kept.status.state !== 'running') return await this.status(link);
    const aborted = { ...kept, status: { ...kept.status, state: 'aborted' as const } };
    await this.#save(aborted);
    this.#deps.log.warn('failover-aborted', { link, failover: kept.status.id });
    return aborted.status;
  }

  #host(link: string): FailoverHost {
    const { clusters, store, clock, runHook, syncOf, mirrors, pause } = this.#deps;
    return {
      ends: clusters.ends(link),
      store,
      clock,
      runHook,
      pause,
      plan: async (kind) => await this.plan(link, kind),
      sync: syncOf(link),
      mirrors: () => mirrors().filter((mirror) => mirror.link === link),
    };
  }

  #go(link: string, state: RunState): void {
    const abort = new AbortController();
    this.#latest.set(link, state);
    const signal = AbortSignal.any([abort.signal, this.#closing.signal]);
    const ended = this.#run(link, state, signal).finally(() => this.#running.delete(link));
    this.#running.set(link, { abort, ended });
  }

  /** Never rejects. */
  async #run(link: string, begin: RunState, signal: AbortSignal): Promise<void> {
    const { leases, log } = this.#deps;
    const lease = leases.open(`failover ${link}`);
    let state = begin;
    try {
      // Of several processes one goes on with it.
      await lease.take({ onTrouble: () => undefined, onLost: () => undefined }, signal);
      while (!signal.aborted && state.status.state === 'running') {
        state = await this.#step(link, state, signal);
        await this.#save(state);
        log.info('failover-step', { link, failover: state.status.id, step: state.status.step, state: state.status.state });
      }
    } catch (raw) {
      // The store is away: what was done is done again when the process has started anew.
      log.error('failover-not-kept', { link, detail: toIsthmusError(raw).message });
    } finally {
      await lease.end(true);
    }
  }

  /** Does the step at hand; gives where it stands then. */
  async #step(link: string, state: RunState, signal: AbortSignal): Promise<RunState> {
    const { clock, log } = this.#deps;
    const { step } = state.status;
    const tell = (detail: string): void => {
      const now = this.#latest.get(link) ?? state;
      this.#latest.set(link, { ...now, status: withStep(now.status, { detail }) });
    };
    try {
      const result = await runStep(this.#host(link), step, state, tell, signal);
      return after(state, result, clock.now());
    } catch (raw) {
      if (signal.aborted) return state;
      const error = toIsthmusError(raw);
      log.error('failover-failed', { link, failover: state.status.id, step, code: error.code, detail: error.message });
      const status = withStep(state.status, { detail: error.message, endedAt: clock.now() });
      return { ...state, status: { ...status, state: 'failed', trouble: toTrouble(error, clock.now()) } };
    }
  }

  async #save(state: RunState): Promise<void> {
    this.#latest.set(state.status.link, state);
    await this.#deps.store.saveNote(`failover/${state.status.link}`, JSON.stringify({ version: VERSION, ...state }));
  }

  async #load(link: string): Promise<RunState | undefined> {
    this.#deps.clusters.link(link);
    const text = await this.#deps.store.loadNote(`failover/${link}`);
    if (text === undefined) return undefined;
    const note: unknown = JSON.parse(text);
    if (typeof note !== 'object' || note === null || Reflect.get(note, 'version') !== VERSION) return undefined;
    // Written by `#save` of the same version.
    const { status, drainMillis } = note as RunState;
    return { status, drainMillis };
  }
}

function begun(step: FailoverStep, startedAt: number): StepStatus {
  return { step, startedAt, endedAt: null, detail: '' };
}

/** With something else said of the step at hand. */
function withStep(status: FailoverStatus, change: Partial<StepStatus>): FailoverStatus {
  return { ...status, steps: status.steps.map((each) => (each.step === status.step ? { ...each, ...change } : each)) };
}

function after(state: RunState, { detail, certificate, plan }: StepResult, now: number): RunState {
  const status = { ...withStep(state.status, { detail, endedAt: now }), ...(plan === undefined ? {} : { plan }) };
  const next = FAILOVER_STEPS[FAILOVER_STEPS.indexOf(status.step) + 1];
  if (next === undefined) return { ...state, status: { ...status, state: 'done', certificate: certificate ?? null } };
  return { ...state, status: { ...status, step: next, steps: [...status.steps, begun(next, now)] } };
}
