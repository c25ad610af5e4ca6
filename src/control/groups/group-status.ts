import type { PlaceKind, TranslatedPlace, Translation } from '../../mirror/groups/translation.ts';
import { formatPosition, type Position } from '../../model/position.ts';
import type { GroupProgress } from '../../model/progress.ts';
import type { DoneRange, MovedLane } from '../../spi/groups.ts';
import { total } from '../status.ts';
import type { GroupPlaceStatus, GroupState, GroupStatus, GroupTopicStatus } from './api.ts';
import { type Applied, laneName } from './applier.ts';
import type { FollowedTopic } from './topic-views.ts';

/** From the best to the worst that can be said of a place. */
const KINDS: readonly PlaceKind[] = ['exact', 'floor', 'too-old', 'unknown'];
const STATES: readonly GroupState[] = ['synced', 'shown', 'ahead', 'active', 'waiting'];

export interface Seen {
  readonly followed: FollowedTopic;
  readonly progress: GroupProgress;
  readonly translation: Translation;
  /** The group on the target, as it was before. */
  readonly there: GroupProgress | undefined;
  /** `undefined`: places are only shown. */
  readonly applied: Applied | undefined;
  /** When it was in step before this pass, and when this pass began. */
  readonly former: number | null;
  readonly at: number;
}

export function topicStatus({ followed, progress, translation, there, applied, former, at }: Seen): GroupTopicStatus {
  const was = new Map(there?.lanes.map(({ lane, next }) => [lane, formatPosition(next)]));
  const places = translation.places.map((place) => {
    const status = placeStatus(followed, place, applied, progress.behindBecause !== undefined);
    return { ...status, was: was.get(status.lane) ?? null };
  });
  const targetMembers = there?.members ?? null;
  const state = stateOf(places, applied, targetMembers !== null && targetMembers > 0);
  return {
    mirror: followed.mirror.key.mirror,
    topic: followed.topic,
    targetTopic: followed.targetTopic,
    sharing: progress.sharing ?? null,
    members: progress.members ?? null,
    targetMembers,
    source: Object.fromEntries(progress.lanes.map(({ lane, next }) => [lane, formatPosition(next)])),
    sourceHoles: progress.lanes.reduce((sum, { done }) => sum + done.length, 0),
    behindBecause: progress.behindBecause ?? null,
    kind: worst(places.map(({ kind }) => kind)),
    rereads: total(places.map(({ rereads }) => rereads)),
    ahead: translation.ahead ?? null,
    places,
    state,
    // A group that is in use, or further on, on the target is as it should be.
    syncedAt: state === 'waiting' ? former : at,
  };
}

/** `behind`: what was translated may itself lie behind what the group has done, by nobody knows how much. */
export function placeStatus(
  followed: FollowedTopic,
  place: TranslatedPlace,
  applied: Applied | undefined,
  behind = false,
): GroupPlaceStatus {
  const { partition, next, reason } = place;
  const counted = place.counted && !behind;
  const moved: MovedLane | undefined = applied !== undefined && 'moved' in applied ? applied.moved.get(partition) : undefined;
  // Where the place was applied, the cluster has said what it cannot hold.
  // A group that has gone on at the target, or could not be moved, is not at this place; one that was brought back reads again what it had done there. How much that is nobody here can say.
  const isThere = applied === undefined || moved?.outcome === 'applied' || moved?.outcome === 'same';
  const movedBack = moved?.movedBack === true;
  const rereads =
    next === undefined || !counted || !isThere || movedBack
      ? null
      : place.rereads + (moved?.rereads ?? notHeld(next, place.done));
  const failed = applied !== undefined && 'failed' in applied ? applied.failed : undefined;
  const back = movedBack ? 'it was further on there, and reads again what it had done beyond' : undefined;
  return {
    partition,
    lane: laneName(followed, partition),
    kind: place.kind === 'exact' && (!counted || (isThere && rereads !== 0)) ? 'floor' : place.kind,
    next: next === undefined ? null : formatPosition(next),
    was: null,
    rereads,
    outcome: moved?.outcome ?? null,
    lagging: place.lagging === true,
    reason: failed ?? moved?.detail ?? back ?? reason ?? null,
  };
}

/**
 * Records that are read again because no cluster could hold such a place. Where positions are one counter, it is all that a group has in a lane; where they are entries, whole entries can be held back, and of one that is done in part all
 * is read again.
 */
function notHeld(next: Position, done: readonly DoneRange[]): number {
  if (next.minor < 0) return done.reduce((sum, { records }) => sum + records, 0);
  const parts = done.map(({ from, to, records }) => {
    const inOneEntry = from.major === to.major && from.minor === to.minor;
    return inOneEntry ? records : Math.max(0, to.index);
  });
  return Math.max(0, next.index) + parts.reduce((sum, part) => sum + part, 0);
}

function stateOf(places: readonly GroupPlaceStatus[], applied: Applied | undefined, inUse: boolean): GroupState {
  if (applied === undefined) return 'shown';
  if ('failed' in applied || places.length === 0) return 'waiting';
  return least(
    STATES,
    places.map(({ outcome }): GroupState => {
      if (outcome === 'active' || outcome === 'ahead') return outcome;
      // Where it has consumers nothing would be done with a place, and none is missing.
      if (outcome === null && inUse) return 'active';
      return outcome === 'applied' || outcome === 'same' ? 'synced' : 'waiting';
    }),
  );
}

export function groupStatus(group: string, targetGroup: string, topics: readonly GroupTopicStatus[]): GroupStatus {
  const times = topics.map(({ syncedAt }) => syncedAt);
  return {
    group,
    targetGroup,
    kind: worst(topics.map(({ kind }) => kind)),
    rereads: total(topics.map(({ rereads }) => rereads)),
    state: least(
      STATES,
      topics.map(({ state }) => state),
    ),
    syncedAt: times.includes(null) ? null : Math.min(...times.map((time) => time ?? 0)),
    topics,
  };
}

/** The worst of several kinds; a group without any place is unknown. */
export function worst(kinds: readonly PlaceKind[]): PlaceKind {
  return kinds.length === 0 ? 'unknown' : least(KINDS, kinds);
}

function least<T>(order: readonly T[], values: readonly T[]): T {
  return values.reduce((a, b) => (order.indexOf(a) >= order.indexOf(b) ? a : b));
}
