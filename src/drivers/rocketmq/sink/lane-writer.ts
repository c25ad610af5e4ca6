import { type ErrorCode, IsthmusError, toIsthmusError } from '../../../errors.ts';
import { type Deferred, deferred } from '../../../lib/deferred.ts';
import type { SlabPool } from '../../../lib/slab.ts';
import { offsetPosition } from '../../../model/position.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import type { AppendResult, LaneWriter, WriterOptions } from '../../../spi/sink.ts';
import { Backoff } from '../../../wire/backoff.ts';
import type { RocketmqDeps } from '../options.ts';
import type { Command } from '../wire/command.ts';
import { readStoredOffset } from '../wire/send-message.ts';
import { RecordEncoder } from './encode/record-encoder.ts';
import { type LookParts, lookThrough, queueEnds } from './look/queue-look.ts';
import type { Settler } from './look/settler.ts';
import { slicePieces, TailSearch } from './look/tail-search.ts';
import { Outbox, type Piece, piecesBytes, piecesCount, piecesRuns } from './outbox.ts';
import type { QueueAccess, ReachedPlace } from './queue-access.ts';
import { encodeSend } from './send-request.ts';
import { Sending } from './sending.ts';
import { judgeSend } from './verdict.ts';

/** The queue is not as this writer has left it, or does not take what waits: whoever opened the writer has to look at all of it, and to read again. */
const NEEDS_RECOVERY: ReadonlySet<ErrorCode> = new Set(['OTHER_WRITER', 'UNKNOWN_OUTCOME', 'LIMIT_LOWERED']);

export interface LaneWriterParts {
  readonly look: LookParts;
  readonly settler: Settler;
  readonly slabs: SlabPool;
  readonly deps: RocketmqDeps;
  readonly access: QueueAccess;
  readonly onEnd: (writer: RocketmqLaneWriter) => void;
  /** Said of each answer that is stored without the confirmation of a disk or a replica. */
  readonly onWeak: (address: string, remark: string) => void;
}

/** `writing`: requests go out. `regaining`: not (yet, or any more); records wait. `ended`: closed or failed. */
type State = 'regaining' | 'writing' | 'ended';

/**
 * Writes one lane into one queue.
 *
 * Exactly one request is under way at a time: a broker handles sends in several threads and stores two of one queue in any order. What comes meanwhile travels together in the
 * next request. After any doubt nothing is sent before the broker can hold nothing of it any more (Settler) and the queue's tail has told what is stored.
 */
export class RocketmqLaneWriter implements LaneWriter {
  readonly #options: WriterOptions;
  readonly #parts: LaneWriterParts;
  readonly #backoff: Backoff;
  readonly #access: QueueAccess;
  readonly #abort = new AbortController();
  readonly #outbox: Outbox;
  #state: State = 'regaining';
  #failure: IsthmusError | undefined;
  #started = false;
  #place: ReachedPlace | undefined;
  /** Of the broker that was written last. */
  #address: string | undefined;
  #sending: Sending | undefined;
  /** Everything of this lane below this offset of the queue is known. */
  #known: number | undefined;
  /** Something sent before this moment (monotonic milliseconds) may or may not be stored; by somebody else before us, at first. */
  #doubtSince: number | undefined;
  /** The broker says that it will never store what was sent last. */
  #refusal: IsthmusError | undefined;
  #flushWanted = false;
  #troubled = false;
  #roomWanted: Deferred<void> | undefined;
  #emptyWanted: Deferred<void> | undefined;

  constructor(options: WriterOptions, parts: LaneWriterParts) {
    this.#options = options;
    this.#parts = parts;
    this.#access = parts.access;
    this.#backoff = new Backoff(50, 5_000, parts.deps.random);
    const encoder = new RecordEncoder(parts.deps.marks, options.sourceCluster, options.lane);
    this.#outbox = new Outbox(parts.slabs, encoder, options.topic);
  }

  /**
   * Finds the broker; waits as long as there is hope and `signal` allows. Rejects with TOPIC_NOT_FOUND, or what is wrong for good, or CLOSED. What a former writer of the lane
   * may have sent is waited for before the first request leaves.
   */
  async start(signal: AbortSignal): Promise<void> {
    const stop = (): void => void this.close(0);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    this.#doubtSince = this.#parts.deps.clock.monotonic();
    await this.#reachFirst();
    signal.removeEventListener('abort', stop);
    if (this.#failure !== undefined) throw this.#failure;
    this.#started = true;
    void this.#regain();
  }

  append(batch: RecordBatch, i: number): AppendResult {
    if (this.#state === 'ended') return 'full';
    const result = this.#outbox.append(batch, i);
    if (this.#sending === undefined && this.#outbox.waiting > 0) this.#next();
    return result;
  }

  flush(): void {
    if (this.#outbox.open === 0) return;
    // While a request is under way what is open only grows: it leaves when the answer comes.
    this.#flushWanted = true;
    this.#next();
  }

  open(): number {
    return this.#outbox.open;
  }

  get inFlight(): number {
    return this.#outbox.waiting;
  }

  async ready(): Promise<void> {
    while (!this.#hasRoom()) {
      if (this.#roomWanted === undefined) {
        this.#roomWanted = deferred();
        this.#outbox.whenRoom(() => this.#wake());
      }
      await this.#roomWanted.promise;
    }
  }

  async close(graceMillis: number): Promise<void> {
    if (this.#state === 'ended') return;
    this.#outbox.dropOpen();
    if (this.#outbox.waiting > 0 && graceMillis > 0) {
      this.#emptyWanted = deferred();
      await Promise.race([this.#emptyWanted.promise, this.#parts.deps.clock.sleep(graceMillis, this.#abort.signal)]);
    }
    this.#end(new IsthmusError('CLOSED', `${this.#access.doing}: the writer was closed`));
  }

  #hasRoom(): boolean {
    if (this.#state === 'ended')
      throw this.#failure ?? new IsthmusError('CLOSED', `${this.#access.doing}: the writer was closed`);
    return this.#outbox.hasRoom();
  }

  // --- sending --------------------------------------------------------------------------------------------------

  /** Sends what is next, if it may. */
  #next(): void {
    if (this.#state !== 'writing' || this.#sending !== undefined) return;
    if (this.#flushWanted) {
      this.#flushWanted = false;
      this.#outbox.seal();
    }
    if (this.#outbox.waiting === 0) return;
    const place = this.#place;
    if (place === undefined) return;
    // A process that stood still finds out here that its lease has run out, before it writes beside the one that has the lane now.
    if (this.#options.mayWrite?.() === false) {
      this.#fail(
        new IsthmusError('OTHER_WRITER', `${this.#access.doing}: the lease has run out, another process may have the lane`),
      );
      return;
    }
    const lost = this.#access.lost(place);
    if (lost !== undefined) {
      // Nothing is under way, but a broker that was started again may lack what was confirmed: a look tells where the queue ends.
      this.#doubt(lost);
      return;
    }
    const sending = new Sending(this.#outbox.next(), place.connection);
    this.#sending = sending;
    sending.send(encodeSend(place, sending.pieces, this.#parts.look.network.sign), (answer, error) =>
      this.#onAnswer(sending, place, answer, error),
    );
  }

  #onAnswer(sending: Sending, place: ReachedPlace, answer: Command | undefined, error: IsthmusError | undefined): void {
    if (this.#state === 'ended' || this.#sending !== sending) return;
    if (answer === undefined) {
      this.#doubt(error ?? new IsthmusError('INTERNAL', `${this.#access.doing}: neither an answer nor an error`));
      return;
    }
    const verdict = judgeSend(answer, this.#access.doing);
    if (verdict.kind === 'stored') {
      if (verdict.weak) this.#parts.onWeak(place.address, answer.remark);
      this.#onStored(sending, answer);
    } else if (verdict.kind === 'doubt') this.#doubt(verdict.error);
    else if (verdict.kind === 'failed') this.#fail(verdict.error);
    else {
      if (verdict.kind === 'illegal') {
        this.#access.doubtLimit(place, answer.remark);
        this.#refusal = verdict.error;
      }
      this.#sending = undefined;
      this.#lose(verdict.error);
    }
  }

  #onStored(sending: Sending, answer: Command): void {
    let offset: number;
    try {
      offset = readStoredOffset(answer);
    } catch (error) {
      this.#doubt(toIsthmusError(error));
      return;
    }
    this.#sending = undefined;
    this.#known = offset + piecesCount(sending.pieces);
    this.#backoff.reset();
    this.#report(sending.pieces, offset);
    // Not before that: whoever hears of it writes on at once, and what is stored would go out once more.
    this.#calm();
    this.#next();
    this.#wake();
  }

  /** Tells of records that are stored side by side from `offset` on, and lets go of them. */
  #report(pieces: readonly Piece[], offset: number): void {
    const first = pieces[0];
    if (first === undefined) return;
    const stored = {
      partition: this.#options.partition,
      runs: piecesRuns(pieces),
      count: piecesCount(pieces),
      target: offsetPosition(offset),
      bytes: piecesBytes(pieces).reduce((sum, bytes) => sum + bytes.length, 0),
      sourceStoreTime: first.chunk.slab.storeTimes[first.from] ?? 0,
    };
    this.#outbox.stored(pieces);
    this.#options.onStored(stored);
    if (this.#outbox.waiting === 0) this.#emptyWanted?.resolve();
  }

  #wake(): void {
    const wanted = this.#roomWanted;
    this.#roomWanted = undefined;
    wanted?.resolve();
  }

  // --- trouble --------------------------------------------------------------------------------------------------

  /** What is under way may or may not be stored: only the queue's tail can tell. */
  #doubt(error: IsthmusError): void {
    this.#doubtSince = this.#parts.deps.clock.monotonic();
    this.#lose(error);
  }

  /** Stops sending until the broker is regained. */
  #lose(error: IsthmusError): void {
    this.#state = 'regaining';
    this.#log('warn', this.#doubtSince === undefined ? 'writer-waits' : 'writer-in-doubt', error);
    this.#trouble(error);
    void this.#regain(this.#doubtSince === undefined);
  }

  #trouble(error: IsthmusError): void {
    this.#troubled = true;
    this.#access.markStale();
    this.#options.onTrouble(error);
  }

  #calm(): void {
    if (!this.#troubled) return;
    this.#troubled = false;
    this.#options.onTrouble(undefined);
  }

  async #reachFirst(): Promise<void> {
    while (this.#state === 'regaining') {
      try {
        this.#outbox.maxMessageBytes = (await this.#access.reach()).maxMessageBytes;
        return;
      } catch (caught) {
        const error = toIsthmusError(caught);
        // A topic that is not there has to be made by whoever opens the writer.
        if (!error.retryable || error.code === 'TOPIC_NOT_FOUND') {
          this.#end(error);
          return;
        }
        await this.#pause(error);
      }
    }
  }

  /** Tries until the writer knows what is stored and may send, or until it ends. Never rejects. */
  async #regain(wait = false): Promise<void> {
    if (wait) await this.#parts.deps.clock.sleep(this.#backoff.next(), this.#abort.signal);
    while (this.#state === 'regaining') {
      try {
        await this.#regainOnce();
        return;
      } catch (caught) {
        const error = toIsthmusError(caught);
        if (!error.retryable || NEEDS_RECOVERY.has(error.code)) return this.#fail(error);
        await this.#pause(error);
      }
    }
  }

  async #pause(error: IsthmusError): Promise<void> {
    if (this.#state === 'ended') return;
    this.#log('info', 'writer-waits', error);
    this.#trouble(error);
    await this.#parts.deps.clock.sleep(this.#backoff.next(), this.#abort.signal);
  }

  async #regainOnce(): Promise<void> {
    const place = await this.#access.reach();
    this.#expectFit(place);
    // So may another master.
    if (this.#address !== place.address) this.#doubtSince ??= this.#parts.deps.clock.monotonic();
    if (this.#doubtSince !== undefined) {
      await this.#parts.settler.settle(place.address, place.topic, this.#doubtSince);
      await this.#lookAtTail(place);
    }
    if (this.#state !== 'regaining') return;
    if (place.connection.closed) throw new IsthmusError('CONNECTION_LOST', `${this.#access.doing}: the connection was lost`);
    this.#doubtSince = undefined;
    this.#place = place;
    this.#address = place.address;
    this.#state = 'writing';
    // What was refused is not over before something is stored again.
    if (this.#outbox.waiting === 0) this.#calm();
    this.#next();
    this.#wake();
  }

  /** Takes the broker's limit as it is now. Throws where what waits was put together under a larger one: only who reads the records again can keep elsewhere what is too large. */
  #expectFit({ maxMessageBytes }: ReachedPlace): void {
    if (!this.#outbox.fitsIn(maxMessageBytes))
      throw new IsthmusError(
        'LIMIT_LOWERED',
        `${this.#access.doing}: the broker takes messages of ${maxMessageBytes} bytes now, and more than that waits`,
      );
    if (this.#refusal !== undefined) throw this.#refusal;
    this.#outbox.maxMessageBytes = maxMessageBytes;
  }

  /** Finds out which records of the request in doubt are stored; the others are sent again, in order, before anything later. */
  async #lookAtTail(place: ReachedPlace): Promise<void> {
    const { look, deps } = this.#parts;
    const { end } = await queueEnds(look, place);
    const known = this.#known ?? end;
    if (end < known)
      throw new IsthmusError(
        'UNKNOWN_OUTCOME',
        `${this.#access.doing}: the queue ends at ${end}, below ${known} that it has confirmed: it has lost records, or was made again`,
      );
    const pieces = this.#sending?.pieces ?? [];
    const search = new TailSearch(this.#options.sourceCluster, this.#options.lane, pieces);
    await lookThrough(look, place, known, end, (offset, mark) =>
      search.visit(offset, mark === undefined ? undefined : deps.marks.read(mark)),
    );
    if (this.#state !== 'regaining') return;
    if (search.foreign !== undefined)
      throw new IsthmusError(
        'OTHER_WRITER',
        `${this.#access.doing}: another process has written this lane meanwhile, at ${search.foreign}`,
      );
    this.#known = end;
    this.#sending = undefined;
    const found = search.stretches.reduce((sum, { count }) => sum + count, 0);
    if (pieces.length > 0) this.#log('info', 'tail-read', undefined, { inFlight: piecesCount(pieces), found });
    for (const { first, count, offset } of search.stretches) this.#report(slicePieces(pieces, first, count), offset);
  }

  #fail(error: IsthmusError): void {
    if (this.#state === 'ended') return;
    this.#end(error);
    this.#log('warn', 'writer-failed', error);
    // Before that it is `start` that rejects.
    if (this.#started) this.#options.onFailed(error);
  }

  #end(error: IsthmusError): void {
    this.#state = 'ended';
    this.#failure = error;
    this.#place = undefined;
    this.#sending?.abandon(
      this.#parts.deps.clock,
      new IsthmusError('CONNECTION_LOST', `${this.#access.doing}: the writer has ended with a request that nobody answers`),
    );
    this.#sending = undefined;
    this.#outbox.drop();
    this.#abort.abort();
    this.#emptyWanted?.resolve();
    this.#wake();
    this.#parts.onEnd(this);
  }

  #log(level: 'info' | 'warn', event: string, error?: IsthmusError, fields: Record<string, string | number> = {}): void {
    const { topic, partition, lane } = this.#options;
    this.#parts.deps.log[level](event, {
      topic,
      partition,
      queue: this.#access.lane,
      lane: lane.lane,
      ...fields,
      ...(error === undefined ? {} : { code: error.code, error: error.message }),
    });
  }
}
