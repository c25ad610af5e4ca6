import { IsthmusError } from '../../errors.ts';
import type { Clock } from '../../spi/clock.ts';
import type { Network } from './network.ts';
import { accepted } from './refusal.ts';
import { type BrokerRoute, getRoute, readRoute, type TopicRoute } from './wire/get-route.ts';

const REFRESH_MILLIS = 30_000;
const FORGET_MILLIS = 600_000;

/** Times are monotonic milliseconds. */
interface Entry {
  route: TopicRoute | undefined;
  fetchedAt: number;
  triedAt: number;
  staleAt: number;
  usedAt: number;
  fetching: Promise<TopicRoute> | undefined;
}

/** Which brokers have a topic, as the name servers say; remembered for 30 seconds or until somebody finds it wrong. */
export class Routes {
  readonly #network: Network;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();

  constructor(network: Network, clock: Clock) {
    this.#network = network;
    this.#clock = clock;
  }

  /** Asks the name servers now. Rejects with TOPIC_NOT_FOUND: no such topic, or all brokers that had it are gone; the two look alike. */
  async fetch(topic: string): Promise<TopicRoute> {
    return readRoute(accepted(await this.#network.callNamesrv(getRoute(topic)), `finding the brokers of topic ${topic}`));
  }

  /** The route, from memory when it is fresh enough. */
  async get(topic: string): Promise<TopicRoute> {
    const entry = this.#use(topic);
    const fresh = entry.fetchedAt > entry.staleAt && this.#clock.monotonic() - entry.fetchedAt < REFRESH_MILLIS;
    return entry.route !== undefined && fresh ? entry.route : this.#refresh(topic, entry);
  }

  /** The route in memory, at once; an old one is refreshed in the background for the next call. */
  peek(topic: string): TopicRoute | undefined {
    const entry = this.#use(topic);
    if (this.#clock.monotonic() - entry.triedAt > REFRESH_MILLIS) {
      // A failure leaves the old route in place; the lane that needs a better one asks by `get` and sees the error.
      this.#refresh(topic, entry).catch(() => undefined);
    }
    return entry.route;
  }

  /** Somebody found the route wrong: the next `get` asks again. Lanes that find it wrong together cause one question. */
  markStale(topic: string): void {
    const entry = this.#entries.get(topic);
    if (entry !== undefined) entry.staleAt = this.#clock.monotonic();
  }

  #use(topic: string): Entry {
    const now = this.#clock.monotonic();
    let entry = this.#entries.get(topic);
    if (entry === undefined) {
      this.#forget(now);
      const never = Number.NEGATIVE_INFINITY;
      entry = { route: undefined, fetchedAt: never, triedAt: never, staleAt: never, usedAt: now, fetching: undefined };
      this.#entries.set(topic, entry);
    }
    entry.usedAt = now;
    return entry;
  }

  #forget(now: number): void {
    for (const [topic, entry] of this.#entries) if (now - entry.usedAt > FORGET_MILLIS) this.#entries.delete(topic);
  }

  #refresh(topic: string, entry: Entry): Promise<TopicRoute> {
    entry.fetching ??= this.#fetchInto(topic, entry).finally(() => {
      entry.fetching = undefined;
    });
    return entry.fetching;
  }

  async #fetchInto(topic: string, entry: Entry): Promise<TopicRoute> {
    entry.triedAt = this.#clock.monotonic();
    entry.route = await this.fetch(topic);
    entry.fetchedAt = this.#clock.monotonic();
    return entry.route;
  }
}

/** A lane's queue: `broker-a:3`. */
export interface QueueName {
  readonly brokerName: string;
  readonly queueId: number;
}

/** Throws NOT_FOUND when the text names no queue. */
export function parseLane(lane: string): QueueName {
  const colon = lane.lastIndexOf(':');
  const queueId = Number(lane.slice(colon + 1));
  if (colon < 1 || !/^\d{1,5}$/.test(lane.slice(colon + 1)))
    throw new IsthmusError('NOT_FOUND', `reading the lane name "${lane}": it is not broker:queue`);
  return { brokerName: lane.slice(0, colon), queueId };
}

export function formatLane(brokerName: string, queueId: number): string {
  return `${brokerName}:${queueId}`;
}

/** The broker of a lane. Throws an error that says why it cannot be read now. */
export function brokerOf(route: TopicRoute, topic: string, queue: QueueName): BrokerRoute {
  const doing = `reading ${topic} of ${queue.brokerName}`;
  if (route.static) throw new IsthmusError('BROKER_REFUSED', `${doing}: static (logic queue) topics are not supported`);
  const broker = route.brokers.find(({ brokerName }) => brokerName === queue.brokerName);
  if (broker === undefined)
    throw new IsthmusError('BROKER_BUSY', `${doing}: the name server knows no such broker now; it is down or has lost the topic`);
  if (!broker.readable) throw new IsthmusError('ACCESS_DENIED', `${doing}: the topic has no read permission there`);
  if (queue.queueId >= broker.readQueues)
    throw new IsthmusError(
      'TOPIC_NOT_FOUND',
      `${doing}: queue ${queue.queueId} is gone, the topic has ${broker.readQueues} there`,
    );
  return broker;
}
