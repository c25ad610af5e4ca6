/** Failovers of a link to `pulsar-west`, with a group of official consumers that goes over with it. */
import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { testOffset } from './brokers.ts';
import { type ClusterEyes, type ClusterName, clusterEyes } from './cluster-eyes.ts';
import { consumeAtSource, consumeAtTarget, doneAt, type FollowingCase } from './following.ts';
import type { MemberRow } from './members.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from './mirror-under-test.ts';
import type { Stage } from './stage.ts';

export const FAILOVER_MESSAGES = 300;

type Outcome = {
  readonly group: string;
  readonly predicted: { readonly rereads: number | null };
  readonly actual: { readonly kind: string; readonly rereads: number | null };
};

export type FailoverView = {
  readonly state: string;
  readonly step: string;
  readonly steps: readonly { readonly step: string; readonly endedAt: string | null; readonly detail: string }[];
  readonly trouble: { readonly message: string } | null;
  readonly plan: { readonly sourceAway: string | null; readonly blockers: readonly string[] };
  readonly certificate: {
    readonly groups: readonly Outcome[];
    readonly recordsLeftBehind: number | null;
    readonly unseenSeconds: number;
    readonly pausedMirrors: readonly string[];
  } | null;
};

export type Setting = {
  readonly mirror: MirrorUnderTest;
  readonly each: FollowingCase;
  readonly source: ClusterEyes;
  readonly path: string;
};

/** A mirrored topic, of which a group's consumer at the source has taken a part. */
export async function prepareFailover(
  stage: Stage,
  from: ClusterName,
  failover: object,
  stopAfter: number,
  bothWays = false,
): Promise<Setting & { readonly atSource: readonly MemberRow[] }> {
  const run = randomUUID().slice(0, 8);
  const [topic, group, to] = [`failover-${run}`, `app-${run}`, 'pulsar-west' as const];
  const [source, target] = [clusterEyes(stage.eyes, from, testOffset), clusterEyes(stage.eyes, to, testOffset)];
  await source.createTopic(topic, 2);
  await source.load(topic, { count: FAILOVER_MESSAGES, keys: 50 });
  const link = (name: string, here: ClusterEyes, there: ClusterEyes): Parameters<typeof linksUnderTest>[0][number] => ({
    name,
    from: here.name,
    to: there.name,
    groups: { every: '1s' },
    ...(name === 'l' ? { failover } : {}),
    mirrors: { m: { topics: [here.full(topic)], rename: there.full(topic) } },
  });
  const links = [link('l', source, target), link('back', target, source)];
  const started = await linksUnderTest(bothWays ? links : links.slice(0, 1));
  stage.mirror = started;
  started.process.start();
  await eventually('all is mirrored', async () => (await target.count(topic)).distinct === FAILOVER_MESSAGES, started.process);
  const each: FollowingCase = {
    from,
    to,
    sourceKind: 'push',
    targetKind: 'Failover',
    topic,
    group,
    messages: FAILOVER_MESSAGES,
    stopAfter,
  };
  const atSource = await consumeAtSource(stage.eyes, each);
  return { mirror: started, each, source, atSource, path: `/v1/links/${started.link}/failover` };
}

/** The failover once it has ended, however that was. */
export async function untilFailoverEnded({ mirror: running, path }: Setting): Promise<FailoverView> {
  let view: FailoverView | undefined;
  await eventually('the failover has ended', async () => {
    view = (await running.api<FailoverView>('GET', path)).body;
    return view.state !== 'running';
  });
  if (view === undefined) throw new Error('it has just ended');
  return view;
}

/** Between both ends everything, and twice just what the certificate says. */
export async function expectGoesOn(
  { eyes }: Stage,
  { each }: Setting,
  atSource: readonly MemberRow[],
  certificate: FailoverView['certificate'],
): Promise<void> {
  const done = doneAt(atSource);
  const onTarget = (await consumeAtTarget(eyes, each)).map(({ id }) => id);
  const missing = Array.from({ length: FAILOVER_MESSAGES }, (_, id) => String(id)).filter(
    (id) => !done.has(id) && !onTarget.includes(id),
  );
  expect(missing).toEqual([]);
  const outcome = certificate?.groups.find(({ group }) => group === each.group);
  expect(onTarget.filter((id) => done.has(id))).toHaveLength(outcome?.actual.rereads ?? -1);
}
