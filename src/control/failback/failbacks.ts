import { IsthmusError, toIsthmusError } from '../../errors.ts';
import { ByteBudget } from '../../lib/byte-budget.ts';
import { randomSuffix } from '../../lib/random.ts';
import { Pace } from '../../mirror/audit/pace.ts';
import type { LeaseKeeper } from '../../mirror/lease-keeper.ts';
import { laneKey } from '../../model/lane.ts';
import { formatPosition } from '../../model/position.ts';
import type { MarkCodec } from '../../model/provenance.ts';
import { targetTopicOf } from '../../model/topic-name.ts';
import type { Clock } from '../../spi/clock.ts';
import type { Log } from '../../spi/log.ts';
import type { MirrorKey, StateStore } from '../../spi/state-store.ts';
import type { MirrorStatus } from '../api.ts';
import type { Clusters } from '../clusters.ts';
import type { FailoverStatus } from '../failover/api.ts';
import type { MirrorHost } from '../readable-mirror.ts';
import type { FailbackControl, FailbackPolicy, FailbackRequest, FailbackStatus, FailbackView } from './api.ts';
import { type KeptFailback, loadFailback, saveFailback } from './kept.ts';
import type { KeptLane } from './listing.ts';
import { viewOf } from './next.ts';
import { FailbackRun, type FailbackRunParts } from './run.ts';

/** Read ahead by a listing, apart from what mirroring may hold. */
const BUDGET_BYTES = 16 * 1024 * 1024;

export interface FailbacksDeps {
  readonly clusters: Clusters;
  readonly store: StateStore;
  readonly leases: LeaseKeeper;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly marks: MarkCodec;
  readonly host: MirrorHost;
  readonly failover: (link: string) => Promise<FailoverStatus>;
  readonly mirrors: () => readonly MirrorStatus[];
  readonly resumeMirror: (key: MirrorKey) => Promise<unknown>;
}

type ListedFailover = NonNullable<FailbackRunParts['list']>;

interface Running {
  readonly run: FailbackRun;
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

/**
 * Failbacks, one per link at a time, kept in the state store.
 *
 * (B1) Nothing but records that were listed is dropped or reviewed: a policy names its listing, and the mirrors have stood still since.
 * (B2) A record is dropped only when the review topic has it, where there is one.
 * (B3) Mirrors run again only after all that was listed is where the policy wants it. What is done twice after a crash does no harm, but for letters that are there twice.
 */
export class Failbacks implements FailbackControl {
  readonly #deps: FailbacksDeps;
  readonly #running = new Map<string, Running>();
  readonly #starting = new Set<string>();
  readonly #closing = new AbortController();

  constructor(deps: FailbacksDeps) {
    this.#deps = deps;
  }

  /** Goes on with what a process before this one has begun. Called when the registry is known. */
  async resume(): Promise<void> {
    for (const link of this.#deps.clusters.links.keys()) {
      try {
        const kept = await loadFailback(this.#deps.store, link);
        if (kept?.status.state === 'running') this.#go(kept);
      } catch (error) {
        this.#deps.log.warn('failback-not-resumed', { link, detail: toIsthmusError(error).message });
      }
    }
  }

  /** Stops where it is; the next process goes on with a policy that is being applied. */
  async close(): Promise<void> {
    this.#closing.abort(new IsthmusError('CLOSED', 'failing back: this process is ending'));
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  async start(request: FailbackRequest): Promise<FailbackView> {
    const { link, policy } = request;
    this.#deps.clusters.link(link);
    if (this.#closing.signal.aborted) throw new IsthmusError('CLOSED', 'failing back: this process is ending');
    const busy = new IsthmusError('CONFLICT', `failing back ${link}: a failback of it runs; wait for its end, or cancel it`);
    if (this.#running.has(link) || this.#starting.has(link)) throw busy;
    // Of two requests one begins, also while it is looked whether it fits.
    this.#starting.add(link);
    try {
      const kept = await loadFailback(this.#deps.store, link);
      if (kept?.status.state === 'running') {
        if (!isOf(request, kept)) throw busy;
        // Another process has it, or had: the lease tells. Here it is gone on with when that has ended.
        this.#go(kept);
        return this.#view(kept.status);
      }
      if (policy === undefined) {
        const { begin, list } = await this.#newListing(link);
        this.#go(begin, list);
        return this.#view(begin.status);
      }
      const begin = await this.#withPolicy(request, policy, kept);
      await saveFailback(this.#deps.store, begin);
      this.#go(begin);
      return this.#view(begin.status);
    } finally {
      this.#starting.delete(link);
    }
  }

  async status(link: string): Promise<FailbackView> {
    this.#deps.clusters.link(link);
    const status = this.#running.get(link)?.run.status ?? (await loadFailback(this.#deps.store, link))?.status;
    if (status === undefined) throw new IsthmusError('NOT_FOUND', `looking for a failback of ${link}: there was none`);
    return this.#view(status);
  }

  async cancel(link: string): Promise<FailbackView> {
    const running = this.#running.get(link);
    if (running === undefined) {
      const { state } = await this.status(link);
      if (state === 'running')
        throw new IsthmusError(
          'CONFLICT',
          `cancelling the failback of ${link}: another process has it; ask that one, or send the same policy again when it is gone`,
        );
    } else {
      running.abort.abort(new IsthmusError('CLOSED', `failing back ${link}: it was cancelled`));
      await running.ended;
    }
    return await this.status(link);
  }

  async #newListing(link: string): Promise<{ readonly begin: KeptFailback; readonly list: ListedFailover }> {
    const { clusters, clock, random } = this.#deps;
    const failover = await this.#deps.failover(link);
    if (failover.kind !== 'unplanned' || failover.state !== 'done') {
      const hint =
        failover.kind === 'planned' ? 'a planned one leaves nothing behind: plan a failover of the link back' : 'end it first';
      throw new IsthmusError(
        'CONFLICT',
        `failing back ${link}: its last failover was ${failover.kind} and is ${failover.state}; ${hint}`,
      );
    }
    const still = this.#mirrorsOf(link).filter(({ state }) => state === 'paused');
    if (still.length === 0)
      throw new IsthmusError(
        'CONFLICT',
        `failing back ${link}: none of its mirrors is paused, so that what ${clusters.link(link).from} has comes by itself`,
      );
    const { from, to } = clusters.link(link);
    const now = clock.now();
    const status: FailbackStatus = {
      link,
      from,
      to,
      state: 'running',
      phase: 'listing',
      policy: null,
      reviewTopic: null,
      startedAt: now,
      endedAt: null,
      topic: '',
      read: 0,
      reviewed: 0,
      resumed: [],
      listing: null,
      trouble: null,
    };
    const list = { id: `${now}-${randomSuffix(random)}`, failover: failover.id, since: failover.steps[0]?.startedAt ?? now };
    return { begin: { status, mirrors: still.map(({ spec }) => spec.name), lanes: [] }, list };
  }

  /** What is kept of the listing, with the policy. Throws when it is not what the request means, or not true any more. */
  async #withPolicy(
    { link, listing, reviewTopic }: FailbackRequest,
    policy: FailbackPolicy,
    kept: KeptFailback | undefined,
  ): Promise<KeptFailback> {
    const doing = `failing back ${link} by the policy ${policy}`;
    if (policy === 'review') this.#expectTopic(link, reviewTopic, kept?.lanes ?? [], doing);
    else if (reviewTopic !== undefined) throw new IsthmusError('INVALID_REQUEST', `${doing}: only review has a review topic`);
    if (kept === undefined || kept.status.listing === null || kept.status.listing.id !== listing)
      throw new IsthmusError(
        'CONFLICT',
        `${doing}: ${listing ?? 'none'} is not the last listing (${kept?.status.listing?.id ?? 'there is none'}); list first`,
      );
    const { status } = kept;
    const goesOn = isOf({ link, policy, listing, reviewTopic }, kept) && ['failed', 'cancelled'].includes(status.state);
    if (status.state !== 'listed' && !goesOn)
      throw new IsthmusError(
        'CONFLICT',
        `${doing}: the last failback of the link is ${status.state}${status.policy === null ? '' : ` (${status.policy})`}; list first`,
      );
    if (status.state === 'listed') await this.#expectStill(kept, doing);
    const changes = { state: 'running', policy, reviewTopic: reviewTopic ?? null, trouble: null, endedAt: null } as const;
    return { ...kept, status: { ...status, ...changes } };
  }

  #expectTopic(link: string, reviewTopic: string | undefined, lanes: readonly KeptLane[], doing: string): void {
    if (reviewTopic === undefined || reviewTopic === '')
      throw new IsthmusError('INVALID_REQUEST', `${doing}: name the topic that the records are to be written to (reviewTopic)`);
    const { target } = this.#deps.clusters.ends(link);
    const refusal = target.sink?.refusesTopicName(reviewTopic);
    if (refusal !== undefined) throw new IsthmusError('INVALID_REQUEST', `${doing} into ${reviewTopic}: ${refusal}`);
    const specs = new Map(this.#mirrorsOf(link).map(({ spec }) => [spec.name, spec]));
    for (const { mirror, lane } of lanes) {
      const spec = specs.get(mirror);
      if (spec !== undefined && targetTopicOf(spec, lane.topic) === reviewTopic)
        throw new IsthmusError('INVALID_REQUEST', `${doing}: ${reviewTopic} is what the mirror ${mirror} writes to`);
    }
  }

  /** (B1) */
  async #expectStill({ status: { link }, mirrors, lanes }: KeptFailback, doing: string): Promise<void> {
    for (const mirror of mirrors) {
      const state = this.#mirrorsOf(link).find(({ spec }) => spec.name === mirror)?.state;
      if (state !== 'paused')
        throw new IsthmusError(
          'CONFLICT',
          `${doing}: the mirror ${mirror} is ${state ?? 'gone'}, not paused; pause it, and list again`,
        );
      const now = await this.#deps.store.loadCheckpoints({ link, mirror });
      for (const { lane, checkpoint } of lanes.filter((each) => each.mirror === mirror)) {
        const next = now.find((each) => laneKey(each.lane) === laneKey(lane))?.next;
        if ((next === undefined ? null : formatPosition(next)) !== checkpoint)
          throw new IsthmusError('CONFLICT', `${doing}: the mirror ${mirror} has run since the listing; list again`);
      }
    }
  }

  #mirrorsOf(link: string): readonly MirrorStatus[] {
    return this.#deps.mirrors().filter((mirror) => mirror.link === link);
  }

  #go(begin: KeptFailback, list?: ListedFailover): void {
    const { link } = begin.status;
    const { store, clock, marks, leases, log, host, resumeMirror } = this.#deps;
    const abort = new AbortController();
    const signal = AbortSignal.any([abort.signal, this.#closing.signal]);
    const deps = { clock, marks, signal, budget: new ByteBudget(BUDGET_BYTES), pace: new Pace(clock, () => false) };
    const run = new FailbackRun(begin, {
      store,
      log: log.child({ failback: link }),
      host,
      resumeMirror,
      lease: leases.open(`failback ${link}`),
      list,
      deps,
      cancelled: () => abort.signal.aborted,
    });
    const ended = run.done.finally(() => this.#running.delete(link));
    this.#running.set(link, { run, abort, ended });
  }

  #view(status: FailbackStatus): FailbackView {
    return viewOf(status, this.#deps.clusters.links.values(), this.#deps.mirrors());
  }
}

/** Whether a request asks for just what is kept. */
function isOf({ policy, listing, reviewTopic }: FailbackRequest, { status }: KeptFailback): boolean {
  return (
    policy !== undefined &&
    policy === status.policy &&
    listing === status.listing?.id &&
    (reviewTopic ?? null) === status.reviewTopic
  );
}
