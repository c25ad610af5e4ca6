import type { MessageView, SimpleConsumer } from 'rocketmq-client-nodejs';
import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import { untilAborted } from '../../../lib/abort.ts';
import { forEachLimited } from '../../../lib/concurrency.ts';
import { type Deferred, deferred } from '../../../lib/deferred.ts';
import type { LaneId } from '../../../model/lane.ts';
import { comparePositions, offsetPosition, type Position } from '../../../model/position.ts';
import type { Delivery, LaneExtent, LaneReader, ReadOptions } from '../../../spi/source.ts';
import { Backoff } from '../../../wire/backoff.ts';
import type { RocketmqDeps } from '../options.ts';
import { type GrpcClients, unreachable } from './client.ts';
import { batchOf, heldBytesOf } from './message-batch.ts';

const RECEIVE_MESSAGES = 32;
/** How long the proxy leaves a message with us. Longer than commits are apart; a message that is held longer comes again, and is known. */
const INVISIBLE_MILLIS = 60_000;
/** Messages that are received and not acknowledged yet. */
const MAX_HELD = 10_000;
const ACKS_AT_A_TIME = 16;
const MIN_RETRY_MILLIS = 200;
const MAX_RETRY_MILLIS = 10_000;
const ROOM_CHECK_MILLIS = 50;

interface HeldMessage {
  view: MessageView;
  readonly position: Position;
  /** The target has it; only the acknowledgement is missing. */
  done: boolean;
}

/**
 * Reads a whole topic through a proxy, as one lane. The proxy tells no offsets and moves no group: it hands messages out, and takes back what is not acknowledged. So the
 * positions are counted here, in the order of arrival, and what a former process had received and not acknowledged comes again.
 */
export class GrpcLaneReader implements LaneReader {
  readonly #clients: GrpcClients;
  readonly #lane: LaneId;
  readonly #options: ReadOptions;
  readonly #deps: RocketmqDeps;
  readonly #abort = new AbortController();
  readonly #ready: Delivery[] = [];
  readonly #held = new Map<string, HeldMessage>();
  #heldBytes = 0;
  #next: number;
  #waiter: Deferred<Delivery> | undefined;
  #consumer: SimpleConsumer | undefined;
  readonly #running: Promise<void>;

  constructor(clients: GrpcClients, lane: LaneId, from: Position, options: ReadOptions, deps: RocketmqDeps) {
    this.#clients = clients;
    this.#lane = lane;
    this.#options = options;
    this.#deps = deps;
    this.#next = from.major;
    this.#running = this.#run();
  }

  read(): Promise<Delivery> {
    const delivery = this.poll();
    if (delivery !== undefined) return Promise.resolve(delivery);
    if (this.#abort.signal.aborted) return Promise.reject(closed(this.#lane));
    this.#waiter = deferred();
    return this.#waiter.promise;
  }

  poll(): Delivery | undefined {
    return this.#abort.signal.aborted ? undefined : this.#ready.shift();
  }

  /** A proxy does not say how much there is. */
  extent(): LaneExtent | undefined {
    return undefined;
  }

  /** Acknowledges what lies before `next`. What fails is tried again by the next call, or when the message comes again. */
  async commit(next: Position): Promise<void> {
    const done: [string, HeldMessage][] = [];
    for (const [id, held] of this.#held) {
      if (comparePositions(held.position, next) >= 0) continue;
      held.done = true;
      done.push([id, held]);
    }
    let failure: unknown;
    await forEachLimited(done, ACKS_AT_A_TIME, async ([id, held]) => {
      try {
        await this.#acknowledge(id, held.view);
      } catch (error) {
        failure = error;
      }
    });
    if (failure !== undefined) throw unreachable(`acknowledging messages of ${this.#lane.topic}`, failure);
  }

  async close(): Promise<void> {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(closed(this.#lane));
    this.#waiter?.reject(closed(this.#lane));
    for (const delivery of this.#ready.splice(0)) if (delivery.kind === 'records') delivery.batch.release();
    await this.#running;
    if (this.#consumer !== undefined) await this.#clients.end(this.#consumer);
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    const backoff = new Backoff(MIN_RETRY_MILLIS, MAX_RETRY_MILLIS, this.#deps.random);
    let isTrouble = false;
    while (!signal.aborted) {
      try {
        const { topic } = this.#lane;
        this.#consumer ??= await this.#clients.consumer(topic, this.#options.group);
        const views = await untilAborted(this.#consumer.receive(RECEIVE_MESSAGES, INVISIBLE_MILLIS), signal);
        if (isTrouble) this.#options.onTrouble(undefined);
        isTrouble = false;
        backoff.reset();
        await this.#takeIn(views);
        await this.#awaitRoom();
      } catch (error) {
        if (signal.aborted) return;
        isTrouble = true;
        this.#options.onTrouble(toIsthmusError(unreachable(`receiving from ${this.#lane.topic}`, error)));
        await this.#deps.clock.sleep(backoff.next(), signal);
      }
    }
  }

  async #takeIn(views: readonly MessageView[]): Promise<void> {
    const fresh: MessageView[] = [];
    const again: MessageView[] = [];
    const first = this.#next;
    for (const view of views) {
      const held = this.#held.get(view.messageId);
      if (held === undefined) {
        this.#held.set(view.messageId, { view, position: offsetPosition(this.#next++), done: false });
        fresh.push(view);
      } else {
        // It was with us for too long and came again; the former receipt is worth nothing.
        held.view = view;
        if (held.done) again.push(view);
      }
    }
    // First what is new: were it left behind because an acknowledgement fails, the next commit would pass over it.
    if (fresh.length > 0) await this.#deliver(fresh, first);
    for (const view of again) await this.#acknowledge(view.messageId, view);
  }

  async #deliver(fresh: readonly MessageView[], first: number): Promise<void> {
    const bytes = heldBytesOf(fresh);
    const { signal } = this.#abort;
    // A sleep ends at once when the reader was closed: without a look at the signal this would turn for ever, and nothing else would run.
    while (!signal.aborted && !this.#options.budget.tryTake(bytes, this.#heldBytes === 0))
      await this.#deps.clock.sleep(ROOM_CHECK_MILLIS, signal);
    if (signal.aborted) return;
    this.#heldBytes += bytes;
    const batch = batchOf(fresh, first, bytes, () => {
      this.#heldBytes -= bytes;
      this.#options.budget.give(bytes);
    });
    this.#ready.push({ kind: 'records', batch });
    const waiter = this.#waiter;
    this.#waiter = undefined;
    const delivery = waiter === undefined ? undefined : this.#ready.shift();
    if (delivery !== undefined) waiter?.resolve(delivery);
  }

  async #awaitRoom(): Promise<void> {
    while (this.#held.size >= MAX_HELD && !this.#abort.signal.aborted)
      await this.#deps.clock.sleep(ROOM_CHECK_MILLIS, this.#abort.signal);
  }

  async #acknowledge(id: string, view: MessageView): Promise<void> {
    await this.#consumer?.ack(view);
    this.#held.delete(id);
  }
}

function closed(lane: LaneId): IsthmusError {
  return new IsthmusError('CLOSED', `reading ${lane.topic}: it was closed`);
}
