/** Failing over, as an operator does it: the plan, the start, the watch, the certificate. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from '../demo/api.ts';
import { DemoError } from '../demo/errors.ts';

/** What a drill reads of the API's answers; docs/API.md has the rest. */
export type Plan = {
  readonly sourceAt: string;
  readonly sourceAway: string | null;
  readonly groups: readonly {
    readonly group: string;
    readonly kind: string;
    readonly rereads: number | null;
    readonly topics: readonly { readonly source: Readonly<Record<string, string>> }[];
  }[];
  readonly blockers: readonly string[];
  readonly warnings: readonly string[];
};

export type Certificate = {
  readonly groups: readonly {
    readonly group: string;
    readonly actual: { readonly kind: string; readonly rereads: number | null };
    readonly state: string;
  }[];
  readonly recordsLeftBehind: number | null;
  readonly leftBehind: readonly { readonly records: number | null }[];
  readonly unseenSeconds: number;
  readonly pausedMirrors: readonly string[];
};

export type Failover = {
  readonly state: 'running' | 'done' | 'failed' | 'aborted';
  readonly step: string;
  readonly steps: readonly { readonly step: string; readonly endedAt: string | null; readonly detail: string }[];
  readonly plan: Plan;
  readonly certificate: Certificate | null;
  readonly trouble: { readonly code: string; readonly message: string } | null;
};

export type FailoverAsk = {
  readonly api: Api;
  readonly link: string;
  readonly kind: 'planned' | 'unplanned';
  readonly signal: AbortSignal;
  readonly tell: (text: string) => void;
};

const planLimitMillis = 60_000;
const runLimitMillis = 240_000;
const lookMillis = 250;

/** Plans until nothing blocks: places that were unknown for a moment become known. Rejects with the blockers that stay. */
export async function planFailover({ api, link, kind, signal, tell }: FailoverAsk): Promise<Plan> {
  const until = performance.now() + planLimitMillis;
  let told = '';
  for (;;) {
    // The shape is that of docs/API.md.
    const plan = (await api.call('POST', `/v1/links/${link}/failover`, { kind, dryRun: true }, planLimitMillis)) as Plan;
    if (plan.blockers.length === 0) return plan;
    const blockers = plan.blockers.join('; ');
    if (blockers !== told) tell(`the plan has blockers: ${blockers}`);
    told = blockers;
    if (performance.now() > until) throw new DemoError(`The plan of the ${kind} failover still has blockers: ${blockers}`);
    await sleep(1_000, undefined, { signal });
  }
}

/** Begins and watches it. Resolves with how it ended, whatever way. */
export async function runFailover(ask: FailoverAsk): Promise<Failover> {
  const { api, link, signal, tell } = ask;
  const path = `/v1/links/${link}/failover`;
  let now = await begin(ask, path);
  const until = performance.now() + runLimitMillis;
  const told = new Set<string>();
  for (;;) {
    for (const { step, endedAt, detail } of now.steps) {
      if (endedAt === null || told.has(step)) continue;
      told.add(step);
      tell(`${step}: ${detail}`);
    }
    if (now.state !== 'running') return now;
    if (performance.now() > until)
      throw new DemoError(`The failover has not ended after ${runLimitMillis / 1_000} s; it is at ${now.step}`);
    await sleep(lookMillis, undefined, { signal });
    now = (await api.call('GET', path)) as Failover;
  }
}

/** Under load on both sides a place can be unknown for a moment, at the very moment of the start. */
async function begin({ api, kind, signal, tell }: FailoverAsk, path: string): Promise<Failover> {
  const drainTimeout = kind === 'planned' ? '2m' : '5s';
  const until = performance.now() + planLimitMillis;
  let told = false;
  for (;;) {
    try {
      return (await api.call('POST', path, { kind, drainTimeout }, planLimitMillis)) as Failover;
    } catch (error) {
      if (!(error instanceof DemoError) || !error.message.includes('answered with 409') || performance.now() > until) throw error;
      if (!told) tell(`it is refused for now: ${error.message}`);
      told = true;
      await sleep(500, undefined, { signal });
    }
  }
}
