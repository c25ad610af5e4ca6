import { IsthmusError, toIsthmusError } from '../errors.ts';
import type { LinkSpec } from '../model/mirror-spec.ts';
import type { Clock } from '../spi/clock.ts';
import type { Cluster } from '../spi/cluster.ts';
import type { Log } from '../spi/log.ts';
import type { ClusterStatus, TopicListing } from './api.ts';
import { type Trouble, toTrouble } from './trouble.ts';

const CHECK_MILLIS = 10_000;

export interface ClustersDeps {
  readonly clusters: ReadonlyMap<string, { readonly cluster: Cluster; readonly region: string }>;
  readonly links: readonly LinkSpec[];
  readonly clock: Clock;
  readonly log: Log;
}

/** A link, and the clusters that it joins. */
export interface Ends {
  readonly link: LinkSpec;
  readonly source: Cluster;
  readonly target: Cluster;
}

/** The clusters of the configuration, the links that join them, and whether each answers. */
export class Clusters {
  readonly links: ReadonlyMap<string, LinkSpec>;
  readonly #deps: ClustersDeps;
  readonly #troubles = new Map<string, Trouble>();
  readonly #reached = new Set<string>();

  constructor(deps: ClustersDeps) {
    this.#deps = deps;
    this.links = new Map(deps.links.map((link) => [link.name, link]));
  }

  /** Throws NOT_FOUND. */
  get(name: string): Cluster {
    const entry = this.#deps.clusters.get(name);
    if (entry === undefined)
      throw new IsthmusError(
        'NOT_FOUND',
        `looking for the cluster ${name}: the configuration has no cluster of this name (it has: ${[...this.#deps.clusters.keys()].join(', ')})`,
      );
    return entry.cluster;
  }

  /** Throws NOT_FOUND. */
  link(name: string): LinkSpec {
    const link = this.links.get(name);
    if (link === undefined)
      throw new IsthmusError(
        'NOT_FOUND',
        `looking for the link ${name}: the configuration has no link of this name (it has: ${[...this.links.keys()].join(', ') || 'none'})`,
      );
    return link;
  }

  /** Throws NOT_FOUND. */
  ends(name: string): Ends {
    const link = this.link(name);
    return { link, source: this.get(link.from), target: this.get(link.to) };
  }

  statuses(): ClusterStatus[] {
    return [...this.#deps.clusters].map(([name, { cluster, region }]) => {
      const trouble = this.#troubles.get(name) ?? null;
      return { name, type: cluster.type, region, reachable: trouble === null && this.#reached.has(name), trouble };
    });
  }

  /** Rejects with NOT_FOUND, also when the cluster has no such topic. */
  async topic(name: string, topic: string): Promise<TopicListing> {
    const { admin } = this.get(name);
    const description = await admin.describeTopic(topic);
    if (description === undefined)
      throw new IsthmusError('NOT_FOUND', `looking for the topic ${topic}: ${name} has none of this name`);
    return { description, extents: await admin.extents(topic) };
  }

  /** Asks each cluster again and again whether it is there, until aborted. */
  async watch(signal: AbortSignal): Promise<void> {
    const { clusters, clock } = this.#deps;
    while (!signal.aborted) {
      await Promise.all([...clusters].map(([name, { cluster }]) => this.#lookAt(name, cluster)));
      await clock.sleep(CHECK_MILLIS, signal);
    }
  }

  async #lookAt(name: string, cluster: Cluster): Promise<void> {
    const { clock, log } = this.#deps;
    try {
      await cluster.admin.listTopics({ globs: [] });
      if (this.#troubles.delete(name)) log.info('cluster-back', { cluster: name });
      this.#reached.add(name);
    } catch (raw) {
      const error = toIsthmusError(raw);
      if (!this.#troubles.has(name)) log.warn('cluster-away', { cluster: name, code: error.code, detail: error.message });
      this.#troubles.set(name, toTrouble(error, this.#troubles.get(name)?.since ?? clock.now()));
    }
  }
}
