import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Cluster } from '../../../src/spi/cluster.ts';
import type { Sink } from '../../../src/spi/sink.ts';
import { type Brokers, pulsarEndpoints, startBrokers, testOffset } from '../../kit/brokers.ts';
import { eventually } from '../../kit/mirror-under-test.ts';
import { type LogLine, numbered, offsetsIn, openTestCluster, openTestWriter } from '../../kit/pulsar-writing.ts';
import { type TcpProxy, tcpProxy } from '../../kit/tcp-proxy.ts';

// A broker of its own: these tests kill it.
const target = pulsarEndpoints('pulsar-east', testOffset);
let brokers: Brokers;
let cluster: Cluster & { readonly sink: Sink };
let proxy: TcpProxy | undefined;
const opened: Cluster[] = [];

beforeAll(async () => {
  brokers = await startBrokers(['pulsar-east']);
  cluster = openTestCluster(target);
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

async function newTopic(namespace = 'public/default'): Promise<string> {
  const topic = `persistent://${namespace}/faults-${randomUUID()}`;
  // Nobody subscribes: what lies in a ledger that an unload has closed would be deleted while a slow test still runs.
  await cluster.admin.ensureTopic(topic, 1, { retentionMinutes: 60 });
  return topic;
}

function another(serviceUrl = target.serviceUrl, lines: LogLine[] = []): Cluster & { readonly sink: Sink } {
  const made = openTestCluster({ ...target, serviceUrl }, {}, lines);
  opened.push(made);
  return made;
}

/** A cluster that is reached through the proxy: the standalone broker has its clients come back through the service URL. */
async function behindProxy(lines: LogLine[] = []): Promise<Cluster & { readonly sink: Sink }> {
  proxy = await tcpProxy({ target: { host: '127.0.0.1', port: target.ports.service } });
  return another(`pulsar://127.0.0.1:${proxy.port}`, lines);
}

async function admin(method: string, path: string, body?: unknown): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${target.adminUrl}/admin/v2/${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
}

function partitionPath(topic: string): string {
  return `${topic.replace('://', '/')}-partition-0`;
}

/** What of the offsets `from` up to `end` is in the topic, by the marks of its entries. */
async function verdictOf(topic: string, from: number, end: number): Promise<Readonly<Record<string, unknown>>> {
  const seen = await offsetsIn(cluster.sink, topic);
  const offsets = Array.from({ length: end - from }, (_, i) => from + i);
  const found = [...seen.keys()];
  return {
    lost: offsets.filter((offset) => !seen.has(offset)).length,
    doubled: offsets.filter((offset) => (seen.get(offset) ?? 0) > 1).length,
    strangers: found.filter((offset) => offset < from || offset >= end).length,
    inOrder: found.every((offset, k) => k === 0 || offset > (found[k - 1] ?? offset)),
  };
}

const EXACT = { lost: 0, doubled: 0, strangers: 0, inOrder: true };

const COUNT = 40_000;

/** Writes while something happens again and again in between, and gives the writer's log. */
async function writeThrough(
  topic: string,
  sink: Sink,
  batching: 'mixed' | 'per-key',
  happens: (round: number) => Promise<void>,
): Promise<void> {
  const { write, until, writer, failures } = await openTestWriter(sink, topic, { batching });
  const rounds = 8;
  for (let round = 0; round < rounds; round++) {
    const writing = write(numbered((round * COUNT) / rounds, ((round + 1) * COUNT) / rounds), 97);
    await happens(round);
    await writing;
  }
  await until(COUNT);
  expect(failures).toEqual([]);
  await writer.close(0);
}

describe.each([
  { batching: 'mixed', wanted: EXACT },
  // Entries of different keys may hold offsets in any order.
  { batching: 'per-key', wanted: { lost: 0, doubled: 0, strangers: 0 } },
] as const)('a writer of $batching batches', ({ batching, wanted }) => {
  it('stores each record once and in order while the topic is unloaded again and again', async () => {
    const topic = await newTopic();
    await writeThrough(topic, cluster.sink, batching, async () => await admin('PUT', `${partitionPath(topic)}/unload`));
    expect(await verdictOf(topic, 0, COUNT)).toMatchObject(wanted);
  });

  it('stores each record once and in order while its connections are cut again and again', async () => {
    const topic = await newTopic();
    const lines: LogLine[] = [];
    const { sink } = await behindProxy(lines);
    await writeThrough(topic, sink, batching, async () => {
      await sleep(20);
      proxy?.cut();
    });
    expect(await verdictOf(topic, 0, COUNT)).toMatchObject(wanted);
    expect(lines.some((line) => line.event === 'writer-in-doubt')).toBe(true);
    expect(lines.filter((line) => line.event === 'stored-twice' || line.event === 'order-broken')).toEqual([]);
  });
});

describe('a broker that is killed and started again', () => {
  it('costs and doubles nothing', async () => {
    const topic = await newTopic();
    await writeThrough(topic, cluster.sink, 'mixed', async (round) => {
      if (round !== 3) return;
      await brokers.kill('pulsar-east');
      await brokers.start('pulsar-east');
    });
    expect(await verdictOf(topic, 0, COUNT)).toEqual(EXACT);
  });
});

describe('two writers of one lane', () => {
  it('never write at the same time: the second waits until the first is closed', async () => {
    const topic = await newTopic();
    const first = await openTestWriter(cluster.sink, topic);
    const troubles: string[] = [];
    const second = openTestWriter(another().sink, topic, { onTrouble: (error) => void troubles.push(error?.message ?? '') });
    await eventually('the second is refused', async () => troubles.some((trouble) => trouble.includes('ProducerBusy')));
    await first.write(numbered(0, 100));
    await first.until(100);
    await first.writer.close(0);
    const { write, until } = await second;
    await write(numbered(100, 200));
    await until(100);
    expect(await verdictOf(topic, 0, 200)).toEqual(EXACT);
  });

  it('end with the first giving up when it comes back after the second has written', async () => {
    const topic = await newTopic();
    const { sink } = await behindProxy();
    const first = await openTestWriter(sink, topic);
    await first.write(numbered(0, 100));
    await first.until(100);
    proxy?.shut(true);
    proxy?.cut();
    // What the first still has to send is a part of what the second writes in other batches.
    await first.write(numbered(100, 200), 30);
    const second = await openTestWriter(another().sink, topic);
    await second.write(numbered(100, 300), 50);
    await second.until(200);
    await second.writer.close(0);
    proxy?.shut(false);
    await eventually('the first has given up', async () => first.failures.length > 0);
    expect(first.failures[0]).toMatchObject({ code: 'OTHER_WRITER' });
    await expect(first.writer.ready()).rejects.toMatchObject({ code: 'OTHER_WRITER' });
    expect(await verdictOf(topic, 0, 300)).toEqual(EXACT);
  });

  it('can follow each other at once, for closing gives the name back', async () => {
    const topic = await newTopic();
    for (let k = 0; k < 3; k++) {
      const { write, until, writer, troubles } = await openTestWriter(cluster.sink, topic);
      await write(numbered(k * 10, k * 10 + 10));
      await until(10);
      await writer.close(0);
      // A broker may have troubles of its own; a name that is still taken would be ours.
      expect(troubles.filter((each) => /ProducerBusy|another process/.test(each))).toEqual([]);
    }
    expect(await verdictOf(topic, 0, 30)).toEqual(EXACT);
  });
});

describe('a broker that deduplicates', () => {
  it('takes offsets that went back for copies, and still gets them stored, once', async () => {
    const namespace = `public/dedup-${randomUUID()}`;
    await admin('PUT', `namespaces/${namespace}`, {});
    await admin('POST', `namespaces/${namespace}/deduplication`, true);
    const topic = await newTopic(namespace);
    const first = await openTestWriter(cluster.sink, topic);
    await first.write(numbered(1000, 1100));
    await first.until(100);
    await first.writer.close(0);
    const lines: LogLine[] = [];
    const second = await openTestWriter(another(target.serviceUrl, lines).sink, topic);
    await second.write(numbered(0, 100), 10);
    await second.until(100);
    expect(lines.find((line) => line.event === 'writer-in-doubt')?.fields['error']).toContain('duplicate');
    await second.writer.close(0);
    const seen = await offsetsIn(cluster.sink, topic);
    expect(seen.size).toBe(200);
    expect([...seen.values()].every((count) => count === 1)).toBe(true);
  });
});

describe('a topic that takes nothing', () => {
  it('ends the writer when it is terminated', async () => {
    const topic = await newTopic();
    const { write, failures } = await openTestWriter(cluster.sink, topic);
    await admin('POST', `${partitionPath(topic)}/terminate`);
    // Rejects where the writer has failed by then: the broker ends its producer.
    await Promise.allSettled([write(numbered(0, 10))]);
    await eventually('the writer has failed', async () => failures.length > 0);
    expect(failures[0]).toMatchObject({ code: 'TOPIC_TERMINATED', retryable: false });
  });

  it('is reported when it does not exist, and is not created by the attempt', async () => {
    const topic = `persistent://public/default/absent-${randomUUID()}`;
    await expect(openTestWriter(cluster.sink, topic)).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND' });
    expect(await cluster.admin.describeTopic(topic)).toBeUndefined();
  });

  it('is reported when it has too few partitions', async () => {
    const topic = await newTopic();
    await expect(openTestWriter(cluster.sink, topic, { partition: 3 })).rejects.toMatchObject({ code: 'TOPIC_MISMATCH' });
  });

  it('is waited for while no broker answers, until the opening is called off', async () => {
    const { sink } = another('pulsar://127.0.0.1:1');
    const opening = new AbortController();
    const troubles: string[] = [];
    const writer = openTestWriter(sink, 'persistent://public/default/x', {
      signal: opening.signal,
      onTrouble: (error) => void troubles.push(error?.message ?? ''),
    });
    await eventually('it says what is wrong', async () => troubles.length > 1);
    opening.abort();
    await expect(writer).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

describe('looking at a partition', () => {
  it('gives the marks after a place, the newest ones, and says whether that was all', async () => {
    const topic = await newTopic();
    const { write, until, stored, writer } = await openTestWriter(cluster.sink, topic);
    await write(numbered(0, 100), 10);
    await until(100);
    // Closes the ledger, so that the entries lie in two.
    await admin('PUT', `${partitionPath(topic)}/unload`);
    await eventually('the writer is back', async () => {
      await write(numbered(100, 200), 10);
      return true;
    });
    await until(200);
    await writer.close(0);
    const firsts = async (...args: [Parameters<Sink['scan']>[2], number]) => {
      const found: number[] = [];
      const report = await cluster.sink.scan(topic, 0, ...args, (mark) => found.push(mark.provenance.runs[0]?.first.major ?? -1));
      return { found, ...report };
    };
    const tens = (from: number, end: number): number[] => Array.from({ length: (end - from) / 10 }, (_, i) => from + i * 10);
    expect(await firsts(undefined, 1000)).toEqual({ found: tens(0, 200), entries: 20, fromBeginning: true });
    // Markers are entries as well, so a look at the newest entries may hold fewer marks.
    const newest = await firsts(undefined, 15);
    expect(newest.fromBeginning).toBe(false);
    expect(newest.found.at(-1)).toBe(190);
    expect(newest.found.length).toBeGreaterThanOrEqual(12);
    expect((await firsts(stored[4]?.target, 1)).found).toEqual(tens(50, 200));
    expect((await firsts(stored.at(-1)?.target, 1)).found).toEqual([]);
    expect(await cluster.sink.tail(topic, 0)).toMatchObject({
      major: stored.at(-1)?.target.major,
      minor: stored.at(-1)?.target.minor,
    });
  });

  it('of an empty topic gives nothing', async () => {
    const topic = await newTopic();
    expect(await cluster.sink.tail(topic, 0)).toBeUndefined();
    expect(await cluster.sink.scan(topic, 0, undefined, 10, () => undefined)).toEqual({ entries: 0, fromBeginning: true });
    const { writer } = await openTestWriter(cluster.sink, topic);
    // The marker of an opened writer is no message.
    expect(await cluster.sink.tail(topic, 0)).toBeUndefined();
    expect(await cluster.sink.scan(topic, 0, undefined, 10, () => undefined)).toMatchObject({ entries: 0 });
    await writer.close(0);
  });
});
