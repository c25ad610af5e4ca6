import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { looped } from '../../checkers/looped.ts';
import type { Row } from '../../checkers/row.ts';
import { isFaithful, judge } from '../../checkers/verdict.ts';
import { testOffset } from '../../kit/brokers.ts';
import { type ClusterEyes, type ClusterName, clusterEyes } from '../../kit/cluster-eyes.ts';
import { eventually, linksUnderTest, type MirrorUnderTest } from '../../kit/mirror-under-test.ts';
import { useStage } from '../../kit/stage.ts';

// Several clusters, each written by an application of its own, all under one topic name: each record is to be once in each of them, and never to come back.

const LANES = 4;
const MESSAGES = 3_000;
const RATE = 1_000;
/** Ids of writer i begin at i times this. */
const WRITER_STEP = 1_000_000;
/** A late copy would still come within this time. */
const SETTLE_MS = 2_000;

const stage = useStage(['rmq-east', 'rmq-west', 'pulsar-east', 'pulsar-west', 'redis-east']);

type Path = readonly [from: ClusterName, to: ClusterName];

async function startLinks(
  topic: string,
  paths: readonly Path[],
  rules: Readonly<Record<string, unknown>>,
): Promise<MirrorUnderTest> {
  const full = (name: ClusterName): string => clusterEyes(stage.eyes, name, testOffset).full(topic);
  const links = paths.map(([from, to]) => {
    const mirrors = { m: { topics: [full(from)], rename: full(to), ...rules } };
    return { name: `${from}-${to}`, from, to, mirrors };
  });
  const started = await linksUnderTest(links, { state: 'redis' });
  started.process.start();
  return started;
}

const isOf =
  (writer: number) =>
  (id: string): boolean =>
    Math.floor(Number(id) / WRITER_STEP) === writer;

function ownOf(rows: readonly Row[], writer: number): readonly Row[] {
  return rows.filter(({ id }) => id !== null && isOf(writer)(id));
}

/** `writers` write at the same time; in the middle of it the replicator is killed and started again. */
async function writeEverywhere(topic: string, writers: readonly ClusterEyes[]): Promise<void> {
  const writing = Promise.all(
    writers.map(async (writer, i) => await writer.load(topic, { count: MESSAGES, from: i * WRITER_STEP, keys: 100, rate: RATE })),
  );
  await sleep((MESSAGES / RATE) * 500);
  await stage.mirror?.process.kill();
  stage.mirror?.process.start();
  await writing;
}

async function expectFaithful(topic: string, clusters: readonly ClusterEyes[], writers: readonly ClusterEyes[]): Promise<void> {
  const expected = MESSAGES * writers.length;
  for (const cluster of clusters) {
    const hasAll = async (): Promise<boolean> => (await cluster.readRows(topic)).length >= expected;
    await eventually(`${cluster.name} has ${expected} messages`, hasAll, stage.mirror?.process);
  }
  await sleep(SETTLE_MS);
  const rowsOf = new Map<ClusterName, readonly Row[]>();
  for (const cluster of clusters) rowsOf.set(cluster.name, await cluster.readRows(topic));
  for (const { name } of clusters) {
    const rows = rowsOf.get(name) ?? [];
    for (const [i, writer] of writers.entries()) {
      if (writer.name === name) {
        expect(looped(rows, isOf(i)).map((row) => `${row.id} is back in ${name}`)).toEqual([]);
        continue;
      }
      const verdict = judge(ownOf(rowsOf.get(writer.name) ?? [], i), ownOf(rows, i));
      expect({ from: writer.name, to: name, ...verdict }).toMatchObject({ source: MESSAGES, lost: 0, doubled: 0, reordered: 0 });
      expect(isFaithful(verdict)).toBe(true);
    }
    expect({ name, messages: rows.length }).toEqual({ name, messages: expected });
  }
}

async function play(
  what: string,
  paths: readonly Path[],
  written: readonly ClusterName[],
  rules: Readonly<Record<string, unknown>>,
): Promise<void> {
  const topic = `${what}-${Date.now().toString(36)}`;
  const names = [...new Set(paths.flat())];
  const clusters = names.map((name) => clusterEyes(stage.eyes, name, testOffset));
  const writers = clusters.filter(({ name }) => written.includes(name));
  for (const cluster of clusters) await cluster.createTopic(topic, LANES);
  stage.mirror = await startLinks(topic, paths, rules);
  await writeEverywhere(topic, writers);
  await expectFaithful(topic, clusters, writers);
}

describe('records of several clusters under one topic name', () => {
  it.each([
    ['without dedup windows', 'off'],
    ['with dedup windows', { window: '1h' }],
  ])('are once on both sides of two links and never come back, %s, through a SIGKILL', async (_, dedup) => {
    const paths: readonly Path[] = [
      ['rmq-east', 'pulsar-west'],
      ['pulsar-west', 'rmq-east'],
    ];
    await play('both', paths, ['rmq-east', 'pulsar-west'], { dedup });
    expect(stage.mirror?.links).toHaveLength(2);
  });

  it.each([
    ['two RocketMQ clusters', ['rmq-east', 'rmq-west']],
    ['two Pulsar clusters', ['pulsar-east', 'pulsar-west']],
  ] as const)('are once on both sides between %s', async (_, [east, west]) => {
    await play(
      'same',
      [
        [east, west],
        [west, east],
      ],
      [east, west],
      { dedup: 'off' },
    );
    expect(stage.mirror?.links).toHaveLength(2);
  });

  it('go round a ring of three once and end before they are back where they were written', async () => {
    const paths: readonly Path[] = [
      ['rmq-east', 'pulsar-west'],
      ['pulsar-west', 'pulsar-east'],
      ['pulsar-east', 'rmq-east'],
    ];
    await play('ring', paths, ['rmq-east', 'pulsar-west', 'pulsar-east'], { dedup: 'off' });
    expect(stage.mirror?.links).toHaveLength(3);
  });

  it('arrive once where two paths meet, by the window of the target topic', async () => {
    const paths: readonly Path[] = [
      ['rmq-east', 'pulsar-east'],
      ['rmq-east', 'rmq-west'],
      ['pulsar-east', 'pulsar-west'],
      ['rmq-west', 'pulsar-west'],
    ];
    await play('diamond', paths, ['rmq-east'], { dedup: { window: '1h' } });
    expect(stage.mirror?.links).toHaveLength(4);
  });
});
