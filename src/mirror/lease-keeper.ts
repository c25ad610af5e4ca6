import { IsthmusError, toIsthmusError } from '../errors.ts';
import type { Clock } from '../spi/clock.ts';
import type { Lease, LeaseHeld, LeaseStore } from '../spi/lease.ts';
import type { Log } from '../spi/log.ts';

/** All processes use the same: whoever waits takes a lease that was not renewed for so long. */
const TTL_MILLIS = 12_000;
/** A holder stops writing so long before, because what it has sent by then may still be on its way to the broker. */
const SAFETY_MILLIS = 4_000;
const RENEW_MILLIS = 3_000;
/** Those who wait ask so often, and what ran out is noticed within this time. */
const TICK_MILLIS = 500;
const ASK_AGAIN_MILLIS = 1_000;

export interface LeaseKeeperParts {
  readonly store: LeaseStore;
  /** Tells this process from all others, also from an earlier one at the same place; people read it. */
  readonly owner: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** What somebody who wants a lease hears. */
export interface LeaseEvents {
  /** Another process has it (OTHER_WRITER), or the store does not answer (STATE_UNAVAILABLE). It is asked again. */
  onTrouble(error: IsthmusError): void;
  /** It may not be relied on any more: nothing may be written from now on. */
  onLost(error: IsthmusError): void;
}

/**
 * The leases of all lanes of this process: one request renews them all.
 *
 * (K1) `valid` is false from the moment at which another process could take the lease, by our own monotonic clock and without any answer of the store: a process that was
 *      frozen finds it false before it writes again.
 * (K2) A lease is given back only when nothing that was written under it is on its way; else it runs out, and the next owner waits that long.
 */
export class LeaseKeeper {
  readonly #parts: LeaseKeeperParts;
  readonly #leases = new Map<string, LaneLease>();
  #asking = false;
  #cancelTick: (() => void) | undefined;

  constructor(parts: LeaseKeeperParts) {
    this.#parts = parts;
  }

  /** A lease of this name, not taken yet. One at a time per name. */
  open(name: string): LaneLease {
    const lease: LaneLease = new LaneLease(name, this.#parts.clock, {
      asked: () => this.#tickIn(0),
      ended: (clean) => this.#end(lease, clean),
    });
    this.#leases.set(name, lease);
    return lease;
  }

  #tickIn(millis: number): void {
    this.#cancelTick?.();
    this.#cancelTick = this.#parts.clock.timer(millis, () => {
      this.#cancelTick = undefined;
      this.#tick();
    });
  }

  /** Goes on for as long as there are leases. */
  #tick(): void {
    const now = this.#parts.clock.monotonic();
    for (const lease of this.#leases.values()) lease.look();
    const due = [...this.#leases.values()].filter((lease) => lease.isDue(now));
    if (due.length > 0 && !this.#asking) void this.#ask(due);
    if (this.#leases.size > 0) this.#tickIn(TICK_MILLIS);
  }

  async #ask(due: readonly LaneLease[]): Promise<void> {
    const { store, owner, clock } = this.#parts;
    this.#asking = true;
    const sentAt = clock.monotonic();
    for (const lease of due) lease.askedAt = sentAt;
    try {
      const names = due.map(({ name }) => name);
      const answers = await store.acquireAll(names, owner, TTL_MILLIS);
      for (const [i, lease] of due.entries()) lease.hear(answers[i], sentAt);
    } catch (error) {
      for (const lease of due) lease.missed(toIsthmusError(error));
    } finally {
      this.#asking = false;
    }
  }

  async #end(lease: LaneLease, clean: boolean): Promise<void> {
    if (this.#leases.get(lease.name) !== lease) return;
    this.#leases.delete(lease.name);
    const { store, owner, log } = this.#parts;
    if (!clean) return log.info('lease-runs-out', { lease: lease.name });
    try {
      await store.releaseAll([lease.name], owner);
    } catch (error) {
      log.warn('lease-not-given-back', { lease: lease.name, detail: toIsthmusError(error).message });
    }
  }
}

/** The right to write one lane where the target keeps nobody out. */
export class LaneLease {
  readonly name: string;
  readonly #clock: Clock;
  readonly #keeper: { readonly asked: () => void; readonly ended: (clean: boolean) => Promise<void> };
  /** Monotonic milliseconds. */
  #until = Number.NEGATIVE_INFINITY;
  #epoch: number | undefined;
  #events: LeaseEvents | undefined;
  #taken: (() => void) | undefined;
  #missed = false;
  #ended = false;
  askedAt: number = Number.NEGATIVE_INFINITY;

  constructor(
    name: string,
    clock: Clock,
    keeper: { readonly asked: () => void; readonly ended: (clean: boolean) => Promise<void> },
  ) {
    this.name = name;
    this.#clock = clock;
    this.#keeper = keeper;
  }

  /** Whether nobody else can have it now. */
  get valid(): boolean {
    return this.#clock.monotonic() < this.#until;
  }

  /** Whether somebody else can have it, and it was not we who gave it up. */
  get lost(): boolean {
    return !this.valid && !this.#ended;
  }

  /** Resolves when it is ours; `events` are told of it until then and afterwards, until the next call. Never rejects: look at the signal. */
  async take(events: LeaseEvents, signal: AbortSignal): Promise<void> {
    this.#events = events;
    if (this.valid || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#taken = undefined;
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#taken = done;
      signal.addEventListener('abort', done, { once: true });
      this.#keeper.asked();
    });
  }

  /** Gives it up. `clean`: nothing that was written under it is on its way. Never rejects. */
  end(clean: boolean): Promise<void> {
    this.#ended = true;
    this.#until = Number.NEGATIVE_INFINITY;
    this.#events = undefined;
    return this.#keeper.ended(clean);
  }

  isDue(now: number): boolean {
    return now - this.askedAt >= (this.valid && !this.#missed ? RENEW_MILLIS : ASK_AGAIN_MILLIS);
  }

  /** Notices that it has run out. */
  look(): void {
    if (this.#epoch === undefined || this.valid) return;
    this.#lose(new IsthmusError('STATE_UNAVAILABLE', `writing a lane: its lease ${this.name} could not be renewed in time`));
  }

  /** An answer of the store to what was asked at `sentAt`. */
  hear(answer: Lease | LeaseHeld | undefined, sentAt: number): void {
    this.#missed = false;
    if (answer === undefined || this.#ended) return;
    if (!('epoch' in answer)) return this.#refused(answer);
    // Somebody else had it in between: what is remembered of the target is old.
    if (this.#epoch !== undefined && this.#epoch !== answer.epoch)
      this.#lose(new IsthmusError('OTHER_WRITER', `writing a lane: another process had its lease ${this.name} in between`));
    this.#epoch = answer.epoch;
    this.#until = sentAt + TTL_MILLIS - SAFETY_MILLIS;
    if (this.valid) this.#taken?.();
  }

  missed(error: IsthmusError): void {
    this.#missed = true;
    if (this.#taken !== undefined) this.#events?.onTrouble(error);
  }

  #refused({ heldBy, freeInMillis }: LeaseHeld): void {
    const who = heldBy === '' ? 'a process that may still write it' : `the process ${heldBy}`;
    const error = new IsthmusError(
      'OTHER_WRITER',
      `writing a lane: ${who} has its lease ${this.name}; it is waited for, and free ${Math.ceil(freeInMillis / 1000)} s after that process has ended`,
    );
    if (this.#epoch !== undefined) this.#lose(error);
    if (this.#taken !== undefined) this.#events?.onTrouble(error);
  }

  #lose(error: IsthmusError): void {
    this.#epoch = undefined;
    this.#until = Number.NEGATIVE_INFINITY;
    if (this.#taken === undefined) this.#events?.onLost(error);
  }
}
