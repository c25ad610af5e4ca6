import { IsthmusError, toIsthmusError } from '../../errors.ts';
import type { LaneId } from '../../model/lane.ts';
import { offsetPosition } from '../../model/position.ts';
import type { GapReason, LaneExtent, ReadOptions } from '../../spi/source.ts';
import { Backoff } from '../../wire/backoff.ts';
import { Doubt } from './doubt.ts';
import type { History } from './history.ts';
import type { LaneShared } from './lane-shared.ts';
import type { Identity } from './message/decode.ts';
import { PullPace } from './pull-pace.ts';
import type { PullRange, PullWindow } from './pull-window.ts';
import type { RemotingConnection } from './remoting.ts';
import { findRewind } from './rewind.ts';
import { brokerOf, type QueueName } from './routes.ts';
import { judge, type Verdict } from './verdict.ts';
import type { Command } from './wire/command.ts';
import { PullEncoder, type PullHeader } from './wire/pull-message.ts';

/** The broker looks at held pulls each 5 s only, so an answer may come that much later. */
const SUSPEND_MILLIS = 15_000;
const PULL_TIMEOUT_MILLIS = 15_000;
const HELD_PULL_TIMEOUT_MILLIS = SUSPEND_MILLIS + 15_000;
const DOUBT_STEP_MILLIS = 500;
const ROUTE_CHECK_MILLIS = 30_000;

export interface PullLoopOptions {
  readonly lane: LaneId;
  readonly queue: QueueName;
  readonly read: ReadOptions;
  readonly window: PullWindow;
  readonly history: History;
  readonly shared: LaneShared;
  /** Something has come into the window. */
  readonly onProgress: () => void;
  /** Nothing more will come. */
  readonly onEnd: (error: IsthmusError) => void;
}

/** Where pulls go at the moment. */
interface Reading {
  readonly connection: RemotingConnection;
  readonly address: string;
  /** Replicas may lag, so only the master is believed when it says that records are gone. */
  readonly master: boolean;
}

/** A pull under way. */
interface Pull {
  readonly range: PullRange;
  readonly asked: number;
  readonly maxMessages: number;
  readonly sentAt: number;
  readonly held: boolean;
  readonly verify: Identity | undefined;
}

/**
 * Keeps a window filled by overlapping pulls of one queue.
 *
 * Ranges of offsets are pulled side by side up to the end of the queue as last heard; at the end exactly one pull is held by the broker.
 * (Beyond the end a broker answers at once even when told to hold, so pulling further ahead would spin.) Whatever disturbs the flow ends
 * in one place, `#interrupt`: what was answered without a hole stays, and reading resumes by pulling the last message once more, to see
 * that the queue is still the one that was read before.
 */
export class PullLoop {
  readonly #options: PullLoopOptions;
  readonly #pace = new PullPace();
  readonly #encoder: PullEncoder;
  readonly #backoff: Backoff;
  #reading: Reading | undefined;
  /** The end of the queue as last heard from the server that is read now; pulls without hold go up to here. */
  #known: number | undefined;
  #verify: Identity | undefined;
  #extent: LaneExtent | undefined;
  readonly #doubt = new Doubt();
  #troubled = false;
  #waitsForRoom = false;
  #busy = false;
  #routeCheckedAt = 0;
  #cancelTimer: (() => void) | undefined;
  #ended = false;

  constructor(options: PullLoopOptions) {
    this.#options = options;
    this.#encoder = new PullEncoder(options.read.group, options.lane.topic, options.queue.queueId, options.shared.network.sign);
    this.#backoff = new Backoff(50, 5_000, options.shared.deps.random);
  }

  get extent(): LaneExtent | undefined {
    return this.#extent;
  }

  get #doing(): string {
    return `reading ${this.#options.lane.topic} ${this.#options.lane.lane}`;
  }

  /** Connects and begins to pull at the window's end; also after an interruption. Never rejects. */
  async connect(): Promise<void> {
    const { lane, queue, window, history } = this.#options;
    const { network, routes, deps } = this.#options.shared;
    try {
      const broker = brokerOf(await routes.get(lane.topic), lane.topic, queue);
      if (broker.reader === undefined) throw new IsthmusError('BROKER_BUSY', `${this.#doing}: no server of the broker is up`);
      const connection = await network.connection(broker.reader);
      if (this.#ended || this.#reading !== undefined) return;
      this.#reading = { connection, address: broker.reader, master: broker.reader === broker.master };
      this.#routeCheckedAt = deps.clock.monotonic();
      this.#verify = window.lastWaiting() ?? history.newestAt(window.end - 1);
      this.#known = undefined;
      this.issue();
    } catch (error) {
      this.#retry(toIsthmusError(error));
    }
  }

  /** Stops for good. */
  end(): void {
    this.#ended = true;
    this.#reading = undefined;
    this.#cancelTimer?.();
  }

  /** The reader waits for records. */
  starved(): void {
    if (this.#options.window.ranges.length >= this.#pace.depth) this.#pace.starved();
  }

  /** All of the window's first range was taken. */
  taken(): void {
    const { window, shared } = this.#options;
    const range = window.ranges.shift();
    if (range !== undefined) this.#pace.taken(shared.deps.clock.monotonic() - range.answeredAt);
    this.issue();
  }

  /** Pulls what there is room for. */
  issue(): void {
    const { window } = this.#options;
    // Bytes that are given back while an answer is taken in wake this lane as well, when the window is half changed.
    if (this.#busy) return;
    while (this.#reading !== undefined) {
      if (window.ranges.length >= this.#pace.depth) return;
      const { end } = window;
      const plan = this.#pace.plan(this.#known === undefined || this.#verify !== undefined ? undefined : this.#known - end);
      const open = plan.length === Number.POSITIVE_INFINITY;
      if (open && window.waiting) return;
      let { length, ask, bytes } = plan;
      if (!window.tryCharge(bytes)) {
        if (!window.empty) {
          this.#waitForRoom();
          return;
        }
        // A lane that holds nothing goes on whatever the others hold, but by one message only.
        ask = 1;
        length = open ? length : 1;
        bytes = this.#pace.estimateBytes(1);
        window.charge(bytes);
      }
      this.#pull(this.#reading, window.add(end + length, bytes), ask);
    }
  }

  #waitForRoom(): void {
    if (this.#waitsForRoom) return;
    this.#waitsForRoom = true;
    this.#options.window.whenRoom(() => {
      this.#waitsForRoom = false;
      this.issue();
    });
  }

  #pull(reading: Reading, range: PullRange, maxMessages: number): void {
    const verify = this.#verify;
    const held = range.to === Number.POSITIVE_INFINITY && this.#known !== undefined && verify === undefined;
    const asked = verify === undefined ? range.next : verify.offset;
    const pull: Pull = { range, asked, maxMessages, sentAt: this.#options.shared.deps.clock.monotonic(), held, verify };
    range.waiting = true;
    const request = { offset: asked, maxMessages, suspendMillis: held ? SUSPEND_MILLIS : 0 };
    reading.connection.call(
      (opaque) => this.#encoder.encode(request, opaque),
      held ? HELD_PULL_TIMEOUT_MILLIS : PULL_TIMEOUT_MILLIS,
      (answer, error) => this.#onAnswer(pull, answer, error),
    );
  }

  // --- answers --------------------------------------------------------------------------------------------------

  #onAnswer(pull: Pull, answer: Command | undefined, error: IsthmusError | undefined): void {
    if (pull.range.dropped || this.#ended) return;
    pull.range.waiting = false;
    this.#busy = true;
    try {
      if (answer === undefined) throw error ?? new IsthmusError('INTERNAL', `${this.#doing}: neither an answer nor an error`);
      this.#react(pull, answer, judge(answer, pull.asked, this.#doing));
      this.#checkRoute();
    } catch (cause) {
      this.#retry(toIsthmusError(cause));
    }
    this.#busy = false;
    this.issue();
    this.#options.onProgress();
  }

  #react(pull: Pull, answer: Command, verdict: Verdict): void {
    const { shared, read } = this.#options;
    switch (verdict.kind) {
      case 'found':
        this.#found(pull, answer.body, verdict.header);
        return;
      case 'empty':
        this.#empty(pull, verdict.header);
        return;
      case 'gap':
        this.#gap(pull, verdict.to, verdict.reason, verdict.header);
        return;
      case 'reset-back':
        // Said once: the next pull is served as asked.
        this.#retry(
          new IsthmusError('CONFLICT', `${this.#doing}: a reset of our group to ${verdict.to}, behind ${pull.asked}, is ignored`),
        );
        return;
      case 'doubt':
        this.#doubtful(pull, verdict);
        return;
      case 'trouble':
        if (verdict.groupMissing && this.#reading !== undefined) void shared.groups.tryCreate(this.#reading.address, read.group);
        this.#retry(verdict.error);
        return;
    }
  }

  #found(pull: Pull, body: Buffer, header: PullHeader): void {
    const { window, shared } = this.#options;
    const { range, asked, maxMessages } = pull;
    const got = header.nextOffset - asked;
    const limited = got < maxMessages && header.nextOffset < header.maxOffset;
    const now = shared.deps.clock.monotonic();
    range.answeredAt = now;
    this.#pace.answered(range.to - range.next, got, body.length, limited, pull.held ? undefined : now - pull.sentAt);
    const open = range.to === Number.POSITIVE_INFINITY;
    window.fill(range, body, header.nextOffset, pull.verify);
    if (open) window.endHere(range);
    this.#heard(header);
    if (this.#reading !== undefined && range.next < range.to) this.#pull(this.#reading, range, range.to - range.next);
  }

  #empty(pull: Pull, header: PullHeader): void {
    if (pull.verify !== undefined) {
      // The message that we read before is not there any more.
      this.#doubtful(pull, { kind: 'doubt', reason: 'truncated', to: header.maxOffset, header });
      return;
    }
    this.#heard(header);
    this.#again(pull);
  }

  /** Gives up a range and all behind it, and pulls from its beginning again; at the end of the queue the broker then holds the pull. */
  #again(pull: Pull): void {
    if (pull.range.to !== Number.POSITIVE_INFINITY) this.#known = Math.min(this.#known ?? 0, pull.range.next);
    this.#options.window.cutFrom(pull.range);
  }

  #gap(pull: Pull, to: number, reason: GapReason, header: PullHeader): void {
    const { window } = this.#options;
    if (to <= pull.range.next) {
      // Only the message that was to be compared has gone.
      this.#heard(header);
      this.#again(pull);
      return;
    }
    window.endWithGap(pull.range, to, reason);
    this.#heard(header);
  }

  /** An answer that makes sense: all is well. */
  #heard(header: PullHeader): void {
    this.#known = Math.max(this.#known ?? 0, header.maxOffset);
    this.#extent = { begin: offsetPosition(header.minOffset), end: offsetPosition(header.maxOffset) };
    this.#verify = undefined;
    this.#doubt.clear();
    this.#backoff.reset();
    if (this.#troubled) {
      this.#troubled = false;
      this.#options.read.onTrouble(undefined);
    }
  }

  /** A master that lost its role may keep answering; the name servers know better. */
  #checkRoute(): void {
    const { lane, queue, shared } = this.#options;
    const now = shared.deps.clock.monotonic();
    if (this.#reading === undefined || now - this.#routeCheckedAt <= ROUTE_CHECK_MILLIS) return;
    this.#routeCheckedAt = now;
    const broker = shared.routes.peek(lane.topic)?.brokers.find(({ brokerName }) => brokerName === queue.brokerName);
    if (broker?.reader === undefined || broker.reader === this.#reading.address) return;
    this.#interrupt();
    void this.connect();
  }

  // --- trouble --------------------------------------------------------------------------------------------------

  #doubtful(pull: Pull, verdict: Verdict & { kind: 'doubt' }): void {
    if (this.#options.window.firstIncomplete() !== pull.range) {
      // Said of a place ahead; it is judged when all before it has come.
      this.#again(pull);
      return;
    }
    const reading = this.#reading;
    const confirmed = this.#doubt.confirmed(verdict.reason, this.#options.shared.deps.clock.monotonic());
    if (reading?.master !== true || !confirmed) {
      const { minOffset, maxOffset } = verdict.header;
      this.#retry(
        new IsthmusError(
          'BROKER_BUSY',
          `${this.#doing}: offset ${pull.asked} is not in the queue [${minOffset}, ${maxOffset}); looking again before it counts as ${verdict.reason}`,
        ),
        DOUBT_STEP_MILLIS,
      );
    } else if (verdict.reason === 'expired') {
      this.#gap(pull, verdict.to, 'expired', verdict.header);
    } else {
      this.#interrupt();
      void this.#rewind(reading, verdict.to, verdict.reason);
    }
  }

  /** The message before the reader's position turned out to be another one. */
  mismatch(): void {
    const reading = this.#reading;
    this.#forget();
    if (reading === undefined) void this.connect();
    else void this.#rewind(reading, this.#options.window.end, 'truncated');
  }

  /** What has come cannot be used: begins again at the reader's position. */
  again(error: IsthmusError): void {
    this.#forget();
    this.#retry(error);
  }

  #forget(): void {
    this.#reading = undefined;
    this.#options.window.cutAll();
  }

  /** Finds out from where on the queue is another one, and ends with a gap back to there. */
  async #rewind(reading: Reading, end: number, reason: GapReason): Promise<void> {
    const { window, history, lane, onEnd } = this.#options;
    try {
      const found = await findRewind({
        connection: reading.connection,
        encoder: this.#encoder,
        history,
        doing: this.#doing,
        end,
        reason,
      });
      if (this.#ended) return;
      if (found.to >= window.end) {
        void this.connect();
        return;
      }
      window.addRewind(found.to, found.reason);
      this.end();
      onEnd(
        new IsthmusError(
          'SOURCE_REWOUND',
          `${this.#doing}: ${lane.topic} goes on at offset ${found.to}, below ${window.end} that was reached before (${found.reason})`,
        ),
      );
    } catch (error) {
      this.#retry(toIsthmusError(error));
    }
  }

  /** Stops pulling; what has come without a hole stays in the window. */
  #interrupt(): void {
    this.#reading = undefined;
    this.#cancelTimer?.();
    this.#options.window.cutIncomplete();
  }

  /** Reports what is wrong and tries again, with growing waits unless `delayMillis` is given. */
  #retry(error: IsthmusError, delayMillis?: number): void {
    if (this.#ended) return;
    const { read, shared, lane, onEnd } = this.#options;
    if (error.code === 'FRAME_TOO_LARGE') this.#pace.tooLarge();
    this.#interrupt();
    if (error.code === 'CLOSED') {
      this.end();
      onEnd(error);
      return;
    }
    shared.routes.markStale(lane.topic);
    this.#troubled = true;
    read.onTrouble(error);
    this.#cancelTimer = shared.deps.clock.timer(delayMillis ?? this.#backoff.next(), () => void this.connect());
  }
}
