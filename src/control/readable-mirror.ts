import { IsthmusError } from '../errors.ts';
import type { Mirror } from '../mirror/mirror.ts';
import { type LaneId, laneKey } from '../model/lane.ts';
import type { LinkSpec, MirrorSpec } from '../model/mirror-spec.ts';
import { comparePositions, type Position } from '../model/position.ts';
import type { Cluster } from '../spi/cluster.ts';
import type { Source } from '../spi/source.ts';
import type { MirrorKey, StateStore } from '../spi/state-store.ts';
import { endsOf } from './managed-mirror.ts';

/** A mirror of which both sides can be read: what comparing and replaying work on. */
export interface ReadableMirror {
  readonly key: MirrorKey;
  readonly link: LinkSpec;
  readonly spec: MirrorSpec;
  readonly source: Cluster;
  readonly target: Cluster;
  readonly reads: Source;
  /** Reads the target. */
  readonly readsTarget: Source;
  /** `undefined` while it does not run. */
  readonly running: Mirror | undefined;
}

/** What comparing and replaying need of whoever runs the mirrors. */
export interface MirrorHost {
  /** Throws NOT_FOUND, and what readableMirror throws. */
  readable(key: MirrorKey): ReadableMirror;
  /** Runs something while the mirror does not, and lets it go on afterwards if it ran. */
  whileStopped(key: MirrorKey, run: () => Promise<void>): Promise<void>;
}

/** A mirror with both its ends. Throws INVALID_REQUEST where a driver cannot read, CONFLICT where the target can only be read as a consumer group. */
export function readableMirror(parts: Omit<ReadableMirror, 'reads' | 'readsTarget'>): ReadableMirror {
  const { link, target } = parts;
  const { reads } = endsOf(parts);
  expectLooks(link, target);
  if (target.source === undefined)
    throw new IsthmusError(
      'INVALID_REQUEST',
      `reading back over the link ${link.name}: ${target.type} cannot be read by this version`,
    );
  return { ...parts, reads, readsTarget: target.source };
}

/** Throws CONFLICT where a cluster can only be read as a consumer group: what a look was handed would be missing to the mirror. */
export function expectLooks({ name }: LinkSpec, cluster: Cluster): void {
  if (cluster.capabilities.readsWithoutGroup) return;
  throw new IsthmusError(
    'CONFLICT',
    `reading back over the link ${name}: the driver of ${cluster.name} reads as a consumer group alone, so that nothing can be compared or replayed there`,
  );
}

/** How far a lane of a mirror has come. */
export interface LaneProgress {
  readonly lane: LaneId;
  readonly next: Position;
}

/** How far each lane of a mirror has come, by `laneKey`: what a running lane says, else its checkpoint. */
export async function progressOf({ key, running }: ReadableMirror, store: StateStore): Promise<Map<string, LaneProgress>> {
  const progress = new Map<string, LaneProgress>();
  for (const { lane, next } of await store.loadCheckpoints(key)) progress.set(laneKey(lane), { lane, next });
  for (const { plan, next } of running?.lanes ?? []) {
    if (next !== undefined) progress.set(laneKey(plan.lane), { lane: plan.lane, next });
  }
  return progress;
}

/** The newest place in each target lane that the running lanes of a topic know of, by the lane's number. */
export function newestStored({ running }: ReadableMirror, topic: string): Map<number, Position> {
  const stored = new Map<number, Position>();
  for (const { plan, newest } of running?.lanes ?? []) {
    if (plan.lane.topic !== topic) continue;
    for (const [number, place] of newest) {
      const other = stored.get(number);
      if (other === undefined || comparePositions(place, other) > 0) stored.set(number, place);
    }
  }
  return stored;
}
