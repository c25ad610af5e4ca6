import { IsthmusError } from '../../../errors.ts';
import { type Deferred, deferred } from '../../../lib/deferred.ts';
import type { SlabPool } from '../../../lib/slab.ts';
import { entryPosition } from '../../../model/position.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import type { AppendResult, LaneWriter, WriterOptions } from '../../../spi/sink.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import type { PulsarDeps } from '../options.ts';
import { type Entry, entryBytes, letGo, type Origin, PASSED_EXTRA_BYTES } from './entry.ts';
import { EntryPasser } from './entry-passer.ts';
import { EntryQueue } from './entry-queue.ts';
import { KeyedRound } from './keyed-round.ts';
import { Passage } from './passage.ts';
import { encodeRecord, recordBound } from './record-encoder.ts';
import { MixedRound, type Round, type RoundOptions } from './round.ts';
import { SchemaMap } from './schema-map.ts';
import { SequenceIds } from './sequence-ids.ts';

/** Rounds sent and not yet stored. */
const MAX_ROUNDS = 8;
/** Entries passed on and not yet stored: brokers stop reading a connection that has 1000 in all of its lanes. */
const MAX_PASSED = 256;
/** What an entry has beside its payload: the frame's header and a mark. */
const ENTRY_RESERVE_BYTES = 48 * 1024;

export interface LaneWriterParts {
  readonly pool: BrokerPool;
  readonly slabs: SlabPool;
  readonly deps: PulsarDeps;
  readonly producerName: string;
  /** The topic's own limit on an entry, in bytes, when the writer was opened. */
  readonly topicMaxBytes: number | undefined;
  /** Asks for it anew. Never rejects. */
  readonly askTopicMaxBytes: () => Promise<number | undefined>;
  /** Whether the next round gets one entry per key. */
  readonly perKey: () => boolean;
  readonly onEnd: (writer: PulsarLaneWriter) => void;
}

/** Writes one lane into one partition: gathers records into batches, hands whole entries on, and leaves it to an `EntryQueue` to bring both there. */
export class PulsarLaneWriter implements LaneWriter {
  readonly #options: WriterOptions;
  readonly #parts: LaneWriterParts;
  readonly #ids = new SequenceIds();
  readonly #queue: EntryQueue;
  readonly #passer: EntryPasser;
  readonly #schemas: SchemaMap;
  readonly #encode: RoundOptions['encode'];
  #open: Round | undefined;
  #rounds = 0;
  /** What the record that was not taken needs. `ready` must wait for that: room for less would be said and refused again without end. */
  #wantedBytes = 0;
  /** Whether that was a whole entry. */
  #wantedWhole = false;
  #roomWanted: Deferred<void> | undefined;

  constructor(options: WriterOptions, parts: LaneWriterParts) {
    const seal = (mark: string): string => parts.deps.marks.seal(mark);
    const origin: Origin = { cluster: options.sourceCluster, topic: options.lane.topic, lane: options.lane.lane, seal };
    this.#options = options;
    this.#parts = parts;
    this.#encode = (batch, i, target, at) => encodeRecord(batch, i, target, at, seal);
    this.#queue = new EntryQueue(options, {
      pool: parts.pool,
      deps: parts.deps,
      producerName: parts.producerName,
      origin,
      ids: this.#ids,
      isLowered: async () =>
        ((await parts.askTopicMaxBytes()) ?? Number.POSITIVE_INFINITY) < (parts.topicMaxBytes ?? Number.POSITIVE_INFINITY),
      onStored: (entry) => this.#onStored(entry),
      onDrained: () => this.#wake(),
      onEnd: (left) => this.#onEnd(left),
    });
    this.#passer = new EntryPasser(new Passage(parts.slabs), this.#ids, origin);
    this.#schemas = new SchemaMap(options, parts.pool, parts.deps);
  }

  /** Attaches for the first time; waits as long as there is hope and `signal` allows. Rejects with what is wrong for good, or CLOSED. */
  async start(signal: AbortSignal): Promise<void> {
    const stop = (): void => void this.close(0);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    await this.#queue.start();
    signal.removeEventListener('abort', stop);
    if (this.#queue.failure !== undefined) throw this.#queue.failure;
  }

  append(batch: RecordBatch, i: number): AppendResult {
    if (this.#queue.ended) return 'full';
    return batch.whole ? this.#appendWhole(batch, i) : this.#appendRecord(batch, i);
  }

  flush(): void {
    this.#seal();
  }

  open(): number {
    return this.#open?.count ?? 0;
  }

  get inFlight(): number {
    return this.#queue.length;
  }

  async ready(): Promise<void> {
    while (!this.#hasRoom()) {
      if (this.#roomWanted === undefined) {
        this.#roomWanted = deferred();
        this.#schemas.whenKnown(() => this.#wake());
        if (this.#rounds < MAX_ROUNDS) this.#parts.slabs.whenFree(() => this.#wake());
      }
      await this.#roomWanted.promise;
    }
  }

  async close(graceMillis: number): Promise<void> {
    this.#dropOpen();
    await this.#queue.close(graceMillis);
  }

  #appendRecord(batch: RecordBatch, i: number): AppendResult {
    const bound = recordBound(batch, i);
    const limitBytes = this.#limitBytes();
    if (bound > limitBytes) {
      return { refused: `the record has ${bound} bytes, ${this.#options.topic} takes ${limitBytes}` };
    }
    const schema = this.#schemas.of(batch, i);
    if (schema === 'unknown') return this.#full(bound, false);
    if ('refused' in schema) return schema;
    if (this.#open !== undefined && !(this.#open.schemaVersion.equals(schema.version) && this.#open.fits(bound, batch, i)))
      this.#seal();
    const round = this.#open ?? this.#newRound(bound, limitBytes, schema.version);
    if (round === undefined) return this.#full(bound, false);
    round.append(batch, i);
    return 'taken';
  }

  #appendWhole(batch: RecordBatch, i: number): AppendResult {
    // Entries never share a batch, and the records before them go before them.
    this.#seal();
    const passer = this.#passer;
    const problem = passer.look(batch, i, this.#queue.senderName);
    if (problem !== undefined) return { refused: problem };
    const schema = this.#schemas.ofVersion(passer.schemaVersion);
    if (schema === 'unknown') return this.#full(0, true);
    if ('refused' in schema) return schema;
    const bound = passer.bound(schema.version);
    const limitBytes = this.#wholeLimitBytes(passer.chunk);
    if (bound > limitBytes) return { refused: `the entry has ${bound} bytes, ${this.#options.topic} takes ${limitBytes}` };
    if (this.#queue.length >= MAX_PASSED) return this.#full(bound, true);
    const entry = passer.pass(bound, this.#holdsNothing(), this.#queue.sender);
    if (entry === undefined) return this.#full(bound, true);
    this.#wantedBytes = 0;
    this.#queue.push(entry);
    return 'taken';
  }

  /** Well below what the broker takes: an entry just under its frame limit is neither stored nor refused, and wedges the topic until it is deleted by force. */
  #limitBytes(): number {
    const maxBytes = Math.min(this.#queue.maxBytes, this.#parts.topicMaxBytes ?? Number.POSITIVE_INFINITY);
    return maxBytes - Math.min(ENTRY_RESERVE_BYTES, Math.ceil(maxBytes / 2));
  }

  /** A topic's own limit speaks of whole entries, and not of parts of chunked messages. */
  #wholeLimitBytes(chunk: boolean): number {
    const most = this.#queue.maxBytes + PASSED_EXTRA_BYTES;
    return chunk ? most : Math.min(most, this.#parts.topicMaxBytes ?? most);
  }

  #full(wantedBytes: number, whole: boolean): 'full' {
    this.#wantedBytes = wantedBytes;
    this.#wantedWhole = whole;
    return 'full';
  }

  #hasRoom(): boolean {
    if (this.#queue.ended) throw this.#queue.failure ?? new IsthmusError('CLOSED', 'the writer was closed');
    if (this.#schemas.isAsking) return false;
    if (this.#wantedWhole)
      return this.#queue.length < MAX_PASSED && this.#passer.hasRoom(this.#wantedBytes, this.#holdsNothing());
    const { slabs } = this.#parts;
    return this.#open !== undefined || (this.#rounds < MAX_ROUNDS && slabs.hasRoom(this.#wantedBytes, this.#holdsNothing()));
  }

  #holdsNothing(): boolean {
    return this.#open === undefined && this.#queue.length === 0;
  }

  #newRound(bound: number, limitBytes: number, schemaVersion: Buffer): Round | undefined {
    if (this.#rounds >= MAX_ROUNDS) return undefined;
    const slab = this.#parts.slabs.take(bound, this.#holdsNothing());
    if (slab === undefined) return undefined;
    this.#wantedBytes = 0;
    this.#open = new (this.#parts.perKey() ? KeyedRound : MixedRound)(slab, this.#parts.slabs, {
      limitBytes,
      schemaVersion,
      encode: this.#encode,
    });
    return this.#open;
  }

  #seal(): void {
    const round = this.#open;
    if (round === undefined) return;
    this.#open = undefined;
    this.#rounds++;
    const { compression } = this.#options;
    for (const entry of round.seal({ compression, now: this.#parts.deps.clock.now(), ids: this.#ids })) this.#queue.push(entry);
  }

  #onStored(entry: Entry): void {
    if (entry.endsRound) this.#rounds--;
    const { runs, count, sourceStoreTime, target: stored } = entry;
    const target = entryPosition(stored?.ledger ?? -1, stored?.entry ?? -1, entry.batched ? 0 : -1);
    const bytes = entryBytes(entry);
    letGo(entry);
    this.#options.onStored({ partition: this.#options.partition, runs, count, target, bytes, sourceStoreTime });
  }

  #onEnd(left: readonly Entry[]): void {
    this.#dropOpen();
    for (const entry of left) entry.held.abandon();
    this.#rounds = 0;
    this.#schemas.close();
    this.#wake();
    this.#parts.onEnd(this);
  }

  #wake(): void {
    const wanted = this.#roomWanted;
    this.#roomWanted = undefined;
    wanted?.resolve();
  }

  #dropOpen(): void {
    this.#open?.drop();
    this.#open = undefined;
  }
}
