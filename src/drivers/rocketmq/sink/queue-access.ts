import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import type { Network } from '../network.ts';
import type { RemotingConnection } from '../remoting.ts';
import { formatLane, type QueueName, type Routes } from '../routes.ts';
import type { Limits } from './limits.ts';
import type { QueuePlace } from './look/queue-look.ts';
import { writableMaster } from './queue-route.ts';

export interface AccessParts {
  readonly network: Network;
  readonly routes: Routes;
  readonly limits: Limits;
}

/** A queue's broker in reach. */
export interface ReachedPlace extends QueuePlace {
  readonly connection: RemotingConnection;
  /** The broker's limit on a message's body and on a batch. */
  readonly maxMessageBytes: number;
}

/** The way to one queue: where it is written now, and whether that still holds. */
export class QueueAccess {
  readonly #topic: string;
  readonly #queue: QueueName;
  readonly #parts: AccessParts;

  constructor(topic: string, queue: QueueName, parts: AccessParts) {
    this.#topic = topic;
    this.#queue = queue;
    this.#parts = parts;
  }

  /** The queue's name. */
  get lane(): string {
    return formatLane(this.#queue.brokerName, this.#queue.queueId);
  }

  /** Begins every message about the queue. */
  get doing(): string {
    return `writing ${this.#topic} ${this.lane}`;
  }

  /** Connects to the queue's master. Rejects with what keeps the queue from being written now. */
  async reach(): Promise<ReachedPlace> {
    const { network, routes, limits } = this.#parts;
    const address = writableMaster(await routes.get(this.#topic), this.#topic, this.#queue);
    const connection = await network.connection(address);
    const maxMessageBytes = await limits.maxMessageBytes(address);
    return { address, topic: this.#topic, queueId: this.#queue.queueId, connection, maxMessageBytes };
  }

  /** Why nothing may be sent to the broker that was reached last: connections end, and roles, permissions and queue counts change under us. */
  lost(place: ReachedPlace): IsthmusError | undefined {
    if (place.connection.closed) return new IsthmusError('CONNECTION_LOST', `${this.doing}: the connection was lost`);
    const route = this.#parts.routes.peek(this.#topic);
    if (route === undefined) return undefined;
    try {
      if (writableMaster(route, this.#topic, this.#queue) === place.address) return undefined;
      return new IsthmusError('BROKER_BUSY', `${this.doing}: the broker has another master now`);
    } catch (error) {
      return toIsthmusError(error);
    }
  }

  /** The broker that was reached has refused what should fit: the next `reach` asks it for its limit. */
  doubtLimit({ address }: ReachedPlace, remark: string): void {
    this.#parts.limits.doubt(address, remark);
  }

  /** Somebody has found that what is known of the topic's brokers is wrong. */
  markStale(): void {
    this.#parts.routes.markStale(this.#topic);
  }
}
