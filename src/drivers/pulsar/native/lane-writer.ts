import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import { untilAborted, within } from '../../../lib/abort.ts';
import { type Deferred, deferred } from '../../../lib/deferred.ts';
import { comparePositions, formatPosition, type Position } from '../../../model/position.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import type { AppendResult, Compression, LaneWriter, WriterOptions } from '../../../spi/sink.ts';
import { Backoff } from '../../../wire/backoff.ts';
import type { PulsarDeps } from '../options.ts';
import type { NativeClients } from './client.ts';
import { messageOf, sizeOf } from './message.ts';
import { positionOf } from './message-ids.ts';
import type { NativeProducer, NativeProducerMessage } from './module.ts';
import { isTooLarge, nativeError } from './refusal.ts';

/** Messages that are on their way. */
const MAX_PENDING = 1_000;
const MAX_PENDING_BYTES = 8 * 1024 * 1024;
/** From here on a message travels alone: were one refused for its size, those behind it would be stored without it. */
const LARGE_BYTES = 64 * 1024;
const SEND_TIMEOUT_MILLIS = 30_000;
const CONNECTION_CHECK_MILLIS = 5_000;
const MIN_RETRY_MILLIS = 200;
const MAX_RETRY_MILLIS = 10_000;
const CLOSE_MILLIS = 10_000;

const COMPRESSION_TYPES: Readonly<Record<Compression, string>> = {
  none: 'None',
  lz4: 'LZ4',
  zlib: 'Zlib',
  zstd: 'ZSTD',
  snappy: 'SNAPPY',
};

/** What a writer of a lane leaves to the next one. */
export interface WriterMemory {
  /** A deduplicating broker took a message for a copy: ids are left to the client, which goes on where the broker is. */
  ownIds: boolean;
  /** The record that the broker would not take for its size. */
  tooLarge: Position | undefined;
}

export interface NativeWriterParts {
  readonly clients: NativeClients;
  readonly deps: PulsarDeps;
  /** The broker's name of the partition. */
  readonly partition: string;
  readonly producerName: string;
  readonly memory: WriterMemory;
  readonly onEnd: (writer: NativeLaneWriter) => void;
}

interface Pending {
  readonly position: Position;
  readonly storeTime: number;
  readonly bytes: number;
}

/**
 * Writes one lane into one partition, each record as an entry of its own: a mark in a message is only then the mark of its entry, which `driver: wire` and its recovery read, and one
 * entry per key is what Key_Shared needs. The first failure ends the writer; what is stored then is for a look at the tail to say.
 */
export class NativeLaneWriter implements LaneWriter {
  readonly #options: WriterOptions;
  readonly #parts: NativeWriterParts;
  readonly #abort = new AbortController();
  readonly #pending: Pending[] = [];
  #pendingBytes = 0;
  #wantedBytes = 0;
  #producer: NativeProducer | undefined;
  #room: Deferred<void> | undefined;
  #drained: Deferred<void> | undefined;

  constructor(options: WriterOptions, parts: NativeWriterParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** Makes the producer; waits while another has its name, and as long as there is hope. Rejects with what is wrong for good, or when `signal` aborts. */
  async start(signal: AbortSignal): Promise<void> {
    const { clients, partition, producerName, deps } = this.#parts;
    const backoff = new Backoff(MIN_RETRY_MILLIS, MAX_RETRY_MILLIS, deps.random);
    const config = {
      topic: partition,
      producerName,
      sendTimeoutMs: SEND_TIMEOUT_MILLIS,
      maxPendingMessages: MAX_PENDING,
      blockIfQueueFull: false,
      batchingEnabled: false,
      compressionType: COMPRESSION_TYPES[this.#options.compression],
    };
    for (;;) {
      try {
        const { client } = await clients.get();
        // Nobody would close one that comes too late, and it would keep its name.
        const late = (producer: NativeProducer): void => void this.#closeProducer(producer);
        this.#producer = await untilAborted(client.createProducer(config), signal, late);
        this.#options.onTrouble(undefined);
        this.#watch().catch((error: unknown) => this.#fail(toIsthmusError(error)));
        return;
      } catch (caught) {
        if (signal.aborted) throw new IsthmusError('CLOSED', `writing ${partition}: it was closed`);
        const error = nativeError(`writing ${partition}`, caught);
        if (!error.retryable) throw error;
        this.#options.onTrouble(error);
        await deps.clock.sleep(backoff.next(), signal);
      }
    }
  }

  append(batch: RecordBatch, i: number): AppendResult {
    const producer = this.#producer;
    if (producer === undefined || this.#abort.signal.aborted || this.#isFull(this.#wantedBytes)) return 'full';
    const { sourceCluster, lane } = this.#options;
    const position = batch.positionAt(i);
    const { tooLarge } = this.#parts.memory;
    if (tooLarge !== undefined && comparePositions(tooLarge, position) === 0)
      return { refused: 'the broker takes no message of its size' };
    const message = messageOf({ sourceCluster, lane, batch, i, marks: this.#parts.deps.marks });
    if ('refused' in message) return message;
    const bytes = sizeOf(message);
    if (this.#isFull(bytes)) {
      this.#wantedBytes = bytes;
      return 'full';
    }
    this.#wantedBytes = 0;
    const pending = { position, storeTime: batch.storeTime[i] ?? 0, bytes };
    this.#pending.push(pending);
    this.#pendingBytes += bytes;
    this.#send(producer, this.#withId(message, position), pending).catch((error: unknown) => this.#fail(toIsthmusError(error)));
    return 'taken';
  }

  /** Messages leave by themselves. */
  flush(): void {
    // Nothing is held back.
  }

  open(): number {
    return 0;
  }

  get inFlight(): number {
    return this.#pending.length;
  }

  ready(): Promise<void> {
    if (this.#abort.signal.aborted) return Promise.reject(this.#abort.signal.reason as Error);
    if (!this.#isFull(this.#wantedBytes)) return Promise.resolve();
    this.#room ??= deferred();
    return this.#room.promise;
  }

  async close(graceMillis: number): Promise<void> {
    if (this.#pending.length > 0 && graceMillis > 0 && !this.#abort.signal.aborted) {
      this.#drained ??= deferred();
      await within(this.#drained.promise, this.#parts.deps.clock, graceMillis);
    }
    await this.#end(new IsthmusError('CLOSED', `writing ${this.#parts.partition}: it was closed`));
  }

  /** Whether a message of this size has to wait; a large one waits for all others, and all others for it. */
  #isFull(bytes: number): boolean {
    const first = this.#pending[0];
    if (first === undefined) return false;
    if (bytes >= LARGE_BYTES || first.bytes >= LARGE_BYTES) return true;
    return this.#pending.length >= MAX_PENDING || this.#pendingBytes + bytes > MAX_PENDING_BYTES;
  }

  /**
   * A queue's offset is the id under which a deduplicating broker knows a message, so that one which is sent again is not stored again. Ledgers, entries and indexes make no such
   * number; there the client counts.
   */
  #withId(message: NativeProducerMessage, position: Position): NativeProducerMessage {
    return position.minor >= 0 || this.#parts.memory.ownIds ? message : { ...message, sequenceId: position.major };
  }

  async #send(producer: NativeProducer, message: NativeProducerMessage, pending: Pending): Promise<void> {
    const { partition, memory } = this.#parts;
    const doing = `writing ${formatPosition(pending.position)} to ${partition}`;
    try {
      const target = positionOf(await producer.send(message));
      if (this.#abort.signal.aborted) return;
      if (this.#pending[0] !== pending) throw new IsthmusError('UNKNOWN_OUTCOME', `${doing}: it was answered out of turn`);
      if (target.major < 0) {
        memory.ownIds = true;
        throw new IsthmusError('UNKNOWN_OUTCOME', `${doing}: the broker took it for a copy of a message that it has`);
      }
      this.#stored(pending, target);
    } catch (error) {
      if (isTooLarge(error)) {
        memory.tooLarge = pending.position;
        this.#fail(new IsthmusError('RECORD_REFUSED', `${doing}: the broker takes no message of its size`, { retryable: true }));
      } else this.#fail(nativeError(doing, error));
    }
  }

  #stored(pending: Pending, target: Position): void {
    this.#pending.shift();
    this.#pendingBytes -= pending.bytes;
    const { position, storeTime, bytes } = pending;
    const runs = [{ first: position, count: 1 }];
    this.#options.onStored({ partition: this.#options.partition, runs, count: 1, target, bytes, sourceStoreTime: storeTime });
    if (this.#pending.length === 0) this.#drained?.resolve();
    if (this.#isFull(this.#wantedBytes)) return;
    this.#room?.resolve();
    this.#room = undefined;
  }

  /** The client connects again by itself and says nothing meanwhile. */
  async #watch(): Promise<void> {
    const { signal } = this.#abort;
    let isTrouble = false;
    for (;;) {
      await this.#parts.deps.clock.sleep(CONNECTION_CHECK_MILLIS, signal);
      if (signal.aborted || this.#producer === undefined) return;
      const isConnected = this.#producer.isConnected();
      if (isConnected && isTrouble) this.#options.onTrouble(undefined);
      if (!isConnected)
        this.#options.onTrouble(new IsthmusError('CONNECTION_LOST', `writing ${this.#parts.partition}: not connected`));
      isTrouble = !isConnected;
    }
  }

  #fail(error: IsthmusError): void {
    if (this.#abort.signal.aborted) return;
    void this.#end(error);
    this.#options.onFailed(error);
  }

  async #end(reason: IsthmusError): Promise<void> {
    if (!this.#abort.signal.aborted) {
      this.#abort.abort(reason);
      this.#room?.reject(reason);
      this.#drained?.resolve();
      this.#parts.onEnd(this);
    }
    const producer = this.#producer;
    this.#producer = undefined;
    if (producer !== undefined) await this.#closeProducer(producer);
  }

  async #closeProducer(producer: NativeProducer): Promise<void> {
    const { clock, log } = this.#parts.deps;
    // The next writer cannot have the name before that; it waits for it itself.
    await within(producer.close(), clock, CLOSE_MILLIS).catch((error: unknown) =>
      log.debug('producer-close-failed', { topic: this.#parts.partition, error: String(error) }),
    );
  }
}
