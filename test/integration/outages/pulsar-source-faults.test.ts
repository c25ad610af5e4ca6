import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/lib/clock.ts';
import { comparePositions, type Position, parsePosition } from '../../../src/model/position.ts';
import { type Brokers, pulsarEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import { eventually } from '../../kit/mirror-under-test.ts';
import type { PulsarEyes } from '../../kit/pulsar-eyes.ts';
import {
  type PulsarReadRecord,
  type PulsarSourceUnderTest,
  type PulsarTail,
  pulsarSourceUnderTest,
} from '../../kit/pulsar-source.ts';
import { type TcpProxy, tcpProxy } from '../../kit/tcp-proxy.ts';

// A broker of its own: these tests kill it.
const source = pulsarEndpoints('pulsar-east', testOffset);
let brokers: Brokers;
let eyes: Eyes;
let java: PulsarEyes;
let under: PulsarSourceUnderTest;
let proxy: TcpProxy | undefined;

beforeAll(async () => {
  brokers = await startBrokers(['pulsar-east']);
  eyes = await startEyes();
  java = eyes.pulsar(source);
});

beforeEach(() => {
  under = pulsarSourceUnderTest(source);
});

afterEach(async () => {
  await under.close();
  await proxy?.close();
  proxy = undefined;
});

afterAll(async () => {
  await eyes.close();
  await brokers.stop();
});

async function newTopic(): Promise<string> {
  const topic = `persistent://public/default/source-faults-${randomUUID()}`;
  await java.createTopic(topic, 1);
  return topic;
}

async function admin(method: string, path: string): Promise<void> {
  const answer = await fetch(`${source.adminUrl}/admin/v2/${path}`, { method });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
}

async function unload(topic: string): Promise<void> {
  await admin('PUT', `${topic.replace('://', '/')}-partition-0/unload`);
}

function seqs(records: readonly PulsarReadRecord[]): number[] {
  return records.map(({ propertyList }) => Number(propertyList.find(([name]) => name === 'seq')?.[1]));
}

/** Lost, doubled and reordered by the numbers that the producer gave, and whether places only ever rise. */
function verdictOf(tail: PulsarTail, count: number): unknown {
  const seen = seqs(tail.records);
  const places = tail.records.map(({ position }) => parsePosition(position));
  const rising = places.every((place, i) => {
    const before = places[i - 1];
    return place !== undefined && (before === undefined || comparePositions(before, place) < 0);
  });
  return {
    lost: count - new Set(seen).size,
    doubled: seen.length - new Set(seen).size,
    inOrder: seen.every((seq, i) => i === 0 || seq > (seen[i - 1] ?? seq)),
    rising,
    gaps: tail.gaps,
  };
}

function placeOf(text: string): Position {
  const place = parsePosition(text);
  if (place === undefined) throw new Error(`not a position: ${text}`);
  return place;
}

function lastEnd({ ends }: PulsarTail): Position {
  const end = ends.at(-1);
  if (end === undefined) throw new Error('nothing was read');
  return end;
}

const EXACT = { lost: 0, doubled: 0, inOrder: true, rising: true, gaps: [] };

/** One key is one order over all batches. */
const ONE_ORDER = { keys: 0, batch: 7 };

describe('reading goes on exactly behind what was read', () => {
  it('while the topic is unloaded again and again', async () => {
    const topic = await newTopic();
    const tail = await under.tail(topic);
    for (let round = 0; round < 5; round++) {
      const loading = java.load(topic, { ...ONE_ORDER, from: round * 2_000, count: 2_000 });
      await unload(topic);
      await loading;
    }
    // The producer itself stores some of them twice: it sends again what was on its way.
    const stored = (await java.readRows(topic)).map(({ id }) => Number(id));
    await tail.until(stored.length);
    expect(seqs(tail.records)).toEqual(stored);
    expect(verdictOf(tail, 10_000)).toMatchObject({ lost: 0, rising: true, gaps: [] });
    await tail.reader.commit(lastEnd(tail));
    expect(await under.source.committed({ topic, lane: '0' }, under.group)).toEqual(lastEnd(tail));
    expect(tail.troubles).toContain('BROKER_BUSY');
    expect(tail.troubles.at(-1)).toBeUndefined();
  });

  it('while its connections are cut again and again', async () => {
    const topic = await newTopic();
    proxy = await tcpProxy({ target: { host: '127.0.0.1', port: source.ports.service } });
    const behind = pulsarSourceUnderTest({ ...source, serviceUrl: `pulsar://127.0.0.1:${proxy.port}` });
    const tail = await behind.tail(topic);
    const loading = java.load(topic, { ...ONE_ORDER, count: 20_000 });
    for (let cuts = 0; cuts < 6; cuts++) {
      await sleep(1_300);
      proxy.cut();
    }
    await loading;
    await tail.until(20_000);
    expect(verdictOf(tail, 20_000)).toEqual(EXACT);
    await behind.close();
  });

  it('after the broker was killed and has come back', async () => {
    const topic = await newTopic();
    const tail = await under.tail(topic);
    await java.load(topic, { ...ONE_ORDER, count: 3_000 });
    await tail.until(3_000);
    await brokers.kill('pulsar-east');
    await brokers.start('pulsar-east');
    await java.load(topic, { ...ONE_ORDER, from: 3_000, count: 3_000 });
    await tail.until(6_000);
    expect(verdictOf(tail, 6_000)).toEqual(EXACT);
    expect(tail.troubles.at(-1)).toBeUndefined();
  });
});

describe('a second reader of the same subscription', () => {
  it('takes it over: whoever opens a lane has the right to write its target', async () => {
    const topic = await newTopic();
    const first = await under.tail(topic);
    await java.load(topic, { ...ONE_ORDER, count: 1_000 });
    await first.until(1_000);
    const [half] = first.ends;
    // Priorities are times in whole seconds.
    await sleep(1_100);
    const second = await under.tail(topic, { from: half ?? lastEnd(first) });
    expect(await first.ended).toMatchObject({ code: 'OTHER_WRITER', retryable: true });
    const rest = first.records.filter(({ position }) => comparePositions(placeOf(position), half ?? placeOf(position)) >= 0);
    await second.until(rest.length);
    expect(seqs(second.records)).toEqual(seqs(rest));
  });

  it('waits where its clock is behind, and goes on when the first one leaves', async () => {
    const topic = await newTopic();
    const late = pulsarSourceUnderTest(source, 2 ** 24, { ...systemClock, now: () => systemClock.now() - 3_600_000 });
    const first = await under.tail(topic);
    await java.load(topic, { ...ONE_ORDER, count: 1_000 });
    await first.until(1_000);
    const second = await late.tail(topic, { group: under.group });
    await eventually('it waits', async () => await Promise.resolve(second.troubles.includes('OTHER_WRITER')));
    expect(second.records).toEqual([]);
    await first.reader.commit(lastEnd(first));
    await first.reader.close();
    await second.until(1_000);
    // From the place that it was opened at, wherever the other one has moved the subscription.
    expect([verdictOf(second, 1_000), second.troubles]).toEqual([EXACT, ['OTHER_WRITER', undefined]]);
    await late.close();
  });
});
