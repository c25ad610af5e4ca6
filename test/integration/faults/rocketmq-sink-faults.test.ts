import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Network } from '../../../src/drivers/rocketmq/network.ts';
import type { Command, Request } from '../../../src/drivers/rocketmq/wire/command.ts';
import { getMaxOffset, readOffset } from '../../../src/drivers/rocketmq/wire/queue-offset.ts';
import { putTopicConfig } from '../../../src/drivers/rocketmq/wire/topic-config.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { FramePool } from '../../../src/lib/frame-pool.ts';
import { BEFORE_ALL } from '../../../src/model/position.ts';
import { plainMarks } from '../../../src/model/provenance.ts';
import type { Sink } from '../../../src/spi/sink.ts';
import { type Brokers, rocketmqEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type ClusterProxy, clusterProxy } from '../../kit/cluster-proxy.ts';
import { eventually } from '../../kit/mirror-under-test.ts';
import { type LogLine, memoryLog, numbered, offsetsIn, openTestWriter } from '../../kit/pulsar-writing.ts';
import { openWritingCluster, type WritingCluster } from '../../kit/rocketmq-writing.ts';

// This file kills its broker.
const target = rocketmqEndpoints('rmq-west', testOffset);
const COUNT = 40_000;
const ROUNDS = 8;
const EXACT = { lost: 0, doubled: 0, strangers: 0, inOrder: true };
/**
 * For what starts a broker twice. Each start may take three minutes on a busy machine (over 90 s were seen), and a test that is given up goes on killing the broker of
 * those that follow.
 */
const TWO_STARTS_MILLIS = 600_000;

let brokers: Brokers;
let cluster: WritingCluster;
let proxy: ClusterProxy | undefined;
const opened: WritingCluster[] = [];

beforeAll(async () => {
  brokers = await startBrokers(['rmq-west']);
  cluster = openWritingCluster(target.namesrv);
});

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
  await proxy?.close();
  proxy = undefined;
});

afterAll(async () => {
  await cluster.close();
  await brokers.stop();
});

async function newTopic(): Promise<string> {
  const topic = `sink-faults-${randomUUID()}`;
  await cluster.admin.ensureTopic(topic, 1);
  return topic;
}

async function behindProxy(lines: LogLine[] = []): Promise<{ readonly sink: Sink; readonly proxy: ClusterProxy }> {
  const made = await clusterProxy('rmq-west', testOffset);
  proxy = made;
  const [namesrv] = made.config['namesrv'] as readonly string[];
  const behind = openWritingCluster(namesrv ?? '', {}, lines);
  opened.push(behind);
  return { sink: behind.sink, proxy: made };
}

/** What of the records 0 up to `end` is in the queue, by their marks. */
async function verdictOf(topic: string, end: number): Promise<Readonly<Record<string, unknown>>> {
  const seen = await offsetsIn(cluster.sink, topic);
  const found = [...seen.keys()];
  return {
    lost: Array.from({ length: end }, (_, i) => i).filter((offset) => !seen.has(offset)).length,
    doubled: [...seen.values()].filter((times) => times > 1).length,
    strangers: found.filter((offset) => offset >= end).length,
    inOrder: found.every((offset, k) => k === 0 || offset > (found[k - 1] ?? offset)),
  };
}

/** Writes while something happens again and again in between. */
async function writeThrough(topic: string, sink: Sink, happens: (round: number) => Promise<void>): Promise<void> {
  const { write, until, writer, failures, stored } = await openTestWriter(sink, topic);
  for (let round = 0; round < ROUNDS; round++) {
    const writing = write(numbered((round * COUNT) / ROUNDS, ((round + 1) * COUNT) / ROUNDS), 97);
    await happens(round);
    await writing;
  }
  await until(COUNT);
  expect(failures).toEqual([]);
  // What was reported is what is there: each record once, in the order of the queue.
  expect(
    stored.flatMap(({ runs }) => runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, k) => first.major + k))),
  ).toEqual(Array.from({ length: COUNT }, (_, i) => i));
  const places = await placesOf(sink, topic);
  for (const { runs, target: place } of stored) expect(places.get(runs[0]?.first.major ?? -1)).toBe(place.major);
  await writer.close(0);
}

/** The queue offset of each record. */
async function placesOf(sink: Sink, topic: string): Promise<Map<number, number>> {
  const places = new Map<number, number>();
  await sink.scan(topic, 0, BEFORE_ALL, Number.POSITIVE_INFINITY, (mark) =>
    places.set(mark.provenance.runs[0]?.first.major ?? -1, mark.target.major),
  );
  return places;
}

async function ask(address: string, request: Request): Promise<Command> {
  const deps = { clock: systemClock, log: memoryLog([]), random: Math.random, marks: plainMarks };
  const network = new Network({ namesrv: [target.namesrv], auth: undefined, tls: undefined }, deps, new FramePool());
  const answer = await network.call(address, request);
  network.close();
  expect(answer.code).toBe(0);
  return answer;
}

async function setPermission(topic: string, perm: number): Promise<void> {
  await ask(target.broker, putTopicConfig(topic, 1, 1, perm));
}

async function endOf(topic: string): Promise<number> {
  return readOffset(await ask(target.broker, getMaxOffset(topic, 0)));
}

describe('a writer stores each record once and in order', () => {
  it('while its connections are cut again and again', async () => {
    const topic = await newTopic();
    const lines: LogLine[] = [];
    const { sink, proxy: weather } = await behindProxy(lines);
    await writeThrough(topic, sink, async () => {
      await sleep(20);
      weather.cut();
    });
    expect(await verdictOf(topic, COUNT)).toEqual(EXACT);
    expect(lines.some((line) => line.event === 'writer-in-doubt')).toBe(true);
  });

  it('when answers are lost after the broker has stored', async () => {
    const topic = await newTopic();
    const lines: LogLine[] = [];
    const { sink, proxy: weather } = await behindProxy(lines);
    await writeThrough(topic, sink, async (round) => {
      if (round % 3 !== 1) return;
      weather.dropReplies();
      await sleep(300);
      weather.cut();
    });
    expect(await verdictOf(topic, COUNT)).toEqual(EXACT);
    const found = lines.filter((line) => line.event === 'tail-read').map((line) => Number(line.fields['found']));
    expect(Math.max(...found)).toBeGreaterThan(0);
  });

  it('when what it sends arrives late, and its connection is gone by then', async () => {
    const topic = await newTopic();
    const { sink, proxy: weather } = await behindProxy();
    await writeThrough(topic, sink, async (round) => {
      weather.delay(round % 2 === 0 ? 400 : 0);
      await sleep(200);
      if (round % 4 === 2) weather.halfClose('client');
    });
    weather.delay(0);
    expect(await verdictOf(topic, COUNT)).toEqual(EXACT);
  });

  it.each(['client', 'server'] as const)('when nothing of what the %s sends arrives for longer than it waits', async (side) => {
    const topic = await newTopic();
    const { sink, proxy: weather } = await behindProxy();
    await writeThrough(topic, sink, async (round) => {
      if (round !== 2) return;
      weather.stall(side, true);
      await sleep(17_000);
      weather.stall(side, false);
    });
    expect(await verdictOf(topic, COUNT)).toEqual(EXACT);
  });

  it('when its broker is killed in the middle and started again', { timeout: TWO_STARTS_MILLIS }, async () => {
    const topic = await newTopic();
    await writeThrough(topic, cluster.sink, async (round) => {
      if (round !== 2 && round !== 5) return;
      await sleep(30);
      await brokers.kill('rmq-west');
      await brokers.start('rmq-west');
    });
    expect(await verdictOf(topic, COUNT)).toEqual(EXACT);
  });

  it.each([3_000, 18_000])('when its broker is frozen for %d ms', async (millis) => {
    const topic = await newTopic();
    await writeThrough(topic, cluster.sink, async (round) => {
      if (round !== 3) return;
      await brokers.pause('rmq-west');
      await sleep(millis);
      await brokers.resume('rmq-west');
    });
    expect(await verdictOf(topic, COUNT)).toEqual(EXACT);
  });
});

describe('a writer of a lane that another one has left in the middle', () => {
  it('sees what was still on its way then, and goes on behind it', async () => {
    const topic = await newTopic();
    const { sink, proxy: weather } = await behindProxy();
    const first = await openTestWriter(sink, topic);
    await first.write(numbered(0, 1_000));
    await first.until(1_000);
    weather.delay(700);
    await first.write(numbered(1_000, 6_000));
    await first.writer.close(0);
    const second = await openTestWriter(cluster.sink, topic);
    const seen = await offsetsIn(cluster.sink, topic);
    const next = Math.max(...seen.keys()) + 1;
    // Otherwise nothing was on its way, and this tests nothing.
    expect(next).toBeGreaterThan(1_000);
    await second.write(numbered(next, 10_000));
    await second.until(10_000 - next);
    await second.writer.close(0);
    expect(await verdictOf(topic, 10_000)).toEqual(EXACT);
  });
});

describe('a topic that becomes read-only', () => {
  it('is waited for, and written when it takes messages again', async () => {
    const topic = await newTopic();
    const before = await openTestWriter(cluster.sink, topic);
    await before.write(numbered(0, 100));
    await before.until(100);
    await before.writer.close(0);
    await setPermission(topic, 4);
    const troubles: string[] = [];
    // A route is believed for half a minute; a cluster that was just opened asks.
    const opening = openTestWriter(openedAgain().sink, topic, { onTrouble: (error) => void troubles.push(error?.message ?? '') });
    await eventually('it says why it waits', async () => troubles.some((trouble) => trouble.includes('read-only')));
    await setPermission(topic, 6);
    const after = await opening;
    await after.write(numbered(100, 200));
    await after.until(100);
    await after.writer.close(0);
    expect(await verdictOf(topic, 200)).toEqual(EXACT);
  });

  it('is noticed in the middle of writing, and written on when it takes messages again', async () => {
    const topic = await newTopic();
    const { write, until, writer, failures, troubles } = await openTestWriter(cluster.sink, topic);
    await write(numbered(0, 100));
    await until(100);
    await setPermission(topic, 4);
    // A route is believed for half a minute, and the broker itself stores what is sent.
    let next = 100;
    await eventually('it says why it waits', async () => {
      await write(numbered(next, ++next));
      return troubles.some((trouble) => trouble.includes('read-only'));
    });
    const end = await endOf(topic);
    await write(numbered(next, next + 100));
    await sleep(2_000);
    expect(await endOf(topic)).toBe(end);
    await setPermission(topic, 6);
    await until(next + 100);
    await writer.close(0);
    expect(failures).toEqual([]);
    expect(await verdictOf(topic, next + 100)).toEqual(EXACT);
  });
});

function openedAgain(): WritingCluster {
  const made = openWritingCluster(target.namesrv);
  opened.push(made);
  return made;
}
