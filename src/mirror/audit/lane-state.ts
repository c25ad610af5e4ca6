import type { LaneId } from '../../model/lane.ts';
import { BEFORE_ALL, type Position } from '../../model/position.ts';
import { MAX_ROUND_RECORDS } from '../recovery.ts';
import { Blocks } from './blocks.ts';
import { Descents } from './descents.ts';
import type { AuditSizes, LaneScope, TopicScope } from './plan.ts';
import { Ranges } from './ranges.ts';
import { Segments } from './segments.ts';

const MAX_BLOCKS_PER_LANE = 16_384;
const MAX_SEGMENTS = 2_048;
const MIN_PARTS = 4;

/** The first records of a source lane in a target lane. */
interface Head {
  readonly first: Position;
  /** Counted up to one more than a round can have. */
  records: number;
  /** The highest position of these. */
  highest: Position;
}

/** A source lane while it is compared. */
export class SourceLane {
  readonly id: LaneId;
  readonly scope: LaneScope;
  readonly blocks: Blocks;
  /** Stretches that the source had no more when it was read. */
  readonly gone: Ranges = new Ranges();
  readonly descents: Descents = new Descents();
  /** Blocks with records that came too late in the target. */
  readonly suspect: Set<number> = new Set();
  /** By target lane: what of this lane comes first in it. */
  readonly heads: Map<number, Head> = new Map();

  /** `lanes`: how many the topic has. */
  constructor(id: LaneId, scope: LaneScope, lanes: number, { maxBlocks, blockRecords }: AuditSizes) {
    this.id = id;
    this.scope = scope;
    this.blocks = new Blocks(parts(maxBlocks / lanes, MAX_BLOCKS_PER_LANE), blockRecords);
  }

  /** Takes a record of the lane, in the order in which a target lane has them. */
  noteSeen(targetLane: number, major: number, minor: number, index: number): void {
    const head = this.heads.get(targetLane);
    if (head === undefined) {
      const first = { major, minor, index };
      this.heads.set(targetLane, { first, records: 1, highest: first });
    } else if (head.records <= MAX_ROUND_RECORDS) {
      head.records++;
      if (!before(major, minor, index, head.highest)) head.highest = { major, minor, index };
    }
  }

  /** Whether a record of the target is one that is compared. */
  covers(major: number, minor: number, index: number): boolean {
    const { from, to } = this.scope;
    if (before(major, minor, index, from) || !before(major, minor, index, to)) return false;
    return this.gone.empty || !this.gone.has({ major, minor, index });
  }
}

/** A target lane while it is compared. */
export interface TargetLane {
  readonly id: LaneId;
  readonly number: number;
  readonly segments: Segments;
  /** What was read in the first pass; later ones read the same. */
  from: Position;
  to: Position;
  /** Whether a record right before `to` is known to be stored. */
  sure: boolean;
  /** The oldest place that the target still has. */
  begin: Position;
}

/** How many parts are kept of a lane, when there is room for `share`. */
function parts(share: number, most: number): number {
  return Math.max(MIN_PARTS, Math.min(most, Math.floor(share)));
}

export function sourceLanes({ topic, lanes }: TopicScope, sizes: AuditSizes): SourceLane[] {
  return lanes.map((scope) => new SourceLane({ topic, lane: scope.lane }, scope, lanes.length, sizes));
}

export function targetLanes({ targetTopic, targetLanes: names, lanes }: TopicScope, sizes: AuditSizes): TargetLane[] {
  const most = parts(sizes.maxSegmentCells / Math.max(1, names.length * lanes.length), MAX_SEGMENTS);
  const [from, to, begin] = [BEFORE_ALL, BEFORE_ALL, BEFORE_ALL];
  return names.map((lane, number) => {
    const segments = new Segments(Math.max(1, lanes.length), most, sizes.blockRecords);
    return { id: { topic: targetTopic, lane }, number, segments, from, to, sure: false, begin };
  });
}

function before(major: number, minor: number, index: number, place: Position): boolean {
  return (major - place.major || minor - place.minor || index - place.index) < 0;
}
