import { IsthmusError, toIsthmusError } from '../../errors.ts';
import { type Deferred, deferred } from '../../lib/deferred.ts';
import type { LaneId } from '../../model/lane.ts';
import { offsetPosition, type Position } from '../../model/position.ts';
import type { Delivery, GapReason, LaneExtent, LaneReader, ReadOptions } from '../../spi/source.ts';
import { makeBatch } from './batch.ts';
import type { MemoryNetwork } from './network.ts';
import type { QueueBroker, StoredMessage } from './queue-broker.ts';

const READ_AHEAD = 4;
const MAX_BATCH = 16;
const LONG_POLL_MILLIS = 2_000;

/** Reads one queue of a fake cluster: short reads, answers that come late, brokers that go away, and what has expired as a gap. */
export class MemoryLaneReader implements LaneReader {
  readonly #broker: QueueBroker;
  readonly #network: MemoryNetwork;
  readonly #lane: LaneId;
  readonly #options: ReadOptions;
  readonly #ready: Delivery[] = [];
  #next: number;
  #extent: { readonly begin: number; readonly end: number };
  #knownCuts: number;
  #heldBytes = 0;
  #waiter: Deferred<Delivery> | undefined;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(
    broker: QueueBroker,
    network: MemoryNetwork,
    lane: LaneId,
    from: Position,
    options: ReadOptions,
    extent: { readonly begin: number; readonly end: number },
  ) {
    this.#broker = broker;
    this.#network = network;
    this.#lane = lane;
    this.#next = Math.max(0, from.major);
    this.#options = options;
    this.#extent = extent;
    this.#knownCuts = broker.cuts(lane.topic, lane.lane).count;
    void this.#fetch();
  }

  read(): Promise<Delivery> {
    if (this.#waiter !== undefined) throw new Error('a reader was asked twice at a time');
    const delivery = this.poll();
    if (delivery !== undefined) return Promise.resolve(delivery);
    if (this.#closed) return Promise.reject(closed());
    this.#waiter = deferred();
    return this.#waiter.promise;
  }

  poll(): Delivery | undefined {
    if (this.#closed) return undefined;
    const delivery = this.#ready.shift();
    this.#wakeUp();
    return delivery;
  }

  extent(): LaneExtent {
    return { begin: offsetPosition(this.#extent.begin), end: offsetPosition(this.#extent.end) };
  }

  async commit(next: Position): Promise<void> {
    if (this.#closed) throw closed();
    const { topic, lane } = this.#lane;
    await this.#network.request('committing', () => this.#broker.commit(topic, lane, this.#options.group, next.major));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const delivery of this.#ready.splice(0)) if (delivery.kind === 'records') delivery.batch.release();
    this.#waiter?.reject(closed());
    this.#waiter = undefined;
    this.#wakeUp();
  }

  async #fetch(): Promise<void> {
    let troubled = false;
    while (!this.#closed) {
      try {
        await this.#fetchOnce();
        if (troubled) this.#options.onTrouble(undefined);
        troubled = false;
      } catch (error) {
        if (this.#closed) return;
        troubled = true;
        this.#options.onTrouble(toIsthmusError(error));
        await this.#network.clock.sleep(20 + this.#network.random() * 200);
      }
    }
  }

  async #fetchOnce(): Promise<void> {
    if (this.#ready.length >= READ_AHEAD) return await this.#pause();
    const { topic, lane } = this.#lane;
    const most = 1 + this.#network.below(MAX_BATCH);
    const { extent, cuts, messages } = await this.#network.request(`reading ${lane}`, () => ({
      extent: this.#broker.extent(topic, lane),
      cuts: this.#broker.cuts(topic, lane, this.#knownCuts),
      messages: this.#broker.read(topic, lane, this.#next, most),
    }));
    if (this.#closed) return;
    this.#extent = extent;
    this.#knownCuts = cuts.count;
    // A real reader compares what it has read with what is there now; one that has read nothing yet sees only that the queue ends too early.
    const cutTo = Math.min(cuts.lowest ?? this.#next, extent.end);
    if (this.#next < extent.begin) this.#skipTo(extent.begin, 'expired');
    else if (cutTo < this.#next) this.#skipTo(cutTo, 'truncated');
    else if (messages.length > 0) {
      await this.#take(messages);
    } else {
      this.#broker.whenGrown(topic, lane, () => this.#wakeUp());
      await this.#pause(LONG_POLL_MILLIS);
    }
  }

  #skipTo(to: number, reason: GapReason): void {
    const from = offsetPosition(this.#next);
    this.#next = to;
    this.#deliver({ kind: 'gap', from, to: offsetPosition(to), reason });
  }

  async #take(messages: readonly StoredMessage[]): Promise<void> {
    const bytes = messages.reduce((sum, message) => sum + message.body.length + 64, 0);
    while (!this.#options.budget.tryTake(bytes, this.#heldBytes === 0)) {
      this.#options.budget.whenFree(() => this.#wakeUp());
      await this.#pause();
      if (this.#closed) return;
    }
    this.#heldBytes += bytes;
    this.#next += messages.length;
    let held = true;
    const batch = makeBatch(messages, (released) => {
      if (!held) throw new Error('a batch was released twice');
      held = false;
      // Whoever still looks at the bytes shall see that they are gone.
      released.fill(0xdd);
      this.#heldBytes -= bytes;
      this.#options.budget.give(bytes);
    });
    batch.heldBytes = bytes;
    this.#deliver({ kind: 'records', batch });
  }

  #deliver(delivery: Delivery): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter === undefined) this.#ready.push(delivery);
    else waiter.resolve(delivery);
  }

  /** Until somebody wakes the reader, or for a while. */
  async #pause(millis?: number): Promise<void> {
    const woken = deferred<void>();
    this.#wake = () => woken.resolve();
    if (this.#closed) woken.resolve();
    const cancel = millis === undefined ? undefined : this.#network.clock.timer(millis, () => woken.resolve());
    await woken.promise;
    cancel?.();
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

function closed(): IsthmusError {
  return new IsthmusError('CLOSED', 'reading a fake queue: the reader was closed');
}
