import { field, textField } from '../admin/json.ts';
import type { Rest } from '../admin/rest.ts';
import { topicPath } from '../admin/topics.ts';
import type { PulsarDeps } from '../options.ts';

/** How old an answer may be before it is asked for again, and before it is not believed any more. */
const FRESH_MILLIS = 10_000;
const STALE_MILLIS = 20_000;
const LEAN =
  'perPartition=false&getPreciseBacklog=false&subscriptionBacklogSize=false&excludePublishers=true&excludeConsumers=true';

interface Topic {
  users: number;
  keyShared: boolean;
  /** Monotonic milliseconds of the last answer, and of the last question. */
  answeredAt: number;
  askedAt: number;
  /** Key_Shared subscriptions seen so far. */
  readonly names: Set<string>;
}

/** What a writer learns about its topic's subscriptions. */
export interface KeySharedView {
  /** Whether a Key_Shared subscription may read the topic; asks again in passing when the last answer is old. */
  readonly keyShared: () => boolean;
  readonly release: () => void;
}

/**
 * Knows which topics have Key_Shared subscriptions, by one question per topic for all of its writers, and only while they write: idle topics cost nothing.
 * While the cluster does not say, one is assumed, because the order that consumers see must not depend on an answer.
 */
export class KeySharedWatch {
  readonly #rest: Rest;
  readonly #deps: PulsarDeps;
  readonly #topics = new Map<string, Topic>();

  constructor(rest: Rest, deps: PulsarDeps) {
    this.#rest = rest;
    this.#deps = deps;
  }

  /** Resolves when the cluster was asked for the first time. */
  async watch(name: string): Promise<KeySharedView> {
    const never = Number.NEGATIVE_INFINITY;
    const topic = this.#topics.get(name) ?? { users: 0, keyShared: true, answeredAt: never, askedAt: never, names: new Set() };
    this.#topics.set(name, topic);
    topic.users++;
    if (topic.answeredAt === never) await this.#ask(name, topic);
    return {
      keyShared: () => {
        const now = this.#deps.clock.monotonic();
        if (now - topic.askedAt > FRESH_MILLIS) void this.#ask(name, topic);
        return topic.keyShared || now - topic.answeredAt > STALE_MILLIS;
      },
      release: () => {
        if (--topic.users === 0) this.#topics.delete(name);
      },
    };
  }

  async #ask(name: string, topic: Topic): Promise<void> {
    topic.askedAt = this.#deps.clock.monotonic();
    try {
      const path = topicPath(name);
      // A topic without partitions has statistics of its own alone.
      const stats =
        (await this.#rest.get(`${path}/partitioned-stats?${LEAN}`)) ?? (await this.#rest.get(`${path}/stats?${LEAN}`));
      const subscriptions = field(stats, 'subscriptions');
      topic.keyShared = notice(subscriptions, topic.names);
      topic.answeredAt = topic.askedAt;
    } catch (error) {
      this.#deps.log.warn('subscriptions-unknown', {
        topic: name,
        error: error instanceof Error ? error.message : String(error),
      });
    }
  }
}

/**
 * Whether one of the subscriptions is Key_Shared. The broker forgets the type of a subscription without consumers when the topic moves,
 * so those once seen count until they are deleted.
 */
function notice(subscriptions: unknown, seen: Set<string>): boolean {
  const present = typeof subscriptions === 'object' && subscriptions !== null ? Object.entries(subscriptions) : [];
  for (const [name, subscription] of present) {
    if (textField(subscription, 'type') === 'Key_Shared') seen.add(name);
  }
  const names = new Set(present.map(([name]) => name));
  for (const name of seen) if (!names.has(name)) seen.delete(name);
  return seen.size > 0;
}
