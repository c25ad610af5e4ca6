import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import { type Deferred, deferred } from '../../../lib/deferred.ts';
import type { WriterOptions } from '../../../spi/sink.ts';
import { Backoff } from '../../../wire/backoff.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import { compareIds, scanName, untilVisible } from '../net/entry-reader.ts';
import type { Producer } from '../net/producer.ts';
import type { PulsarDeps } from '../options.ts';
import type { MessageId } from '../wire/message-id.ts';
import type { SendError, SendReceipt } from '../wire/send.ts';
import { isTooLarge, SERVER_ERROR, serverError } from '../wire/server-error.ts';
import { Attachment } from './attachment.ts';
import { type Entry, entryBytes, isIntact, type Origin, PASSED_EXTRA_BYTES, sendEntry } from './entry.ts';
import { otherSenderName } from './producer-name.ts';
import { SendWatch } from './send-watch.ts';
import type { SequenceIds } from './sequence-ids.ts';
import { findInTail } from './tail-check.ts';

const MAX_CHECKSUM_ERRORS = 3;

export interface EntryQueueParts {
  readonly pool: BrokerPool;
  readonly deps: PulsarDeps;
  readonly producerName: string;
  readonly origin: Origin;
  readonly ids: SequenceIds;
  /** Whether the topic takes only smaller entries than it did when the writer was opened. Never rejects. */
  readonly isLowered: () => Promise<boolean>;
  /** In order, once per entry. */
  readonly onStored: (entry: Entry) => void;
  /** Everything that may be reported at once was reported. */
  readonly onDrained: () => void;
  /** Nothing follows. The entries that are left are not stored as far as is known, and their bytes may still be read by a socket. */
  readonly onEnd: (left: readonly Entry[]) => void;
}

/** `writing`: attached, entries go out at once. `attaching`: not (yet, or any more); entries wait. `ended`: closed or failed. */
type State = 'attaching' | 'writing' | 'ended';

/**
 * Brings entries into one partition, in order and once.
 *
 * They wait in `#fifo`, in order, until their receipt. After any doubt the queue attaches anew, looks at the tail since the last place it knows, and sends again what is not
 * there.
 */
export class EntryQueue {
  readonly #options: WriterOptions;
  readonly #parts: EntryQueueParts;
  readonly #backoff: Backoff;
  readonly #abort = new AbortController();
  readonly #fifo: Entry[] = [];
  readonly #watch: SendWatch;
  #state: State = 'attaching';
  #attachment: Attachment | undefined;
  #epoch = 0;
  #senderName: string;
  /** Everything of this lane at or before this place in the partition is known. */
  #known: MessageId | undefined;
  #emptyWanted: Deferred<void> | undefined;
  #maxBytes = 0;
  failure: IsthmusError | undefined;

  constructor(options: WriterOptions, parts: EntryQueueParts) {
    this.#options = options;
    this.#parts = parts;
    this.#backoff = new Backoff(100, 5_000, parts.deps.random);
    this.#senderName = parts.producerName;
    const oldestSentAt = (): number | undefined => (this.#state === 'writing' ? this.#fifo[0]?.sentAt : undefined);
    this.#watch = new SendWatch(parts.deps.clock, oldestSentAt, (waitedMillis) =>
      this.#doubt(new IsthmusError('REQUEST_TIMEOUT', `writing ${options.topic}: no receipt within ${waitedMillis} ms`)),
    );
  }

  /** Attaches for the first time, as long as there is hope; `failure` says whether there was. */
  async start(): Promise<void> {
    await this.#attach();
  }

  get ended(): boolean {
    return this.#state === 'ended';
  }

  /** Entries that are not stored yet. */
  get length(): number {
    return this.#fifo.length;
  }

  /** The broker's limit on an entry, in bytes. */
  get maxBytes(): number {
    return this.#maxBytes;
  }

  /** The name that the next entry will be sent under. */
  get senderName(): string {
    return this.#senderName;
  }

  /** What the next entry will be sent with, while that can be told. */
  get sender(): Producer | undefined {
    return this.#state === 'writing' ? this.#attachment?.sender : undefined;
  }

  push(entry: Entry): void {
    this.#fifo.push(entry);
    if (this.#state === 'writing') this.#send(entry);
    this.#watch.arm();
  }

  /** What is on its way gets up to `graceMillis` to be stored. */
  async close(graceMillis: number): Promise<void> {
    if (this.#state === 'ended') return;
    if (this.#fifo.length > 0 && graceMillis > 0) {
      this.#emptyWanted = deferred();
      await Promise.race([this.#emptyWanted.promise, this.#parts.deps.clock.sleep(graceMillis, this.#abort.signal)]);
    }
    const attachment = this.#attachment;
    this.#end(new IsthmusError('CLOSED', `writing ${this.#options.topic}: the writer was closed`));
    await attachment?.close().catch((error: unknown) => this.#log('debug', 'producer-close-failed', toIsthmusError(error)));
  }

  #send(entry: Entry): void {
    if (this.#attachment === undefined) return;
    entry.sentAt = this.#parts.deps.clock.monotonic();
    sendEntry(entry, this.#attachment.sender, this.#parts.origin);
  }

  #onReceipt(receipt: SendReceipt): void {
    let head = this.#fifo[0];
    if (head?.target !== undefined) head = this.#fifo.find((entry) => entry.target === undefined);
    if (head === undefined || receipt.sequenceId < head.sequenceId) return;
    if (receipt.sequenceId > head.sequenceId) {
      return this.#doubt(
        new IsthmusError(
          'PROTOCOL_VIOLATION',
          `writing ${this.#options.topic}: a receipt for ${receipt.sequenceId} came before that of ${head.sequenceId}`,
        ),
      );
    }
    if (receipt.id.ledger < 0) {
      // The broker deduplicates and takes it for a copy. That is no proof: it compares with what it accepted, not with what it stored. If the
      // tail does not have it, it can only be stored under another name.
      this.#senderName = otherSenderName(this.#parts.producerName, this.#parts.deps.random);
      return this.#doubt(
        new IsthmusError('UNKNOWN_OUTCOME', `writing ${this.#options.topic}: the broker took ${head.sequenceId} for a duplicate`),
      );
    }
    head.target = receipt.id;
    this.#backoff.reset();
    this.#drain();
  }

  #onSendError(error: SendError): void {
    // Errors overtake receipts, so the entry is looked for, not taken from the head.
    const entry = this.#fifo.find((each) => each.highestSequenceId === error.sequenceId || each.sequenceId === error.sequenceId);
    const failure = serverError(error.error, error.message, `writing ${this.#options.topic}`);
    if (entry === undefined) return this.#doubt(failure);
    if (error.error === SERVER_ERROR.checksum && (++entry.checksumErrors >= MAX_CHECKSUM_ERRORS || !isIntact(entry))) {
      return this.#fail(damage(entry, failure.message));
    }
    if (failure.retryable) this.#doubt(failure);
    else if (isTooLarge(error.error, error.message)) void this.#onTooLarge(failure);
    else this.#fail(failure);
  }

  /** What was refused had fitted when it was made. Under a lower limit whoever reads the records again refuses the right one; else there is nothing that could be done here. */
  async #onTooLarge(failure: IsthmusError): Promise<void> {
    if (this.#state !== 'writing') return;
    this.#state = 'attaching';
    this.#attachment?.abandon();
    this.#attachment = undefined;
    const lowered = await this.#parts.isLowered();
    this.#fail(lowered ? new IsthmusError('LIMIT_LOWERED', failure.message) : failure);
  }

  /** Reports what is stored, in order. */
  #drain(): void {
    let head = this.#fifo[0];
    while (head?.target !== undefined) {
      this.#fifo.shift();
      this.#known = later(this.#known, head.target);
      this.#parts.onStored(head);
      head = this.#fifo[0];
    }
    if (this.#fifo.length === 0) this.#emptyWanted?.resolve();
    this.#parts.onDrained();
  }

  /** Whatever may or may not be stored is settled by a look at the tail. */
  #doubt(error: IsthmusError): void {
    if (this.#state !== 'writing') return;
    this.#state = 'attaching';
    this.#attachment?.abandon();
    this.#attachment = undefined;
    this.#log('warn', 'writer-in-doubt', error);
    this.#options.onTrouble(error);
    void this.#attach();
  }

  /** Tries until the queue is attached and knows what is stored, or until it ends. Never rejects. */
  async #attach(): Promise<void> {
    while (this.#state === 'attaching') {
      try {
        await this.#attachOnce();
        return;
      } catch (caught) {
        const error = toIsthmusError(caught);
        // A topic that is gone has to be made again by whoever opened the writer.
        if (!error.retryable || error.code === 'TOPIC_NOT_FOUND' || error.code === 'LIMIT_LOWERED') return this.#fail(error);
        this.#log('info', 'writer-waits', error);
        this.#options.onTrouble(error);
        await this.#parts.deps.clock.sleep(this.#backoff.next(), this.#abort.signal);
      }
    }
  }

  async #attachOnce(): Promise<void> {
    const { pool, deps, producerName, ids } = this.#parts;
    const { topic, partition } = this.#options;
    const attachment = await Attachment.open(
      pool,
      {
        topic,
        partition,
        name: producerName,
        senderName: this.#senderName,
        epoch: this.#epoch++,
        receipt: (receipt) => this.#onReceipt(receipt),
        sendError: (error) => this.#onSendError(error),
        lost: (error) => this.#doubt(error),
      },
      deps.clock,
    );
    try {
      const barrier = await attachment.barrier();
      await this.#untilVisible(attachment, barrier);
      if (this.#known !== undefined) await this.#lookAtTail(attachment, this.#known);
      this.#known = barrier;
      this.#expectFit(attachment.connection.info.maxMessageBytes);
      if (attachment.error !== undefined) throw attachment.error;
      if (this.#state !== 'attaching') throw new IsthmusError('CLOSED', 'the writer was closed');
    } catch (error) {
      attachment.abandon();
      throw error;
    }
    this.#maxBytes = attachment.connection.info.maxMessageBytes;
    ids.raise(attachment.sender.lastSequenceId);
    this.#attachment = attachment;
    this.#state = 'writing';
    this.#resume();
  }

  /** A broker closes the connection on what is larger than it takes, again and again: what was made for one that took more must not be sent to it. */
  #expectFit(maxBytes: number): void {
    if (this.#fifo.every((entry) => entry.target !== undefined || entryBytes(entry) <= maxBytes + PASSED_EXTRA_BYTES)) return;
    const { topic } = this.#options;
    throw new IsthmusError('LIMIT_LOWERED', `writing ${topic}: the broker takes ${maxBytes} bytes now, and more than that waits`);
  }

  /** Also before the first attachment is of use: whoever opened the writer looks at the target next. */
  async #untilVisible(attachment: Attachment, marker: MessageId): Promise<void> {
    const { deps } = this.#parts;
    const { connection, topic } = attachment;
    const wanted = (): boolean => this.#state === 'attaching' && attachment.error === undefined;
    const onWaiting = (error: IsthmusError): void => {
      this.#log('info', 'writer-waits', error);
      this.#options.onTrouble(error);
    };
    await untilVisible(connection, { topic, subscription: scanName(deps), place: marker, wanted, onWaiting }, deps.clock);
  }

  async #lookAtTail(attachment: Attachment, after: MessageId): Promise<void> {
    const { deps, producerName, origin } = this.#parts;
    const { topic } = attachment;
    const check = { topic, after, producerName, origin, entries: this.#fifo };
    const { found, foreign } = await findInTail(attachment.connection, check, deps);
    if (foreign !== undefined) {
      // While this writer was away another process had the name and went on with the lane. What is in doubt here may be stored there in other batches.
      return this.#fail(
        new IsthmusError(
          'OTHER_WRITER',
          `writing ${topic}: another process has written this lane meanwhile, at ${foreign.ledger}:${foreign.entry}`,
        ),
      );
    }
    if (this.#fifo.length > 0) this.#log('info', 'tail-read', undefined, { inFlight: this.#fifo.length, found });
    const missing = this.#fifo.findIndex((entry) => entry.target === undefined);
    if (missing >= 0 && this.#fifo.some((entry, k) => k > missing && entry.target !== undefined)) {
      this.#log('warn', 'order-broken', undefined, { missing: this.#fifo[missing]?.sequenceId ?? -1 });
    }
  }

  /**
   * Sends again what the tail had not, then reports what it had. In this order: whoever hears of it writes on at once, and what is pushed then must neither overtake what is
   * missing nor be taken for a part of it and go out twice.
   */
  #resume(): void {
    for (const entry of this.#fifo) {
      if (entry.target === undefined && this.#state === 'writing') this.#send(entry);
    }
    this.#watch.arm();
    // Lost again meanwhile: the next attachment reports.
    if (this.#state !== 'writing') return;
    this.#options.onTrouble(undefined);
    this.#drain();
  }

  #fail(error: IsthmusError): void {
    if (this.#state === 'ended') return;
    const started = this.#known !== undefined;
    this.#attachment?.abandon();
    this.#end(error);
    this.#log('warn', 'writer-failed', error);
    // Before the first attachment it is `start` that tells.
    if (started) this.#options.onFailed(error);
  }

  #end(error: IsthmusError): void {
    this.#state = 'ended';
    this.failure = error;
    this.#attachment = undefined;
    this.#abort.abort();
    this.#watch.stop();
    this.#parts.onEnd(this.#fifo.splice(0));
    this.#emptyWanted?.resolve();
  }

  #log(
    level: 'debug' | 'info' | 'warn',
    event: string,
    error?: IsthmusError,
    fields: Record<string, string | number> = {},
  ): void {
    const { topic, partition, lane } = this.#options;
    this.#parts.deps.log[level](event, {
      topic,
      partition,
      lane: lane.lane,
      ...fields,
      ...(error === undefined ? {} : { code: error.code, error: error.message }),
    });
  }
}

/** An entry that is passed on may have come damaged: read once more it may be whole. */
function damage(entry: Entry, message: string): IsthmusError {
  return entry.batch === undefined
    ? new IsthmusError('RECORD_DAMAGED', `${message}; the entry came damaged, or was damaged here`, { retryable: true })
    : new IsthmusError('INTERNAL', `${message}; the batch is damaged in memory or on every way to the broker`);
}

function later(a: MessageId | undefined, b: MessageId): MessageId {
  return a === undefined || compareIds(a, b) < 0 ? b : a;
}
