import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { entryPosition, formatPosition, type Position, parsePosition } from '../../../src/model/position.ts';
import { type Brokers, pulsarEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import type { PulsarEyes, PulsarMessage } from '../../kit/pulsar-eyes.ts';
import {
  type PulsarReadRecord,
  type PulsarSourceUnderTest,
  type PulsarTail,
  pulsarSourceUnderTest,
} from '../../kit/pulsar-source.ts';

const source = pulsarEndpoints('pulsar-east', testOffset);
let brokers: Brokers;
let eyes: Eyes;
let java: PulsarEyes;
let under: PulsarSourceUnderTest;

beforeAll(async () => {
  brokers = await startBrokers(['pulsar-east']);
  eyes = await startEyes();
  java = eyes.pulsar(source);
});

beforeEach(() => {
  // Little is read ahead, so that there is something left to be taken away.
  under = pulsarSourceUnderTest(source, 64 * 1024);
});

afterEach(async () => {
  await under.close();
});

afterAll(async () => {
  await eyes.close();
  await brokers.stop();
});

async function newTopic(): Promise<string> {
  const topic = `persistent://public/default/source-gaps-${randomUUID()}`;
  await java.createTopic(topic, 1);
  return topic;
}

async function admin(method: string, topic: string, what: string): Promise<void> {
  const path = `${topic.replace('://', '/')}-partition-0/${what}`;
  const answer = await fetch(`${source.adminUrl}/admin/v2/${path}`, { method });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
}

function kilobytes(from: number, count: number): PulsarMessage[] {
  return Array.from({ length: count }, (_, i) => ({ body: 'x'.repeat(1024), properties: { seq: String(from + i) } }));
}

function seqs(records: readonly PulsarReadRecord[]): number[] {
  return records.map(({ propertyList }) => Number(propertyList.find(([name]) => name === 'seq')?.[1]));
}

function numbers(from: number, end: number): number[] {
  return Array.from({ length: end - from }, (_, i) => from + i);
}

function lastEnd({ ends }: PulsarTail): Position {
  const end = ends.at(-1);
  if (end === undefined) throw new Error('nothing was read');
  return end;
}

async function ledgers(topic: string): Promise<readonly number[]> {
  const answer = await fetch(`${source.adminUrl}/admin/v2/${topic.replace('://', '/')}-partition-0/internalStats`);
  const stats = (await answer.json()) as { readonly ledgers: readonly { readonly ledgerId: number }[] };
  return stats.ledgers.map(({ ledgerId }) => ledgerId);
}

/** Has the broker throw away every ledger that no subscription needs. */
async function trimmed(topic: string, gone: number): Promise<void> {
  await admin('PUT', topic, 'unload');
  while ((await ledgers(topic)).includes(gone)) {
    await admin('POST', topic, 'trim');
    await sleep(100);
  }
}

describe('what others have moved the subscription over', () => {
  it('is told as a gap while reading, whatever comes after it', async () => {
    const topic = await newTopic();
    const gate = Promise.withResolvers<void>();
    const tail = await under.tail(topic, { gate: gate.promise });
    await java.send(topic, kilobytes(0, 200));
    await tail.until(1);
    await admin('POST', topic, `subscription/${under.group}/skip_all`);
    await java.send(topic, kilobytes(200, 3));
    gate.resolve();
    while (!seqs(tail.records).includes(202)) await sleep(20);
    const seen = seqs(tail.records);
    const before = seen.length - 3;
    expect(seen).toEqual([...numbers(0, before), 200, 201, 202]);
    expect(before).toBeLessThan(200);
    const [last, next] = [tail.records[before - 1], tail.records[before]];
    const end = under.source.next(parsePosition(last?.position ?? '') ?? entryPosition(0, 0));
    expect(tail.gaps).toEqual([`${formatPosition(end)}-${next?.position} reset`]);
  });

  it('is told as a gap when nothing comes after it', async () => {
    const topic = await newTopic();
    const gate = Promise.withResolvers<void>();
    const tail = await under.tail(topic, { gate: gate.promise });
    await java.send(topic, kilobytes(0, 200));
    await tail.until(1);
    await admin('POST', topic, `subscription/${under.group}/skip_all`);
    gate.resolve();
    while (tail.gaps.length === 0) await sleep(20);
    expect(tail.gaps[0]).toMatch(/:200 reset$/);
  });

  it('is read all the same when the reader is opened before it, as long as it is stored', async () => {
    const topic = await newTopic();
    const first = await under.tail(topic);
    await java.send(topic, kilobytes(0, 20));
    await first.until(20);
    await first.reader.close();
    await admin('POST', topic, `subscription/${under.group}/skip_all`);
    const again = await under.tail(topic, { from: parsePosition(first.records[5]?.position ?? '') ?? entryPosition(0, 0) });
    await again.until(15);
    expect(seqs(again.records)).toEqual(numbers(5, 20));
    expect(again.gaps).toEqual([]);
  });
});

describe('what the source has thrown away', () => {
  it('is told as a gap when the reader is opened', async () => {
    const topic = await newTopic();
    const first = await under.tail(topic);
    await java.send(topic, kilobytes(0, 20));
    await first.until(20);
    await first.reader.close();
    const [oldest = -1] = await ledgers(topic);
    await admin('POST', topic, `subscription/${under.group}/skip_all`);
    await trimmed(topic, oldest);
    const from = parsePosition(first.records[5]?.position ?? '') ?? entryPosition(0, 0);
    const again = await under.tail(topic, { from });
    await java.send(topic, kilobytes(20, 2));
    await again.until(3);
    expect(seqs(again.records)).toEqual([20, 21]);
    expect(again.gaps).toEqual([`${formatPosition(from)}-${again.records[0]?.position} expired`]);
  });

  it('is no gap when all of it was read before', async () => {
    const topic = await newTopic();
    const first = await under.tail(topic);
    await java.send(topic, kilobytes(0, 20));
    await first.until(20);
    await first.reader.commit(lastEnd(first));
    const [oldest = -1] = await ledgers(topic);
    await trimmed(topic, oldest);
    await java.send(topic, kilobytes(20, 2));
    await first.until(22);
    expect(first.gaps).toEqual([]);
    await first.reader.close();

    const again = await under.tail(topic, { from: parsePosition(first.records[20]?.position ?? '') ?? entryPosition(0, 0) });
    await again.until(2);
    await again.reader.commit(lastEnd(again));
    await again.reader.close();
    const ledger = lastEnd(again).major;
    await trimmed(topic, ledger);
    const third = await under.tail(topic, { from: lastEnd(again) });
    await java.send(topic, kilobytes(22, 2));
    await third.until(2);
    expect([seqs(third.records), third.gaps]).toEqual([[22, 23], []]);
  });
});

describe('a topic that was deleted and made again', () => {
  it('is told as a gap, and read from its beginning', async () => {
    const topic = await newTopic();
    const first = await under.tail(topic);
    await java.send(topic, kilobytes(0, 3));
    await first.until(3);
    await first.reader.close();
    await java.deleteTopic(topic);
    await java.createTopic(topic, 1);
    await java.send(topic, kilobytes(3, 2));
    const again = await under.tail(topic, { from: lastEnd(first) });
    await again.until(3);
    expect(seqs(again.records)).toEqual([3, 4]);
    expect(again.gaps).toEqual([`${formatPosition(lastEnd(first))}-${again.records[0]?.position} recreated`]);
  });

  it('in a cluster that was made again, too, is told as a gap that leads back, and not read', async () => {
    const topic = await newTopic();
    await java.send(topic, kilobytes(0, 3));
    const [oldest = -1] = await ledgers(topic);
    const tail = await under.tail(topic, { from: entryPosition(9_000_000, 7) });
    expect(await tail.ended).toMatchObject({ code: 'SOURCE_REWOUND' });
    expect(tail.gaps).toEqual([`9000000:7-${oldest}:0 recreated`]);
    expect(tail.records).toEqual([]);
  });
});
