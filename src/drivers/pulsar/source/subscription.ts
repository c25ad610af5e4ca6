import type { IsthmusError } from '../../../errors.ts';
import type { BrokerConnection } from '../net/broker-connection.ts';
import { encodeCloseConsumer } from '../wire/close.ts';
import { encodeCumulativeAck, encodeDurableSubscribe, encodeSeek } from '../wire/consumer.ts';
import { encodeGetLastMessageId, type LastMessageId } from '../wire/last-message-id.ts';
import type { MessageId } from '../wire/message-id.ts';
import { serverError } from '../wire/server-error.ts';
import { encodeFlow, encodeSubscribe } from '../wire/subscribe.ts';

export interface SubscriptionOptions {
  /** A partition or an unpartitioned topic. */
  readonly topic: string;
  readonly name: string;
  readonly consumerName: string;
  /** An onlooker begins at this entry, with a subscription of its own that goes when it does; `undefined`: the durable one of this name, where it stands. */
  readonly from: MessageId | undefined;
  /** The lowest one gets the messages. */
  readonly priority: number;
  readonly message: (id: MessageId, entry: Buffer) => void;
  /** Whether we are the consumer that gets messages; the first `true` comes a second after subscribing. */
  readonly activeChange: (active: boolean) => void;
  /** It is lost; called once, and not after `close` or `seek`. */
  readonly lost: (error: IsthmusError) => void;
}

/** Our place in a durable Failover subscription (or in one that is only for looking), until the broker closes it or the connection ends. */
export class Subscription {
  readonly connection: BrokerConnection;
  readonly #id: number;
  readonly #options: SubscriptionOptions;
  #ended = false;
  /** The broker does not know it any more. */
  #gone = false;

  private constructor(connection: BrokerConnection, options: SubscriptionOptions) {
    this.connection = connection;
    this.#id = connection.newId();
    this.#options = options;
  }

  /** Subscribes, making the subscription at the earliest entry where there is none. Nothing comes before `flow`. Rejects with what the broker says. */
  static async open(connection: BrokerConnection, options: SubscriptionOptions): Promise<Subscription> {
    const subscription = new Subscription(connection, options);
    const { topic, name, consumerName, priority, from } = options;
    const consumerId = subscription.#id;
    connection.addReader(consumerId, {
      message: options.message,
      activeChange: options.activeChange,
      closed: (error) => {
        subscription.#gone = true;
        if (subscription.#ended) return;
        subscription.#ended = true;
        options.lost(error);
      },
    });
    try {
      await connection.request('success', `subscribing ${name} to ${topic}`, (id) =>
        from === undefined
          ? encodeDurableSubscribe(id, { topic, subscription: name, consumerId, consumerName, priority })
          : encodeSubscribe(id, { topic, subscription: name, consumerId, from }),
      );
    } catch (error) {
      subscription.close();
      throw error;
    }
    return subscription;
  }

  get topic(): string {
    return this.#options.topic;
  }

  flow(permits: number): void {
    this.connection.write(encodeFlow(this.#id, permits));
  }

  /** Where the topic ends, and up to where the subscription is done. */
  async last(): Promise<LastMessageId> {
    const doing = `asking for the end of ${this.#options.topic}`;
    return await this.connection.request('getLastMessageIdResponse', doing, (id) => encodeGetLastMessageId(id, this.#id));
  }

  /** Everything up to and including an entry is done. Resolves when the broker has heard it. */
  async acknowledge(id: MessageId): Promise<void> {
    const doing = `acknowledging ${this.#options.topic} up to ${id.ledger}:${id.entry}`;
    const answer = await this.connection.request('ackResponse', doing, (requestId) =>
      encodeCumulativeAck(requestId, this.#id, id),
    );
    if (answer.error >= 0) throw serverError(answer.error, answer.message, doing);
  }

  /** Moves the subscription so that an entry is read next. It is over then and has to be opened again: the broker closes it. */
  async seek(id: MessageId): Promise<void> {
    this.#ended = true;
    const doing = `moving ${this.#options.name} of ${this.#options.topic} to ${id.ledger}:${id.entry}`;
    try {
      await this.connection.request('success', doing, (requestId) => encodeSeek(requestId, this.#id, id));
    } finally {
      this.close();
    }
  }

  /** Closes without waiting; the place stays where it is. */
  close(): void {
    this.#ended = true;
    this.connection.removeReader(this.#id);
    if (this.#gone || !this.connection.alive) return;
    this.connection.request('success', 'closing a consumer', (id) => encodeCloseConsumer(id, this.#id)).catch(() => undefined);
  }
}
