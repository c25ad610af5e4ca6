/** Two real Pulsar clusters, and lanes of the first one that are written into the second. */
import { randomUUID } from 'node:crypto';
import { BEFORE_ALL } from '../../src/model/position.ts';
import { formatRuns, readPlace } from '../../src/model/provenance.ts';
import type { Cluster } from '../../src/spi/cluster.ts';
import type { Sink, WriterOptions } from '../../src/spi/sink.ts';
import { pulsarEndpoints, startBrokers, testOffset } from './brokers.ts';
import { startEyes } from './eyes.ts';
import { type EntrySource, entrySource, passAll } from './pulsar-entries.ts';
import type { PulsarEyes, PulsarRow } from './pulsar-eyes.ts';
import { openTestCluster, openTestWriter, type TestWriter } from './pulsar-writing.ts';

type Endpoints = ReturnType<typeof pulsarEndpoints>;

export type PulsarPair = {
  readonly source: Endpoints;
  readonly target: Endpoints;
  readonly east: PulsarEyes;
  readonly west: PulsarEyes;
  readonly entries: EntrySource;
  /** The second cluster, to be written. */
  readonly cluster: Cluster & { readonly sink: Sink };
  /** A topic of one partition on both. */
  readonly newTopic: (namespace?: string) => Promise<string>;
  readonly openWriter: (topic: string, options?: Partial<WriterOptions>, sink?: Sink) => Promise<TestWriter>;
  /** Passes all entries of the topic's partition on; gives what consumers see on both sides. */
  readonly pass: (topic: string, options?: Partial<WriterOptions>) => Promise<{ before: PulsarRow[]; after: PulsarRow[] }>;
  /** The lane's source positions in the target, in order, by the marks. */
  readonly storedPlaces: (topic: string) => Promise<string[]>;
  readonly close: () => Promise<void>;
};

export async function pulsarPair(): Promise<PulsarPair> {
  const source = pulsarEndpoints('pulsar-east', testOffset);
  const target = pulsarEndpoints('pulsar-west', testOffset);
  const brokers = await startBrokers(['pulsar-east', 'pulsar-west']);
  const eyes = await startEyes();
  const east = eyes.pulsar(source);
  const west = eyes.pulsar(target);
  const entries = entrySource(source.serviceUrl);
  const cluster = openTestCluster(target);
  const openWriter: PulsarPair['openWriter'] = async (topic, options = {}, sink = cluster.sink) =>
    await openTestWriter(sink, topic, { sourceCluster: 'pulsar-east', lane: { topic, lane: '0' }, ...options });
  return {
    source,
    target,
    east,
    west,
    entries,
    cluster,
    openWriter,
    newTopic: async (namespace = 'public/default') => {
      const topic = `persistent://${namespace}/passing-${randomUUID()}`;
      await east.createTopic(topic, 1);
      // Nobody subscribes: what lies in a ledger that an unload has closed would be deleted while a slow test still runs.
      await cluster.admin.ensureTopic(topic, 1, { retentionMinutes: 60 });
      return topic;
    },
    pass: async (topic, options = {}) => {
      const stored = await entries.read(`${topic}-partition-0`);
      const { writer, until } = await openWriter(topic, options);
      await passAll(writer, stored);
      await until(stored.reduce((sum, { messages }) => sum + messages, 0));
      await writer.close(0);
      return { before: [...(await east.read(topic))], after: [...(await west.read(topic))] };
    },
    storedPlaces: async (topic) => {
      const places: string[] = [];
      await cluster.sink.scan(topic, 0, BEFORE_ALL, Number.POSITIVE_INFINITY, ({ provenance }) => {
        places.push(formatRuns(readPlace(provenance).runs));
      });
      return places;
    },
    close: async () => {
      entries.close();
      await cluster.close();
      await eyes.close();
      await brokers.stop();
    },
  };
}

/** Asks the admin REST, by a full URL. */
export async function pulsarAdmin(method: string, url: string, body?: unknown): Promise<unknown> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(url, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}

/** How many consumers of the eyes a partition has now: one that joins after messages have come has some of them sent a second time. */
export async function consumersOf(adminUrl: string, partition: string): Promise<number> {
  const stats = await pulsarAdmin('GET', `${adminUrl}/admin/v2/persistent/${restPath(partition)}/stats`);
  return JSON.stringify(stats).match(/"eyes-\d+"/g)?.length ?? 0;
}

/** `tenant/namespace/name` of a full topic name, as paths of the admin REST have it. */
export function restPath(topic: string): string {
  return topic.replace('persistent://', '');
}
