import type { Position } from './position.ts';

/** The records of a lane in [from, to). */
export interface PositionRange {
  readonly from: Position;
  readonly to: Position;
}

/** How far a group has come in one lane. */
export interface LaneProgress {
  readonly lane: string;
  /** All records before it are done. The place right after an entry (`812:46`) where whole entries count. */
  readonly next: Position;
  /** What is done at or after `next`, ascending, without overlaps: records that were acknowledged one by one. */
  readonly done: readonly PositionRange[];
}

/**
 * `ordered`: one consumer of a lane at a time, in its order (RocketMQ push and pull in clustering mode, Pulsar Exclusive and Failover). `shared`: records of a lane go to several
 * consumers and are acknowledged one by one (RocketMQ POP, Pulsar Shared and Key_Shared).
 */
export type Sharing = 'ordered' | 'shared';

/** A consumer group (RocketMQ) or subscription (Pulsar) on one topic, as its cluster knows it. */
export interface GroupProgress {
  readonly group: string;
  readonly topic: string;
  /** As far as the cluster says it: a group that nobody uses may not be known to be either. */
  readonly sharing: Sharing | undefined;
  /** Consumers that are connected now; `undefined` where the cluster cannot say. */
  readonly members: number | undefined;
  /** Lanes in which it has a place. */
  readonly lanes: readonly LaneProgress[];
  /** Why `next` may lie behind what is really done, for people: records will be read again then, none is lost. */
  readonly behindBecause?: string | undefined;
}

/** The order in which clusters list groups: by topic, then by name. */
export function compareGroups(a: GroupProgress, b: GroupProgress): number {
  return compareTexts(a.topic, b.topic) || compareTexts(a.group, b.group);
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
