import { toIsthmusError } from '../../errors.ts';
import type { Translation } from '../../mirror/groups/translation.ts';
import { comparePositions, formatPosition } from '../../model/position.ts';
import type { GroupProgress } from '../../model/progress.ts';
import type { Clock } from '../../spi/clock.ts';
import type { Cluster } from '../../spi/cluster.ts';
import type { GroupMove, GroupPlace, MovedLane } from '../../spi/groups.ts';
import { mirrorName } from '../registry.ts';
import type { FollowedTopic } from './topic-views.ts';

/** What cannot be seen of a group in passing, because others may have moved it, is asked for again after so long. */
const LOOK_AGAIN_MILLIS = 30_000;

/** What became of a group's places, by partition, or why nothing did. */
export type Applied = { readonly moved: ReadonlyMap<number, MovedLane> } | { readonly failed: string };

interface Kept {
  readonly places: string;
  /** The group on the target as it was seen by the pass before; empty when it was not. */
  readonly seen: string;
  readonly at: number;
  readonly moved: ReadonlyMap<number, MovedLane>;
}

export interface ToApply {
  readonly targetGroup: string;
  readonly followed: FollowedTopic;
  readonly progress: GroupProgress;
  readonly translation: Translation;
  /** The group on the target, as the pass has read it with all others. */
  readonly there: GroupProgress | undefined;
  readonly how: HowToApply;
}

/**
 * `pass`: one of many, in which what was found before may do. `anew`: groups that were in use or further on are asked for again. `asked`: by somebody who wants to know what comes of it, so that
 * nothing of what was found before counts. `forced`: as `asked`, also where consumers are connected, and also backwards.
 */
export type HowToApply = 'pass' | 'anew' | 'asked' | 'forced';

/** Brings groups to their places on the target, and remembers which it has brought there: of a thousand that stand still, none costs a request. */
export class Applier {
  readonly #target: Cluster;
  readonly #clock: Clock;
  #kept = new Map<string, Kept>();
  #former: ReadonlyMap<string, Kept> = new Map();

  constructor(target: Cluster, clock: Clock) {
    this.#target = target;
    this.#clock = clock;
  }

  /** A pass begins: groups that the last one has not met are forgotten. */
  begin(): void {
    this.#former = this.#kept;
    this.#kept = new Map();
  }

  /** Never rejects: a group that cannot be moved must not keep the others waiting. */
  async apply({ targetGroup, followed, progress, translation, there, how }: ToApply): Promise<Applied> {
    const partitions: number[] = [];
    const places: GroupPlace[] = [];
    for (const { partition, next, done } of translation.places) {
      if (next === undefined) continue;
      partitions.push(partition);
      places.push({ lane: laneName(followed, partition), next, done });
    }
    const key = `${mirrorName(followed.mirror.key)} ${followed.topic} ${targetGroup}`;
    const kept = how === 'pass' || how === 'anew' ? this.#former.get(key) : undefined;
    const now = {
      places: JSON.stringify(places.map(({ lane, next, done }) => [lane, formatPosition(next), done])),
      seen: there === undefined ? '' : there.lanes.map(({ lane, next }) => `${lane}=${formatPosition(next)}`).join(' '),
    };
    if (kept !== undefined && this.#stands(kept, now, there, how === 'anew')) {
      this.#kept.set(key, { ...kept, seen: now.seen });
      return kept;
    }
    const applied = await this.#move(
      { group: targetGroup, topic: followed.targetTopic, sharing: progress.sharing, places, force: how === 'forced' },
      partitions,
    );
    if ('moved' in applied && [...applied.moved.values()].every(({ outcome }) => outcome !== 'failed'))
      this.#kept.set(key, { ...now, at: this.#clock.monotonic(), moved: applied.moved });
    return applied;
  }

  /** Whether what was found then is still so, as far as it can be seen without asking for this group. */
  #stands(kept: Kept, now: Pick<Kept, 'places' | 'seen'>, there: GroupProgress | undefined, anew: boolean): boolean {
    const moved = [...kept.moved.values()];
    const inUse = moved.some(({ outcome }) => outcome === 'active');
    if (anew && moved.some(({ outcome }) => outcome === 'active' || outcome === 'ahead')) return false;
    if (inUse) return there?.members !== undefined && there.members > 0;
    if (kept.places !== now.places) return false;
    if (moved.every(({ outcome }) => outcome !== 'ahead') && isAt(moved, there)) return true;
    // What a cluster shows in passing may be less than what it has: then only a change means something.
    return kept.seen === now.seen && this.#clock.monotonic() - kept.at < LOOK_AGAIN_MILLIS;
  }

  async #move(move: GroupMove, partitions: readonly number[]): Promise<Applied> {
    const { groups, name } = this.#target;
    if (groups === undefined) return { failed: `the driver of ${name} cannot move groups` };
    const refusal = groups.refusesGroupName(move.group);
    if (refusal !== undefined)
      return { failed: `${name} would refuse a group named ${move.group}: ${refusal}; give it another name by groups.rename` };
    if (move.places.length === 0) return { moved: new Map() };
    try {
      const moved = await groups.move(move);
      return { moved: new Map(moved.map((each, i) => [partitions[i] ?? -1, each])) };
    } catch (error) {
      return { failed: toIsthmusError(error).message };
    }
  }
}

/** Whether a group is where the moves have brought it. */
function isAt(moved: readonly MovedLane[], there: GroupProgress | undefined): boolean {
  const lanes = new Map(there?.lanes.map(({ lane, next }) => [lane, next]));
  return moved.every(({ lane, next }) => {
    const now = lanes.get(lane);
    return next !== undefined && now !== undefined && comparePositions(next, now) === 0;
  });
}

/** The target's own name of a partition. */
export function laneName({ targetLanes }: FollowedTopic, partition: number): string {
  return targetLanes[partition] ?? String(partition);
}
