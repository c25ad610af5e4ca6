import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import type { TlsOptions } from '../../../wire/connection.ts';
import { encodeLookup, type Lookup, type LookupResponse } from '../wire/lookup.ts';
import { encodePartitionedMetadata } from '../wire/partitioned-metadata.ts';
import { serverError } from '../wire/server-error.ts';
import { type BrokerAddress, BrokerConnection, type BrokerConnectionDeps } from './broker-connection.ts';
import { parseServiceUrl, type ServiceUrl } from './service-url.ts';

/** As in the Java client. */
const MAX_REDIRECTS = 20;

export interface BrokerPoolOptions {
  readonly serviceUrl: string;
  readonly tls: TlsOptions | undefined;
  readonly listenerName: string | undefined;
}

/** One connection per broker of a cluster, and the way from a topic to its broker. */
export class BrokerPool {
  readonly #service: ServiceUrl;
  readonly #options: BrokerPoolOptions;
  readonly #deps: BrokerConnectionDeps;
  readonly #connections = new Map<string, Promise<BrokerConnection>>();
  #nextService = 0;
  #closed = false;

  constructor(options: BrokerPoolOptions, deps: BrokerConnectionDeps) {
    this.#service = parseServiceUrl(options.serviceUrl);
    this.#options = options;
    this.#deps = deps;
  }

  /** A connection to one of the service hosts: the one that worked last, else the next that does. */
  async service(): Promise<BrokerConnection> {
    const { endpoints } = this.#service;
    let failure: unknown;
    for (let tries = 0; tries < endpoints.length; tries++) {
      const endpoint = endpoints[this.#nextService % endpoints.length];
      if (endpoint === undefined) break;
      try {
        return await this.#connect({ ...endpoint, tls: this.#tls(), proxyToBroker: undefined });
      } catch (error) {
        failure = error;
        this.#nextService++;
      }
    }
    throw toIsthmusError(failure);
  }

  /**
   * The connection to the broker that serves `topic` (a partition or an unpartitioned topic). Looking up is not a courtesy: until
   * somebody does, no broker serves the topic's bundle and PRODUCER answers ServiceNotReady. It never proves that the topic exists.
   */
  async locate(topic: string): Promise<BrokerConnection> {
    const doing = `looking up ${topic}`;
    let via = await this.service();
    let authoritative = false;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const lookup: Lookup = { topic, authoritative, listenerName: this.#options.listenerName };
      const answer: LookupResponse = await via.request('lookupResponse', doing, (id) => encodeLookup(id, lookup));
      if (answer.kind === 'failed') throw serverError(answer.error, answer.message, doing);
      const broker = this.#service.tls ? answer.urlTls : answer.url;
      const next = await this.#broker(broker, answer.proxied, doing);
      if (answer.kind === 'connect') return next;
      authoritative = answer.authoritative;
      via = next;
    }
    throw new IsthmusError('BROKER_BUSY', `${doing}: more than ${MAX_REDIRECTS} redirects`);
  }

  /** How many partitions a topic has, 0 when it is not partitioned. Rejects with TOPIC_NOT_FOUND. Creates nothing. */
  async partitions(topic: string): Promise<number> {
    const doing = `asking for the partitions of ${topic}`;
    const service = await this.service();
    const answer = await service.request('partitionedMetadataResponse', doing, (id) => encodePartitionedMetadata(id, topic));
    if (answer.failed) throw serverError(answer.error, answer.message, doing);
    return answer.partitions;
  }

  /** Ends all connections; those that are just being made end as soon as they are there, nobody waits for them. */
  close(): void {
    this.#closed = true;
    for (const opening of this.#connections.values()) {
      opening.then(
        (connection) => connection.destroy(),
        () => undefined,
      );
    }
  }

  async #broker(url: string, proxied: boolean, doing: string): Promise<BrokerConnection> {
    const { endpoints, tls } = parseServiceUrl(url);
    const endpoint = endpoints[0];
    if (endpoint === undefined || tls !== this.#service.tls) {
      throw new IsthmusError('PROTOCOL_VIOLATION', `${doing}: the broker's address is "${url}"`);
    }
    if (!proxied) return this.#connect({ ...endpoint, tls: this.#tls(), proxyToBroker: undefined });
    // A proxy carries one broker per connection, and learns at CONNECT which one.
    const { host, port } = (await this.service()).endpoint;
    return this.#connect({ host, port, tls: this.#tls(), proxyToBroker: new URL(url).host });
  }

  #tls(): TlsOptions | undefined {
    return this.#service.tls ? (this.#options.tls ?? {}) : undefined;
  }

  #connect(address: BrokerAddress): Promise<BrokerConnection> {
    if (this.#closed) return Promise.reject(new IsthmusError('CLOSED', 'connecting to a broker: the cluster was closed'));
    const key = `${address.host}:${address.port}/${address.proxyToBroker ?? ''}`;
    const known = this.#connections.get(key);
    if (known !== undefined) return known;
    const forget = (): void => {
      if (this.#connections.get(key) === opening) this.#connections.delete(key);
    };
    const opening = BrokerConnection.open(address, this.#deps, forget);
    this.#connections.set(key, opening);
    opening.catch(forget);
    return opening;
  }
}
