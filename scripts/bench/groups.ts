/** How old the places of many groups are, and what following them costs: see docs/BENCHMARKS.md. */
import { setTimeout as sleep } from 'node:timers/promises';
import { forEachLimited } from '../../src/lib/concurrency.ts';
import { type Bed, type Report, withBed } from './bed.ts';
import type { Direction, DirectionName } from './directions.ts';
import { type GroupHand, groupHand } from './group-hand.ts';
import { type Isthmus, startIsthmus } from './isthmus.ts';
import { costOf } from './process-cost.ts';
import { quantile, rounded } from './statistics.ts';

export type GroupsOptions = {
  readonly offset: number;
  /** Shared out evenly over the topics. */
  readonly groups: number;
  readonly topics: number;
  readonly lanes: number;
  /** Groups that commit all the time. */
  readonly moving: number;
  /** How long is measured. */
  readonly seconds: number;
  readonly profile: string | undefined;
  readonly report: Report;
};

export type GroupsResult = {
  readonly bench: 'groups';
  readonly direction: DirectionName;
  readonly groups: number;
  readonly topics: number;
  readonly lanes: number;
  readonly moving: number;
  readonly seconds: number;
  /** Since a group was last in step, over all groups and looks; null without groups. */
  readonly sync_age_s: { readonly p50: number; readonly p99: number; readonly max: number; readonly samples: number } | null;
  /** Groups of which the last look shows no place in step. */
  readonly out_of_step: number;
  /** Share of one core. */
  readonly cpu_percent: number | null;
  readonly rss_mib: number | null;
};

export const ageTargetSeconds = 10;
export const cpuTargetPercent = 5;
export const everySeconds = 5;

/** Records per lane that are there before the groups are. */
const backlog = 20;
/** Each topic of a group that moves gets one record per lane, and the group commits, so often: as consumers of RocketMQ do by default. */
const trickleMs = 5_000;
/** No multiple of the time between two passes, so that looks fall anywhere between them. */
const lookMs = 12_000;
const lookAgainMs = 5_000;
const settleMs = 20_000;
const patienceMs = 900_000;
const atATime = 8;

export async function measureGroups(direction: Direction, options: GroupsOptions): Promise<GroupsResult> {
  const { offset, profile, report } = options;
  const nodeArgs = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  return await withBed(direction, { offset, report, nodeArgs }, async (bed) => {
    const hand = groupHand(bed, options.lanes);
    try {
      return await measureOn(bed, hand, options);
    } finally {
      hand.close();
    }
  });
}

async function measureOn(bed: Bed, hand: GroupHand, options: GroupsOptions): Promise<GroupsResult> {
  const { groups, moving, report } = options;
  const prefix = `bench-groups-${Date.now()}`;
  const topics = Array.from({ length: options.topics }, (_, i) => `${prefix}-${i}`);
  const members = Array.from({ length: groups }, (_, i) => ({
    topic: topics[i % topics.length] ?? '',
    group: `${prefix}-app-${i}`,
    share: i / groups,
  }));
  report(`making ${topics.length} topics of ${options.lanes} lanes and ${groups} groups`);
  await forEachLimited(topics, atATime, async (topic) => {
    await bed.source.createTopic(topic, options.lanes);
    await bed.target.createTopic(topic, options.lanes);
    await bed.source.load(topic, { count: backlog * options.lanes, keys: 0, batch: 1 });
  });
  await forEachLimited(members, atATime, async ({ topic, group, share }) => {
    await hand.make(bed.source.full(topic), group, Math.floor(share * backlog));
  });
  const isthmus = await startIsthmus(bed, { glob: `${prefix}-*`, groupsEvery: `${everySeconds}s` });
  const end = new AbortController();
  try {
    await untilInStep(isthmus, groups, report);
    // Of as many topics as there are.
    const movers = members.slice(0, moving);
    const trickling = trickle(bed, hand, { movers, lanes: options.lanes }, end.signal);
    trickling.catch(() => undefined);
    report(`${movers.length} of them commit all the time; settling`);
    await sleep(settleMs);
    const result = await watch(bed, isthmus, options);
    end.abort();
    await trickling;
    return {
      bench: 'groups',
      direction: bed.direction.name,
      ...result,
      groups,
      topics: topics.length,
      lanes: options.lanes,
      moving: movers.length,
    };
  } finally {
    end.abort();
    await isthmus.stop();
    await forEachLimited(topics, atATime, async (topic) => {
      await bed.target.deleteTopic(topic);
      await bed.source.deleteTopic(topic);
    });
  }
}

type Trickle = {
  readonly movers: readonly { readonly topic: string; readonly group: string }[];
  readonly lanes: number;
};

/** Round after round: a record for each lane, and then the movers have done all that is there. Falls behind rather than hurry. */
async function trickle(bed: Bed, hand: GroupHand, { movers, lanes }: Trickle, signal: AbortSignal): Promise<void> {
  const topics = [...new Set(movers.map(({ topic }) => topic))];
  for (let round = 1; !signal.aborted; round++) {
    const began = performance.now();
    const there = backlog + round;
    await forEachLimited(topics, atATime, async (topic) => {
      if (!signal.aborted) await bed.source.load(topic, { count: lanes, from: (there - 1) * lanes, keys: 0, batch: 1 });
    });
    await forEachLimited(movers, atATime, async ({ topic, group }) => {
      if (!signal.aborted) await hand.commit(bed.source.full(topic), group, there);
    });
    const rest = trickleMs - (performance.now() - began);
    if (rest < 0) bed.report(`    the trickle is ${(-rest / 1000).toFixed(1)} s late`);
    await sleep(Math.max(0, rest), undefined, { signal }).catch(() => undefined);
  }
}

type Look = { readonly ages: readonly number[]; readonly states: Readonly<Record<string, number>> };

async function look({ assertRunning, httpUrl }: Isthmus): Promise<Look> {
  assertRunning();
  const text = await (await fetch(`${httpUrl}/metrics`)).text();
  const value = (line: string): number => Number(line.slice(line.lastIndexOf(' ') + 1));
  const lines = text.split('\n');
  const states = lines.filter((line) => line.startsWith('isthmus_groups{'));
  return {
    ages: lines.filter((line) => line.startsWith('isthmus_group_sync_age_seconds{')).map(value),
    states: Object.fromEntries(states.map((line) => [/state="([^"]*)"/.exec(line)?.[1] ?? '', value(line)])),
  };
}

/** The first time each group is brought to its place, which costs most. */
async function untilInStep(isthmus: Isthmus, groups: number, report: Report): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const { ages, states } = await look(isthmus).catch(notYet(isthmus));
    if (ages.length >= groups && (states['waiting'] ?? 0) === 0) return;
    report(`    ${ages.length} of ${groups} groups have been in step; ${JSON.stringify(states)}`);
    if (performance.now() > deadline) throw new Error(`the groups are not in step after ${patienceMs / 1000} s`);
    await sleep(lookAgainMs);
  }
}

/** Until the process listens nobody answers. */
function notYet({ assertRunning }: Isthmus): () => Look {
  return () => {
    assertRunning();
    return { ages: [], states: {} };
  };
}

type Watched = Pick<GroupsResult, 'seconds' | 'sync_age_s' | 'out_of_step' | 'cpu_percent' | 'rss_mib'>;

async function watch({ report }: Bed, isthmus: Isthmus, { groups, seconds }: GroupsOptions): Promise<Watched> {
  const ages: number[] = [];
  let outOfStep = 0;
  const before = costOf(isthmus.pid);
  const began = performance.now();
  const elapsedMs = (): number => performance.now() - began;
  while (elapsedMs() < seconds * 1000) {
    await sleep(Math.min(lookMs, seconds * 1000 - elapsedMs()));
    const seen = await look(isthmus);
    ages.push(...seen.ages);
    outOfStep = groups - seen.ages.length + (seen.states['waiting'] ?? 0);
    report(`    ages up to ${Math.max(0, ...seen.ages).toFixed(1)} s; ${JSON.stringify(seen.states)}`);
  }
  const after = costOf(isthmus.pid);
  const used = before.cpuSeconds === null || after.cpuSeconds === null ? null : after.cpuSeconds - before.cpuSeconds;
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => rounded(quantile(ages, share), 1) ?? 0);
  return {
    seconds,
    sync_age_s: ages.length === 0 ? null : { p50: p50 ?? 0, p99: p99 ?? 0, max: max ?? 0, samples: ages.length },
    out_of_step: outOfStep,
    cpu_percent: used === null ? null : rounded((used / elapsedMs()) * 100_000, 2),
    rss_mib: rounded(after.peakRssMib, 0),
  };
}
