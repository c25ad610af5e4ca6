import { IsthmusError } from '../../../errors.ts';
import { type Deferred, deferred } from '../../../lib/deferred.ts';
import type { Clock } from '../../../spi/clock.ts';
import type { BrokerConnection, ProducerEvents } from '../net/broker-connection.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import { openProducer, type Producer } from '../net/producer.ts';
import { partitionName } from '../topic-name.ts';
import { entryChecksum } from '../wire/checksum.ts';
import type { MessageId } from '../wire/message-id.ts';
import { encodeMetadata } from '../wire/message-metadata.ts';
import type { SendError, SendReceipt } from '../wire/send.ts';
import { serverError } from '../wire/server-error.ts';

const BARRIER_TIMEOUT_MILLIS = 30_000;
const NO_PAYLOAD = Buffer.alloc(0);

export interface AttachOptions {
  readonly topic: string;
  readonly partition: number;
  /** The producer name that only one process can have at a time. */
  readonly name: string;
  /** The name to send under, when a deduplicating broker swallows what comes under `name`; else the same. */
  readonly senderName: string;
  readonly epoch: number;
  readonly receipt: (receipt: SendReceipt) => void;
  readonly sendError: (error: SendError) => void;
  /** The attachment is lost; called once, and not after `close`. */
  readonly lost: (error: IsthmusError) => void;
}

/**
 * A writer's hold on its partition: the producer whose name is the fence, and the producer it sends with (usually the same).
 * It lives until the broker closes a producer or the connection ends.
 */
export class Attachment {
  readonly connection: BrokerConnection;
  /** The partition's name, or that of a topic without partitions. */
  readonly topic: string;
  readonly #options: AttachOptions;
  readonly #clock: Clock;
  #producers: Producer[] = [];
  #barrier: Deferred<MessageId> | undefined;
  #error: IsthmusError | undefined;

  private constructor(connection: BrokerConnection, topic: string, options: AttachOptions, clock: Clock) {
    this.connection = connection;
    this.topic = topic;
    this.#options = options;
    this.#clock = clock;
  }

  /** Rejects with TOPIC_NOT_FOUND, TOPIC_MISMATCH, OTHER_WRITER, or what keeps the broker from being reached. */
  static async open(pool: BrokerPool, options: AttachOptions, clock: Clock): Promise<Attachment> {
    // First of all: PRODUCER on a name that does not exist creates it where the broker creates topics by itself.
    const partitions = await pool.partitions(options.topic);
    if (options.partition >= Math.max(1, partitions)) {
      throw new IsthmusError(
        'TOPIC_MISMATCH',
        `writing ${options.topic}: it has ${partitions} partitions, partition ${options.partition} is not one of them`,
      );
    }
    const topic = partitionName(options.topic, options.partition, partitions);
    const connection = await pool.locate(topic);
    const attachment = new Attachment(connection, topic, options, clock);
    const { name, senderName, epoch } = options;
    try {
      for (const each of name === senderName ? [name] : [name, senderName]) {
        attachment.#producers.push(await openProducer(connection, { topic, name: each, epoch, events: attachment.#events() }));
      }
    } catch (error) {
      attachment.abandon();
      throw error;
    }
    return attachment;
  }

  /** Why it is lost, `undefined` while it is held. */
  get error(): IsthmusError | undefined {
    return this.#error;
  }

  get sender(): Producer {
    const sender = this.#producers.at(-1);
    if (sender === undefined) throw new IsthmusError('INTERNAL', 'an attachment was used before it was open');
    return sender;
  }

  /**
   * Stores a marker, an entry that no consumer gets, and resolves to its place.
   *
   * Sends of an earlier connection may lie in the broker's queue still, accepted and not yet stored: a look at the tail would miss them, and they would
   * be sent a second time. The broker stores in order, so what lies before the marker is final. Must come before any other send.
   */
  async barrier(): Promise<MessageId> {
    const barrier = deferred<MessageId>();
    this.#barrier = barrier;
    const doing = `storing a marker in ${this.topic}`;
    const cancel = this.#clock.timer(BARRIER_TIMEOUT_MILLIS, () =>
      barrier.reject(new IsthmusError('REQUEST_TIMEOUT', `${doing}: no receipt within ${BARRIER_TIMEOUT_MILLIS} ms`)),
    );
    // A name of its own: a broker that rebuilds its deduplication state from the entries must not take the marker's id for one of the lane's.
    const metadata = encodeMetadata({
      producerName: `${this.#options.name}/marker`,
      sequenceId: 0,
      publishTime: this.#clock.now(),
      properties: [],
      marker: true,
    });
    this.sender.send(
      { sequenceId: 0, highestSequenceId: 0, messages: 1, chunk: false, marker: true },
      metadata,
      NO_PAYLOAD,
      entryChecksum(metadata, NO_PAYLOAD),
    );
    try {
      if (this.#error !== undefined) throw this.#error;
      const id = await barrier.promise;
      if (id.ledger < 0) throw new IsthmusError('UNKNOWN_OUTCOME', `${doing}: the broker took it for a duplicate`);
      return id;
    } finally {
      cancel();
      this.#barrier = undefined;
    }
  }

  /** Gives the names back; resolves when others can have them. */
  async close(): Promise<void> {
    this.#error ??= new IsthmusError('CLOSED', 'the writer was closed');
    await Promise.all(this.#producers.splice(0).map((producer) => producer.close()));
  }

  /** As `close`, for an attachment that may be broken already: nobody waits for the outcome. */
  abandon(): void {
    this.close().catch(() => undefined);
  }

  #events(): ProducerEvents {
    return {
      receipt: (receipt) => {
        if (this.#barrier !== undefined) this.#barrier.resolve(receipt.id);
        else if (this.#error === undefined) this.#options.receipt(receipt);
      },
      sendError: (error) => {
        if (this.#barrier !== undefined) this.#barrier.reject(serverError(error.error, error.message, 'storing a marker'));
        else if (this.#error === undefined) this.#options.sendError(error);
      },
      closed: (error) => {
        this.#barrier?.reject(error);
        if (this.#error !== undefined) return;
        this.#error = error;
        this.#options.lost(error);
      },
    };
  }
}
