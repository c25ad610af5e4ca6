import type { IsthmusError } from '../errors.ts';
import type { LaneId } from '../model/lane.ts';
import type { Position } from '../model/position.ts';
import type { PositionRun, Provenance } from '../model/provenance.ts';
import type { NativeForm, RecordBatch } from '../model/record-batch.ts';
import type { SchemaReader } from './schema.ts';

/** A stored batch: which records of the source lane it holds and where it lies in the target partition. */
export interface Stored {
  /** Partition (or queue) of the target topic, as given to `openWriter`. */
  readonly partition: number;
  readonly runs: readonly PositionRun[];
  /** Records, also where a run counts whole entries. */
  readonly count: number;
  /**
   * Position of the first record in the target. The k-th record of the batch has the same position with index k where the target has batches (Pulsar), and
   * lies k neighbours further on where it has not (RocketMQ).
   */
  readonly target: Position;
  /** Bytes as sent. */
  readonly bytes: number;
  /** Milliseconds since 1970 at which the source stored the batch's first record. */
  readonly sourceStoreTime: number;
}

/** What a mark in the target says: found by `scan`. */
export interface FoundMark {
  readonly partition: number;
  readonly provenance: Provenance;
  readonly target: Position;
}

export interface WriterOptions {
  readonly topic: string;
  readonly partition: number;
  /** The lane that is written, with its cluster: names the producer (one per lane and partition, which is the fence) and the marks. */
  readonly sourceCluster: string;
  readonly lane: LaneId;
  readonly link: string;
  readonly batching: Batching;
  readonly compression: Compression;
  /** The schemas of the source's records (`Source.schemas`); without it the target gets none. */
  readonly schemas?: SchemaReader | undefined;
  /**
   * Asked by sinks that do not fence, right before each send: when it says no, nothing may be sent any more, and the writer fails with OTHER_WRITER. A process that stood still
   * would otherwise write beside the one that has taken its lane over.
   */
  readonly mayWrite?: (() => boolean) | undefined;
  /** Ends waiting inside `openWriter` (for another writer to go, for a broker to come back). */
  readonly signal: AbortSignal;
  /** Called in order, once per batch, when the target has stored it. */
  readonly onStored: (stored: Stored) => void;
  /** The writer has given up: nothing more will be stored or called back. Reopen after a look at the target. */
  readonly onFailed: (error: IsthmusError) => void;
  /** The writer waits (reconnect, owner change, back-pressure of the target), and `undefined` when it goes on. */
  readonly onTrouble: (error: Error | undefined) => void;
}

/**
 * `mixed`: any keys in a batch, the fastest. `per-key`: one key per batch, which Key_Shared consumers need to see keys in order.
 * `auto`: per-key while the target topic has a Key_Shared subscription.
 */
export type Batching = 'auto' | 'mixed' | 'per-key';
export type Compression = 'none' | 'lz4' | 'zlib' | 'zstd' | 'snappy';

/** `full`: nothing was taken; send what is open (`flush`) and wait for room (`ready`). `refused`: the target can never hold this record. */
export type AppendResult = 'taken' | 'full' | { readonly refused: string };

/**
 * Writes one lane's records into one partition, in order. It reconnects, looks at the target's tail after any doubt, and resends by itself;
 * what it cannot solve ends in `onFailed`.
 */
export interface LaneWriter {
  /**
   * Copies record `i` into the open batch, with its own mark (`batch.marks`) where it came from elsewhere before. With `batch.whole` (only where the sink
   * `takesWhole`) row `i` is an entry, which is passed on as it is and never shares a batch.
   */
  append(batch: RecordBatch, i: number): AppendResult;
  /** Sends the open batch if it has records: at once, or as soon as what is on its way has been answered. */
  flush(): void;
  /** Records in the open batch. */
  open(): number;
  /** Batches sent and not yet stored. */
  readonly inFlight: number;
  /** Resolves when `append` can take records again; rejects when the writer has failed or was closed. */
  ready(): Promise<void>;
  /** Ends the writer: the open batch is dropped, what is in flight gets up to `graceMillis` to be stored. */
  close(graceMillis: number): Promise<void>;
}

/** A record that its target refused, to be kept in a dead-letter topic. */
export interface DeadLetter {
  readonly topic: string;
  /** For a topic that has to be created, as in ClusterAdmin.ensureTopic. */
  readonly retentionMinutes: number | undefined;
  readonly reason: string;
  readonly sourceCluster: string;
  readonly lane: LaneId;
  readonly batch: RecordBatch;
  readonly i: number;
}

export interface Sink {
  /** Whether writers take whole entries of a source that delivers this form. */
  takesWhole(form: NativeForm): boolean;
  /**
   * Whether an open writer keeps any other writer of the same lane out, in this or another process. Where it does not, a lane needs a lease from the state
   * store before it opens one, and `openWriter` resolves only when nothing can be stored any more that an earlier writer of the lane has sent.
   */
  readonly fences: boolean;
  /**
   * Tells which of the target's lanes (LaneInfo.lane) stands behind each partition number from now on, for targets whose lanes would otherwise be renumbered when
   * a broker goes away or comes. Called before the topic is read or written; the list only ever grows at its end.
   */
  setPartitions(topic: string, lanes: readonly string[]): void;
  openWriter(options: WriterOptions): Promise<LaneWriter>;
  /**
   * Visits the marks in a partition, oldest first, from after `after` (from the newest `limitEntries` entries when undefined) to its end at the time of the call.
   * `visit` gets each mark whatever its lane.
   */
  scan(
    topic: string,
    partition: number,
    after: Position | undefined,
    limitEntries: number,
    visit: (mark: FoundMark) => void,
  ): Promise<ScanReport>;
  /** Where the partition ends now: the position of its newest entry, `undefined` when it is empty. */
  tail(topic: string, partition: number): Promise<Position | undefined>;
  writeDeadLetter(letter: DeadLetter): Promise<void>;
  /** Which partition of `partitions` a record belongs to by its key, by the rule of the target's own clients; `undefined` without a key. */
  partitionOf(batch: RecordBatch, i: number, partitions: number): number | undefined;
  /** Why the target would refuse the topic name, `undefined` when it is fine. */
  refusesTopicName(topic: string): string | undefined;
}

export interface ScanReport {
  readonly entries: number;
  /** False when older entries exist before the first one visited. */
  readonly fromBeginning: boolean;
}
