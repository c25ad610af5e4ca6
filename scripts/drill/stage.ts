/** What runs during a drill: the replicator, the canaries, the consumers; and what was noted and checked on the way. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Eyes } from '../../test/kit/eyes.ts';
import type { Member, MemberRow } from '../../test/kit/members.ts';
import { type Api, connectApi } from '../demo/api.ts';
import { DemoError } from '../demo/errors.ts';
import type { Screen } from '../demo/screen.ts';
import type { Program } from '../program/program.ts';
import { replicator } from '../program/replicator.ts';
import type { Bed } from './bed.ts';
import { type Canary, startCanary } from './canary.ts';
import { serveHooks } from './hooks.ts';
import type { Check, GroupResult, Moment } from './outcome.ts';
import { lanes, type Pace, planRun, type RunPlan, type Sides } from './plan.ts';
import { sideOf } from './sides.ts';

export type Prepare = (sides: Sides, topic: string, signal: AbortSignal) => Promise<void>;

export type StageOptions = {
  readonly bed: Bed;
  readonly eyes: Eyes;
  readonly screen: Screen;
  readonly signal: AbortSignal;
  readonly pace: Pace;
  /** The target is written all the time, not only after a failover. */
  readonly both: boolean;
  /** Further rules of the mirror from the source. */
  readonly mirrorRules?: object;
  readonly prepare?: Prepare | undefined;
  /** Takes what has to be ended at the end, however it comes; the last one taken is ended first. */
  readonly atEnd: (end: () => Promise<void>) => void;
};

/** What a hook of the failover does here: applications stop at the source, and start on the target. */
export type Applications = Record<'fence' | 'release', () => Promise<void>>;

export type Stage = StageOptions & {
  readonly sides: Sides;
  readonly plan: RunPlan;
  readonly api: Api;
  readonly process: Program;
  readonly canaries: { readonly source: Canary; readonly target: Canary };
  readonly atSource: readonly Consumer[];
  readonly watcher: Consumer;
  readonly applications: Applications;
  readonly timeline: Moment[];
  readonly checks: Check[];
  readonly groups: GroupResult[];
  readonly note: (text: string, kind?: Moment['kind']) => void;
  /** Set by a failover: its whole status, plan and certificate. */
  failover: unknown;
};

/** A consumer of the official client, which is stopped once. */
export type Consumer = {
  readonly group: string;
  readonly kind: string;
  readonly received: () => Promise<number>;
  /** Everything that it has got. */
  readonly stop: () => Promise<readonly MemberRow[]>;
};

export function consumerOf(group: string, kind: string, member: Member): Consumer {
  let stopped: Promise<readonly MemberRow[]> | undefined;
  return {
    group,
    kind,
    received: async () => await member.received(),
    stop: async () => {
      stopped ??= member.stop();
      return await stopped;
    },
  };
}

const startLimitMillis = 90_000;

/** Topics, replicator, canaries on both sides, consumers on both sides; resolves when all of that flows. */
export async function openStage(options: StageOptions): Promise<Stage> {
  const { bed, eyes, screen, signal, pace, both, mirrorRules = {}, atEnd } = options;
  const sides: Sides = { source: sideOf(eyes, bed.source), target: sideOf(eyes, bed.target) };
  const timeline: Moment[] = [];
  const note = (text: string, kind: Moment['kind'] = 'seen'): void => {
    timeline.push({ at: Date.now(), text, kind });
    if (kind === 'seen') screen.note(`  ${text}`);
    else screen.step(text);
  };
  const applications: Applications = { fence: nothing, release: nothing };
  const hooks = await serveHooks(async (step) => {
    note(`hook ${step}: ${step === 'fence' ? 'applications stop at the source' : 'applications start on the target'}`);
    await applications[step]();
  });
  atEnd(hooks.close);
  const plan = await planRun(bed, sides, hooks, mirrorRules);
  const { topic } = plan;
  for (const side of [sides.source, sides.target]) {
    await side.createTopic(topic, lanes);
    // Servers of the kit are removed with all that they hold.
    if (bed.kit === undefined) atEnd(async () => await side.deleteTopic(topic));
  }
  await options.prepare?.(sides, topic, signal);
  const process = replicator(plan);
  atEnd(async () => {
    await process.stop();
  });
  process.start();
  const api = connectApi(plan.apiUrl);
  await api.untilUp(process.assertRunning, signal);
  note(
    `The replicator serves ${sides.source.where.name} to ${sides.target.where.name} and back, with ${plan.configFile}`,
    'step',
  );
  const write = (writer: 'source' | 'target', rate: number): Canary => {
    const canary = startCanary(sides[writer], { writer, topic, lanes, rate });
    atEnd(canary.stop);
    return canary;
  };
  const consume = async (end: 'source' | 'target', group: string, kind: Consumer['kind']): Promise<Consumer> =>
    await startConsumer({ sides, plan, atEnd }, end, group, kind);
  const canaries = { source: write('source', pace.rate), target: write('target', pace.rate / 3) };
  if (!both) await canaries.target.pause();
  const atSource = await Promise.all(
    plan.groups.map(async (group, i) => await consume('source', group, sides.source.kinds[i] ?? sides.source.kinds[0])),
  );
  const watcher = await consume('target', plan.watcher, sides.target.kinds[0]);
  const stage: Stage = {
    ...options,
    sides,
    plan,
    api,
    process,
    canaries,
    atSource,
    watcher,
    applications,
    timeline,
    checks: [],
    groups: [],
    note,
    failover: null,
  };
  await untilFlowing(stage);
  return stage;
}

async function nothing(): Promise<void> {
  // Until a failover says what.
}

export async function startConsumer(
  { sides, plan, atEnd }: Pick<Stage, 'sides' | 'plan' | 'atEnd'>,
  end: 'source' | 'target',
  group: string,
  kind: string,
): Promise<Consumer> {
  const side = sides[end];
  const known = side.kinds.find((each) => each === kind) ?? side.kinds[0];
  const consumer = consumerOf(group, known, await side.consume(plan.topic, group, known));
  atEnd(async () => {
    await consumer.stop();
  });
  return consumer;
}

async function untilFlowing(stage: Stage): Promise<void> {
  const { note, canaries, atSource, watcher, both, pace } = stage;
  await waitFor(stage, 'records flow to all consumers on both sides', startLimitMillis, async () => {
    const got = await Promise.all([...atSource, watcher].map(async ({ received }) => await received()));
    stage.screen.live(flowLine(stage, got));
    // Both mirrors carry: a process with a new state waits for the leases of one that may have been before it.
    const written = canaries.source.acknowledged.size + canaries.target.acknowledged.size;
    const enough = canaries.source.acknowledged.size > 50 && (!both || canaries.target.acknowledged.size > 20);
    return enough && got.every((count) => count > 0.9 * written) && (await groupsFollow(stage));
  });
  note(
    `Steady load: ${pace.rate} records a second at the source, ${both ? `${Math.round(pace.rate / 3)} on the target` : 'none on the target before the failover'}; ${atSource.length} groups consume at the source, one on the target`,
    'step',
  );
}

/** Whether the link has seen all the groups that are to move. */
async function groupsFollow({ api, plan }: Stage): Promise<boolean> {
  const { groups } = (await api.call('GET', `/v1/links/${plan.links.forth}/groups`)) as {
    readonly groups: readonly { readonly group: string; readonly syncedAt: string | null }[];
  };
  return plan.groups.every((name) => groups.some(({ group, syncedAt }) => group === name && syncedAt !== null));
}

/** Lets the load go on for so long, and shows it. */
export async function calm(stage: Stage, millis: number): Promise<void> {
  const { atSource, watcher, signal, screen } = stage;
  const until = performance.now() + millis;
  while (performance.now() < until) {
    const got = await Promise.all([...atSource, watcher].map(async ({ received }) => await received().catch(() => 0)));
    screen.live(flowLine(stage, got));
    await sleep(Math.min(500, Math.max(0, until - performance.now())), undefined, { signal });
  }
}

function flowLine({ canaries }: Pick<Stage, 'canaries'>, got: readonly number[]): string {
  const { source, target } = canaries;
  return `written: ${source.acknowledged.size} at the source, ${target.acknowledged.size} on the target; consumed: ${got.join(', ')}`;
}

/** Waits until a condition holds; a throw counts as not yet. */
export async function waitFor(
  { signal }: Pick<Stage, 'signal'>,
  what: string,
  limitMillis: number,
  condition: () => Promise<boolean>,
): Promise<void> {
  const until = performance.now() + limitMillis;
  let last = '';
  for (;;) {
    try {
      if (await condition()) return;
    } catch (error) {
      last = error instanceof Error ? `: ${error.message}` : '';
    }
    if (performance.now() > until) throw new DemoError(`Waited ${limitMillis / 1_000} s until ${what}${last}`);
    await sleep(250, undefined, { signal });
  }
}
