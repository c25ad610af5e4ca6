import type { MirrorKey } from '../../spi/state-store.ts';
import type { Trouble } from '../trouble.ts';

/** Which dead letters are to be put back in. */
export interface ReplayRequest {
  readonly key: MirrorKey;
  /** Source topics; `undefined` = all that the mirror has. */
  readonly topics: readonly string[] | undefined;
  /** At most so many per topic and lane of the dead-letter topic; `undefined` = all that are there when it begins. */
  readonly limit: number | undefined;
  /** Only look. */
  readonly dryRun: boolean;
  /** Pass over what the target refuses again; else the replay stops there. */
  readonly skipRefused: boolean;
}

export type ReplayState = 'running' | 'done' | 'failed' | 'cancelled';

export interface ReplayedTopic {
  readonly topic: string;
  readonly deadLetterTopic: string;
  readonly targetTopic: string;
  /** Letters that were not replayed before. */
  readonly found: number;
  /** Parts of one, whole entries, what is there twice and whatever else lies there: left alone. */
  readonly unfit: number;
  /** Of those found: in the target already, because the mirror has taken and stored their records since, or a replay that was killed has. Left out. */
  readonly stored: number;
  /** Put back; before the end, as far as this replay has counted. */
  readonly replayed: number;
  /** Refused again and passed over. */
  readonly refused: number;
}

/** A dead letter, as it is shown. */
export interface LetterStatus {
  /** Where it is in the dead-letter topic. */
  readonly deadLetterTopic: string;
  readonly at: string;
  /** Where it came from. */
  readonly topic: string;
  readonly lane: string;
  readonly position: string;
  readonly reason: string;
  /** Whether the record is in the target already, so that it is not put back. */
  readonly stored: boolean;
}

export interface ReplayStatus {
  readonly request: ReplayRequest;
  readonly state: ReplayState;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly topics: readonly ReplayedTopic[];
  /** The first hundred of those found. */
  readonly letters: readonly LetterStatus[];
  readonly trouble: Trouble | null;
}

/** Putting dead letters back in, in the background; the last one of each mirror is kept for as long as the process runs. Throws NOT_FOUND, CONFLICT, INVALID_REQUEST. */
export interface ReplayControl {
  /** CONFLICT while one of this mirror runs. */
  start(request: ReplayRequest): ReplayStatus;
  /** NOT_FOUND when there was none. */
  get(key: MirrorKey): ReplayStatus;
  /** Ends one that runs; what it has replayed is remembered. */
  cancel(key: MirrorKey): ReplayStatus;
}
