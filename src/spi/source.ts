import type { ByteBudget } from '../lib/byte-budget.ts';
import type { LaneId } from '../model/lane.ts';
import type { Position } from '../model/position.ts';
import type { RecordBatch } from '../model/record-batch.ts';
import type { SchemaReader } from './schema.ts';

/** What a lane reader hands out: records in order, or a stretch that the source no longer has. */
export type Delivery =
  | { readonly kind: 'records'; readonly batch: RecordBatch }
  /** Records in [from, to) are gone at the source: `expired` by retention, `truncated` by a failover, `recreated` topic, `reset` by an operator. */
  | { readonly kind: 'gap'; readonly from: Position; readonly to: Position; readonly reason: GapReason };

export type GapReason = 'expired' | 'truncated' | 'recreated' | 'reset';

/** Where a lane of the source begins and ends: `end` is the position that the next record will get. */
export interface LaneExtent {
  readonly begin: Position;
  readonly end: Position;
}

/** Where a new lane starts: `time` is milliseconds since 1970, by the source's store time. */
export type StartAt =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  | { readonly kind: 'time'; readonly time: number };

export interface ReadOptions {
  /** Name of our own consumer group or subscription at the source: the second checkpoint, visible in the brokers' tools. */
  readonly group: string;
  /** Bounds what is read ahead of the pipeline, shared by all lanes of the process. */
  readonly budget: ByteBudget;
  /**
   * Entries at or after this position may be delivered whole (`RecordBatch.whole`): the sink passes them on as they are. Earlier ones are taken apart, because a
   * part of them may be stored already. `undefined`: records always. Only for sources with `passesWhole`.
   */
  readonly wholeFrom?: Position | undefined;
  /**
   * Only a look: no subscription or group place is made or moved at the source, and other readers of the group are not disturbed. `commit` is not called then, and
   * records are delivered that the group has passed.
   */
  readonly onlook?: boolean;
  /** Called when the reader cannot read for now (and retries by itself with backoff), and with `undefined` when it reads again. */
  readonly onTrouble: (error: Error | undefined) => void;
}

/** Reads one lane in order. It reconnects and retries by itself; only errors that time cannot heal reject. */
export interface LaneReader {
  /** The next delivery; waits at the lane's end. Rejects with CLOSED after `close`. One call at a time. */
  read(): Promise<Delivery>;
  /** The next delivery if it is here already. */
  poll(): Delivery | undefined;
  /** The lane's extent as last heard from the source, for lag. */
  extent(): LaneExtent | undefined;
  /** Stores the second checkpoint at the source: the position that is to be read next. Retried by the next call, so a failure only warns. */
  commit(next: Position): Promise<void>;
  /** Ends reading; batches already handed out stay valid. */
  close(): Promise<void>;
}

export interface Source {
  /** Whether it can deliver whole entries. */
  readonly passesWhole: boolean;
  /** Reads the schemas of a topic's records; left out where records have none. */
  schemas?(topic: string): SchemaReader;
  /** Opens a lane for reading, the first delivered record being the one at `from` or the next after it. */
  openLane(lane: LaneId, from: Position, options: ReadOptions): Promise<LaneReader>;
  /** The position that `group` will read next according to the source, `undefined` when it never committed. */
  committed(lane: LaneId, group: string): Promise<Position | undefined>;
  /** Resolves a start rule to a position. */
  resolveStart(lane: LaneId, start: StartAt): Promise<Position>;
  /** A place with at least `count` offsets or entries of the lane between it and `place`, or the lane's beginning. Left out where places cannot be counted. */
  back?(lane: LaneId, place: Position, count: number): Promise<Position>;
  /** The position right after a record, where reading goes on. */
  next(position: Position): Position;
}
