import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import { type Deferred, deferred } from '../../../lib/deferred.ts';
import type { LaneId } from '../../../model/lane.ts';
import { entryPosition, type Position } from '../../../model/position.ts';
import type { LaneExtent, ReadOptions } from '../../../spi/source.ts';
import { Backoff } from '../../../wire/backoff.ts';
import { expires } from '../admin/cursors.ts';
import { BEFORE_FIRST, compareIds, readFirstMessageId, scanName } from '../net/entry-reader.ts';
import type { LastMessageId } from '../wire/last-message-id.ts';
import type { MessageId } from '../wire/message-id.ts';
import { MAX_SPAN_ENTRIES } from './chunks.ts';
import { type Hole, lookAtOpening } from './continuity.ts';
import type { FlowWindow } from './flow-window.ts';
import { doneBefore, entryOf, laneTopic } from './places.ts';
import type { SourceShared } from './shared.ts';
import { Subscription } from './subscription.ts';

const MIN_BACKOFF_MILLIS = 100;
const MAX_BACKOFF_MILLIS = 5_000;
/** How long entries that were granted and do not come are taken to be on their way. */
const UNSURE_MILLIS = 5;
const WATCH_MILLIS = 10_000;
/** How old an extent may be that is given out without asking again. */
const EXTENT_MILLIS = 1_000;

/**
 * A consumer's priority is the lower the better, and ours is the better the later the lane was opened: whoever opens one has the right to write its target, and one that
 * hangs would otherwise keep the subscription for a minute.
 */
const PRIORITY_BASE_SECONDS = 1_700_000_000;

export interface ReadLoopOptions {
  readonly lane: LaneId;
  readonly read: ReadOptions;
  readonly flow: FlowWindow;
  readonly shared: SourceShared;
  /** The next entry that is wanted from the broker. */
  readonly wanted: () => Position;
  readonly onEntry: (id: MessageId, entry: Buffer) => void;
  /** The lane can be read, from `wanted` on. */
  readonly onPlaced: () => void;
  /** What lies between `wanted` and `to` will not come. */
  readonly onHole: (hole: Hole) => void;
  /** Nothing follows; `error` says why. */
  readonly onEnd: (error: IsthmusError) => void;
}

/** Keeps a lane's subscription open: finds its broker, attaches, asks for entries as long as there is room, and starts over after each interruption. */
export class ReadLoop {
  readonly #options: ReadLoopOptions;
  readonly #doing: string;
  readonly #backoff: Backoff;
  readonly #priority: number;
  readonly #stop = new AbortController();
  readonly #attached: Deferred<void> = deferred();
  #subscription: Subscription | undefined;
  /** The subscription is placed, and may be read. */
  #placed = false;
  #active: boolean | undefined;
  #turn: Deferred<void> | undefined;
  /** Attached at least once: the subscription's place is ours then and only ever moves on. */
  #begun = false;
  #troubled = false;
  #extent: LaneExtent | undefined;
  #extentAt = Number.NEGATIVE_INFINITY;
  #asking = false;
  #cancelUnsure: (() => void) | undefined;
  #cancelWatch: () => void = () => undefined;
  #arrivals = 0;
  /** The newest entry that came. */
  #newest: MessageId = BEFORE_FIRST;
  /** The newest entry that is known to have been there. */
  #known: MessageId = BEFORE_FIRST;

  constructor(options: ReadLoopOptions) {
    this.#options = options;
    this.#doing = `reading ${options.lane.topic} ${options.lane.lane}`;
    this.#backoff = new Backoff(MIN_BACKOFF_MILLIS, MAX_BACKOFF_MILLIS, options.shared.deps.random);
    this.#priority = -Math.floor(options.shared.deps.clock.now() / 1000 - PRIORITY_BASE_SECONDS);
    this.#attached.promise.catch(() => undefined);
  }

  /** The extent as last heard; asks again when that is some time ago. */
  get extent(): LaneExtent | undefined {
    const { clock } = this.#options.shared.deps;
    if (clock.monotonic() - this.#extentAt > EXTENT_MILLIS && this.#placed) void this.#ask();
    return this.#extent;
  }

  start(): void {
    void this.#attach();
  }

  /** Acknowledges all entries before the one of `next`. Waits for the first attachment. */
  async acknowledge(next: Position): Promise<void> {
    await this.#attached.promise;
    const subscription = this.#subscription;
    if (subscription === undefined || !this.#placed)
      throw new IsthmusError('BROKER_BUSY', `${this.#doing}: the subscription is not attached`);
    await subscription.acknowledge(doneBefore(next));
  }

  /** Gives the broker permits when there is room; called whenever room or want may have changed. */
  more(starved: boolean): void {
    const { flow } = this.#options;
    if (!this.#placed) return;
    const permits = flow.grant();
    if (permits > 0) this.#subscription?.flow(permits);
    else if (starved && flow.unsure && this.#cancelUnsure === undefined) this.#waitUnsure();
  }

  end(error: IsthmusError): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(error);
    this.#detach();
    this.#turn?.reject(error);
    this.#attached.reject(error);
    this.#options.flow.reset();
    this.#options.onEnd(error);
  }

  async #attach(): Promise<void> {
    const { signal } = this.#stop;
    const { clock } = this.#options.shared.deps;
    while (!signal.aborted) {
      try {
        await this.#attachOnce();
        return;
      } catch (caught) {
        this.#detach();
        if (signal.aborted) return;
        const error = toIsthmusError(caught);
        if (!error.retryable) return this.end(error);
        this.#report(error);
        await clock.sleep(this.#backoff.next(), signal);
      }
    }
  }

  async #attachOnce(): Promise<void> {
    const { lane, read, shared, wanted } = this.#options;
    const topic = await laneTopic(shared.pool, lane.topic, lane.lane);
    const durable = read.onlook !== true;
    const atLeast = this.#begun || !durable ? BEFORE_FIRST : await this.#look(topic);
    let subscription = await this.#subscribe(topic);
    if (this.#active === false) await this.#waitForTurn();
    let last = await subscription.last();
    const next = entryOf(wanted());
    if (durable && !this.#begun && last.markDelete !== undefined && compareIds(last.markDelete, next) >= 0) {
      // Ahead of what is wanted: somebody has moved it, or it is new and the oldest entry is younger.
      await subscription.seek(next);
      subscription = await this.#subscribe(topic);
      if (this.#active === false) await this.#waitForTurn();
      last = await subscription.last();
    }
    // A new subscription stands at the earliest entry. What lies before `wanted` is done, or it would not be wanted.
    if (durable && last.markDelete !== undefined && compareIds(last.markDelete, atLeast) < 0)
      await subscription.acknowledge(atLeast);
    // It ends before what was read before: a topic that was made again in a cluster that was.
    if (durable && this.#begun && compareIds(last.id, this.#newest) < 0) await this.#look(topic);
    if (this.#stop.signal.aborted) throw this.#stop.signal.reason;
    // Lost between two answers: nobody would hear of it any more.
    if (this.#subscription !== subscription) throw new IsthmusError('BROKER_BUSY', `${this.#doing}: the subscription was closed`);
    this.#noteEnd(last);
    this.#begun = true;
    this.#placed = true;
    this.#report(undefined);
    this.#backoff.reset();
    this.#attached.resolve();
    this.#watch();
    shared.deps.log.debug('subscription-attached', { topic, subscription: read.group, broker: subscription.connection.address });
    this.more(true);
    this.#options.onPlaced();
  }

  /** Tells of what is gone before the lane could be read, and gives where the subscription has to be at least. Brokers that do not show their storage to us leave gaps unknown. */
  async #look(partition: string): Promise<MessageId> {
    const { lane, read, shared, wanted } = this.#options;
    const place = { topic: lane.topic, partition, group: read.group, from: wanted() };
    try {
      const { hole, doneBefore: atLeast } = await lookAtOpening(
        shared.rest,
        place,
        read.wholeFrom === undefined ? MAX_SPAN_ENTRIES : 0,
      );
      if (hole !== undefined && !this.#stop.signal.aborted) this.#options.onHole(hole);
      return hole === undefined ? atLeast : BEFORE_FIRST;
    } catch (caught) {
      const error = toIsthmusError(caught);
      if (error.code !== 'ACCESS_DENIED') throw error;
      shared.deps.log.warn('source-storage-unknown', {
        topic: partition,
        detail: `gaps before the start cannot be told: ${error.message}`,
      });
      return doneBefore(wanted());
    }
  }

  /**
   * Looks at what lies between two entries and was not sent: markers never are, and what others have moved the subscription over is not. `sure`: nothing was passed
   * over up to now, whatever has come.
   */
  async findSkipped(next: Position, head: MessageId): Promise<{ readonly hole: Hole | undefined; readonly sure: boolean }> {
    const subscription = this.#subscription;
    if (subscription === undefined || !this.#placed)
      throw new IsthmusError('BROKER_BUSY', `${this.#doing}: the subscription is not attached`);
    const { markDelete } = await subscription.last();
    const first = entryOf(next);
    // We acknowledge only what was delivered, so nobody else has moved it.
    if (markDelete !== undefined && compareIds(markDelete, first) < 0) return { hole: undefined, sure: true };
    const { shared } = this.#options;
    const scan = { topic: subscription.topic, subscription: scanName(shared.deps), from: first };
    const visible = await readFirstMessageId(subscription.connection, scan, shared.deps.clock);
    if (compareIds(visible, head) < 0) return { hole: await this.#holeTo(head), sure: false };
    // The ledger is gone, and there was more in it.
    if (this.#known.ledger === first.ledger && this.#known.entry >= first.entry && head.ledger !== first.ledger)
      return { hole: { to: entryPosition(head.ledger, head.entry), reason: 'expired', back: false }, sure: false };
    return { hole: undefined, sure: false };
  }

  async #holeTo({ ledger, entry }: MessageId): Promise<Hole> {
    const { shared, lane } = this.#options;
    // Policies are for administrators to read. The gap has to be told all the same: a lane would wait before it without end.
    const expired = await expires(shared.rest, lane.topic).catch((caught: unknown) => {
      const error = toIsthmusError(caught);
      if (error.code === 'ACCESS_DENIED') return false;
      throw error;
    });
    return { to: entryPosition(ledger, entry), reason: expired ? 'expired' : 'reset', back: false };
  }

  async #subscribe(topic: string): Promise<Subscription> {
    const { shared, read, onEntry, wanted } = this.#options;
    const connection = await shared.pool.locate(topic);
    if (this.#stop.signal.aborted) throw this.#stop.signal.reason;
    this.#detach();
    this.#active = undefined;
    const subscription = await Subscription.open(connection, {
      topic,
      name: read.onlook === true ? scanName(shared.deps) : read.group,
      from: read.onlook === true ? entryOf(wanted()) : undefined,
      consumerName: `isthmus-${Math.floor(shared.deps.random() * 2 ** 48).toString(36)}`,
      priority: this.#priority,
      message: (id, entry) => {
        this.#arrivals++;
        if (compareIds(id, this.#newest) > 0) this.#newest = id;
        onEntry(id, entry);
      },
      activeChange: (active) => this.#onActive(active),
      lost: (error) => this.#onLost(error),
    });
    if (this.#stop.signal.aborted) {
      subscription.close();
      throw this.#stop.signal.reason;
    }
    this.#subscription = subscription;
    return subscription;
  }

  /** Another consumer has the subscription. It is waited for: whoever may write to the target decides, not who reads. */
  async #waitForTurn(): Promise<void> {
    this.#report(
      new IsthmusError('OTHER_WRITER', `${this.#doing}: another consumer has the subscription ${this.#options.read.group}`),
    );
    this.#turn = deferred();
    try {
      await this.#turn.promise;
    } finally {
      this.#turn = undefined;
    }
  }

  #onActive(active: boolean): void {
    const before = this.#active;
    this.#active = active;
    if (active) this.#turn?.resolve();
    else if (before !== false && this.#placed) {
      // What is read from now on may be read by somebody else as well; what to do is known after a look at the target.
      this.end(
        new IsthmusError(
          'OTHER_WRITER',
          `${this.#doing}: another consumer has taken the subscription ${this.#options.read.group}`,
        ),
      );
    }
  }

  #onLost(error: IsthmusError): void {
    const placed = this.#placed;
    this.#detach();
    this.#turn?.reject(error);
    // While it is being attached, whoever does that goes on.
    if (!placed || this.#stop.signal.aborted) return;
    this.#report(error);
    void this.#attach();
  }

  #detach(): void {
    this.#placed = false;
    this.#cancelWatch();
    this.#cancelUnsure?.();
    this.#cancelUnsure = undefined;
    this.#subscription?.close();
    this.#subscription = undefined;
    this.#options.flow.reset();
  }

  #report(error: IsthmusError | undefined): void {
    if (error === undefined && !this.#troubled) return;
    this.#troubled = error !== undefined;
    this.#options.read.onTrouble(error);
  }

  #waitUnsure(): void {
    const before = this.#arrivals;
    this.#cancelUnsure = this.#options.shared.deps.clock.timer(UNSURE_MILLIS, () => {
      this.#cancelUnsure = undefined;
      if (this.#arrivals === before) this.#options.flow.settle();
      this.more(true);
    });
  }

  /** Looks now and then at what the broker has: it may forget a consumer without a word, or somebody may have moved the subscription to the end. */
  #watch(): void {
    const before = this.#arrivals;
    this.#cancelWatch = this.#options.shared.deps.clock.timer(WATCH_MILLIS, () => {
      this.#watch();
      void this.#ask(before);
    });
  }

  /** Asks where the topic ends; with `arrivals`, whether something should have come since there were so many. */
  async #ask(arrivals?: number): Promise<void> {
    const subscription = this.#subscription;
    if (this.#asking || subscription === undefined) return;
    this.#asking = true;
    try {
      const last = await subscription.last();
      if (subscription !== this.#subscription) return;
      this.#noteEnd(last);
      if (arrivals === this.#arrivals && this.#options.flow.granted) await this.#judgeSilence(last);
    } catch (caught) {
      // A lost connection is heard of anyway; a broker that does not know the consumer any more says so only here.
      if (subscription === this.#subscription) this.#onLost(toIsthmusError(caught));
    } finally {
      this.#asking = false;
    }
  }

  /** Nothing has come for a while, although it might. */
  async #judgeSilence({ id, markDelete }: LastMessageId): Promise<void> {
    const next = entryOf(this.#options.wanted());
    if (compareIds(id, next) < 0 || compareIds(id, this.#newest) <= 0) return;
    if (markDelete !== undefined && compareIds(markDelete, id) >= 0) {
      // The newest entry was never sent and is done: somebody has moved the subscription over it.
      const hole = await this.#holeTo({ ledger: markDelete.ledger, entry: markDelete.entry + 1 });
      if (compareIds(entryOf(this.#options.wanted()), next) === 0) this.#options.onHole(hole);
      return;
    }
    this.#onLost(
      new IsthmusError(
        'REQUEST_TIMEOUT',
        `${this.#doing}: nothing came for ${WATCH_MILLIS} ms although there is something to read`,
      ),
    );
  }

  #noteEnd({ id, batchIndex }: LastMessageId): void {
    if (compareIds(id, this.#known) > 0) this.#known = id;
    this.#extentAt = this.#options.shared.deps.clock.monotonic();
    const begin = this.#extent?.begin ?? this.#options.wanted();
    // An empty topic ends where reading goes on.
    const end =
      id.ledger < 0 || id.entry < 0
        ? begin
        : entryPosition(id.ledger, batchIndex < 0 ? id.entry + 1 : id.entry, batchIndex < 0 ? -1 : batchIndex + 1);
    this.#extent = { begin, end };
  }
}
