import type { ByteBudget } from '../../lib/byte-budget.ts';
import type { LaneId } from '../../model/lane.ts';
import type { Position } from '../../model/position.ts';
import type { MarkCodec } from '../../model/provenance.ts';
import type { Clock } from '../../spi/clock.ts';
import type { Likeness } from '../../spi/likeness.ts';
import type { Source } from '../../spi/source.ts';
import type { Stage } from '../../spi/stage.ts';
import type { IndexEntry } from '../../spi/state-store.ts';
import type { Pace } from './pace.ts';

/** A stretch of a source lane that is compared. */
export interface LaneScope {
  readonly lane: string;
  readonly from: Position;
  /** Everything before it has been mirrored: a record at or after it is not missing. */
  readonly to: Position;
  /** Numbers of the target lanes that it feeds. */
  readonly partitions: readonly number[];
}

/** A mirrored topic, and what of it is compared. */
export interface TopicScope {
  readonly topic: string;
  readonly targetTopic: string;
  readonly lanes: readonly LaneScope[];
  /** All lanes of the target topic, in the order of their partition numbers. */
  readonly targetLanes: readonly string[];
  /** The newest record that is known to be stored in a target lane, by the lane's number: a cluster may name an end that lies before it. */
  readonly stored: ReadonlyMap<number, Position>;
  /** Where reading of the target begins: milliseconds since 1970 by its own store time, `undefined` = at its beginning. */
  readonly targetSince: number | undefined;
  /** The mirror began somewhere in the middle: what lies before the first record that the target has was never taken. */
  readonly startsInside: boolean;
}

/** What bounds the memory of a comparison. */
export interface AuditSizes {
  /** Records in a block or segment at first; doubles when there are too many. */
  readonly blockRecords: number;
  /** Blocks of all source lanes of a topic. */
  readonly maxBlocks: number;
  /** Segments of all target lanes times source lanes. */
  readonly maxSegmentCells: number;
  /** Records that are compared one by one at a time, unless a single block has more. */
  readonly roundRecords: number;
  /** Keys that are remembered for sure in each target lane: the newest so many. Older ones are forgotten, and what they are out of order is not seen. */
  readonly keys: number;
}

/** A few dozen MiB at most, whatever the topic. */
export const AUDIT_SIZES: AuditSizes = {
  blockRecords: 1_024,
  maxBlocks: 262_144,
  maxSegmentCells: 1_048_576,
  roundRecords: 65_536,
  keys: 65_536,
};

export interface AuditDeps {
  readonly sourceCluster: string;
  readonly source: Source;
  /** Reads the target cluster. */
  readonly target: Source;
  /** Consumer group or subscription for reading on either side; nothing is committed. */
  readonly group: string;
  readonly marks: MarkCodec;
  /** What a record and its copy have in common; `undefined`: everything. */
  readonly likeness: Likeness | undefined;
  /** The stages of the mirror's lanes, which decide what is left out and what is changed on the way. */
  readonly stages: (lane: LaneId) => readonly Stage[];
  /** The position index of a lane: see StateStore.readIndex. */
  readonly readIndex: (lane: LaneId, from: Position, to: Position, limit: number) => Promise<readonly IndexEntry[]>;
  /** Reads the dead letters of a source topic; only asked where records are missing. */
  readonly deadLetters: (topic: string) => Promise<DeadLetters>;
  readonly budget: ByteBudget;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly pace: Pace;
  readonly sizes: AuditSizes;
}

/** Records that were put into a dead-letter topic instead of the target. */
export interface DeadLetters {
  has(lane: LaneId, position: Position): boolean;
}

export type AuditPhase = 'reading-source' | 'reading-target' | 'comparing';

/** How far a comparison has come; changed while it runs. */
export interface AuditProgress {
  phase: AuditPhase;
  topic: string;
  sourceRecords: number;
  targetRecords: number;
  /** Records that were read again, because a block of them was not equal. */
  comparedRecords: number;
  blocks: number;
  unequalBlocks: number;
}
