import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import { untilAborted } from '../../../lib/abort.ts';
import { type Deferred, deferred } from '../../../lib/deferred.ts';
import type { LaneId } from '../../../model/lane.ts';
import { advancePosition, comparePositions, formatPosition, type Position } from '../../../model/position.ts';
import type { Delivery, LaneExtent, LaneReader, ReadOptions } from '../../../spi/source.ts';
import { Backoff } from '../../../wire/backoff.ts';
import type { Rest } from '../admin/rest.ts';
import type { PulsarDeps } from '../options.ts';
import { lookAtOpening } from '../source/continuity.ts';
import { doneBefore } from '../source/places.ts';
import type { NativeClients } from './client.ts';
import { firstFrom } from './look.ts';
import { batchOf, type Received } from './message-batch.ts';
import { nativeId, positionOf } from './message-ids.ts';
import type { NativeConsumer, NativeMessage, PulsarModule } from './module.ts';
import { nativeError } from './refusal.ts';

const MAX_BATCH_MESSAGES = 256;
/** Messages that wait to be taken. */
const MAX_WAITING = 2_048;
const RECEIVER_QUEUE_MESSAGES = 1_000;
/** What a message costs beyond its body, which is there twice while a batch is made. */
const MESSAGE_OVERHEAD_BYTES = 512;
const ROOM_CHECK_MILLIS = 20;
const CONNECTION_CHECK_MILLIS = 5_000;
const MIN_RETRY_MILLIS = 200;
const MAX_RETRY_MILLIS = 10_000;

export interface NativeReaderParts {
  readonly clients: NativeClients;
  readonly rest: Rest;
  readonly deps: PulsarDeps;
  /** The broker's name of the lane. */
  readonly partition: string;
}

interface Waiting extends Received {
  readonly bytes: number;
}

/**
 * Reads a partition with a Failover consumer. It is put to where reading begins each time it is made, one entry before, and what has been read is dropped, so that nothing
 * depends on whether a seek includes its place. A jump between two messages is looked into with a reader before it is believed.
 */
export class NativeLaneReader implements LaneReader {
  readonly #lane: LaneId;
  readonly #options: ReadOptions;
  readonly #parts: NativeReaderParts;
  readonly #abort = new AbortController();
  /** In order; a gap is a delivery already. */
  readonly #waiting: (Waiting | Delivery)[] = [];
  #heldBytes = 0;
  /** What is received next. */
  #next: Position;
  #waiter: Deferred<Delivery> | undefined;
  #consumer: NativeConsumer | undefined;
  #module: PulsarModule | undefined;
  #failure: IsthmusError | undefined;
  readonly #running: Promise<void>;

  constructor(lane: LaneId, from: Position, options: ReadOptions, parts: NativeReaderParts) {
    this.#lane = lane;
    this.#next = from;
    this.#options = options;
    this.#parts = parts;
    this.#running = this.#run();
  }

  read(): Promise<Delivery> {
    const delivery = this.poll();
    if (delivery !== undefined) return Promise.resolve(delivery);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#waiter = deferred();
    return this.#waiter.promise;
  }

  poll(): Delivery | undefined {
    if (this.#abort.signal.aborted) return undefined;
    const received: Waiting[] = [];
    for (let head = this.#waiting[0]; head !== undefined && received.length < MAX_BATCH_MESSAGES; head = this.#waiting[0]) {
      if ('kind' in head && received.length > 0) break;
      this.#waiting.shift();
      if ('kind' in head) return head;
      received.push(head);
    }
    if (received.length === 0) return undefined;
    const bytes = received.reduce((sum, each) => sum + each.bytes, 0);
    const batch = batchOf(received, bytes, () => {
      this.#heldBytes -= bytes;
      this.#options.budget.give(bytes);
    });
    return { kind: 'records', batch };
  }

  /** The consumer is not told. */
  extent(): LaneExtent | undefined {
    return undefined;
  }

  async commit(next: Position): Promise<void> {
    const id = doneBefore(next);
    // The place before a ledger's first entry: the next commit says it.
    if (id.entry < 0) return;
    const doing = `acknowledging ${this.#parts.partition} up to ${id.ledger}:${id.entry}`;
    const [consumer, module] = [this.#consumer, this.#module];
    if (consumer === undefined || module === undefined) throw new IsthmusError('CONNECT_FAILED', `${doing}: not connected now`);
    try {
      await consumer.acknowledgeCumulativeId(nativeId(module, id));
    } catch (error) {
      throw nativeError(doing, error);
    }
  }

  async close(): Promise<void> {
    this.#end(new IsthmusError('CLOSED', `reading ${this.#parts.partition}: it was closed`));
    for (const each of this.#waiting.splice(0)) {
      if ('kind' in each) continue;
      this.#heldBytes -= each.bytes;
      this.#options.budget.give(each.bytes);
    }
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    const { clock, random } = this.#parts.deps;
    const backoff = new Backoff(MIN_RETRY_MILLIS, MAX_RETRY_MILLIS, random);
    while (!signal.aborted) {
      try {
        const consumer = await this.#attach();
        this.#options.onTrouble(undefined);
        for (;;) {
          const message = await untilAborted(consumer.receive(), signal);
          await this.#take(message);
          backoff.reset();
        }
      } catch (caught) {
        if (signal.aborted) break;
        const error = nativeError(`reading ${this.#parts.partition}`, caught);
        // Without the package, or with a source that went back, time heals nothing.
        if (error.code === 'CONFIG_INVALID' || error.code === 'SOURCE_REWOUND') this.#end(error);
        else {
          this.#options.onTrouble(error);
          await this.#detach();
          await clock.sleep(backoff.next(), signal);
        }
      }
    }
    await this.#detach();
  }

  /** Subscribes, and puts the subscription to the entry before the next one. */
  async #attach(): Promise<NativeConsumer> {
    const { clients, rest, partition } = this.#parts;
    const { group } = this.#options;
    const { hole } = await lookAtOpening(rest, { topic: this.#lane.topic, partition, group, from: this.#next }, 0);
    if (hole?.back === true)
      throw new IsthmusError('SOURCE_REWOUND', `reading ${partition}: the source goes on at ${formatPosition(hole.to)}`);
    const { client, module } = await clients.get();
    const consumer = await client.subscribe({
      topic: partition,
      subscription: group,
      subscriptionType: 'Failover',
      subscriptionInitialPosition: 'Earliest',
      receiverQueueSize: RECEIVER_QUEUE_MESSAGES,
    });
    this.#consumer = consumer;
    this.#module = module;
    if (hole !== undefined) {
      this.#waiting.push({ kind: 'gap', from: this.#next, to: hole.to, reason: hole.reason });
      this.#next = hole.to;
      this.#wake();
    }
    await consumer.seek(this.#before(module));
    this.#watch(consumer).catch((error: unknown) => this.#options.onTrouble(toIsthmusError(error)));
    return consumer;
  }

  #before(module: PulsarModule): ReturnType<typeof nativeId> {
    return this.#next.major <= 0 ? module.MessageId.earliest() : nativeId(module, doneBefore(this.#next));
  }

  /** The client connects again by itself and says nothing meanwhile; a consumer that has none for long is made anew, maybe with another token. */
  async #watch(consumer: NativeConsumer): Promise<void> {
    const { clock } = this.#parts.deps;
    let misses = 0;
    while (this.#consumer === consumer && !this.#abort.signal.aborted) {
      await clock.sleep(CONNECTION_CHECK_MILLIS, this.#abort.signal);
      if (this.#consumer !== consumer || this.#abort.signal.aborted) return;
      if (consumer.isConnected()) {
        if (misses > 0) this.#options.onTrouble(undefined);
        misses = 0;
        continue;
      }
      misses++;
      this.#options.onTrouble(new IsthmusError('CONNECTION_LOST', `reading ${this.#parts.partition}: not connected`));
      // What waits for a message then hears that the consumer is closed, and everything begins again.
      if (misses > 5) return await this.#detach();
    }
  }

  async #detach(): Promise<void> {
    const consumer = this.#consumer;
    this.#consumer = undefined;
    await consumer?.close().catch((error: unknown) => {
      this.#parts.deps.log.debug('consumer-close-failed', { topic: this.#parts.partition, error: String(error) });
    });
  }

  async #take(message: NativeMessage): Promise<void> {
    const position = positionOf(message.getMessageId());
    // After each new connection the broker sends again what is not acknowledged.
    if (comparePositions(position, this.#next) < 0) return;
    if (!this.#follows(position)) await this.#expectNothingBefore(position);
    const data = message.getData();
    const bytes = data.length * 2 + MESSAGE_OVERHEAD_BYTES;
    const { clock } = this.#parts.deps;
    const { signal } = this.#abort;
    while (this.#waiting.length >= MAX_WAITING && !signal.aborted) await clock.sleep(ROOM_CHECK_MILLIS, signal);
    while (!signal.aborted && !this.#options.budget.tryTake(bytes, this.#heldBytes === 0))
      await clock.sleep(ROOM_CHECK_MILLIS, signal);
    if (signal.aborted) return;
    this.#heldBytes += bytes;
    this.#waiting.push({ position, message, data, bytes });
    this.#next = advancePosition(position, 1);
    this.#wake();
  }

  /** Whether nothing can lie between what was received last and this. */
  #follows({ major, minor, index }: Position): boolean {
    const next = this.#next;
    if (major !== next.major) return false;
    if (minor === next.minor) return next.index < 0 ? index <= 0 : index === next.index;
    return next.index > 0 && minor === next.minor + 1 && index <= 0;
  }

  /**
   * Ledgers end, and markers take entries that no consumer gets; but a subscription that somebody moved on jumps, too. Rejects where records lie in between: the subscription
   * is put back then.
   */
  async #expectNothingBefore(position: Position): Promise<void> {
    const { clients, partition, deps } = this.#parts;
    const next = this.#next;
    const after = next.major <= 0 ? undefined : doneBefore(next);
    const first = await firstFrom(clients, partition, after, next, deps.clock);
    if (first !== undefined && comparePositions(first, position) >= 0) return;
    throw new IsthmusError(
      'CONNECTION_LOST',
      `reading ${partition}: the subscription goes on at ${formatPosition(position)}, but ${formatPosition(first ?? next)} comes first; it is put back`,
    );
  }

  #end(reason: IsthmusError): void {
    if (this.#abort.signal.aborted) return;
    this.#failure = reason;
    this.#abort.abort(reason);
    this.#waiter?.reject(reason);
    this.#waiter = undefined;
  }

  #wake(): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    const delivery = this.poll();
    if (delivery === undefined) return;
    this.#waiter = undefined;
    waiter.resolve(delivery);
  }
}
