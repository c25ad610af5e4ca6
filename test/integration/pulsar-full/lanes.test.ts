import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/lib/clock.ts';
import { BEFORE_ALL, entryPosition, formatPosition, type Position, parsePosition } from '../../../src/model/position.ts';
import { formatRuns, readPlace } from '../../../src/model/provenance.ts';
import { type Brokers, bedCertificate, bedToken, pulsarEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { type Eyes, startEyes } from '../../kit/eyes.ts';
import type { PulsarEyes, PulsarMessage } from '../../kit/pulsar-eyes.ts';
import { pulsarAdmin, restPath } from '../../kit/pulsar-pair.ts';
import {
  type PulsarReadRecord,
  type PulsarSourceUnderTest,
  type PulsarTail,
  pulsarSourceUnderTest,
} from '../../kit/pulsar-source.ts';
import { numbered, openTestCluster, openTestWriter } from '../../kit/pulsar-writing.ts';
import { tcpProxy } from '../../kit/tcp-proxy.ts';

const cluster = pulsarEndpoints('pulsar-full', testOffset);
let brokers: Brokers;
let eyes: Eyes;
let java: PulsarEyes;
let under: PulsarSourceUnderTest;

beforeAll(async () => {
  brokers = await startBrokers(['pulsar-full']);
  eyes = await startEyes();
  java = eyes.pulsar(cluster);
  under = pulsarSourceUnderTest(cluster);
});

afterAll(async () => {
  await under.close();
  await eyes.close();
  await brokers.stop();
});

async function newTopic(): Promise<string> {
  const topic = `persistent://public/default/transactions-${randomUUID()}`;
  await java.createTopic(topic, 1);
  await java.retain(topic);
  return topic;
}

function message(body: string): PulsarMessage {
  return { body, properties: { seq: body } };
}

function bodies(records: readonly PulsarReadRecord[]): (string | undefined)[] {
  return records.map(({ propertyList }) => propertyList.find(([name]) => name === 'seq')?.[1]);
}

function place(record: PulsarReadRecord | undefined): Position {
  return parsePosition(record?.position ?? '') ?? entryPosition(0, 0);
}

async function admin(method: string, topic: string, what: string, body?: unknown): Promise<unknown> {
  return await pulsarAdmin(method, `${cluster.adminUrl}/admin/v2/persistent/${restPath(topic)}${what}`, body);
}

/** Long enough for a broker to send what it would send wrongly. */
const wrongMillis = 1_000;

describe('a source with transactions', () => {
  let aborted: { readonly topic: string; readonly tail: PulsarTail; readonly at: number };

  beforeAll(async () => {
    const topic = await newTopic();
    const tail = await under.tail(topic);
    await java.send(topic, [message('first')]);
    await tail.until(1);
    const transaction = await java.begin();
    await java.send(topic, [message('a'), message('b')], { transaction });
    await java.end(transaction, 'abort');
    aborted = { topic, tail, at: performance.now() };
  });

  it('gives messages of an open one, and what lies behind them, when it is committed, and those of an aborted one never', async () => {
    const topic = await newTopic();
    const tail = await under.tail(topic);
    await java.send(topic, [message('before')]);
    await tail.until(1);
    const [kept, dropped] = [await java.begin(), await java.begin()];
    await java.send(topic, [message('kept 1'), message('kept 2')], { transaction: kept, batch: true });
    await java.send(topic, [message('dropped 1')], { transaction: dropped });
    await java.send(topic, [message('behind')]);
    await java.send(topic, [message('kept 3')], { transaction: kept });
    await java.send(topic, [message('dropped 2'), message('dropped 3')], { transaction: dropped, batch: true });
    await sleep(wrongMillis);
    expect(bodies(tail.records)).toEqual(['before']);
    await java.end(dropped, 'abort');
    await java.send(topic, [message('last')]);
    await sleep(wrongMillis);
    expect(bodies(tail.records)).toEqual(['before']);
    await java.end(kept, 'commit');
    await tail.until(6);
    const expected = ['before', 'kept 1', 'kept 2', 'behind', 'kept 3', 'last'];
    expect(bodies(tail.records)).toEqual(expected);
    expect((await java.read(topic)).map(({ properties }) => properties['seq'])).toEqual(expected);
    expect(tail.gaps).toEqual([]);
    expect(tail.troubles).toEqual([]);

    // Neither the places of aborted messages nor those of the markers count as skipped when the lane is opened once more.
    await tail.reader.commit(place(tail.records[3]));
    await tail.reader.close();
    const again = await under.tail(topic, { from: place(tail.records[3]) });
    await again.until(3);
    expect(bodies(again.records)).toEqual(['behind', 'kept 3', 'last']);
    const from = { ...place(tail.records[1]), index: -1 };
    const whole = await under.tail(topic, { from, wholeFrom: entryPosition(0, 0), onlook: true });
    await whole.until(4);
    expect(whole.records.map((record) => [record.whole, record.records])).toEqual([
      [true, 2],
      [true, 1],
      [true, 1],
      [true, 1],
    ]);
    expect([...again.gaps, ...whole.gaps]).toEqual([]);
  });

  it('is at its end, and nothing is missed, while all that is left are aborted messages', async () => {
    const { topic, tail, at } = aborted;
    // The look for silence comes every 10 s.
    await sleep(Math.max(0, at + 12_000 - performance.now()));
    expect([tail.gaps, tail.troubles]).toEqual([[], []]);
    const end = tail.reader.extent()?.end;
    expect(end).toEqual(under.source.next(place(tail.records[0])));
    await java.send(topic, [message('second')]);
    await tail.until(2);
    expect(bodies(tail.records)).toEqual(['first', 'second']);
    expect(tail.gaps).toEqual([]);
  });
});

describe('a target with transactions', () => {
  /** Source positions of a lane in the target, in order, by the marks. */
  async function stored(sink: ReturnType<typeof openTestCluster>['sink'], topic: string): Promise<string[]> {
    const places: string[] = [];
    await sink.scan(topic, 0, BEFORE_ALL, Number.POSITIVE_INFINITY, ({ provenance }) => {
      places.push(formatRuns(readPlace(provenance).runs));
    });
    return places;
  }

  it('hides what is stored behind an open one: a writer in doubt waits for its end, and stores nothing twice', async () => {
    const topic = await newTopic();
    const proxy = await tcpProxy({ target: { host: '127.0.0.1', port: cluster.ports.service } });
    const through = openTestCluster({ ...cluster, serviceUrl: `pulsar://127.0.0.1:${proxy.port}` });
    const { writer, write, until, troubles, failures } = await openTestWriter(through.sink, topic);
    await write(numbered(0, 10), 5);
    await until(10);
    const transaction = await java.begin();
    await java.send(topic, [message('open')], { transaction });
    // Stored, and their receipts are lost.
    proxy.dropReplies();
    await write(numbered(10, 20), 5);
    await sleep(300);
    proxy.cut();
    await expect.poll(() => troubles.some((each) => each.includes('open transaction')), { timeout: 20_000 }).toBe(true);
    expect(failures).toEqual([]);
    await java.end(transaction, 'commit');
    await until(20);
    await writer.close(0);
    expect(await stored(through.sink, topic)).toEqual(['0+5', '5+5', '10+5', '15+5']);
    await through.close();
    await proxy.close();
  });

  it('is looked at by a new writer only when all of it can be seen', async () => {
    const topic = await newTopic();
    const target = openTestCluster(cluster);
    const first = await openTestWriter(target.sink, topic);
    await first.write(numbered(0, 5), 5);
    await first.until(5);
    const transaction = await java.begin();
    await java.send(topic, [message('open')], { transaction });
    await first.write(numbered(5, 10), 5);
    await first.until(10);
    await first.writer.close(0);
    // What a look would see now.
    expect(await stored(target.sink, topic)).toEqual(['0+5']);
    let opened = false;
    const opening = openTestWriter(target.sink, topic).then((second) => {
      opened = true;
      return second;
    });
    await sleep(wrongMillis);
    expect(opened).toBe(false);
    await java.end(transaction, 'abort');
    const second = await opening;
    expect(await stored(target.sink, topic)).toEqual(['0+5', '5+5']);
    await second.writer.close(0);
    await target.close();
  });

  it('gives the lane back at once when its opening is called off while it waits', async () => {
    const topic = await newTopic();
    const target = openTestCluster(cluster);
    const transaction = await java.begin();
    await java.send(topic, [message('open')], { transaction });
    const called = new AbortController();
    const opening = openTestWriter(target.sink, topic, { signal: called.signal });
    opening.catch(() => undefined);
    await sleep(wrongMillis);
    called.abort();
    await expect(opening).rejects.toMatchObject({ code: 'CLOSED' });
    await java.end(transaction, 'abort');
    const began = performance.now();
    const second = await openTestWriter(target.sink, topic);
    expect(performance.now() - began).toBeLessThan(5_000);
    await second.writer.close(0);
    await target.close();
  });
});

describe('what the broker throws away before a lane has read it', () => {
  const budgetBytes = 64 * 1024;
  let readers: PulsarSourceUnderTest[] = [];

  afterEach(async () => {
    for (const each of readers) await each.close();
    readers = [];
  });

  /** As superuser; or over TLS, with the token of a role that may consume and nothing else. */
  async function reader(rights: 'all' | 'consume'): Promise<PulsarSourceUnderTest> {
    const { tls } = cluster;
    if (tls === undefined) throw new Error('the cluster has no TLS');
    await pulsarAdmin('POST', `${cluster.adminUrl}/admin/v2/namespaces/public/default/permissions/reader`, ['consume']);
    const access = {
      auth: { kind: 'token', token: bedToken('reader') },
      tls: { ca: readFileSync(bedCertificate, 'utf8') },
    } as const;
    const each =
      rights === 'all'
        ? pulsarSourceUnderTest(cluster, budgetBytes)
        : pulsarSourceUnderTest(tls, budgetBytes, systemClock, access);
    readers.push(each);
    return each;
  }

  /** A lane that has read a little, and has far more before it than it reads ahead. */
  async function behind(
    each: PulsarSourceUnderTest,
  ): Promise<{ topic: string; tail: PulsarTail; gate: PromiseWithResolvers<void> }> {
    const topic = await newTopic();
    const gate = Promise.withResolvers<void>();
    const tail = await each.tail(topic, { gate: gate.promise });
    await java.send(topic, kilobytes(0, 400));
    await tail.until(1);
    return { topic, tail, gate };
  }

  function kilobytes(from: number, count: number): PulsarMessage[] {
    return Array.from({ length: count }, (_, i) => ({ body: 'x'.repeat(1024), properties: { seq: String(from + i) } }));
  }

  async function backlog(topic: string, group: string): Promise<number> {
    const stats = await admin('GET', `${topic}-partition-0`, '/stats');
    const found = JSON.stringify(stats).match(new RegExp(`"${group}":.*?"msgBacklog":(\\d+)`));
    return Number(found?.[1]);
  }

  /** Everything was read or is told to be gone, in order, once. */
  function expectOneGap({ records, gaps }: PulsarTail, count: number, reason: string): void {
    const seqs = bodies(records).map(Number);
    const at = seqs.findIndex((seq, k) => seq !== k);
    expect(at).toBeGreaterThan(0);
    const [last, next] = [records[at - 1], records[at]];
    expect(seqs).toEqual([
      ...seqs.slice(0, at),
      ...Array.from({ length: count - (seqs[at] ?? 0) }, (_, k) => (seqs[at] ?? 0) + k),
    ]);
    expect(gaps).toEqual([`${formatPosition(under.source.next(place(last)))}-${next?.position} ${reason}`]);
  }

  it.each([
    ['all', 'expired'],
    // Policies are for administrators to read.
    ['consume', 'reset'],
  ] as const)('to keep a backlog quota is told as a gap, with rights to do %s', async (rights, reason) => {
    const each = await reader(rights);
    const { topic, tail, gate } = await behind(each);
    const quota = { limitSize: 100_000, limitTime: -1, policy: 'consumer_backlog_eviction' };
    await admin('POST', topic, '/backlogQuota?backlogQuotaType=destination_storage', quota);
    await expect.poll(async () => await backlog(topic, each.group), { timeout: 20_000 }).toBeLessThan(120);
    await java.send(topic, kilobytes(400, 3));
    gate.resolve();
    await expect.poll(() => bodies(tail.records).at(-1), { timeout: 20_000 }).toBe('402');
    expectOneGap(tail, 403, reason);
  });

  it('because it is older than the topic lets messages be, is told as a gap', async () => {
    const each = await reader('all');
    const { topic, tail, gate } = await behind(each);
    await sleep(1_500);
    await admin('POST', topic, '/messageTTL?messageTTL=1');
    await expect.poll(async () => await backlog(topic, each.group), { timeout: 90_000, interval: 200 }).toBe(0);
    await java.send(topic, kilobytes(400, 3));
    gate.resolve();
    await expect.poll(() => bodies(tail.records).at(-1), { timeout: 20_000 }).toBe('402');
    expectOneGap(tail, 403, 'expired');
  });
});

describe('a compacted topic', () => {
  it('is read as it was written, all of it', async () => {
    const topic = await newTopic();
    const written: PulsarMessage[] = [
      { key: 'a', ...message('a1') },
      { key: 'b', ...message('b1') },
      { key: 'a', ...message('a2') },
    ];
    await java.send(topic, written, { batch: true });
    await java.send(topic, [
      { key: 'b', properties: { seq: 'b gone' } },
      { key: 'a', ...message('a3') },
    ]);
    await admin('PUT', `${topic}-partition-0`, '/compaction');
    await expect
      .poll(async () => await admin('GET', `${topic}-partition-0`, '/compaction'), { timeout: 30_000, interval: 200 })
      .toMatchObject({ status: 'SUCCESS' });
    const tail = await under.tail(topic);
    await tail.until(5);
    expect(bodies(tail.records)).toEqual(['a1', 'b1', 'a2', 'b gone', 'a3']);
    expect(tail.records.map(({ nullValue }) => nullValue)).toEqual([false, false, false, true, false]);
    expect(tail.gaps).toEqual([]);
  });
});

describe('the time of the broker', () => {
  it('is when a message was stored, where the broker tells it', async () => {
    const topic = await newTopic();
    await java.send(topic, [message('a'), message('b')], { batch: true, compression: 'LZ4' });
    await java.send(topic, [message('c')]);
    const tail = await under.tail(topic);
    await tail.until(3);
    const rows = await java.read(topic);
    expect(rows.every(({ brokerTime }) => brokerTime > 0)).toBe(true);
    expect(tail.records.map(({ storeTime }) => storeTime)).toEqual(rows.map(({ brokerTime }) => brokerTime));
    expect(bodies(tail.records)).toEqual(['a', 'b', 'c']);
  });
});

describe('a token', () => {
  it('that the cluster does not take makes the lane wait, and say so', async () => {
    const topic = await newTopic();
    const wrong = { kind: 'token', token: `${bedToken('reader')}x` } as const;
    const outside = pulsarSourceUnderTest(cluster, undefined, systemClock, { auth: wrong });
    const tail = await outside.tail(topic);
    await expect.poll(() => tail.troubles, { timeout: 20_000 }).toContain('ACCESS_DENIED');
    await outside.close();
  });
});
