import type { TopicDescription } from '../model/lane.ts';
import type { MirrorSpec } from '../model/mirror-spec.ts';
import type { CheckItem } from '../spi/cluster.ts';
import type { LaneExtent } from '../spi/source.ts';
import type { MirrorKey } from '../spi/state-store.ts';
import type { FailbackControl } from './failback/api.ts';
import type { FailoverControl } from './failover/api.ts';
import type { GroupControl } from './groups/api.ts';
import type { ReplayControl } from './replay/api.ts';
import type { Trouble } from './trouble.ts';
import type { VerificationControl } from './verification/api.ts';

export type MirrorState = 'starting' | 'running' | 'waiting' | 'paused' | 'stopped' | 'failed';

/** `waiting` retries by itself; `stopped` needs somebody (a bad record, a permanent error); `paused` was asked for. */
export type LaneState = 'starting' | 'recovering' | 'running' | 'waiting' | 'paused' | 'stopped';

export interface LaneStatus {
  readonly topic: string;
  readonly lane: string;
  readonly targetTopic: string;
  readonly targetPartitions: readonly number[];
  readonly state: LaneState;
  /** Everything before this source position is stored in the target; text form, null before the first. */
  readonly next: string | null;
  readonly source: { readonly begin: string; readonly end: string } | null;
  /** Newest stored target position per partition, text form. */
  readonly target: Readonly<Record<string, string>>;
  /** Records that the source has and the target has not, null when unknown. */
  readonly lagRecords: number | null;
  /** Age of the oldest record that is not stored yet, 0 when there is none, null when unknown. */
  readonly lagSeconds: number | null;
  readonly recordsStored: number;
  readonly recordsDropped: number;
  readonly deadLetters: number;
  /** Whether records are checked in a dedup window now; null where the mirror has none, or the lane does not run. */
  readonly windowInForce: boolean | null;
  readonly gaps: readonly { readonly from: string; readonly to: string; readonly reason: string; readonly at: number }[];
  readonly trouble: Trouble | null;
}

export interface MirrorStatus {
  readonly link: string;
  readonly spec: MirrorSpec;
  /** `file`: defined in the configuration file (it can be paused, not changed or deleted here); `api`: added at runtime. */
  readonly definedBy: 'file' | 'api';
  readonly from: string;
  readonly to: string;
  readonly state: MirrorState;
  readonly trouble: Trouble | null;
  /** Source topics that are mirrored now. */
  readonly topics: readonly string[];
  readonly lanes: { readonly total: number; readonly running: number; readonly waiting: number; readonly stopped: number };
  readonly lagRecords: number | null;
  readonly lagSeconds: number | null;
}

export interface ClusterStatus {
  readonly name: string;
  readonly type: 'rocketmq' | 'pulsar';
  readonly region: string;
  readonly reachable: boolean;
  readonly trouble: Trouble | null;
}

export interface TopicListing {
  readonly description: TopicDescription;
  readonly extents: ReadonlyMap<string, LaneExtent>;
}

export interface ProcessStatus {
  readonly region: string;
  readonly version: string;
  readonly startedAt: number;
  /** False while the state store does not answer; mirrors go on meanwhile. */
  readonly stateAvailable: boolean;
  /** Every wanted lane has an owner and moves, or is paused on purpose. */
  readonly ready: boolean;
  /** What keeps it from being ready, for people. */
  readonly reasons: readonly string[];
}

/** What runs and what is wanted, for HTTP. Every method rejects with an IsthmusError (NOT_FOUND, CONFLICT, INVALID_REQUEST, ...). */
export interface Control {
  status(): ProcessStatus;
  clusters(): ClusterStatus[];
  checkCluster(cluster: string): Promise<CheckItem[]>;
  topics(cluster: string): Promise<string[]>;
  topic(cluster: string, topic: string): Promise<TopicListing>;
  mirrors(): MirrorStatus[];
  mirror(key: MirrorKey): MirrorStatus;
  lanes(key: MirrorKey): LaneStatus[];
  /** Resolves when the wish is stored; starting is visible in the status. CONFLICT: exists, or overlaps another mirror of the link. */
  addMirror(link: string, spec: MirrorSpec): Promise<MirrorStatus>;
  /** CONFLICT for mirrors of the file. */
  changeMirror(key: MirrorKey, spec: MirrorSpec): Promise<MirrorStatus>;
  /** Stops it and forgets its state; the topics it made on the target stay. CONFLICT for mirrors of the file. */
  deleteMirror(key: MirrorKey): Promise<void>;
  pauseMirror(key: MirrorKey): Promise<MirrorStatus>;
  resumeMirror(key: MirrorKey): Promise<MirrorStatus>;
  /** Closes and reopens all lanes, also stopped ones. */
  restartMirror(key: MirrorKey): Promise<MirrorStatus>;
  readonly verifications: VerificationControl;
  readonly replays: ReplayControl;
  readonly groups: GroupControl;
  readonly failovers: FailoverControl;
  readonly failbacks: FailbackControl;
}
