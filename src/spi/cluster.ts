import type { TopicDescription } from '../model/lane.ts';
import type { Capabilities } from './capabilities.ts';
import type { Groups } from './groups.ts';
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
  /**
   * Lanes that the topic is known to have had. Those of a broker that is away count as there: the topic does not grow elsewhere for them, and is not made anew beside them
   * (BROKER_BUSY until the broker is back, or somebody has made the topic).
   */
  readonly formerLanes?: readonly string[];
}

export interface MadeTopic extends TopicDescription {
  /** The call has made it: there was none of that name. */
  readonly created?: boolean;
}

/** Topics of a cluster that mirrors read, and such that they write. */
export interface CheckTopics {
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}

export interface ListOptions {
  /** Also retry and dead-letter topics of consumer groups. */
  readonly retryTopics?: boolean;
  /** Only what one of these takes is of interest: a driver may leave out others, and need no right to see them. With none it is enough that the cluster answers us. */
  readonly globs?: readonly string[];
}

export interface ClusterAdmin {
  /** Connects and tries what mirrors need; never throws for something a user can mend. Topics are tried one by one. */
  check(topics: CheckTopics): Promise<CheckItem[]>;
  /** Application topics, sorted, without system topics. Empty where the driver cannot list. Rejects when the cluster does not answer. */
  listTopics(options?: ListOptions): Promise<string[]>;
  /** `undefined` when the topic does not exist. Rejects when the cluster does not answer. */
  describeTopic(topic: string): Promise<TopicDescription | undefined>;
  /**
   * Whether a topic was deleted, for sure: everything that had one of these lanes answers, and has the topic no more. False when that cannot be told now. Rejects when the
   * cluster does not answer. Left out where it can never be told.
   */
  isDeleted?(topic: string, formerLanes: readonly string[]): Promise<boolean>;
  /** Where each lane begins and ends; empty without `exactPositions`. */
  extents(topic: string): Promise<ReadonlyMap<string, LaneExtent>>;
  /** Creates the topic or grows it to at least `partitions`; never shrinks. Resolves to its lanes in the order of their partition numbers. Idempotent. Rejects with TOPIC_NOT_FOUND where the driver cannot create it. */
  ensureTopic(topic: string, partitions: number, options?: NewTopicOptions): Promise<MadeTopic>;
}

/** A cluster that can be read, written and managed. */
export interface Cluster {
  readonly name: string;
  readonly type: 'rocketmq' | 'pulsar';
  readonly capabilities: Capabilities;
  readonly admin: ClusterAdmin;
  /** `undefined` where this driver cannot read (yet). */
  readonly source: Source | undefined;
  /** `undefined` where this driver cannot write (yet). */
  readonly sink: Sink | undefined;
  /** `undefined` where this driver knows nothing of consumer groups. */
  readonly groups?: Groups | undefined;
  /** What a record that is stored here must have in common with the one that it is a copy of, on a cluster of that kind; left out where that is everything. */
  likeness?(source: Cluster['type']): Likeness | undefined;
  close(): Promise<void>;
}
