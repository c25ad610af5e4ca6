import type { LaneId } from './lane.ts';
import { formatPosition, type Position } from './position.ts';

/** Begins the names of the properties that a dead letter carries beside the record itself. Read by replaying, by comparing, and by people. */
export const DEAD_LETTER_PREFIX = 'ISTHMUS-DEAD-LETTER-';

/** Of which record a letter is, and why its target refused it. */
export interface DeadLetterOrigin {
  readonly reason: string;
  readonly sourceCluster: string;
  readonly lane: LaneId;
}

/** The properties that every dead letter has, whichever driver writes it. */
export function originProperties({ reason, sourceCluster, lane }: DeadLetterOrigin, position: Position): [string, string][] {
  return [
    [`${DEAD_LETTER_PREFIX}REASON`, reason],
    [`${DEAD_LETTER_PREFIX}CLUSTER`, sourceCluster],
    [`${DEAD_LETTER_PREFIX}TOPIC`, lane.topic],
    [`${DEAD_LETTER_PREFIX}LANE`, lane.lane],
    [`${DEAD_LETTER_PREFIX}POSITION`, formatPosition(position)],
  ];
}
