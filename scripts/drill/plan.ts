/** Names, numbers and files of one run of a drill. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { freePort } from '../brokers/free-port.ts';
import type { Bed } from './bed.ts';
import type { Hooks } from './hooks.ts';
import type { Side } from './sides.ts';

export const lanes = 4;

export type Pace = {
  /** Records per second that each canary writes. */
  readonly rate: number;
  /** Milliseconds of quiet load before and after what happens. */
  readonly calmMillis: number;
  /** How often a fault that can come again does. */
  readonly times: number;
};

/** `once`: the short form. */
export function paceOf(once: boolean): Pace {
  return once ? { rate: 40, calmMillis: 6_000, times: 1 } : { rate: 100, calmMillis: 20_000, times: 3 };
}

export type RunPlan = {
  readonly run: string;
  readonly topic: string;
  /** Groups that move from the source to the target, and one that only consumes on the target. */
  readonly groups: readonly [string, string];
  readonly watcher: string;
  readonly links: { readonly forth: string; readonly back: string };
  readonly mirror: string;
  readonly apiUrl: string;
  readonly configFile: string;
  readonly logFile: string;
};

export type Sides = { readonly source: Side; readonly target: Side };

/** A run of its own: what an earlier one left does not matter. Writes the replicator's configuration. */
export async function planRun(bed: Bed, sides: Sides, hooks: Hooks, mirrorRules: object): Promise<RunPlan> {
  const run = `${Date.now().toString(36).slice(-6)}${Math.floor(Math.random() * 36).toString(36)}`;
  const folder = relative(process.cwd(), join(import.meta.dirname, '../../.isthmus', `drill-${run}`));
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const plan: RunPlan = {
    run,
    topic: `isthmus-drill-${run}`,
    groups: [`drill-orders-${run}`, `drill-billing-${run}`],
    watcher: `drill-watch-${run}`,
    links: { forth: `drill-${run}-forth`, back: `drill-${run}-back` },
    mirror: 'orders',
    apiUrl: `http://127.0.0.1:${port}`,
    configFile: join(folder, 'isthmus.yaml'),
    logFile: join(folder, 'isthmus.log'),
  };
  const config = configuration(bed, sides, plan, hooks, mirrorRules, join(folder, 'state.db'));
  // JSON is YAML.
  writeFileSync(plan.configFile, `# Written by "npm run drill".\n${JSON.stringify(config, null, 2)}\n`);
  return plan;
}

function configuration(bed: Bed, sides: Sides, plan: RunPlan, hooks: Hooks, mirrorRules: object, stateFile: string): object {
  const { source, target } = sides;
  const { topic, mirror, links, run, groups } = plan;
  const link = (from: Side, to: Side, rules: object): object => ({
    from: from.where.name,
    to: to.where.name,
    // Not the watcher: it stays on the target.
    groups: { every: '1s', include: groups },
    mirrors: { [mirror]: { topics: [from.full(topic)], rename: to.full(topic), ...rules } },
  });
  const failover = {
    fence: [{ webhook: hooks.url('fence'), timeout: '2m' }],
    release: [{ webhook: hooks.url('release'), timeout: '2m' }],
  };
  return {
    region: 'drill',
    http: { listen: new URL(plan.apiUrl).host },
    state: bed.stateUrl === undefined ? `file:${join(process.cwd(), stateFile)}` : `${bed.stateUrl}?prefix=drill-${run}`,
    clusters: { [source.where.name]: bed.source.config, [target.where.name]: bed.target.config },
    links: {
      [links.forth]: { ...link(source, target, mirrorRules), failover },
      [links.back]: link(target, source, {}),
    },
  };
}
