import type { MirrorKey } from '../../spi/state-store.ts';
import type { Trouble } from '../trouble.ts';

/** What is to be compared. */
export interface VerificationRequest {
  readonly key: MirrorKey;
  /** Source topics; `undefined` = all that the mirror has. */
  readonly topics: readonly string[] | undefined;
  /** By the source's store time, milliseconds since 1970: from the first record that is not older ... */
  readonly from: number | undefined;
  /** ... up to, and without, the first that is not older than this. */
  readonly to: number | undefined;
  /** Send what is missing. */
  readonly repair: boolean;
}

/** `equal` and `different` are results; `failed` and `cancelled` have none. */
export type VerificationState = 'running' | 'equal' | 'different' | 'failed' | 'cancelled';
export type VerificationPhase = 'preparing' | 'reading-source' | 'reading-target' | 'comparing' | 'repairing' | 'done';

export interface DifferenceStatus {
  readonly kind: 'missing' | 'doubled' | 'changed' | 'reordered' | 'unexpected';
  readonly topic: string;
  readonly lane: string;
  /** In the source; text form. */
  readonly position: string;
  /** When the source stored it, milliseconds since 1970; null where the source has it not. */
  readonly time: number | null;
  /** Where the target has it. */
  readonly target: readonly { readonly lane: string; readonly position: string }[];
  /** Of a reordered record: the later one of its key that comes before it in the target. */
  readonly behind: string | null;
  /** Of a missing record: the target may have had and deleted it; such a one is never repaired. */
  readonly mayHaveExpired: boolean;
}

export interface DifferenceCounts {
  readonly missing: number;
  readonly doubled: number;
  readonly changed: number;
  readonly reordered: number;
  readonly unexpected: number;
}

export interface VerificationStatus {
  readonly id: string;
  readonly request: VerificationRequest;
  readonly state: VerificationState;
  readonly phase: VerificationPhase;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly endedAt: number | null;
  /** Source topics that are compared, as far as that is known. */
  readonly topics: readonly string[];
  readonly progress: {
    /** The topic that is compared now. */
    readonly topic: string;
    readonly topicsDone: number;
    readonly sourceRecords: number;
    /** How many there are in the topics up to the one that is compared now; null where the cluster does not count. */
    readonly sourceTotal: number | null;
    readonly targetRecords: number;
    /** Blocks of about a thousand records, and those of them that were compared record by record. */
    readonly blocks: number;
    readonly unequalBlocks: number;
    readonly comparedRecords: number;
  };
  readonly counts: DifferenceCounts;
  /** How many of the missing ones the target may have had and deleted. */
  readonly mayHaveExpired: number;
  /** Records without a copy that need none, by reason. */
  readonly absences: Readonly<Record<string, number>>;
  /** Per minute in which the source stored the records, ascending; at most a day's worth. */
  readonly minutes: readonly { readonly minute: number; readonly counts: DifferenceCounts }[];
  /** The first 250 of each kind. */
  readonly differences: readonly DifferenceStatus[];
  readonly repair: { readonly stored: number; readonly found: number; readonly left: number } | null;
  readonly notes: readonly string[];
  readonly trouble: Trouble | null;
}

/** Comparisons of mirrors, run in the background and kept for a while. Throws and rejects with NOT_FOUND, CONFLICT, INVALID_REQUEST. */
export interface VerificationControl {
  /** CONFLICT when too many run already, or one of this mirror. */
  start(request: VerificationRequest): VerificationStatus;
  /** Newest first. */
  list(): VerificationStatus[];
  get(id: string): VerificationStatus;
  /** Cancels one that runs; forgets one that has ended. */
  remove(id: string): void;
}
