import type { LaneId } from '../../model/lane.ts';
import type { Position } from '../../model/position.ts';
import type { DoneRange } from '../../spi/groups.ts';
import type { Sink } from '../../spi/sink.ts';
import type { LaneExtent } from '../../spi/source.ts';
import type { Checkpoint, IndexEntry } from '../../spi/state-store.ts';

/**
 * `exact`: everything at or after `next` that is in no `done` range is new to the group, and nothing else is. `floor`: as safe, but some records that it has done are read again.
 * `unknown`: no place can be named, and none is guessed. `too-old`: the target has deleted records that the group has not done; what is left begins at `next`.
 */
export type PlaceKind = 'exact' | 'floor' | 'unknown' | 'too-old';

/** Where a group goes on in one partition of the target. */
export interface TranslatedPlace {
  readonly partition: number;
  readonly kind: PlaceKind;
  /** The first record that the group has not done; `undefined` only for `unknown`. */
  readonly next: Position | undefined;
  /** What it has done of the records at or after `next`, ascending. A target that keeps no such holes gives these again, too. */
  readonly done: readonly DoneRange[];
  /** Records at or after `next` that it has done and that are in no `done` range: they are read again in any case. Whole entries that were passed on count as one. */
  readonly rereads: number;
  /** Whether `rereads` is all of them. */
  readonly counted: boolean;
  /** It is `unknown` only until the checkpoints have reached what was seen of both ends. */
  readonly lagging?: boolean | undefined;
  /** Why it is not exact, for people. */
  readonly reason?: string | undefined;
}

/** A group's place on the source as places in the target. */
export interface Translation {
  /** Ascending by partition. */
  readonly places: readonly TranslatedPlace[];
  /**
   * Positions that the group is ahead of the mirror, those done one by one included: these records are still to come to the target, or their places to be known, and they are read again there until the group is moved
   * once more. `undefined` where that cannot be counted, and there may be some.
   */
  readonly ahead: number | undefined;
}

/** A lane of the source topic, as its mirror has it. */
export interface LaneView {
  readonly lane: string;
  /** That it writes now. */
  readonly partitions: readonly number[];
  readonly checkpoint: Checkpoint | undefined;
}

/**
 * Both ends at about one time, for what the checkpoints alone cannot tell. The order of reading matters: first where the target's partitions end and how far the reverse mirror
 * has come, then where the source's lanes end. A lane whose checkpoint has reached `sourceEnds` has then stored, or cut as a loop, all that is older than these places.
 */
export interface Observation {
  /** By source lane: the position that its next record gets. */
  readonly sourceEnds: ReadonlyMap<string, Position>;
  /** By target partition: the position that its next record gets. */
  readonly targetEnds: ReadonlyMap<number, Position>;
  /** By target partition: everything before was given back to the source, as the place of the reverse mirror's own group says. `undefined` where nothing is mirrored back. */
  readonly givenBack: ReadonlyMap<number, Position> | undefined;
}

/** A mirrored topic, as far as a translation has to know it. */
export interface TopicView {
  readonly sourceCluster: string;
  readonly topic: string;
  readonly targetTopic: string;
  /** All lanes that have records in the target, also those that the source does not show now. */
  readonly lanes: readonly LaneView[];
  /** By number: where the partitions of the target begin and end. */
  readonly extents: ReadonlyMap<number, LaneExtent>;
  /** Whether applications write to the target as well, and a mirror brings that to the source: what it has brought is done where the group has done it there. */
  readonly bothWays: boolean;
  /** Newest first; more than a few are of no use. Without any, lanes that stand still keep their places low, and with `bothWays` no place is known. */
  readonly observations: readonly Observation[];
}

export interface TranslatorDeps {
  /** See StateStore.readIndex, for the mirror of the topics that are translated. */
  readonly readIndex: (lane: LaneId, from: Position, to: Position, limit: number) => Promise<readonly IndexEntry[]>;
  readonly scan: Sink['scan'];
}

/** What bounds the reading. */
export interface TranslateSizes {
  /** Index entries that are asked for at a time. */
  readonly page: number;
  /** Entries of one lane that are gone through for one group. */
  readonly mostEntries: number;
  /** Entries before a group's place that are looked at for ones that the target has stored late. */
  readonly lookBack: number;
  /** Stores keep well more entries of a lane than this: an index with fewer before the checkpoint was never thinned. */
  readonly leastKept: number;
  /** Records of a lane within which the target may have another order than the source: see MAX_ROUND_RECORDS. */
  readonly roundRecords: number;
  /** `done` ranges of a partition. */
  readonly mostDone: number;
  /** Index entries that are kept in memory between passes, for all lanes. */
  readonly cachedEntries: number;
  /** Entries of a partition that are searched for marks where the index does not reach. */
  readonly searchEntries: number;
}
