/** A mirror as wanted: which topics of a link, under which names, with which rules. Plain data; config and HTTP bodies are validated into it. */
export interface MirrorSpec {
  readonly name: string;
  /** Globs over source topic names. */
  readonly topics: readonly string[];
  readonly exclude: readonly string[];
  /** Target name; `{topic}` stands for the source's name. */
  readonly rename: string;
  readonly start: StartRule;
  readonly routing: RoutingRule;
  readonly filter: FilterRule;
  readonly onBadRecord: 'stop-lane' | 'dead-letter';
  /** Target topic for dead letters, with `{topic}`; used with `onBadRecord: dead-letter`. */
  readonly deadLetterTopic: string;
  readonly batching: 'auto' | 'mixed' | 'per-key';
  /**
   * How long a target topic that the mirror creates keeps records, in minutes; `undefined` leaves it to the target. Pulsar deletes at once what no subscription
   * holds: without retention a mirrored topic would be empty when its consumers come.
   */
  readonly retentionMinutes: number | undefined;
  readonly compression: 'none' | 'lz4' | 'zlib' | 'zstd' | 'snappy';
}

/** `earliest`, `latest`, or milliseconds since 1970 (by the source's store time). */
export type StartRule = 'earliest' | 'latest' | number;

export type RoutingRule =
  /** Queue i to partition i; the target has at least as many partitions as the source has queues. */
  | { readonly mode: 'identity' }
  /** By the hash of the key; `partitions` for a topic that has to be created (default: as many as the source has queues). */
  | { readonly mode: 'key'; readonly by: KeyRule; readonly partitions: number | undefined };

/** Which part of a record is its ordering key. `default` = sharding key, else the first of KEYS. */
export type KeyRule =
  | { readonly kind: 'default' }
  | { readonly kind: 'sharding-key' }
  | { readonly kind: 'keys' }
  | { readonly kind: 'property'; readonly name: string };

/** All conditions must hold; an empty rule lets everything pass. */
export interface FilterRule {
  /** One of these tags; empty = any or none. */
  readonly tags: readonly string[];
  /** Property name -> one of these values. */
  readonly properties: Readonly<Record<string, readonly string[]>>;
}

/** A directed pair of clusters. */
export interface LinkSpec {
  readonly name: string;
  readonly from: string;
  readonly to: string;
}
