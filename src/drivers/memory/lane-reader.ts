import { IsthmusError, toIsthmusError } from '../../errors.ts';
import { type Deferred, deferred } from '../../lib/deferred.ts';
import type { Position } from '../../model/position.ts';
import type { Delivery, LaneExtent, LaneReader, ReadOptions } from '../../spi/source.ts';
import { layOut } from './batch.ts';
import type { LaneView, Seen } from './lane-view.ts';
import type { MemoryNetwork } from './network.ts';

const READ_AHEAD = 4;
const MAX_BATCH = 16;
const LONG_POLL_MILLIS = 2_000;

/** Reads one lane of a fake cluster: short reads, answers that come late, brokers that go away, and what has expired as a gap. */
export class MemoryLaneReader implements LaneReader {
  readonly #view: LaneView;
  readonly #network: MemoryNetwork;
  readonly #options: ReadOptions;
  readonly #ready: Delivery[] = [];
  #next: Position;
  #extent: LaneExtent;
  #heldBytes = 0;
  #waiter: Deferred<Delivery> | undefined;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(view: LaneView, network: MemoryNetwork, from: Position, options: ReadOptions, extent: LaneExtent) {
    this.#view = view;
    this.#network = network;
    this.#next = from;
    this.#options = options;
    this.#extent = extent;
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
    return this.#extent;
  }

  async commit(next: Position): Promise<void> {
    if (this.#closed) throw closed();
    await this.#network.request('committing', () => this.#view.commit(this.#options.group, next));
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
    const most = 1 + this.#network.below(MAX_BATCH);
    const seen = await this.#network.request('reading', () => this.#view.look(this.#next, most));
    if (this.#closed) return;
    seen.arrived?.();
    this.#extent = seen.extent;
    if (seen.gap !== undefined) {
      const from = this.#next;
      this.#next = seen.gap.to;
      this.#deliver({ kind: 'gap', from, ...seen.gap });
    } else if (seen.rows.length > 0) {
      await this.#take(seen);
    } else {
      this.#view.whenGrown(() => this.#wakeUp());
      await this.#pause(LONG_POLL_MILLIS);
    }
  }

  async #take({ rows, whole, next, tellsEnd }: Seen): Promise<void> {
    const bytes = rows.reduce((sum, { body }) => sum + body.length + 64, 0);
    while (!this.#options.budget.tryTake(bytes, this.#heldBytes === 0)) {
      this.#options.budget.whenFree(() => this.#wakeUp());
      await this.#pause();
      if (this.#closed) return;
    }
    this.#heldBytes += bytes;
    this.#next = next;
    let held = true;
    const free = (released: Buffer): void => {
      if (!held) throw new Error('a batch was released twice');
      held = false;
      // Whoever still looks at the bytes shall see that they are gone.
      released.fill(0xdd);
      this.#heldBytes -= bytes;
      this.#options.budget.give(bytes);
    };
    const batch = layOut(rows, { whole, end: tellsEnd ? next : undefined, free });
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
  return new IsthmusError('CLOSED', 'reading a fake lane: the reader was closed');
}
