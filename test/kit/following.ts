/** A group that consumes at the source, stops there at some moment, and goes on at the target: what both have got between them. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { isPulsarName, pulsarEndpoints, rocketmqEndpoints, testOffset } from './brokers.ts';
import { type ClusterName, clusterConfig, clusterEyes } from './cluster-eyes.ts';
import type { Eyes } from './eyes.ts';
import type { Member, MemberRow } from './members.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from './mirror-under-test.ts';
import { createPopGroup, POP_WINDOW_MILLIS, startPopMember } from './pop-members.ts';
import { seeded, testSeed } from './random.ts';
import type { Stage } from './stage.ts';

/** `POP`: over gRPC, on `rmq-timer` and `rmq-timer-west` only. */
export type ConsumerKind = 'push' | 'POP' | 'Failover' | 'Shared' | 'Exclusive' | 'Key_Shared';

export type FollowingCase = {
  readonly from: ClusterName;
  readonly to: ClusterName;
  readonly sourceKind: ConsumerKind;
  readonly targetKind: ConsumerKind;
  readonly topic: string;
  readonly group: string;
  /** Messages `0` to `messages - 1` by `seq`. */
  readonly messages: number;
  /** The source's consumer takes so many, and leaves every so-manieth without acknowledging it. */
  readonly stopAfter: number;
  readonly leaveEvery?: number;
};

/** What the API says of a group, as far as tests look at it. */
export type GroupView = {
  readonly kind: string;
  readonly rereads: number | null;
  readonly state: string;
  readonly syncedAt: string | null;
  readonly topics: readonly {
    readonly ahead: number;
    readonly kind: string;
    readonly behindBecause: string | null;
    readonly places: readonly object[];
  }[];
};

export type Followed = {
  /** Ids that the source takes for done, and those that its consumer has got. A Pulsar entry that was acknowledged in part is not done: it would come again at the source as well. */
  readonly done: ReadonlySet<string>;
  readonly received: ReadonlySet<string>;
  /** What the target's consumer got. */
  readonly onTarget: readonly MemberRow[];
  /** What was said before it began. */
  readonly predicted: GroupView;
};

export async function startKind(
  eyes: Eyes,
  cluster: ClusterName,
  kind: ConsumerKind,
  options: { readonly topic: string; readonly group: string; readonly stopAfter?: number; readonly leaveEvery?: number },
): Promise<Member> {
  if (kind === 'POP') return await startPopMember({ ...options, cluster: cluster === 'rmq-timer-west' ? cluster : 'rmq-timer' });
  const topic = clusterEyes(eyes, cluster, testOffset).full(options.topic);
  if (!isPulsarName(cluster))
    return await eyes.member({ ...options, topic, namesrv: rocketmqEndpoints(cluster, testOffset).namesrv });
  if (kind === 'push') throw new Error(`${cluster} has no push consumers`);
  return await eyes.member({ ...options, topic, serviceUrl: pulsarEndpoints(cluster, testOffset).serviceUrl, type: kind });
}

/** Consumes at the source until the case's moment, and shuts down. */
export async function consumeAtSource(eyes: Eyes, each: FollowingCase): Promise<readonly MemberRow[]> {
  const { from, sourceKind, topic, group, stopAfter, leaveEvery } = each;
  const member = await startKind(eyes, from, sourceKind, {
    topic,
    group,
    stopAfter,
    ...(leaveEvery === undefined ? {} : { leaveEvery }),
  });
  await eventually(`${group} has got ${stopAfter} messages`, async () => (await member.received()) >= stopAfter, 60_000);
  return await member.stop();
}

export async function groupView(
  mirror: MirrorUnderTest,
  group: string,
  link: string = mirror.link,
): Promise<GroupView | undefined> {
  const { status, body } = await mirror.api<GroupView>('GET', `/v1/links/${link}/groups/${group}`);
  return status === 200 ? body : undefined;
}

/** Waits until the group's place is known and applied by a pass that began after now, with nothing still to come. */
export async function untilSynced(mirror: MirrorUnderTest, group: string): Promise<GroupView> {
  const since = Date.now();
  let view: GroupView | undefined;
  await eventually(
    `the group ${group} is synced`,
    async () => {
      view = await groupView(mirror, group);
      if (view === undefined || view.syncedAt === null || Date.parse(view.syncedAt) < since)
        throw new Error(JSON.stringify(view));
      // Of POP groups the place is that of a window ago.
      const isBehind = view.topics.some(({ ahead, behindBecause }) => ahead > 0 || behindBecause !== null);
      if (view.state !== 'synced' || isBehind) throw new Error(JSON.stringify(view));
      return true;
    },
    60_000,
  );
  if (view === undefined) throw new Error('it was just there');
  return view;
}

export function doneAt(rows: readonly MemberRow[]): Set<string> {
  const acknowledged = new Map<string, number>();
  const entry = ({ lane, place }: MemberRow): string => `${lane} ${place}`;
  for (const row of rows) if (row.acknowledged) acknowledged.set(entry(row), (acknowledged.get(entry(row)) ?? 0) + 1);
  return new Set(rows.filter((row) => acknowledged.get(entry(row)) === row.batchSize).map(({ id }) => id));
}

/** The target's consumer, until nothing has come for a while. There is something left for it; a push consumer that gets no lock on a queue at once comes back after 20 s. */
export async function consumeAtTarget(
  eyes: Eyes,
  { to, targetKind, topic, group }: FollowingCase,
): Promise<readonly MemberRow[]> {
  const member = await startKind(eyes, to, targetKind, { topic, group });
  let [last, quietSince] = [-1, performance.now()];
  const deadline = performance.now() + 90_000;
  while (performance.now() < deadline && (last <= 0 || performance.now() - quietSince < 8_000)) {
    const received = await member.received();
    if (received !== last) [last, quietSince] = [received, performance.now()];
    await sleep(200);
  }
  return await member.stop();
}

/** One case, from its consumer at the source to its consumer at the target. The topic is loaded and mirrored already. */
export async function follow(eyes: Eyes, mirror: MirrorUnderTest, each: FollowingCase): Promise<Followed> {
  const source = await consumeAtSource(eyes, each);
  const predicted = await untilSynced(mirror, each.group);
  const onTarget = await consumeAtTarget(eyes, each);
  return {
    done: doneAt(source),
    received: new Set(source.map(({ id }) => id)),
    onTarget,
    predicted,
  };
}

const LANES = 2;

/** From one cluster to another, by pairs of consumers: at the source, at the target. */
export type FollowingWay = {
  readonly name: string;
  readonly from: ClusterName;
  readonly to: ClusterName;
  readonly kinds: readonly (readonly [ConsumerKind, ConsumerKind])[];
};

export type FollowingOptions = {
  /** Topics are called after it. */
  readonly stem: string;
  readonly messages: number;
  /** A source's consumer takes so many messages: at least the first, less than the second. */
  readonly stopWithin: readonly [number, number];
};

/** A case for each pair of consumers, with a topic and a group of its own under one mirror, all followed at a time. Consumers stop at seeded moments. */
export async function followAll(
  stage: Stage,
  { from, to, kinds }: FollowingWay,
  { stem, messages, stopWithin: [least, below] }: FollowingOptions,
): Promise<readonly { readonly each: FollowingCase; readonly followed: Followed }[]> {
  const { eyes } = stage;
  const random = seeded(testSeed);
  const run = randomUUID().slice(0, 8);
  const [source, target] = [clusterEyes(eyes, from, testOffset), clusterEyes(eyes, to, testOffset)];
  const cases: FollowingCase[] = kinds.map(([sourceKind, targetKind], i) => ({
    from,
    to,
    sourceKind,
    targetKind,
    topic: `${stem}-${run}-${i}`,
    group: `app-${run}-${i}`,
    messages,
    stopAfter: least + Math.floor(random() * (below - least)),
    ...(sourceKind === 'Shared' || sourceKind === 'POP' ? { leaveEvery: 5 + Math.floor(random() * 10) } : {}),
  }));
  for (const { topic, group, sourceKind } of cases) {
    await source.createTopic(topic, LANES);
    // Entries of 7 messages: places in the middle of an entry occur.
    await source.load(topic, { count: messages, keys: 50, batch: 7 });
    if (sourceKind === 'POP') await createPopGroup(group);
  }
  const rename = target.kind === 'pulsar' ? 'persistent://public/default/{name}' : '{name}';
  const mirrors = { m: { topics: [source.full(`${stem}-${run}-*`)], rename } };
  const popWindow = `${POP_WINDOW_MILLIS / 1_000}s`;
  const clusters = from === 'rmq-timer' ? { [from]: { ...clusterConfig(from, testOffset), popWindow } } : {};
  const mirror = await linksUnderTest([{ name: 'l', from, to, groups: { every: '1s' }, mirrors }], { clusters });
  stage.mirror = mirror;
  mirror.process.start();
  for (const { topic } of cases) {
    await eventually(`${topic} is mirrored`, async () => (await target.count(topic)).distinct === messages, mirror.process);
  }
  return await Promise.all(cases.map(async (each) => ({ each, followed: await follow(eyes, mirror, each) })));
}

/** Between them the two consumers have got everything, the target's what the source's has left, and what both have got was foretold. */
export function expectPredicted(
  { sourceKind, targetKind, messages }: FollowingCase,
  { done, received, onTarget, predicted }: Followed,
): void {
  const what = `${sourceKind} to ${targetKind}`;
  const got = new Set([...received, ...onTarget.map(({ id }) => id)]);
  expect([what, messages - got.size]).toEqual([what, 0]);
  const targetIds = onTarget.map(({ id }) => id);
  // Nothing that the group had not done may be missing at the target.
  const missing = Array.from({ length: messages }, (_, id) => String(id)).filter(
    (id) => !done.has(id) && !targetIds.includes(id),
  );
  expect([what, missing]).toEqual([what, []]);
  const again = targetIds.filter((id) => done.has(id)).length;
  expect([what, again, predicted.kind === 'exact']).toEqual([what, predicted.rereads, again === 0]);
  expect(new Set(targetIds).size).toBe(targetIds.length);
}

/** Groups of a way with POP consumers at an end: what they were handed and have not acknowledged comes to the target, and nothing else does. */
export async function expectPopFollows(stage: Stage, way: FollowingWay): Promise<void> {
  const cases = await followAll(stage, way, { stem: 'pop', messages: 300, stopWithin: [50, 200] });
  expect(cases).toHaveLength(way.kinds.length);
  for (const { each, followed } of cases) {
    // A consumer that has left nothing would show nothing here.
    const mostDone = each.sourceKind === 'POP' ? each.stopAfter - 1 : each.stopAfter;
    expect(followed.done.size).toBeLessThanOrEqual(mostDone);
    expectPredicted(each, followed);
  }
}
