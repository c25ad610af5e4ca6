import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { FailbackPolicy } from '../../../src/control/failback/api.ts';
import type { StoredRow } from '../../checkers/row.ts';
import { testOffset } from '../../kit/brokers.ts';
import { type ClusterEyes, type ClusterName, clusterEyes } from '../../kit/cluster-eyes.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from '../../kit/mirror-under-test.ts';
import { useStage } from '../../kit/stage.ts';

// Two clusters that both are written. One counts as lost, is written on all the same, and comes back: what only it has is found, and goes where the policy says.

const LANES = 2;
const BEFORE = { count: 100, from: 0, keys: 20 };
/** Written on the lost side while nobody mirrored it, and on the other one by its own applications. */
const LOST = { count: 50, from: 1_000, keys: 10 };
const OWN = { count: 30, from: 2_000, keys: 4 };
const AFTER = { count: 10, from: 3_000, keys: 10 };

const stage = useStage(['rmq-east', 'pulsar-west']);

type View = {
  readonly state: string;
  readonly trouble: { readonly message: string } | null;
  readonly reviewed: number;
  readonly resumed: readonly string[];
  readonly reverse: readonly { readonly link: string }[];
  readonly listing: {
    readonly id: string;
    readonly records: number;
    readonly conflicts: number;
    readonly lanes: readonly { readonly fromTarget: number }[];
    readonly listed: readonly { readonly key: string | null; readonly position: string; readonly lane: string }[];
    readonly keyList: readonly { readonly key: string; readonly records: number; readonly onTarget: number }[];
    readonly notes: readonly string[];
  } | null;
};

type Setting = {
  readonly running: MirrorUnderTest;
  readonly topic: string;
  readonly lost: ClusterEyes;
  readonly other: ClusterEyes;
};

const isOf =
  ({ from, count }: { readonly from: number; readonly count: number }) =>
  ({ id }: StoredRow): boolean =>
    Number(id) >= from && Number(id) < from + count;

const idsOf = ({ from, count }: { readonly from: number; readonly count: number }): string[] =>
  Array.from({ length: count }, (_, i) => String(from + i));

const sortedIds = (rows: readonly StoredRow[]): string[] => rows.map(({ id }) => id ?? '').sort((a, b) => Number(a) - Number(b));

async function untilHas(
  cluster: ClusterEyes,
  topic: string,
  messages: number,
  process: MirrorUnderTest['process'],
): Promise<void> {
  const what = `${cluster.name} has ${messages} messages`;
  await eventually(what, async () => (await cluster.count(topic)).distinct >= messages, process);
}

async function untilEnded(running: MirrorUnderTest, path: string): Promise<View> {
  let view: View | undefined;
  await eventually(`${path} has ended`, async () => {
    view = (await running.api<View>('GET', path)).body;
    return view.state !== 'running';
  });
  if (view === undefined) throw new Error('it has just ended');
  return view;
}

/** Both ways, a failover although the source is there, and then records on both sides. */
async function divide(from: ClusterName, to: ClusterName): Promise<Setting> {
  const topic = `failback-${randomUUID().slice(0, 8)}`;
  const [lost, other] = [clusterEyes(stage.eyes, from, testOffset), clusterEyes(stage.eyes, to, testOffset)];
  for (const cluster of [lost, other]) await cluster.createTopic(topic, LANES);
  const link = (name: string, source: ClusterEyes, target: ClusterEyes): Parameters<typeof linksUnderTest>[0][number] => ({
    name,
    from: source.name,
    to: target.name,
    groups: { every: '1s' },
    mirrors: { m: { topics: [source.full(topic)], rename: target.full(topic) } },
  });
  const running = await linksUnderTest([link('l', lost, other), link('back', other, lost)]);
  stage.mirror = running;
  await lost.load(topic, BEFORE);
  running.process.start();
  await untilHas(other, topic, BEFORE.count, running.process);
  const path = `/v1/links/${running.link}/failover`;
  expect((await running.api('POST', path, { kind: 'unplanned' })).status).toBe(202);
  expect(await untilEnded(running, path)).toMatchObject({ state: 'done', trouble: null });
  await lost.load(topic, LOST);
  // A process that was away meanwhile finds the mirrors paused.
  await running.process.kill();
  running.process.start();
  await other.load(topic, OWN);
  await untilHas(lost, topic, BEFORE.count + LOST.count + OWN.count, running.process);
  return { running, topic, lost, other };
}

/** Lists, and compares that with what the official clients read. */
async function listExactly({ running, topic, lost, other }: Setting): Promise<string> {
  const path = `/v1/links/${running.link}/failback`;
  expect((await running.api('POST', path, {})).status).toBe(202);
  const { state, trouble, listing } = await untilEnded(running, path);
  expect([state, trouble, listing?.records, listing?.notes]).toEqual(['listed', null, LOST.count, []]);
  expect(listing?.lanes.reduce((sum, { fromTarget }) => sum + fromTarget, 0)).toBe(OWN.count);
  const keysOf = (rows: readonly StoredRow[]): string[] => rows.map(({ key }) => key ?? '').sort();
  const lostKeys = keysOf((await lost.readRows(topic)).filter(isOf(LOST)));
  const ownKeys = keysOf((await other.readRows(topic)).filter(isOf(OWN)));
  expect(listing?.listed.map(({ key }) => key ?? '').sort()).toEqual(lostKeys);
  expect(new Set(listing?.listed.map(({ lane, position }) => `${lane} ${position}`)).size).toBe(LOST.count);
  const countOf = (keys: readonly string[], wanted: string): number => keys.filter((key) => key === wanted).length;
  const expected = [...new Set(lostKeys)].map((key) => ({
    key,
    records: countOf(lostKeys, key),
    onTarget: countOf(ownKeys, key),
  }));
  const byKey = [...(listing?.keyList ?? [])].sort((a, b) => (a.key < b.key ? -1 : 1));
  expect(byKey).toMatchObject(expected);
  expect(listing?.conflicts).toBe(expected.filter(({ onTarget }) => onTarget > 0).length);
  expect(listing?.conflicts).toBeGreaterThan(0);
  return listing?.id ?? '';
}

async function apply({ running }: Setting, policy: FailbackPolicy, listing: string, more: object = {}): Promise<View> {
  const path = `/v1/links/${running.link}/failback`;
  expect((await running.api('POST', path, { policy, listing, ...more })).status).toBe(202);
  const view = await untilEnded(running, path);
  expect(view).toMatchObject({ state: 'done', trouble: null, resumed: ['m'] });
  return view;
}

/** What comes after it arrives, so that whatever was to come before it has. */
async function writeOn({ running, topic, lost, other }: Setting, messages: number): Promise<readonly StoredRow[]> {
  await lost.load(topic, AFTER);
  await untilHas(other, topic, messages + AFTER.count, running.process);
  return await other.readRows(topic);
}

describe('failing back from a lost cluster that has come back', () => {
  it('appends what only it has, RocketMQ to Pulsar, and a planned failover brings the use back', async () => {
    const setting = await divide('rmq-east', 'pulsar-west');
    const { reverse } = await apply(setting, 'append', await listExactly(setting));
    const { running, topic, lost } = setting;
    const rows = await writeOn(setting, BEFORE.count + LOST.count + OWN.count);
    expect(sortedIds(rows)).toEqual([BEFORE, LOST, OWN, AFTER].flatMap(idsOf));
    expect(sortedIds(await lost.readRows(topic))).toEqual([BEFORE, LOST, OWN, AFTER].flatMap(idsOf));
    expect(reverse).toMatchObject([{ link: running.links[1] }]);
    const path = `/v1/links/${running.links[1]}/failover`;
    expect((await running.api('POST', path, {})).status).toBe(202);
    expect(await untilEnded(running, path)).toMatchObject({ state: 'done', trouble: null });
  });

  it('drops what only it has and nothing else, Pulsar to RocketMQ', async () => {
    const setting = await divide('pulsar-west', 'rmq-east');
    await apply(setting, 'drop', await listExactly(setting));
    const rows = await writeOn(setting, BEFORE.count + OWN.count);
    expect(sortedIds(rows)).toEqual([BEFORE, OWN, AFTER].flatMap(idsOf));
  });

  it('writes what only it has to a topic of its own, RocketMQ to Pulsar', async () => {
    const setting = await divide('rmq-east', 'pulsar-west');
    const { other, topic } = setting;
    const review = `${topic}-review`;
    const view = await apply(setting, 'review', await listExactly(setting), { reviewTopic: other.full(review) });
    expect(view.reviewed).toBe(LOST.count);
    expect(sortedIds(await other.readRows(review))).toEqual(idsOf(LOST));
    const rows = await writeOn(setting, BEFORE.count + OWN.count);
    expect(sortedIds(rows)).toEqual([BEFORE, OWN, AFTER].flatMap(idsOf));
  });
});
