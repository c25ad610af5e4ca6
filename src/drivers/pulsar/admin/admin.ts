import { toIsthmusError } from '../../../errors.ts';
import type { LaneInfo, TopicDescription } from '../../../model/lane.ts';
import type { CheckItem, CheckTopics, ClusterAdmin, ListOptions, MadeTopic, NewTopicOptions } from '../../../spi/cluster.ts';
import type { LaneExtent } from '../../../spi/source.ts';
import type { PulsarDeps } from '../options.ts';
import { fullTopicName, isPartitionName } from '../topic-name.ts';
import { texts } from './json.ts';
import type { Rest } from './rest.ts';
import { ensureTopic, extentOf, ledgersOf, partitionsOf, retentionMinutesOf } from './topics.ts';

/** Retry and dead-letter topics, as Pulsar's own clients name them. */
const CLIENT_TOPIC = /-(RETRY|DLQ)$/;
const NAMED_NAMESPACE = /^persistent:\/\/([^/*?]+\/[^/*?]+)\//;
const SYSTEM_TENANT = 'pulsar';

export class PulsarAdmin implements ClusterAdmin {
  readonly #rest: Rest;
  readonly #check: ClusterAdmin['check'];
  readonly #deps: PulsarDeps;

  constructor(rest: Rest, check: ClusterAdmin['check'], deps: PulsarDeps) {
    this.#rest = rest;
    this.#check = check;
    this.#deps = deps;
  }

  check(topics: CheckTopics): Promise<CheckItem[]> {
    return this.#check(topics);
  }

  async listTopics({ retryTopics = false, globs }: ListOptions = {}): Promise<string[]> {
    // Everybody may ask for this.
    if (globs?.length === 0) await this.#rest.get('/clusters');
    const found = new Set<string>();
    for (const namespace of namespacesIn(globs) ?? (await this.#allNamespaces())) {
      for (const topic of await this.#topicsOf(namespace)) if (retryTopics || !CLIENT_TOPIC.test(topic)) found.add(topic);
    }
    return [...found].sort();
  }

  async describeTopic(topic: string): Promise<TopicDescription | undefined> {
    const partitions = await partitionsOf(this.#rest, topic);
    if (partitions === undefined) return undefined;
    const settings = { partitions: String(partitions), ...(await this.#retentionOf(topic)) };
    return { topic: fullTopicName(topic), lanes: lanesOf(partitions), settings };
  }

  /** Topics are known to the metadata store, whichever brokers are there. */
  async isDeleted(topic: string): Promise<boolean> {
    return (await partitionsOf(this.#rest, topic)) === undefined;
  }

  /** Nothing where it is not for us to read: it is only told to people. */
  async #retentionOf(topic: string): Promise<Readonly<Record<string, string>>> {
    try {
      return { retentionMinutes: String(await retentionMinutesOf(this.#rest, topic)) };
    } catch (caught) {
      const error = toIsthmusError(caught);
      if (error.code === 'ACCESS_DENIED') return {};
      throw error;
    }
  }

  async extents(topic: string): Promise<ReadonlyMap<string, LaneExtent>> {
    const partitions = await partitionsOf(this.#rest, topic);
    const extents = new Map<string, LaneExtent>();
    if (partitions === undefined) return extents;
    for (let partition = 0; partition < Math.max(1, partitions); partition++) {
      const ledgers = await ledgersOf(this.#rest, topic, partitions === 0 ? undefined : partition);
      extents.set(String(partition), extentOf(ledgers));
    }
    return extents;
  }

  async ensureTopic(topic: string, partitions: number, { retentionMinutes, like }: NewTopicOptions = {}): Promise<MadeTopic> {
    const wanted = partitions <= 1 && like?.['partitions'] === '0' ? 0 : partitions;
    const { present, created } = await ensureTopic(this.#rest, this.#deps.log, topic, wanted, retentionMinutes);
    return { topic, lanes: lanesOf(present), settings: {}, created };
  }

  /** For superusers only. */
  async #allNamespaces(): Promise<string[]> {
    const found: string[] = [];
    for (const tenant of texts(await this.#rest.get('/tenants'))) {
      if (tenant === SYSTEM_TENANT) continue;
      found.push(...texts(await this.#rest.get(`/namespaces/${encodeURIComponent(tenant)}`)));
    }
    return found;
  }

  async #topicsOf(namespace: string): Promise<string[]> {
    const path = `/persistent/${namespace.split('/').map(encodeURIComponent).join('/')}`;
    const [single, partitioned] = await Promise.all([this.#rest.get(path), this.#rest.get(`${path}/partitioned`)]);
    return [...texts(single).filter((topic) => !isPartitionName(topic)), ...texts(partitioned)].filter(isApplicationTopic);
  }
}

/** The namespaces that globs speak of, `undefined` when one of them leaves its tenant or namespace open. */
function namespacesIn(globs: readonly string[] | undefined): readonly string[] | undefined {
  if (globs === undefined) return undefined;
  const found = new Set<string>();
  for (const glob of globs) {
    const namespace = NAMED_NAMESPACE.exec(glob)?.[1];
    if (namespace === undefined) return undefined;
    found.add(namespace);
  }
  return [...found];
}

/** A topic without partitions (0) has one lane. */
function lanesOf(partitions: number): LaneInfo[] {
  return Array.from({ length: Math.max(1, partitions) }, (_, i) => ({ lane: String(i), readable: true, writable: true }));
}

function isApplicationTopic(topic: string): boolean {
  const local = topic.slice(topic.lastIndexOf('/') + 1);
  return !local.startsWith('__');
}
