import type { IsthmusError } from '../errors.ts';
import type { Position } from '../model/position.ts';
import type { GroupProgress, PositionRange, Sharing } from '../model/progress.ts';
import type { LaneExtent } from './source.ts';

/** A place that a group is to have in a lane. */
export interface GroupPlace {
  readonly lane: string;
  /** The first record that it has not done. */
  readonly next: Position;
  /** Records at or after `next` that it has done already, ascending, without overlaps. A cluster that cannot keep such holes gives them again. */
  readonly done: readonly DoneRange[];
}

/** Neighbours in a lane that are done, and how many records they are. */
export interface DoneRange extends PositionRange {
  readonly records: number;
}

export interface GroupMove {
  readonly group: string;
  readonly topic: string;
  readonly sharing: Sharing | undefined;
  readonly places: readonly GroupPlace[];
  /** Also where consumers are connected, and also backwards. Otherwise neither is done. */
  readonly force: boolean;
}

/**
 * What became of a place. `applied`: the group was moved, or created there. `same`: it was there already. `ahead`: it is further on, and is not moved back unasked. `active`: it has
 * consumers, and is left alone. `failed`: see `detail`; tried again by the next call.
 */
export type MoveOutcome = 'applied' | 'same' | 'ahead' | 'active' | 'failed';

export interface MovedLane {
  readonly lane: string;
  readonly outcome: MoveOutcome;
  /** The group's place in the lane as read back from the cluster after the move, `undefined` when it has none or could not be read. */
  readonly next: Position | undefined;
  /** Records at or after that place which the group has done and will be given again, because the cluster keeps no such holes; `undefined` unless `applied` or `same`. */
  readonly rereads: number | undefined;
  /** By force: it was further on, and what it had done there beyond is read again as well. How much that is, is not in `rereads`. */
  readonly movedBack?: boolean | undefined;
  readonly detail?: string | undefined;
}

/** What a cluster says of one topic: its groups, and where its lanes begin and end. Nothing of either where it does not exist. */
export interface TopicSurvey {
  readonly groups: readonly GroupProgress[];
  readonly extents: ReadonlyMap<string, LaneExtent>;
}

/** The consumer groups of a cluster. */
export interface Groups {
  /**
   * Every group that has a place in one of the topics, our own included, in as few requests as the cluster allows. Sorted by topic and group. A topic that does not exist has none. Rejects when
   * the cluster, or a part of it, does not answer: half an answer would look like groups that are gone.
   */
  progress(topics: readonly string[]): Promise<GroupProgress[]>;
  /**
   * As `progress`, with what `ClusterAdmin.extents` gives, for a cluster that says both in one answer; for each topic, also those that do not exist. A topic of which it says nothing,
   * or only half, has an error instead: it must not keep the others from being seen. Never rejects.
   */
  survey?(topics: readonly string[]): Promise<ReadonlyMap<string, TopicSurvey | IsthmusError>>;
  /**
   * Moves one group on one topic, creating it where it does not exist, and reads back what came of it: one answer per place, in their order. Rejects only when the cluster as a
   * whole does not answer.
   */
  move(move: GroupMove): Promise<MovedLane[]>;
  /** Why the cluster would refuse a group of this name, `undefined` when it is fine. */
  refusesGroupName(group: string): string | undefined;
}
