import type { PlaceKind } from '../../mirror/groups/translation.ts';
import type { Sharing } from '../../model/progress.ts';
import type { MoveOutcome } from '../../spi/groups.ts';
import type { Trouble } from '../trouble.ts';

/** Where a group goes on in one partition of a target topic. Positions are in text form. */
export interface GroupPlaceStatus {
  readonly partition: number;
  /** The target's own name of the partition: `broker-a:3` or `3`. */
  readonly lane: string;
  readonly kind: PlaceKind;
  /** The first record that it has not done; null when unknown. */
  readonly next: string | null;
  /** Where the group was on the target when that was last asked, before any move; null where it had no place. */
  readonly was: string | null;
  /** Records that it will read again there; null when that is not known. */
  readonly rereads: number | null;
  /** What became of the place on the target; null when nothing was tried. */
  readonly outcome: MoveOutcome | null;
  /** It is unknown only because the mirrors lag, and becomes known when they have caught up. */
  readonly lagging: boolean;
  /** Why it is not exact, or could not be applied; null when nothing is to be said. */
  readonly reason: string | null;
}

/** `synced`: the target has the place. `active`: consumers are connected to the target, so that it is left alone. `ahead`: the group is further on there. `waiting`: see the reasons. `shown`: places are only shown. */
export type GroupState = 'synced' | 'active' | 'ahead' | 'waiting' | 'shown';

/** A group on one topic. */
export interface GroupTopicStatus {
  readonly mirror: string;
  readonly topic: string;
  readonly targetTopic: string;
  readonly sharing: Sharing | null;
  /** Consumers connected at the source; null when unknown. */
  readonly members: number | null;
  /** Consumers connected at the target, as it says in passing; null when unknown. */
  readonly targetMembers: number | null;
  /** By lane of the source, text form: the first record that it has not done. */
  readonly source: Readonly<Record<string, string>>;
  /** Stretches beyond these places that it has done already. */
  readonly sourceHoles: number;
  /** Why the place read at the source may lie behind what is really done; null when it does not. */
  readonly behindBecause: string | null;
  /** The least of its places' kinds. */
  readonly kind: PlaceKind;
  /** Records that will be read again on the target; null when that is not known. */
  readonly rereads: number | null;
  /** Records that the group has done and the mirror has still to bring: they are read again, until the next sync. Null when they cannot be counted, and there may be some. */
  readonly ahead: number | null;
  readonly places: readonly GroupPlaceStatus[];
  readonly state: GroupState;
  /** When progress was last read, translated and, where that is wanted, applied with success; milliseconds since 1970, null before the first time. */
  readonly syncedAt: number | null;
}

export interface GroupStatus {
  readonly group: string;
  /** Its name on the target. */
  readonly targetGroup: string;
  readonly kind: PlaceKind;
  readonly rereads: number | null;
  readonly state: GroupState;
  readonly syncedAt: number | null;
  readonly topics: readonly GroupTopicStatus[];
}

/** The groups of a link. */
export interface LinkGroups {
  readonly link: string;
  /** Whether the link mirrors progress at all, and whether it is applied. */
  readonly apply: 'idle' | 'never' | 'off';
  /** When a pass over all groups last ended with success, milliseconds since 1970; null before the first. */
  readonly passAt: number | null;
  readonly trouble: Trouble | null;
  readonly groups: readonly GroupStatus[];
}

/** Moves of groups that somebody has asked for. */
export interface ApplyRequest {
  readonly link: string;
  /** Their names on the source; all where left out. */
  readonly group?: string | undefined;
  readonly topic?: string | undefined;
  /** Also where consumers are connected to the target, and also backwards. */
  readonly force: boolean;
  /** Nothing is moved. */
  readonly dryRun: boolean;
}

export interface GroupsApplied {
  readonly link: string;
  readonly force: boolean;
  readonly dryRun: boolean;
  /** What kept some of the groups from being looked at; null when all were. */
  readonly trouble: Trouble | null;
  readonly groups: readonly GroupStatus[];
}

export interface PositionRequest {
  readonly link: string;
  /** Of the source. */
  readonly topic: string;
  readonly lane: string;
  /** Text form. */
  readonly position: string;
}

/** Where a source position lies in the target. */
export interface PositionTranslation {
  readonly mirror: string;
  readonly targetTopic: string;
  readonly kind: PlaceKind;
  readonly places: readonly GroupPlaceStatus[];
  /** Records of the lane before the position that the mirror has still to bring; null when they cannot be counted. */
  readonly ahead: number | null;
}

/** Groups and positions, for HTTP. Every method rejects with an IsthmusError (NOT_FOUND, INVALID_REQUEST, ...). */
export interface GroupControl {
  list(link: string): LinkGroups;
  /** NOT_FOUND when no pass has seen it. */
  get(link: string, group: string): GroupStatus;
  translate(request: PositionRequest): Promise<PositionTranslation>;
  /** A pass over the groups of a link now; resolves when it has ended. Rejects with what kept it from ending. */
  syncNow(link: string): Promise<LinkGroups>;
  /** Moves groups to their present places, once, whatever `apply` of the link says. NOT_FOUND when none follows under these names. */
  apply(request: ApplyRequest): Promise<GroupsApplied>;
}
