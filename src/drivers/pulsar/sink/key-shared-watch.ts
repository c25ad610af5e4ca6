import { field, textField } from '../admin/json.ts';
import type { Rest } from '../admin/rest.ts';
import { topicPath } from '../admin/topics.ts';
import type { PulsarDeps } from '../options.ts';

const POLL_MILLIS = 10_000;
const LEAN =
  'perPartition=false&getPreciseBacklog=false&subscriptionBacklogSize=false&excludePublishers=true&excludeConsumers=true';

interface Watched {
  users: number;
  keyShared: boolean;
  readonly firstLook: Promise<void>;
  /** Key_Shared subscriptions seen so far. */
  readonly names: Set<string>;
  cancel: () => void;
}

/** What a writer learns about its topic's subscriptions. */
export interface KeySharedView {
  /** Whether a Key_Shared subscription reads the topic, as far as is known. */
  readonly keyShared: boolean;
  release(): void;
}

/** Watches topics for Key_Shared subscriptions, one poll per topic for all of its writers. */
export class KeySharedWatch {
  readonly #rest: Rest;
  readonly #deps: PulsarDeps;
  readonly #topics = new Map<string, Watched>();

  constructor(rest: Rest, deps: PulsarDeps) {
    this.#rest = rest;
    this.#deps = deps;
  }

  /** Resolves after the first look; while the cluster does not say, a Key_Shared subscription is assumed, because order must not depend on an answer. */
  async watch(topic: string): Promise<KeySharedView> {
    let watched = this.#topics.get(topic);
    if (watched === undefined) {
      const fresh: Watched = {
        users: 0,
        keyShared: true,
        names: new Set(),
        cancel: () => undefined,
        firstLook: Promise.resolve().then(() => this.#look(topic, fresh)),
      };
      watched = fresh;
      this.#topics.set(topic, watched);
    }
    const found = watched;
    found.users++;
    await found.firstLook;
    return {
      get keyShared() {
        return found.keyShared;
      },
      release: () => this.#release(topic, found),
    };
  }

  #release(topic: string, watched: Watched): void {
    if (--watched.users > 0) return;
    watched.cancel();
    this.#topics.delete(topic);
  }

  async #look(topic: string, watched: Watched): Promise<void> {
    try {
      const subscriptions = field(await this.#rest.get(`${topicPath(topic)}/partitioned-stats?${LEAN}`), 'subscriptions');
      watched.keyShared = notice(subscriptions, watched.names);
    } catch (error) {
      this.#deps.log.warn('subscriptions-unknown', { topic, error: error instanceof Error ? error.message : String(error) });
    }
    if (this.#topics.get(topic) === watched)
      watched.cancel = this.#deps.clock.timer(POLL_MILLIS, () => void this.#look(topic, watched));
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
