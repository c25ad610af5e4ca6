import type { SessionCredentials, SimpleConsumer } from 'rocketmq-client-nodejs';
import { IsthmusError } from '../../../errors.ts';
import { within } from '../../../lib/abort.ts';
import type { Clock } from '../../../spi/clock.ts';
import type { Log } from '../../../spi/log.ts';
import type { RocketmqDeps } from '../options.ts';
import type { RoutingProducer } from './official.ts';

/** How to reach a RocketMQ cluster through its gRPC proxy. */
export interface GrpcOptions {
  /** `host:port` of each proxy. */
  readonly endpoints: readonly string[];
  /** The namespace that topics and groups belong to; empty for none. */
  readonly namespace: string;
  readonly auth: { readonly accessKey: string; readonly secretKey: string } | undefined;
  readonly tls: boolean;
}

/** The queues of a topic as a proxy tells of them. */
export interface GrpcRoute {
  readonly queues: number;
  /** Whether the topic takes messages with a message group, which is what keeps order behind a proxy. */
  readonly fifo: boolean;
}

const PROBE_TOPIC = 'isthmus-check';
const REQUEST_TIMEOUT_MILLIS = 5_000;
const START_MILLIS = 10_000;
/** A proxy refuses a shorter wait (`grpcClientConsumerMinLongPollingTimeoutMillis`). */
const LONG_POLL_MILLIS = 5_000;
/** `MessageType.FIFO` of the protocol (definition.proto). */
const FIFO = 2;

/** Only where a cluster is reached through a proxy: the client and what it needs are a third of all modules, and of the CPU of a start. */
const loadOfficial = () => import('./official.ts');

/** Makes the official clients, which would otherwise write their log into the home directory. */
export class GrpcClients {
  readonly #options: GrpcOptions;
  readonly #log: Log;
  readonly #clock: Clock;
  /** What a client has logged last: it keeps the proxy's answer to itself otherwise. */
  #lastWords = 'no answer in time';
  #producer: Promise<RoutingProducer> | undefined;
  readonly #consumers = new Set<SimpleConsumer>();

  constructor(options: GrpcOptions, { log, clock }: Pick<RocketmqDeps, 'log' | 'clock'>) {
    this.#options = options;
    this.#log = log;
    this.#clock = clock;
  }

  /** The producer of this process, started at its first use. */
  async producer(): Promise<RoutingProducer> {
    this.#producer ??= this.#startProducer();
    try {
      return await this.#producer;
    } catch (error) {
      this.#producer = undefined;
      throw unreachable('connecting to the proxy', error);
    }
  }

  /** `undefined` when there is no such topic. */
  async route(topic: string): Promise<GrpcRoute | undefined> {
    const producer = await this.producer();
    try {
      const { messageQueues } = await producer.route(topic);
      const fifo = messageQueues.some((queue) => queue.acceptMessageTypesList.some((type) => Number(type) === FIFO));
      return messageQueues.length === 0 ? undefined : { queues: messageQueues.length, fifo };
    } catch (error) {
      if (error instanceof Error && error.name === 'NotFoundException') return undefined;
      throw unreachable(`asking the proxy for the topic ${topic}`, error);
    }
  }

  /** Rejects when no proxy answers, which starting a producer does not show. What it answers about a topic that nobody has does not matter. */
  async reach(): Promise<void> {
    try {
      await this.route(PROBE_TOPIC);
    } catch (error) {
      if (!(error instanceof IsthmusError) || error.code !== 'ACCESS_DENIED') throw error;
    }
  }

  /** A started consumer of one topic. */
  async consumer(topic: string, group: string): Promise<SimpleConsumer> {
    const official = await loadOfficial();
    const consumer = new official.SimpleConsumer({
      ...this.#base(),
      consumerGroup: group,
      subscriptions: new Map([[topic, '*']]),
      awaitDuration: LONG_POLL_MILLIS,
    });
    this.#consumers.add(consumer);
    try {
      // Where the group does not exist the client waits for ever, and says why only in its log.
      if (!(await within(consumer.startup(), this.#clock, START_MILLIS))) throw new Error(this.#lastWords);
      return consumer;
    } catch (error) {
      await this.end(consumer);
      const doing = `consuming ${topic} through the proxy as the group ${group}`;
      if (!/group not found/i.test(this.#lastWords)) throw unreachable(doing, error);
      throw new IsthmusError(
        'CONNECT_FAILED',
        `${doing}: the group does not exist, and a proxy makes none; create it (mqadmin updateSubGroup -g ${group})`,
      );
    }
  }

  async end(consumer: SimpleConsumer): Promise<void> {
    if (!this.#consumers.delete(consumer)) return;
    await consumer.shutdown();
  }

  async close(): Promise<void> {
    const producer = await this.#producer?.catch(() => undefined);
    await Promise.allSettled([...[...this.#consumers].map((consumer) => this.end(consumer)), producer?.shutdown()]);
  }

  async #startProducer(): Promise<RoutingProducer> {
    // One try per call: whoever asked decides what an unknown outcome means, and a second try behind the scenes would be a second copy.
    const official = await loadOfficial();
    const producer = new official.RoutingProducer({ ...this.#base(), maxAttempts: 1 });
    await producer.startup();
    return producer;
  }

  #base(): {
    endpoints: string;
    namespace: string;
    sslEnabled: boolean;
    requestTimeout: number;
    sessionCredentials?: SessionCredentials;
    logger: { info(): void; warn(...parts: unknown[]): void; error(...parts: unknown[]): void };
  } {
    const { endpoints, namespace, auth, tls } = this.#options;
    const log = this.#log;
    const hear = (parts: readonly unknown[]): string => {
      this.#lastWords = describe(parts);
      return this.#lastWords;
    };
    return {
      endpoints: endpoints.join(';'),
      namespace,
      sslEnabled: tls,
      requestTimeout: REQUEST_TIMEOUT_MILLIS,
      ...(auth === undefined ? {} : { sessionCredentials: { accessKey: auth.accessKey, accessSecret: auth.secretKey } }),
      logger: {
        info: () => undefined,
        warn: (...parts) => log.debug('grpc-client', { detail: hear(parts) }),
        error: (...parts) => log.debug('grpc-client', { detail: hear(parts) }),
      },
    };
  }
}

/** The client's errors, told as ours. What it throws for a refusal carries the proxy's own words. */
export function unreachable(doing: string, error: unknown): IsthmusError {
  if (error instanceof IsthmusError) return error;
  const detail = error instanceof Error ? error.message : String(error);
  const isRefusal = error instanceof Error && /^(Forbidden|Unauthorized|BadRequest|PaymentRequired)Exception$/.test(error.name);
  return new IsthmusError(isRefusal ? 'ACCESS_DENIED' : 'CONNECT_FAILED', `${doing}: ${detail}`, { cause: error });
}

/** Its messages are format strings with their values behind them; they name topics and ids, never bodies. */
function describe(parts: readonly unknown[]): string {
  return parts
    .map((part) => (part instanceof Error ? part.message : String(part)))
    .join(' ')
    .slice(0, 500);
}
