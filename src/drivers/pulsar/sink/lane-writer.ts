import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import { type Deferred, deferred } from '../../../lib/deferred.ts';
import type { SlabPool } from '../../../lib/slab.ts';
import { entryPosition } from '../../../model/position.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import type { AppendResult, LaneWriter, WriterOptions } from '../../../spi/sink.ts';
import { Backoff } from '../../../wire/backoff.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import type { PulsarDeps } from '../options.ts';
import { partitionTopic } from '../topic-name.ts';
import type { MessageId } from '../wire/message-id.ts';
import type { SendError, SendReceipt } from '../wire/send.ts';
import { SERVER_ERROR, serverError } from '../wire/server-error.ts';
import { Attachment } from './attachment.ts';
import { type Entry, entryBytes, isIntact, type Origin, sendEntry } from './entry.ts';
import { KeyedRound } from './keyed-round.ts';
import { otherSenderName } from './producer-name.ts';
import { recordBound } from './record-encoder.ts';
import { MixedRound, type Round } from './round.ts';
import { SendWatch } from './send-watch.ts';
import { findInTail } from './tail-check.ts';

/** Rounds sent and not yet stored. */
const MAX_ROUNDS = 8;
const MAX_CHECKSUM_ERRORS = 3;
/** What an entry has beside its payload: the frame's header and a mark of up to 1000 runs, which with tiny records is nearly as long as they are. */
const ENTRY_RESERVE_BYTES = 48 * 1024;

export interface LaneWriterParts {
  readonly pool: BrokerPool;
  readonly slabs: SlabPool;
  readonly deps: PulsarDeps;
  readonly producerName: string;
  /** The topic's own limit on an entry, in bytes. */
  readonly topicMaxBytes: number | undefined;
  /** Whether the next round gets one entry per key. */
  readonly perKey: () => boolean;
  readonly onEnd: (writer: PulsarLaneWriter) => void;
}

/** `writing`: attached, entries go out at once. `attaching`: not (yet, or any more); entries wait. `ended`: closed or failed. */
type State = 'attaching' | 'writing' | 'ended';

/**
 * Writes one lane into one partition.
 *
 * Entries wait in `#fifo`, in order, until their receipt. After any doubt the writer attaches anew, looks at the tail since the last place it knows,
 * and sends again what is not there.
 */
export class PulsarLaneWriter implements LaneWriter {
  readonly #options: WriterOptions;
  readonly #parts: LaneWriterParts;
  readonly #origin: Origin;
  readonly #backoff: Backoff;
  readonly #abort = new AbortController();
  readonly #fifo: Entry[] = [];
  readonly #watch: SendWatch;
  #state: State = 'attaching';
  #failure: IsthmusError | undefined;
  #attachment: Attachment | undefined;
  #epoch = 0;
  #senderName: string;
  /** Everything of this lane at or before this place in the partition is known. */
  #known: MessageId | undefined;
  #limitBytes = 0;
  #open: Round | undefined;
  #rounds = 0;
  /** What the record that was not taken needs. `ready` must wait for that: room for less would be said and refused again without end. */
  #wantedBytes = 0;
  #roomWanted: Deferred<void> | undefined;
  #emptyWanted: Deferred<void> | undefined;

  constructor(options: WriterOptions, parts: LaneWriterParts) {
    this.#options = options;
    this.#parts = parts;
    this.#origin = { cluster: options.sourceCluster, topic: options.lane.topic, lane: options.lane.lane };
    this.#backoff = new Backoff(100, 5_000, parts.deps.random);
    this.#senderName = parts.producerName;
    const oldestSentAt = (): number | undefined => (this.#state === 'writing' ? this.#fifo[0]?.sentAt : undefined);
    this.#watch = new SendWatch(parts.deps.clock, oldestSentAt, (waitedMillis) =>
      this.#doubt(new IsthmusError('REQUEST_TIMEOUT', `writing ${options.topic}: no receipt within ${waitedMillis} ms`)),
    );
  }

  /** Attaches for the first time; waits as long as there is hope and `signal` allows. Rejects with what is wrong for good, or CLOSED. */
  async start(signal: AbortSignal): Promise<void> {
    const stop = (): void => void this.close(0);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    await this.#attach();
    signal.removeEventListener('abort', stop);
    if (this.#failure !== undefined) throw this.#failure;
  }

  append(batch: RecordBatch, i: number): AppendResult {
    if (this.#state === 'ended') return 'full';
    const bound = recordBound(batch, i);
    if (bound > this.#limitBytes) {
      return { refused: `the record has ${bound} bytes, ${this.#options.topic} takes ${this.#limitBytes}` };
    }
    if (this.#open !== undefined && !this.#open.fits(bound, batch, i)) this.#seal();
    const round = this.#open ?? this.#newRound(bound);
    if (round === undefined) return 'full';
    round.append(batch, i);
    return 'taken';
  }

  flush(): void {
    this.#seal();
  }

  open(): number {
    return this.#open?.count ?? 0;
  }

  get inFlight(): number {
    return this.#fifo.length;
  }

  async ready(): Promise<void> {
    while (!this.#hasRoom()) {
      if (this.#roomWanted === undefined) {
        this.#roomWanted = deferred();
        if (this.#rounds < MAX_ROUNDS) this.#parts.slabs.whenFree(() => this.#wake());
      }
      await this.#roomWanted.promise;
    }
  }

  async close(graceMillis: number): Promise<void> {
    if (this.#state === 'ended') return;
    this.#dropOpen();
    if (this.#fifo.length > 0 && graceMillis > 0) {
      this.#emptyWanted = deferred();
      await Promise.race([this.#emptyWanted.promise, this.#parts.deps.clock.sleep(graceMillis, this.#abort.signal)]);
    }
    const attachment = this.#attachment;
    this.#end(new IsthmusError('CLOSED', `writing ${this.#options.topic}: the writer was closed`));
    await attachment?.close().catch((error: unknown) => this.#log('debug', 'producer-close-failed', toIsthmusError(error)));
  }

  #hasRoom(): boolean {
    if (this.#state === 'ended') throw this.#failure ?? new IsthmusError('CLOSED', 'the writer was closed');
    return (
      this.#open !== undefined ||
      (this.#rounds < MAX_ROUNDS && this.#parts.slabs.hasRoom(this.#wantedBytes, this.#holdsNothing()))
    );
  }

  #holdsNothing(): boolean {
    return this.#open === undefined && this.#fifo.length === 0;
  }

  #newRound(bound: number): Round | undefined {
    if (this.#rounds >= MAX_ROUNDS) return undefined;
    const slab = this.#parts.slabs.take(bound, this.#holdsNothing());
    this.#wantedBytes = slab === undefined ? bound : 0;
    if (slab === undefined) return undefined;
    this.#open = new (this.#parts.perKey() ? KeyedRound : MixedRound)(slab, this.#parts.slabs, this.#limitBytes);
    return this.#open;
  }

  #seal(): void {
    const round = this.#open;
    if (round === undefined) return;
    this.#open = undefined;
    this.#rounds++;
    for (const entry of round.seal({ compression: this.#options.compression, now: this.#parts.deps.clock.now() })) {
      this.#fifo.push(entry);
      if (this.#state === 'writing') this.#send(entry);
    }
    this.#watch.arm();
  }

  #send(entry: Entry): void {
    if (this.#attachment === undefined) return;
    entry.sentAt = this.#parts.deps.clock.monotonic();
    sendEntry(entry, this.#attachment.sender, this.#origin);
  }

  #onReceipt(receipt: SendReceipt): void {
    const head = this.#fifo.find((entry) => entry.target === undefined);
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
      return this.#fail(
        new IsthmusError('INTERNAL', `${failure.message}; the batch is damaged in memory or on every way to the broker`),
      );
    }
    if (failure.retryable) this.#doubt(failure);
    else this.#fail(failure);
  }

  /** Reports what is stored, in order. */
  #drain(): void {
    let head = this.#fifo[0];
    while (head?.target !== undefined) {
      this.#fifo.shift();
      if (head.endsRound) this.#rounds--;
      this.#known = later(this.#known, head.target);
      const { runs, count, sourceStoreTime } = head;
      const target = entryPosition(head.target.ledger, head.target.entry, 0);
      const bytes = entryBytes(head);
      head.held.release();
      this.#options.onStored({ partition: this.#options.partition, runs, count, target, bytes, sourceStoreTime });
      head = this.#fifo[0];
    }
    if (this.#fifo.length === 0) this.#emptyWanted?.resolve();
    this.#wake();
  }

  #wake(): void {
    const wanted = this.#roomWanted;
    this.#roomWanted = undefined;
    wanted?.resolve();
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

  /** Tries until the writer is attached and knows what is stored, or until it ends. Never rejects. */
  async #attach(): Promise<void> {
    while (this.#state === 'attaching') {
      try {
        await this.#attachOnce();
        return;
      } catch (caught) {
        const error = toIsthmusError(caught);
        // A topic that is gone has to be made again by whoever opened the writer.
        if (!error.retryable || error.code === 'TOPIC_NOT_FOUND') return this.#fail(error);
        this.#log('info', 'writer-waits', error);
        this.#options.onTrouble(error);
        await this.#parts.deps.clock.sleep(this.#backoff.next(), this.#abort.signal);
      }
    }
  }

  async #attachOnce(): Promise<void> {
    const { pool, deps, producerName } = this.#parts;
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
      if (this.#known !== undefined) await this.#lookAtTail(attachment, this.#known);
      this.#known = barrier;
      if (attachment.error !== undefined) throw attachment.error;
      if (this.#state !== 'attaching') throw new IsthmusError('CLOSED', 'the writer was closed');
    } catch (error) {
      attachment.abandon();
      throw error;
    }
    // Well below what the broker takes: an entry just under its frame limit is neither stored nor refused, and wedges the topic until it is deleted by force.
    const maxBytes = Math.min(attachment.connection.info.maxMessageBytes, this.#parts.topicMaxBytes ?? Number.POSITIVE_INFINITY);
    this.#limitBytes = maxBytes - Math.min(ENTRY_RESERVE_BYTES, Math.ceil(maxBytes / 2));
    this.#attachment = attachment;
    this.#state = 'writing';
    this.#resume();
  }

  async #lookAtTail(attachment: Attachment, after: MessageId): Promise<void> {
    const { deps, producerName } = this.#parts;
    const topic = partitionTopic(this.#options.topic, this.#options.partition);
    const check = { topic, after, producerName, origin: this.#origin, entries: this.#fifo };
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

  /** Reports what the tail had, sends again what it had not. */
  #resume(): void {
    this.#options.onTrouble(undefined);
    this.#drain();
    for (const entry of this.#fifo) {
      if (entry.target === undefined && this.#state === 'writing') this.#send(entry);
    }
    this.#watch.arm();
  }

  #fail(error: IsthmusError): void {
    if (this.#state === 'ended') return;
    const started = this.#known !== undefined;
    this.#attachment?.abandon();
    this.#end(error);
    this.#log('warn', 'writer-failed', error);
    // Before the first attachment it is `start` that rejects.
    if (started) this.#options.onFailed(error);
  }

  #end(error: IsthmusError): void {
    this.#state = 'ended';
    this.#failure = error;
    this.#attachment = undefined;
    this.#dropOpen();
    for (const entry of this.#fifo.splice(0)) entry.held.abandon();
    this.#rounds = 0;
    this.#abort.abort();
    this.#watch.stop();
    this.#emptyWanted?.resolve();
    this.#wake();
    this.#parts.onEnd(this);
  }

  #dropOpen(): void {
    this.#open?.drop();
    this.#open = undefined;
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

function later(a: MessageId | undefined, b: MessageId): MessageId {
  if (a === undefined) return b;
  return a.ledger > b.ledger || (a.ledger === b.ledger && a.entry > b.entry) ? a : b;
}
