import type { TopicDescription } from '../model/lane.ts';
import type { Sink } from './sink.ts';
import type { LaneExtent, Source } from './source.ts';

/** One line of `isthmus check`: a thing that was tried on a cluster. */
export interface CheckItem {
  readonly what: string;
  readonly ok: boolean;
  /** What was seen, or what is wrong and what to do. */
  readonly detail: string;
}

export interface ClusterAdmin {
  /** Connects and tries what a mirror needs; never throws for something a user can mend. `topics` are tried one by one. */
  check(topics: readonly string[]): Promise<CheckItem[]>;
  /** Application topics, without system, retry and dead-letter topics, sorted. */
  listTopics(): Promise<string[]>;
  /** `undefined` when the topic does not exist. Rejects when the cluster does not answer. */
  describeTopic(topic: string): Promise<TopicDescription | undefined>;
  /** Where each lane begins and ends. */
  extents(topic: string): Promise<ReadonlyMap<string, LaneExtent>>;
  /**
   * Creates the topic or grows it to at least `partitions`; never shrinks. Resolves to the number there is. Idempotent. A topic that is created keeps its records for
   * `retentionMinutes` where nothing else is set for it; `undefined` leaves that alone.
   */
  ensureTopic(topic: string, partitions: number, retentionMinutes?: number): Promise<number>;
}

/** A cluster that can be read, written and managed. */
export interface Cluster {
  readonly name: string;
  readonly type: 'rocketmq' | 'pulsar';
  readonly admin: ClusterAdmin;
  /** `undefined` where this driver cannot read (yet). */
  readonly source: Source | undefined;
  /** `undefined` where this driver cannot write (yet). */
  readonly sink: Sink | undefined;
  close(): Promise<void>;
}
