import type { IsthmusError } from '../errors.ts';
import type { ByteBudget } from '../lib/byte-budget.ts';
import type { LaneId } from '../model/lane.ts';
import type { MirrorSpec } from '../model/mirror-spec.ts';
import type { MarkCodec } from '../model/provenance.ts';
import type { Clock } from '../spi/clock.ts';
import type { DedupWindows } from '../spi/dedup-window.ts';
import type { Log } from '../spi/log.ts';
import type { LaneRecorder } from '../spi/recorder.ts';
import type { Sink } from '../spi/sink.ts';
import type { Source } from '../spi/source.ts';
import type { Checkpoint } from '../spi/state-store.ts';
import type { LeaseKeeper } from './lease-keeper.ts';
import type { PartitionEnds } from './partition-ends.ts';
import type { TargetView } from './window/stored-ids.ts';

/** What a lane needs to know of its mirror; the same for all its lanes. */
export interface MirrorContext {
  readonly link: string;
  readonly spec: MirrorSpec;
  readonly sourceCluster: string;
  readonly targetCluster: string;
  readonly source: Source;
  readonly sink: Sink;
  readonly budget: ByteBudget;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly marks: MarkCodec;
  /** Used for targets that keep no other writer out. */
  readonly leases: LeaseKeeper;
  /** Needed by mirrors with a dedup rule. */
  readonly windows?: DedupWindows | undefined;
  /** Left out where the target's driver cannot read. */
  readonly targetView?: TargetView | undefined;
}

export interface LanePlan {
  readonly lane: LaneId;
  readonly targetTopic: string;
  /** One partition in identity routing, all of them in key routing. */
  readonly partitions: readonly number[];
  /** The number of a lane of the target topic, by its name there; left out where nobody asks. */
  readonly targetPartition?: ((lane: string) => number | undefined) | undefined;
}

/** What is a lane's own. */
export interface LaneParts {
  /** Consumer group or subscription at the source. */
  readonly group: string;
  readonly recorder: LaneRecorder;
  /** The lane's checkpoint as the store has it now; rejects while the store is away. */
  readonly reload: () => Promise<Checkpoint | undefined>;
  /** What the mirror's lanes have stored, where several write the same partitions. */
  readonly ends?: PartitionEnds | undefined;
  /** Keeps the lane's checkpoint at once, if the store can; never rejects. */
  readonly save: () => Promise<void>;
}

export type LanePhase =
  | { readonly kind: 'starting' | 'recovering' | 'running' }
  | { readonly kind: 'waiting'; readonly error: IsthmusError; readonly since: number }
  | { readonly kind: 'stopped'; readonly error: IsthmusError; readonly since: number }
  | { readonly kind: 'closed' };

export interface GapNote {
  readonly from: string;
  readonly to: string;
  readonly reason: string;
  readonly at: number;
}
