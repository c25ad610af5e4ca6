import { IsthmusError } from '../../errors.ts';
import { type Deferred, deferred } from '../../lib/deferred.ts';
import { offsetPosition, type Position } from '../../model/position.ts';
import { formatProvenance, formatVia, type MarkCodec } from '../../model/provenance.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { AppendResult, LaneWriter, WriterOptions } from '../../spi/sink.ts';
import { fieldsOf } from './batch.ts';
import { REFUSED_BODY } from './lane-writer.ts';
import type { MemoryNetwork } from './network.ts';
import type { MemoryMessage, QueueBroker } from './queue-broker.ts';

const MAX_BATCH_RECORDS = 8;
const MAX_SEALED = 2;
/** What was sent over a connection that is gone may be stored so much later. */
export const LATE_MILLIS = 1_500;

interface SealedBatch {
  readonly positions: readonly Position[];
  readonly messages: readonly MemoryMessage[];
  readonly storeTime: number;
}

/** What the process knows of writes to one queue: until when something may still be stored that it has sent. */
export type Doubts = Map<string, number>;

interface QueueParts {
  readonly lane: string;
  readonly doubts: Doubts;
  readonly marks: MarkCodec;
}

/**
 * Writes one lane into one queue of a fake cluster, one batch at a time. Nobody is kept out. When the outcome of a send is not known it waits until the send is stored or
 * never will be, looks at the queue's end, and sends again what is not there.
 */
export class MemoryQueueWriter implements LaneWriter {
  readonly #broker: QueueBroker;
  readonly #network: MemoryNetwork;
  readonly #options: WriterOptions;
  readonly #lane: string;
  readonly #doubts: Doubts;
  readonly #marks: MarkCodec;
  readonly #eager: boolean;
  #open: SealedBatch = emptyBatch();
  readonly #sealed: SealedBatch[] = [];
  #sending = false;
  /** Everything before was there when the last batch was known to be stored. */
  #known = 0;
  #failure: IsthmusError | undefined;
  #started = false;
  #room: Deferred<void> | undefined;
  #empty: Deferred<void> | undefined;

  constructor(broker: QueueBroker, network: MemoryNetwork, options: WriterOptions, { lane, doubts, marks }: QueueParts) {
    this.#marks = marks;
    this.#broker = broker;
    this.#network = network;
    this.#options = options;
    this.#lane = lane;
    this.#doubts = doubts;
    this.#eager = network.chance(0.5);
  }

  /** Waits until nothing that an earlier writer of this process has sent can be stored any more. Rejects when `signal` aborts. */
  async start(): Promise<void> {
    const { signal, onTrouble } = this.#options;
    while (!signal.aborted && !this.#started) {
      try {
        await this.#network.clock.sleep((this.#doubts.get(this.#name) ?? 0) - this.#network.clock.monotonic(), signal);
        this.#known = await this.#network.request(
          'opening a queue',
          () => this.#broker.extent(this.#options.topic, this.#lane).end,
        );
        this.#started = true;
        onTrouble(undefined);
      } catch (error) {
        onTrouble(error instanceof Error ? error : new Error(String(error)));
        await this.#network.clock.sleep(20 + this.#network.random() * 100, signal);
      }
    }
    if (signal.aborted) throw closed();
  }

  get #name(): string {
    const { topic, lane, sourceCluster, link } = this.#options;
    return [topic, this.#lane, link, sourceCluster, lane.topic, lane.lane].join(' ');
  }

  append(batch: RecordBatch, i: number): AppendResult {
    if (this.#failure !== undefined) return 'full';
    const body = Buffer.from(batch.body(i));
    if (this.#network.faults.refusals && body.toString().startsWith(REFUSED_BODY)) return { refused: 'its body asks for it' };
    if (this.#open.messages.length >= MAX_BATCH_RECORDS && this.#eager) this.flush();
    if (!this.#hasRoom()) return 'full';
    const position = batch.positionAt(i);
    const storeTime = this.#open.messages.length === 0 ? (batch.storeTime[i] ?? 0) : this.#open.storeTime;
    this.#open = {
      positions: [...this.#open.positions, position],
      messages: [...this.#open.messages, { body, ...fieldsOf(batch, i), mark: this.#markOf(batch, i, position) }],
      storeTime,
    };
    return 'taken';
  }

  /** Of a record that came from elsewhere: where it was written first, and where we have read it. */
  #markOf(batch: RecordBatch, i: number, position: Position): string {
    const { sourceCluster, lane } = this.#options;
    const runs = [{ first: position, count: 1 }];
    const origin = batch.marks?.get(i);
    if (origin !== undefined) return this.#marks.seal(origin + formatVia({ ...lane, runs }));
    const time = batch.storeTime[i] ?? 0;
    return this.#marks.seal(formatProvenance({ cluster: sourceCluster, ...lane, runs, time, passed: [] }));
  }

  #hasRoom(): boolean {
    return this.#open.messages.length < MAX_BATCH_RECORDS && this.#sealed.length < MAX_SEALED;
  }

  flush(): void {
    if (this.#open.messages.length === 0) return;
    this.#sealed.push(this.#open);
    this.#open = emptyBatch();
    if (!this.#sending) void this.#sendAll();
  }

  open(): number {
    return this.#open.messages.length;
  }

  get inFlight(): number {
    return this.#sealed.length;
  }

  async ready(): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#hasRoom()) return;
      this.#room ??= deferred();
      await this.#room.promise;
    }
  }

  async close(graceMillis: number): Promise<void> {
    if (this.#failure !== undefined) return;
    this.#open = emptyBatch();
    if (this.#sealed.length > 0 && graceMillis > 0) {
      this.#empty = deferred();
      const over = new AbortController();
      await Promise.race([this.#empty.promise, this.#network.clock.sleep(graceMillis, over.signal)]);
      over.abort();
    }
    this.#end(closed());
  }

  async #sendAll(): Promise<void> {
    this.#sending = true;
    for (let head = this.#sealed[0]; head !== undefined && this.#failure === undefined; head = this.#sealed[0]) {
      const offset = await this.#sendUntilStored(head);
      if (offset === undefined || this.#failure !== undefined) break;
      this.#known = offset + head.messages.length;
      this.#sealed.shift();
      this.#report(head, offset);
    }
    this.#sending = false;
  }

  /** The offset of the batch's first message; `undefined` when the writer has ended. */
  async #sendUntilStored(batch: SealedBatch): Promise<number | undefined> {
    const { onTrouble, mayWrite } = this.#options;
    for (let tries = 0; this.#failure === undefined; tries++) {
      if (mayWrite?.() === false) {
        this.#fail(new IsthmusError('OTHER_WRITER', `writing ${this.#options.topic}: another process may have the lane`));
        break;
      }
      const stored = await this.#sendOnce(batch);
      if (stored !== undefined) {
        if (tries > 0) onTrouble(undefined);
        return stored;
      }
      const error = new IsthmusError('CONNECTION_LOST', `writing ${this.#options.topic}: the outcome of a send is not known`);
      if (this.#network.chance(this.#network.faults.writersGiveUp)) this.#fail(error);
      else onTrouble(error);
      const found = await this.#lookFor(batch);
      if (found !== undefined) {
        onTrouble(undefined);
        return found;
      }
    }
    return undefined;
  }

  /** The offset, or `undefined` when nobody answered: then it is stored by now, later, or never. */
  async #sendOnce({ messages }: SealedBatch): Promise<number | undefined> {
    const { clock, faults } = this.#network;
    const { topic } = this.#options;
    const answer = deferred<number | undefined>();
    const delay = this.#network.delayMillis();
    const fate = this.#network.chance(faults.brokenSends) ? this.#network.pick(['never', 'late'] as const) : 'in time';
    const answered = !this.#network.chance(faults.lostReplies) && !this.#network.chance(faults.lostRequests);
    this.#doubts.set(this.#name, clock.monotonic() + delay + LATE_MILLIS);
    if (fate !== 'never') {
      this.#broker.later(delay + (fate === 'late' ? this.#network.random() * LATE_MILLIS : 0), () => {
        // A broker that is away has not got it.
        if (fate === 'in time' && !this.#broker.isReachable(topic, this.#lane)) return;
        const offset = this.#broker.store(topic, this.#lane, messages);
        if (fate === 'in time' && answered) clock.timer(this.#network.delayMillis(), () => answer.resolve(offset));
      });
    }
    const over = new AbortController();
    void clock.sleep(delay + 2 * faults.maxDelayMillis, over.signal).then(() => answer.resolve(undefined));
    const offset = await answer.promise;
    over.abort();
    if (offset !== undefined) this.#doubts.delete(this.#name);
    return offset;
  }

  /** A look at what the queue got since the last batch that is known, when nothing more can come. */
  async #lookFor({ messages }: SealedBatch): Promise<number | undefined> {
    while (this.#failure === undefined) {
      try {
        await this.#network.clock.sleep((this.#doubts.get(this.#name) ?? 0) - this.#network.clock.monotonic());
        const found = await this.#network.request('looking at the end of a queue', () => {
          const { end } = this.#broker.extent(this.#options.topic, this.#lane);
          return this.#broker.history(this.#options.topic, this.#lane).slice(this.#known, end);
        });
        return found.find(({ mark }) => mark !== undefined && mark === messages[0]?.mark)?.offset;
      } catch (error) {
        this.#options.onTrouble(error instanceof Error ? error : new Error(String(error)));
        await this.#network.clock.sleep(20 + this.#network.random() * 100);
      }
    }
    return undefined;
  }

  #report({ positions, messages, storeTime }: SealedBatch, offset: number): void {
    const { partition, onStored } = this.#options;
    onStored({
      partition,
      runs: positions.map((first) => ({ first, count: 1 })),
      count: positions.length,
      target: offsetPosition(offset),
      bytes: messages.reduce((sum, { body }) => sum + body.length, 0),
      sourceStoreTime: storeTime,
    });
    if (this.#sealed.length === 0) this.#empty?.resolve();
    this.#wake();
  }

  #fail(error: IsthmusError): void {
    if (this.#failure !== undefined) return;
    this.#end(error);
    this.#options.onFailed(error);
  }

  #end(error: IsthmusError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#open = emptyBatch();
    this.#sealed.length = 0;
    this.#empty?.resolve();
    this.#wake();
  }

  #wake(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.resolve();
  }
}

function emptyBatch(): SealedBatch {
  return { positions: [], messages: [], storeTime: 0 };
}

function closed(): IsthmusError {
  return new IsthmusError('CLOSED', 'writing a fake queue: the writer was closed');
}
