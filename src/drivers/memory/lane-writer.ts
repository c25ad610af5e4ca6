import { IsthmusError } from '../../errors.ts';
import { type Deferred, deferred } from '../../lib/deferred.ts';
import { entryPosition, type Position } from '../../model/position.ts';
import { formatProvenance, formatVia, type MarkCodec, type PositionRun } from '../../model/provenance.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { AppendResult, LaneWriter, WriterOptions } from '../../spi/sink.ts';
import { fieldsOf } from './batch.ts';
import type { EntryBroker, MemoryEntry, MemoryProducer, StoredRecord } from './entry-broker.ts';
import { decodeEntry } from './entry-codec.ts';
import type { MemoryNetwork } from './network.ts';
import { type OpenRecord, type SealedEntry, sealRound } from './round.ts';

const MAX_ROUND_RECORDS = 12;
const MAX_ROUNDS = 3;
/** While faults say so, a body that begins like this is refused, as a record that is too large would be. */
export const REFUSED_BODY = 'refuse:';

interface SentEntry extends SealedEntry {
  /** What the broker is sent. */
  readonly entry: MemoryEntry;
  target: Position | undefined;
}

/**
 * Writes one lane into one partition of a fake cluster, with a real writer's worries: connections break with entries on their way, receipts get
 * lost, another process may have written meanwhile. After a break it looks at the partition and sends again what is not there, or gives up.
 */
export class MemoryLaneWriter implements LaneWriter {
  readonly #broker: EntryBroker;
  readonly #network: MemoryNetwork;
  readonly #options: WriterOptions;
  readonly #marks: MarkCodec;
  readonly #perKey: boolean;
  /** Whether a full round leaves by itself, or has to be told to. */
  readonly #eager: boolean;
  readonly #name: string;
  readonly #sent: SentEntry[] = [];
  readonly #onWire = new WeakSet<SentEntry>();
  readonly #producers = new Set<MemoryProducer>();
  #round: OpenRecord[] = [];
  #producer: MemoryProducer | undefined;
  #known: Position = entryPosition(-1, -1);
  #started = false;
  #failure: IsthmusError | undefined;
  #room: Deferred<void> | undefined;
  #empty: Deferred<void> | undefined;

  constructor(broker: EntryBroker, network: MemoryNetwork, options: WriterOptions, marks: MarkCodec) {
    this.#marks = marks;
    this.#broker = broker;
    this.#network = network;
    this.#options = options;
    this.#perKey = options.batching === 'per-key' || (options.batching === 'auto' && network.chance(0.5));
    this.#eager = network.chance(0.5);
    this.#name = [options.link, options.sourceCluster, options.lane.topic, options.lane.lane].join('/');
  }

  /** Attaches; waits while another process has the name. Rejects when `signal` aborts or the writer gives up. */
  async start(): Promise<void> {
    const stop = (): void => this.#end(closed());
    this.#options.signal.addEventListener('abort', stop, { once: true });
    if (this.#options.signal.aborted) stop();
    await this.#attach();
    this.#options.signal.removeEventListener('abort', stop);
    if (this.#failure !== undefined) throw this.#failure;
    this.#started = true;
  }

  append(batch: RecordBatch, i: number): AppendResult {
    if (this.#failure !== undefined) return 'full';
    if (batch.whole) return this.#passOn(batch, i);
    const body = Buffer.from(batch.body(i));
    if (this.#isRefused(body)) return { refused: 'its body asks for it' };
    if (this.#round.length >= MAX_ROUND_RECORDS && this.#eager) this.flush();
    if (this.#round.length >= MAX_ROUND_RECORDS || this.#rounds() >= MAX_ROUNDS) return 'full';
    const origin = batch.marks?.get(i);
    const mark = origin === undefined ? undefined : this.#marks.seal(origin);
    this.#round.push({ position: batch.positionAt(i), storeTime: batch.storeTime[i] ?? 0, body, mark, ...fieldsOf(batch, i) });
    return 'taken';
  }

  #isRefused(body: Buffer): boolean {
    return this.#network.faults.refusals && body.toString().startsWith(REFUSED_BODY);
  }

  /** An entry as it is, under a mark of its own. */
  #passOn(batch: RecordBatch, i: number): AppendResult {
    const { records, batched } = decodeEntry(batch.bytes.subarray(batch.nativeStart[i], batch.nativeEnd[i]));
    if (records.some(({ body }) => this.#isRefused(body))) return { refused: 'a body in it asks for it' };
    if (this.#rounds() >= MAX_ROUNDS) return 'full';
    this.flush();
    const runs = [{ first: batch.positionAt(i), count: 1 }];
    const storeTime = batch.storeTime[i] ?? 0;
    const origin = batch.marks?.get(i);
    const mark =
      origin === undefined
        ? this.#localMark(runs, storeTime)
        : this.#marks.seal(origin + formatVia({ ...this.#options.lane, runs }));
    this.#sent.push({
      runs,
      storeTime,
      count: records.length,
      endsRound: true,
      target: undefined,
      entry: { records, batched, mark },
    });
    this.#sendRest();
    return 'taken';
  }

  flush(): void {
    if (this.#round.length === 0) return;
    for (const { records, ...sealed } of sealRound(this.#round, this.#perKey)) {
      const mark = this.#localMark(sealed.runs, sealed.storeTime);
      const inner = records.some((record) => record.mark !== undefined);
      this.#sent.push({ ...sealed, target: undefined, entry: { mark, inner, records: records.map(storedRecord) } });
    }
    this.#round = [];
    this.#sendRest();
  }

  open(): number {
    return this.#round.length;
  }

  get inFlight(): number {
    return this.#sent.length;
  }

  async ready(): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#round.length < MAX_ROUND_RECORDS && this.#rounds() < MAX_ROUNDS) return;
      this.#room ??= deferred();
      await this.#room.promise;
    }
  }

  async close(graceMillis: number): Promise<void> {
    if (this.#failure !== undefined) return;
    this.#round = [];
    if (this.#sent.length > 0 && graceMillis > 0) {
      this.#empty = deferred();
      const over = new AbortController();
      await Promise.race([this.#empty.promise, this.#network.clock.sleep(graceMillis, over.signal)]);
      over.abort();
    }
    this.#end(closed());
    await this.#network.clock.sleep(this.#network.delayMillis());
  }

  #rounds(): number {
    return this.#sent.filter((entry) => entry.endsRound).length;
  }

  #sendRest(): void {
    for (const entry of this.#sent) if (entry.target === undefined) this.#send(entry);
  }

  #send(entry: SentEntry): void {
    const producer = this.#producer;
    if (producer === undefined || this.#onWire.has(entry)) return;
    this.#onWire.add(entry);
    const { topic, partition } = this.#options;
    this.#broker.send(topic, partition, producer, {
      entry: entry.entry,
      receipt: (position) => {
        this.#network.clock.timer(this.#network.delayMillis(), () => {
          if (this.#producer !== producer) return;
          entry.target = position;
          this.#report();
        });
      },
    });
    if (this.#network.chance(this.#network.faults.brokenSends)) this.#break('the connection broke');
  }

  /** Receipts come in order, but the timers that bring them need not. */
  #report(): void {
    for (let head = this.#sent[0]; head?.target !== undefined; head = this.#sent[0]) {
      this.#sent.shift();
      this.#known = head.target;
      const { runs, count, storeTime, target } = head;
      const { partition } = this.#options;
      const bytes = head.entry.records.reduce((sum, record) => sum + record.body.length, 0);
      this.#options.onStored({ partition, runs, count, target, bytes, sourceStoreTime: storeTime });
    }
    if (this.#sent.length === 0) this.#empty?.resolve();
    this.#wake();
  }

  #break(why: string): void {
    const producer = this.#producer;
    if (producer === undefined) return;
    this.#broker.disconnect(producer, this.#network.below(producer.inbox.length + 1));
    this.#onLost(why);
  }

  #onLost(why: string): void {
    this.#producer = undefined;
    if (this.#failure !== undefined) return;
    const error = new IsthmusError('CONNECTION_LOST', `writing ${this.#options.topic}: ${why}`);
    if (this.#started && this.#network.chance(this.#network.faults.writersGiveUp)) return this.#fail(error);
    this.#options.onTrouble(error);
    void this.#attach();
  }

  async #attach(): Promise<void> {
    while (this.#failure === undefined && this.#producer === undefined) {
      try {
        await this.#attachOnce();
      } catch (error) {
        this.#options.onTrouble(error instanceof Error ? error : new Error(String(error)));
        await this.#network.clock.sleep(20 + this.#network.random() * 100, this.#options.signal);
      }
    }
  }

  async #attachOnce(): Promise<void> {
    const { topic, partition } = this.#options;
    let attached: MemoryProducer | undefined;
    const onKicked = (): void => {
      if (this.#producer === attached && attached !== undefined) this.#onLost('the broker closed the producer');
    };
    try {
      await this.#network.request('attaching a producer', () => {
        attached = this.#broker.attach(topic, partition, this.#name, this.#network, onKicked);
        if (attached !== undefined) this.#producers.add(attached);
      });
    } catch (error) {
      if (attached !== undefined) this.#broker.disconnect(attached, 0);
      throw error;
    }
    if (attached === undefined) throw new IsthmusError('OTHER_WRITER', `writing ${topic}: another process has the lane`);
    if (this.#failure !== undefined) return this.#broker.disconnect(attached, 0);
    if (!attached.connected) throw new IsthmusError('CONNECTION_LOST', `writing ${topic}: the producer was closed at once`);
    if (this.#started && this.#broker.writtenByOthers(topic, partition, this.#name, this.#producers, this.#known)) {
      this.#broker.disconnect(attached, 0);
      return this.#fail(new IsthmusError('OTHER_WRITER', `writing ${topic}: another process has written the lane meanwhile`));
    }
    this.#producer = attached;
    this.#options.onTrouble(undefined);
    this.#findStored();
    for (const entry of this.#sent) this.#onWire.delete(entry);
    // First this: whoever hears of a stored entry may flush, and what is older has to be sent before.
    this.#sendRest();
    this.#report();
  }

  /** A look at the partition: which of the entries in doubt are there. */
  #findStored(): void {
    const { topic, partition } = this.#options;
    const marks = new Map(
      this.#broker
        .history(topic, partition)
        .filter(({ producer }) => producer !== undefined && this.#producers.has(producer))
        .map(({ mark, position }) => [mark, position]),
    );
    for (const entry of this.#sent) entry.target ??= marks.get(entry.entry.mark);
  }

  #localMark(runs: readonly PositionRun[], time: number): string {
    const { sourceCluster, lane } = this.#options;
    return this.#marks.seal(
      formatProvenance({ cluster: sourceCluster, topic: lane.topic, lane: lane.lane, runs, time, passed: [] }),
    );
  }

  #fail(error: IsthmusError): void {
    if (this.#failure !== undefined) return;
    this.#end(error);
    if (this.#started) this.#options.onFailed(error);
  }

  #end(error: IsthmusError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    if (this.#producer !== undefined)
      this.#broker.disconnect(this.#producer, this.#network.below(this.#producer.inbox.length + 1));
    this.#producer = undefined;
    this.#round = [];
    this.#sent.length = 0;
    this.#empty?.resolve();
    this.#wake();
  }

  #wake(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.resolve();
  }
}

function storedRecord({ body, key, tag, properties, mark }: OpenRecord): StoredRecord {
  return { body, key, tag, properties, mark };
}

function closed(): IsthmusError {
  return new IsthmusError('CLOSED', 'writing a fake partition: the writer was closed');
}
