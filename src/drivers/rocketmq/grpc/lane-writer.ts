import type { MessageOptions } from 'rocketmq-client-nodejs';
import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import { type Deferred, deferred } from '../../../lib/deferred.ts';
import { offsetPosition, type Position } from '../../../model/position.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import type { AppendResult, LaneWriter, WriterOptions } from '../../../spi/sink.ts';
import { Backoff } from '../../../wire/backoff.ts';
import type { RocketmqDeps } from '../options.ts';
import { type GrpcClients, unreachable } from './client.ts';
import { type MarkedRecord, messageOf } from './message.ts';

/** Messages that wait or are on their way. */
const MAX_QUEUED = 512;
const MAX_QUEUED_BYTES = 8 * 1024 * 1024;
/** Message groups that are on their way at a time; within a group it is one message after the other. */
const GROUPS_AT_A_TIME = 32;
const MIN_RETRY_MILLIS = 200;
const MAX_RETRY_MILLIS = 10_000;

interface Queued {
  readonly message: MessageOptions;
  readonly position: Position;
  readonly storeTime: number;
  readonly bytes: number;
}

/**
 * Writes one lane's records through a proxy, each as a message of its own, in order per message group. After a lost answer a message is sent again, because nothing can be
 * looked at: so it may be there twice.
 */
export class GrpcLaneWriter implements LaneWriter {
  readonly #clients: GrpcClients;
  readonly #options: WriterOptions;
  readonly #deps: RocketmqDeps;
  readonly #abort = new AbortController();
  /** What waits, by message group. A group that is in here has a sender. */
  readonly #groups = new Map<string, Queued[]>();
  readonly #idle: string[] = [];
  #sending = 0;
  #queued = 0;
  #queuedBytes = 0;
  #room: Deferred<void> | undefined;

  constructor(clients: GrpcClients, options: WriterOptions, deps: RocketmqDeps) {
    this.#clients = clients;
    this.#options = options;
    this.#deps = deps;
  }

  append(batch: RecordBatch, i: number): AppendResult {
    if (this.#queued >= MAX_QUEUED || this.#queuedBytes >= MAX_QUEUED_BYTES || this.#abort.signal.aborted) return 'full';
    const { topic, sourceCluster, lane } = this.#options;
    const message = messageOf({ topic, sourceCluster, lane, batch, i, marks: this.#deps.marks } satisfies MarkedRecord);
    if ('refused' in message) return message;
    const bytes = message.body.length;
    const group = message.messageGroup ?? '';
    const queued = { message, position: batch.positionAt(i), storeTime: batch.storeTime[i] ?? 0, bytes };
    this.#queued++;
    this.#queuedBytes += bytes;
    const waiting = this.#groups.get(group);
    if (waiting !== undefined) waiting.push(queued);
    else {
      this.#groups.set(group, [queued]);
      this.#idle.push(group);
      this.#startSenders();
    }
    return 'taken';
  }

  /** Messages leave by themselves. */
  flush(): void {
    this.#startSenders();
  }

  open(): number {
    return 0;
  }

  get inFlight(): number {
    return this.#queued;
  }

  ready(): Promise<void> {
    if (this.#abort.signal.aborted) return Promise.reject(this.#abort.signal.reason as Error);
    if (this.#queued < MAX_QUEUED && this.#queuedBytes < MAX_QUEUED_BYTES) return Promise.resolve();
    this.#room ??= deferred();
    return this.#room.promise;
  }

  async close(graceMillis: number): Promise<void> {
    const deadline = this.#deps.clock.monotonic() + graceMillis;
    while (this.#queued > 0 && this.#deps.clock.monotonic() < deadline) await this.#deps.clock.sleep(10);
    this.#end(new IsthmusError('CLOSED', `writing ${this.#options.topic}: it was closed`));
  }

  #startSenders(): void {
    while (this.#sending < GROUPS_AT_A_TIME && !this.#abort.signal.aborted) {
      const group = this.#idle.shift();
      if (group === undefined) return;
      this.#sending++;
      void this.#sendGroup(group);
    }
  }

  /** Sends what waits in a group, one after the other: a proxy keeps the order of a group only if the second comes after the answer to the first. */
  async #sendGroup(group: string): Promise<void> {
    const waiting = this.#groups.get(group) ?? [];
    for (let queued = waiting[0]; queued !== undefined && !this.#abort.signal.aborted; queued = waiting[0]) {
      try {
        const offset = await this.#send(queued.message);
        if (this.#abort.signal.aborted) break;
        waiting.shift();
        this.#stored(queued, offset);
      } catch (error) {
        // Of many groups one fails first; and what ends with the writer's own end is no failure.
        if (this.#abort.signal.aborted) break;
        const failure = toIsthmusError(error);
        this.#end(failure);
        this.#options.onFailed(failure);
      }
    }
    this.#groups.delete(group);
    this.#sending--;
    this.#startSenders();
  }

  /** Sends until it is stored, or refused for good. */
  async #send(message: MessageOptions): Promise<number> {
    const { signal } = this.#abort;
    const backoff = new Backoff(MIN_RETRY_MILLIS, MAX_RETRY_MILLIS, this.#deps.random);
    let isTrouble = false;
    for (;;) {
      try {
        const producer = await this.#clients.producer();
        if (this.#options.mayWrite?.() === false)
          throw new IsthmusError('OTHER_WRITER', `writing ${message.topic}: another process may have the lane`);
        const receipt = await producer.send(message);
        if (isTrouble) this.#options.onTrouble(undefined);
        return receipt.offset;
      } catch (error) {
        if (error instanceof TypeError) {
          throw new IsthmusError(
            'TOPIC_MISMATCH',
            `writing ${message.topic}: ${error.message}. Through a proxy order is kept only by topics of message.type FIFO: make the topic one`,
            { cause: error },
          );
        }
        if (signal.aborted || (error instanceof IsthmusError && error.code === 'OTHER_WRITER')) throw error;
        isTrouble = true;
        this.#options.onTrouble(unreachable(`sending to ${message.topic}`, error));
        await this.#deps.clock.sleep(backoff.next(), signal);
        if (signal.aborted) throw signal.reason;
      }
    }
  }

  #stored({ position, storeTime, bytes }: Queued, offset: number): void {
    this.#queued--;
    this.#queuedBytes -= bytes;
    this.#options.onStored({
      partition: this.#options.partition,
      runs: [{ first: position, count: 1 }],
      count: 1,
      target: offsetPosition(offset),
      bytes,
      sourceStoreTime: storeTime,
    });
    this.#room?.resolve();
    this.#room = undefined;
  }

  #end(reason: IsthmusError): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(reason);
    this.#room?.reject(reason);
    this.#room = undefined;
  }
}
