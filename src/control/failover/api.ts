import type { PlaceKind } from '../../mirror/groups/translation.ts';
import type { GroupState, GroupStatus } from '../groups/api.ts';
import type { Trouble } from '../trouble.ts';

/** `planned`: both regions are there, nothing is lost and nothing read again. `unplanned`: the source is gone or does not answer; what it had beyond the last that was seen stays behind. */
export type FailoverKind = 'planned' | 'unplanned';

/** In this order; each is kept in the state store before it begins, and begins again after a crash. `places` only where some were not known when it was begun. */
export const FAILOVER_STEPS = ['places', 'fence', 'drain', 'sync', 'release'] as const;
export type FailoverStep = (typeof FAILOVER_STEPS)[number];

export type FailoverState = 'running' | 'done' | 'failed' | 'aborted';

/** A lane, and how much of it the target has not. Positions are in text form. */
export interface LaneRisk {
  readonly mirror: string;
  readonly topic: string;
  readonly lane: string;
  /** Everything before is in the target. */
  readonly next: string | null;
  /** Where the source ended when it was last asked. */
  readonly end: string | null;
  /** Records between the two; null when they cannot be counted. */
  readonly records: number | null;
}

export interface FailoverPlan {
  readonly link: string;
  readonly from: string;
  readonly to: string;
  readonly kind: FailoverKind;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** When the source was last asked with success; how much it has got since then nobody knows. */
  readonly sourceAt: number;
  /** Why it could not be asked now; null when it was. */
  readonly sourceAway: string | null;
  readonly groups: readonly GroupStatus[];
  /** Lanes that the target is behind in, or of which that is not known. */
  readonly atRisk: readonly LaneRisk[];
  /** What keeps a failover of this kind from being begun. */
  readonly blockers: readonly string[];
  /** What is not known yet, and will be when the mirrors have caught up: a planned failover waits for it before it changes anything. */
  readonly pending: readonly string[];
  /** What somebody should know, or do first. */
  readonly warnings: readonly string[];
}

export interface StepStatus {
  readonly step: FailoverStep;
  readonly startedAt: number;
  readonly endedAt: number | null;
  /** What it does now, or has done. */
  readonly detail: string;
}

/** A place with what is read again there. */
export interface Placed {
  readonly kind: PlaceKind;
  /** Null when it is not known. */
  readonly rereads: number | null;
  /** More may be read again: what the group did after the source was last seen, or had done of records that were still to come to the target. */
  readonly atLeast: boolean;
}

/** How a group was predicted to go on, and how it does. */
export interface GroupOutcome {
  readonly group: string;
  readonly targetGroup: string;
  readonly topic: string;
  readonly targetTopic: string;
  readonly predicted: Placed | null;
  readonly actual: Placed;
  readonly state: GroupState;
}

/** What a failover has come to, to be kept. */
export interface FailoverCertificate {
  readonly kind: FailoverKind;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly groups: readonly GroupOutcome[];
  /** Records that the source had and the target has not; null when nobody can know. */
  readonly recordsLeftBehind: number | null;
  readonly leftBehind: readonly LaneRisk[];
  /** Milliseconds before the end of which nothing is known of the source: 0 when it answered. */
  readonly unseenMillis: number;
  /** Mirrors that were paused, so that what the lost side still has does not come unasked. */
  readonly pausedMirrors: readonly string[];
}

export interface FailoverStatus {
  readonly id: string;
  readonly link: string;
  readonly kind: FailoverKind;
  readonly state: FailoverState;
  readonly step: FailoverStep;
  readonly steps: readonly StepStatus[];
  readonly plan: FailoverPlan;
  readonly certificate: FailoverCertificate | null;
  readonly trouble: Trouble | null;
}

export interface FailoverRequest {
  readonly link: string;
  readonly kind: FailoverKind;
  /** How long the target may take to get what the source still gives, milliseconds. */
  readonly drainMillis: number;
  /** Begin although the plan has blockers. */
  readonly force: boolean;
}

/** Failovers, for HTTP. Every method rejects with an IsthmusError (NOT_FOUND, CONFLICT, ...). */
export interface FailoverControl {
  /** A dry run: nothing is changed. */
  plan(link: string, kind: FailoverKind): Promise<FailoverPlan>;
  /** Begins, in the background. CONFLICT when one runs, or the plan has blockers. */
  start(request: FailoverRequest): Promise<FailoverStatus>;
  /** The last one of the link. NOT_FOUND when there was none. */
  status(link: string): Promise<FailoverStatus>;
  /** Ends one that has not released the groups yet; what was done stays. CONFLICT otherwise. */
  abort(link: string): Promise<FailoverStatus>;
}
