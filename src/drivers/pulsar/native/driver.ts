import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import type { LaneId } from '../../../model/lane.ts';
import { advancePosition } from '../../../model/position.ts';
import type { Capabilities } from '../../../spi/capabilities.ts';
import type { CheckItem, CheckTopics, Cluster } from '../../../spi/cluster.ts';
import type { Source } from '../../../spi/source.ts';
import { PulsarAdmin } from '../admin/admin.ts';
import { Rest } from '../admin/rest.ts';
import { partitionsOf, topicPath } from '../admin/topics.ts';
import { credentialsOf } from '../net/credentials.ts';
import { parseServiceUrl } from '../net/service-url.ts';
import type { PulsarDeps, PulsarOptions } from '../options.ts';
import { laneTopic } from '../source/places.ts';
import { committedPlace, placeBack, startPlace } from '../source/start.ts';
import { partitionName, topicNameProblem } from '../topic-name.ts';
import { NativeClients } from './client.ts';
import { NativeLaneReader } from './lane-reader.ts';
import { look } from './look.ts';
import { type LoadModule, loadFromNpm } from './module.ts';
import { NativeSink } from './sink.ts';

const CAPABILITIES: Capabilities = {
  listsTopics: true,
  createsTopics: true,
  exactPositions: true,
  readsWithoutGroup: false,
  choosesPartition: true,
  stores: 'once-if-deduplicated',
};

/**
 * Opens a Pulsar cluster through the official client, which is loaded at the first use, for where only that is allowed. It hides entries: their marks, their bytes, their schemas.
 * Topics and places come from the admin REST as with the wire driver. Nothing is connected before the first use.
 */
export function openPulsarNative(
  name: string,
  options: PulsarOptions,
  deps: PulsarDeps,
  load: LoadModule = loadFromNpm,
): Cluster {
  parseServiceUrl(options.serviceUrl);
  const clients = new NativeClients(options, deps, load);
  const { adminUrl, tls, auth } = options;
  const rest = new Rest({ adminUrl, tls, credentials: credentialsOf(auth) }, deps.clock);
  const sink = new NativeSink(clients, rest, deps);
  return {
    name,
    type: 'pulsar',
    capabilities: CAPABILITIES,
    admin: new PulsarAdmin(rest, (topics) => check(topics, clients, rest, deps), deps),
    source: nativeSource(clients, rest, deps),
    sink,
    async close() {
      await sink.close();
      await clients.close();
      rest.close();
    },
  };
}

function nativeSource(clients: NativeClients, rest: Rest, deps: PulsarDeps): Source {
  const partitions = async (topic: string): Promise<number> => {
    const found = await partitionsOf(rest, topic);
    if (found === undefined) throw new IsthmusError('TOPIC_NOT_FOUND', `reading ${topic}: it does not exist`);
    return found;
  };
  const partitionOf = ({ topic, lane }: LaneId): Promise<string> => laneTopic({ partitions }, topic, lane);
  return {
    passesWhole: false,
    async openLane(lane, from, reading) {
      // A consumer of this client always has a place in a subscription.
      if (reading.onlook === true)
        throw new IsthmusError('CONFLICT', `looking at ${lane.topic}: driver: native cannot read without a subscription`);
      return new NativeLaneReader(lane, from, reading, { clients, rest, deps, partition: await partitionOf(lane) });
    },
    committed: async (lane, group) => await committedPlace(rest, await partitionOf(lane), group),
    resolveStart: async (lane, start) => await startPlace(rest, await partitionOf(lane), start),
    back: async (lane, place, count) => await placeBack(rest, await partitionOf(lane), place, count),
    next: (position) => advancePosition(position, 1),
  };
}

async function check({ reads, writes }: CheckTopics, clients: NativeClients, rest: Rest, deps: PulsarDeps): Promise<CheckItem[]> {
  const items: CheckItem[] = [
    {
      what: 'driver native',
      ok: true,
      note: 'warning',
      detail:
        'it sees no marks of entries: what another process has written here with driver: wire counts as local to this cluster and may be mirrored back. Use driver: native for all that write here, or wire',
    },
    await attempt('official client', async () => {
      await clients.get();
      return 'the package pulsar-client is loaded';
    }),
    await attempt('admin URL', async () => {
      const answer = await rest.send('GET', '/brokers/version');
      rest.expectSuccess(answer, 'asking for the version');
      return `Pulsar ${answer.body.trim()}`;
    }),
  ];
  if (items.some((item) => !item.ok)) return items;
  for (const topic of reads) items.push(await checkSource(topic, clients, rest, deps));
  for (const topic of writes) items.push(...(await checkTarget(topic, rest)));
  return items;
}

function checkSource(topic: string, clients: NativeClients, rest: Rest, deps: PulsarDeps): Promise<CheckItem> {
  return attempt(`topic ${topic}`, async () => {
    const partitions = await partitionsOf(rest, topic);
    if (partitions === undefined) return 'does not exist yet; it is waited for';
    await look(clients, { topic: partitionName(topic, 0, partitions), after: undefined, visit: () => false }, deps.clock);
    return `${Math.max(1, partitions)} lanes; reading is permitted`;
  });
}

async function checkTarget(topic: string, rest: Rest): Promise<CheckItem[]> {
  const problem = topicNameProblem(topic);
  if (problem !== undefined) return [{ what: `topic ${topic}`, ok: false, detail: problem }];
  let partitions: number | undefined;
  const exists = await attempt(`topic ${topic}`, async () => {
    partitions = await partitionsOf(rest, topic);
    return partitions === undefined ? 'does not exist yet; it will be created' : `${Math.max(1, partitions)} lanes`;
  });
  if (!exists.ok || partitions === undefined) return [exists];
  // Reading it takes more rights than mirroring does; then nobody can tell.
  const applied = await rest.get(`${topicPath(topic)}/deduplicationEnabled?applied=true`).catch(() => undefined);
  if (applied === true) return [exists, { what: `deduplication of ${topic}`, ok: true, detail: 'enabled' }];
  const detail =
    'not known to be enabled: after a lost connection the official client sends again what it has no answer for, so records may be there twice; enable it, or use driver: wire';
  return [exists, { what: `deduplication of ${topic}`, ok: true, note: 'warning', detail }];
}

async function attempt(what: string, work: () => Promise<string>): Promise<CheckItem> {
  try {
    return { what, ok: true, detail: await work() };
  } catch (error) {
    return { what, ok: false, detail: toIsthmusError(error).message };
  }
}
