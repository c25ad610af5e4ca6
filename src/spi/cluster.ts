import type { TopicDescription } from '../model/lane.ts';
import type { Likeness } from './likeness.ts';
import type { Sink } from './sink.ts';
import type { LaneExtent, Source } from './source.ts';

/** One line of `isthmus check`: a thing that was tried on a cluster. */
export interface CheckItem {
  readonly what: string;
  readonly ok: boolean;
  /** Nothing is broken, but it may not be what somebody expects, or is worth knowing. */
  readonly note?: 'warning' | 'info';
  /** What was seen, or what is wrong and what to do. */
  readonly detail: string;
}

/** For a topic that has to be created; one that is there is left as it is. */
export interface NewTopicOptions {
  /** Keeps its records this long where nothing else is set for it; `undefined` leaves that alone. */
  readonly retentionMinutes?: number | undefined;
  /** Records of one key are in order within a partition, and consumers may rely on it (RocketMQ: `message.type=FIFO`). */
  readonly ordered?: boolean;
  /** The source topic's settings, to be carried where the target knows the same ones. */
  readonly like?: Readonly<Record<string, string>> | undefined;
}

/** Topics of a cluster that mirrors read, and such that they write. */
export interface CheckTopics {
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}

export interface ClusterAdmin {
  /** Connects and tries what mirrors need; never throws for something a user can mend. Topics are tried one by one. */
  check(topics: CheckTopics): Promise<CheckItem[]>;
  /** Application topics, sorted, without system topics; retry and dead-letter topics of consumer groups only with `retryTopics`. */
  listTopics(options?: { readonly retryTopics?: boolean }): Promise<string[]>;
  /** `undefined` when the topic does not exist. Rejects when the cluster does not answer. */
  describeTopic(topic: string): Promise<TopicDescription | undefined>;
  /** Where each lane begins and ends. */
  extents(topic: string): Promise<ReadonlyMap<string, LaneExtent>>;
  /** Creates the topic or grows it to at least `partitions`; never shrinks. Resolves to its lanes in the order of their partition numbers. Idempotent. */
  ensureTopic(topic: string, partitions: number, options?: NewTopicOptions): Promise<TopicDescription>;
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
  /** What a record that is stored here must have in common with the one that it is a copy of, on a cluster of that kind; left out where that is everything. */
  likeness?(source: Cluster['type']): Likeness | undefined;
  close(): Promise<void>;
}
