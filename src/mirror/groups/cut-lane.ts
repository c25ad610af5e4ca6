import type { LaneId } from '../../model/lane.ts';

/**
 * Under which name the position index keeps those records of a lane that came from the target. Apart from the others, because they lie in the target in no order that has to do with
 * the lane's. No lane's own name begins so.
 */
export function cutLane({ topic, lane }: LaneId): LaneId {
  return { topic, lane: `<${lane}` };
}

export function isCutLane({ lane }: LaneId): boolean {
  return lane.startsWith('<');
}
