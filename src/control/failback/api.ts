import type { Trouble } from '../trouble.ts';

/**
 * What becomes of records that only the lost side has. `append`: they come behind what the target has. `drop`: they stay where they are. `review`: they are written to a topic of
 * their own on the target, and stay where they are otherwise.
 */
export const FAILBACK_POLICIES = ['append', 'drop', 'review'] as const;
export type FailbackPolicy = (typeof FAILBACK_POLICIES)[number];

/** `listed`: nothing was changed, and somebody has to say what is to become of the records. */
export const FAILBACK_STATES = ['running', 'listed', 'done', 'failed', 'cancelled'] as const;
export type FailbackState = (typeof FAILBACK_STATES)[number];

export const FAILBACK_PHASES = ['listing', 'comparing', 'reviewing', 'dropping', 'resuming', 'ended'] as const;
export type FailbackPhase = (typeof FAILBACK_PHASES)[number];

/** A record that the lost side has and the target has not. */
export interface LostRecord {
  readonly mirror: string;
  readonly topic: string;
  readonly lane: string;
  /** In text form. */
  readonly position: string;
  /** When its cluster stored it, milliseconds since 1970. */
  readonly time: number;
  readonly key: string | null;
}

/** A key of such records, and what the target's own applications have written under it since the failover. */
export interface LostKey {
  readonly mirror: string;
  readonly topic: string;
  readonly targetTopic: string;
  readonly key: string;
  /** Records on the lost side alone. */
  readonly records: number;
  readonly newest: number;
  /** Records that the target's own applications have written since the failover; more than 0 is a conflict. */
  readonly onTarget: number;
  readonly newestOnTarget: number | null;
}

/** A stretch of a lane that was listed: from `from` up to, and without, `end`, in text form. */
export interface ListedLane {
  readonly mirror: string;
  readonly topic: string;
  readonly lane: string;
  readonly from: string;
  readonly end: string;
  /** Records that only the lost side has. */
  readonly records: number;
  /** In the target already, beyond the checkpoint. */
  readonly stored: number;
  /** Came from the target. */
  readonly fromTarget: number;
  /** Left out by the mirror's filter. */
  readonly filtered: number;
}

export interface FailbackListing {
  /** To be given with a policy: it is applied to exactly these records. */
  readonly id: string;
  /** The failover that they were left behind by, and when it began, milliseconds since 1970. */
  readonly failover: string;
  readonly since: number;
  readonly at: number;
  readonly records: number;
  /** Records without a key. */
  readonly unkeyed: number;
  /** Keys that were told apart, and records whose keys were too many for that: of those conflicts are not known. */
  readonly keys: number;
  readonly untracked: number;
  /** Keys that were written on both sides. */
  readonly conflicts: number;
  readonly lanes: readonly ListedLane[];
  /** The first ones of each lane, so many in all. */
  readonly listed: readonly LostRecord[];
  /** Conflicts first. */
  readonly keyList: readonly LostKey[];
  readonly notes: readonly string[];
}

/** A link from the target back to the source, as far as this process runs it. */
export interface ReverseLink {
  readonly link: string;
  readonly mirrors: number;
  readonly running: number;
  readonly lagRecords: number | null;
  readonly lagSeconds: number | null;
}

export interface FailbackStatus {
  readonly link: string;
  readonly from: string;
  readonly to: string;
  readonly state: FailbackState;
  readonly phase: FailbackPhase;
  readonly policy: FailbackPolicy | null;
  readonly reviewTopic: string | null;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly endedAt: number | null;
  /** The topic at hand, and how many records have been read. */
  readonly topic: string;
  readonly read: number;
  /** Records written to the review topic. */
  readonly reviewed: number;
  /** Mirrors that run again. */
  readonly resumed: readonly string[];
  readonly listing: FailbackListing | null;
  readonly trouble: Trouble | null;
}

export interface FailbackView extends FailbackStatus {
  readonly reverse: readonly ReverseLink[];
  /** What is to be done next, for people. */
  readonly next: readonly string[];
}

export interface FailbackRequest {
  readonly link: string;
  /** What is to become of the records of `listing`; left out: list them. */
  readonly policy?: FailbackPolicy | undefined;
  readonly listing?: string | undefined;
  /** Topic of the target, for `review`. */
  readonly reviewTopic?: string | undefined;
}

/** What the lost side still has after an unplanned failover, and what becomes of it. Every method rejects with an IsthmusError (NOT_FOUND, CONFLICT, INVALID_REQUEST, ...). */
export interface FailbackControl {
  /** Lists, or applies a policy to what was listed, in the background. CONFLICT while one runs, or when it does not fit what is there. */
  start(request: FailbackRequest): Promise<FailbackView>;
  /** The last one of the link. NOT_FOUND when there was none. */
  status(link: string): Promise<FailbackView>;
  /** Ends one that runs; what was done stays. */
  cancel(link: string): Promise<FailbackView>;
}
