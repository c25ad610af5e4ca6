import { toIsthmusError } from '../../errors.ts';
import { untilAborted } from '../../lib/abort.ts';
import type { LaneLease } from '../../mirror/lease-keeper.ts';
import type { Log } from '../../spi/log.ts';
import type { MirrorKey, StateStore } from '../../spi/state-store.ts';
import type { MirrorHost } from '../readable-mirror.ts';
import { toTrouble } from '../trouble.ts';
import type { FailbackStatus } from './api.ts';
import { dropListed, reviewLane } from './apply.ts';
import { type KeptFailback, loadFailback, saveFailback } from './kept.ts';
import { type KeptLane, type ListingParts, makeListing } from './listing.ts';
import type { LostDeps } from './lost-records.ts';

export interface FailbackRunParts {
  readonly store: StateStore;
  readonly log: Log;
  readonly host: MirrorHost;
  readonly resumeMirror: (key: MirrorKey) => Promise<unknown>;
  readonly lease: LaneLease;
  readonly deps: LostDeps;
  /** Whether somebody has called it off; else it is the process that ends. */
  readonly cancelled: () => boolean;
  /** What is to be listed; left out: a policy is applied. */
  readonly list?: Pick<ListingParts, 'id' | 'failover' | 'since'> | undefined;
}

/** One listing, or one policy that is applied to what was listed. */
export class FailbackRun {
  readonly done: Promise<void>;
  readonly #parts: FailbackRunParts;
  #kept: KeptFailback;

  constructor(begin: KeptFailback, parts: FailbackRunParts) {
    this.#kept = begin;
    this.#parts = parts;
    this.done = this.#run();
  }

  get status(): FailbackStatus {
    return this.#kept.status;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { lease, log, deps, list } = this.#parts;
    try {
      // Of several processes one does it.
      await lease.take({ onTrouble: () => undefined, onLost: () => undefined }, deps.signal);
      if (deps.signal.aborted) throw deps.signal.reason;
      if (list === undefined) await this.#apply();
      else await this.#list(list);
      const { state, policy, listing } = this.#kept.status;
      log.info('failback-ended', { state, policy, records: listing?.records });
    } catch (raw) {
      await this.#fail(raw);
    } finally {
      await lease.end(true);
    }
  }

  async #list(list: NonNullable<FailbackRunParts['list']>): Promise<void> {
    const { host, store, deps } = this.#parts;
    const { link } = this.status;
    const outcome = await untilAborted(
      makeListing({
        ...list,
        mirrors: this.#kept.mirrors.map((mirror) => host.readable({ link, mirror })),
        store,
        deps,
        tell: (now) => this.#set(now),
        onRead: (records) => this.#set({ read: this.status.read + records }),
      }),
      deps.signal,
    );
    this.#kept = { ...this.#kept, lanes: outcome.lanes };
    this.#set({ state: 'listed', phase: 'ended', endedAt: deps.clock.now(), listing: outcome.listing });
    await this.#save();
  }

  async #apply(): Promise<void> {
    const { store, deps } = this.#parts;
    // Another process may have gone on with it, and ended it, before we had the lease.
    const now = await loadFailback(store, this.status.link);
    if (now !== undefined) this.#kept = now;
    if (this.status.state !== 'running') return;
    const { policy, reviewTopic } = this.status;
    if (policy === 'review' && reviewTopic !== null) await this.#review(reviewTopic);
    if (policy !== 'append') await this.#drop();
    await this.#resume();
    this.#set({ state: 'done', phase: 'ended', endedAt: deps.clock.now() });
    await this.#save();
  }

  async #review(reviewTopic: string): Promise<void> {
    const { host, store, deps } = this.#parts;
    const { link } = this.status;
    const onPlace = async (lane: KeptLane, reviewedTo: string, letters: number): Promise<void> => {
      const lanes = this.#kept.lanes.map((each) =>
        each.mirror === lane.mirror && each.lane.topic === lane.lane.topic && each.lane.lane === lane.lane.lane
          ? { ...each, reviewedTo }
          : each,
      );
      this.#kept = { ...this.#kept, lanes };
      this.#set({ reviewed: this.status.reviewed + letters });
      await this.#save();
    };
    for (const lane of this.#kept.lanes) {
      if (lane.records === 0) continue;
      this.#set({ phase: 'reviewing', topic: lane.lane.topic });
      await reviewLane({ link, mirror: lane.mirror }, lane, { host, store, deps, reviewTopic, onPlace });
    }
  }

  async #drop(): Promise<void> {
    const { host, store } = this.#parts;
    const { link } = this.status;
    this.#set({ phase: 'dropping', topic: '' });
    for (const mirror of this.#kept.mirrors) {
      const lanes = this.#kept.lanes.filter((lane) => lane.mirror === mirror);
      await dropListed({ link, mirror }, lanes, host, store);
    }
  }

  async #resume(): Promise<void> {
    const { link } = this.status;
    this.#set({ phase: 'resuming', topic: '' });
    for (const mirror of this.#kept.mirrors) {
      if (this.status.resumed.includes(mirror)) continue;
      await this.#parts.resumeMirror({ link, mirror });
      this.#set({ resumed: [...this.status.resumed, mirror] });
      await this.#save();
    }
  }

  async #fail(raw: unknown): Promise<void> {
    const { deps, cancelled, list, log } = this.#parts;
    const error = toIsthmusError(raw);
    // The process ends: a policy is gone on with by the next one, a listing has to be asked for again.
    if (deps.signal.aborted && !cancelled() && list === undefined) return;
    const state = deps.signal.aborted ? 'cancelled' : 'failed';
    const trouble = state === 'failed' ? toTrouble(error, deps.clock.now()) : null;
    this.#set({ state, endedAt: deps.clock.now(), trouble });
    log.warn('failback-ended', { state, code: error.code, detail: error.message });
    try {
      await this.#save();
    } catch (unkept) {
      log.error('failback-not-kept', { detail: toIsthmusError(unkept).message });
    }
  }

  #set(change: Partial<FailbackStatus>): void {
    this.#kept = { ...this.#kept, status: { ...this.status, ...change } };
  }

  #save(): Promise<void> {
    return saveFailback(this.#parts.store, this.#kept);
  }
}
