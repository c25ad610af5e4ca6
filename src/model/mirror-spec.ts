/** A mirror as wanted: which topics of a link, under which names, with which rules. Plain data; config and HTTP bodies are validated into it. */
export interface MirrorSpec {
  readonly name: string;
  /** Globs over source topic names. */
  readonly topics: readonly string[];
  readonly exclude: readonly string[];
  /** Target name of topics that no rule of `renames` takes; placeholders as in `renameTopic`. */
  readonly rename: string;
  /** Tried in their order, before `rename`. */
  readonly renames: readonly RenameRule[];
  /** Also topics of consumer groups: retry and dead-letter topics, as far as the globs match. */
  readonly retryTopics: boolean;
  readonly start: StartRule;
  readonly routing: RoutingRule;
  readonly filter: FilterRule;
  readonly transform: TransformRule;
  /** The dedup window of the target topics; `undefined` = none. */
  readonly dedup: DedupRule | undefined;
  /** What to do with a source topic that was deleted and made again: start over in it, or stop its lanes until somebody has looked. */
  readonly onRecreated: 'follow' | 'stop';
  readonly onBadRecord: 'stop-lane' | 'dead-letter';
  /** Target topic for dead letters: placeholders as in `renameTopic`, and `{target}` for the target topic; used with `onBadRecord: dead-letter`. */
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

/** Another name for the topics that a glob matches. `{1}` in `to` stands for what the glob's first wildcard has matched, and so on. */
export interface RenameRule {
  readonly match: string;
  readonly to: string;
}

/** All conditions must hold; an empty rule lets everything pass. */
export interface FilterRule {
  /** One of these tags; empty = any or none. */
  readonly tags: readonly string[];
  /** Property name -> one of these values. */
  readonly properties: Readonly<Record<string, readonly string[]>>;
  /** Property name -> none of these values; a record without the property passes. */
  readonly except?: Readonly<Record<string, readonly string[]>>;
  /** Properties that a record must have, with any value. */
  readonly present?: readonly string[];
  /** Properties that a record must not have. */
  readonly absent?: readonly string[];
}

/** What becomes of properties, in this order: left out, renamed, set. */
export interface TransformRule {
  /** Globs over names. */
  readonly drop: readonly string[];
  /** Old name -> new name; what had the new name is replaced. */
  readonly rename: Readonly<Record<string, string>>;
  /** Name -> value; what had the name is replaced. */
  readonly set: Readonly<Record<string, string>>;
}

/** Which records count as the same within the window of a target topic. */
export type DedupId =
  /** Its origin: cluster, topic, lane and position there. */
  | { readonly kind: 'origin' }
  /** The producer's own id: RocketMQ's UNIQ_KEY, Pulsar's producer name and sequence id. Removes the producer's own resends, too. */
  | { readonly kind: 'producer' }
  | { readonly kind: 'property'; readonly name: string };

export interface DedupRule {
  readonly windowMillis: number;
  /** Per target topic. */
  readonly maxIds: number;
  readonly id: DedupId;
  /** While the window is away or was emptied: wait for it, or go on with what the target itself tells. */
  readonly onStateLoss: 'stop' | 'continue';
}

/** A directed pair of clusters. */
export interface LinkSpec {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  /** How consumer groups follow; `undefined` = their progress is not mirrored. */
  readonly groups?: GroupsRule | undefined;
  readonly failover?: FailoverRule | undefined;
}

/** What a failover of a link calls. Each may run again after a crash. */
export interface FailoverRule {
  /** Before anything else: to stop producers of the source. */
  readonly fence: readonly FailoverHook[];
  /** At the end: to let the target be used. */
  readonly release: readonly FailoverHook[];
}

/** A command with its arguments, without a shell; or an address that is posted to. */
export type FailoverHook =
  | { readonly command: readonly string[]; readonly timeoutMillis: number }
  | { readonly webhook: string; readonly timeoutMillis: number };

/** Which groups of a link's source follow to its target, and how. Those of Isthmus itself never do. */
export interface GroupsRule {
  /** Globs over group names. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** The group's name on the target; `{group}` stands for that on the source. */
  readonly rename: string;
  readonly everyMillis: number;
  /** `idle`: a group is moved where none of its consumers is connected to the target, and never back. `never`: places are only shown. */
  readonly apply: 'idle' | 'never';
}

/** What a rule has that says nothing else; it also fills up rules that an earlier version has kept. */
export const PLAIN_RULES: Pick<MirrorSpec, 'renames' | 'retryTopics' | 'transform' | 'dedup' | 'onRecreated'> = {
  renames: [],
  retryTopics: false,
  transform: { drop: [], rename: {}, set: {} },
  dedup: undefined,
  onRecreated: 'follow',
};

/** Whether a rule looks at single records, or changes them, so that whole entries of its source have to be taken apart. */
export function needsRecords({ filter, transform, routing, dedup }: MirrorSpec): boolean {
  const conditions = [filter.tags, filter.present ?? [], filter.absent ?? [], transform.drop];
  const named = [filter.properties, filter.except ?? {}, transform.rename, transform.set];
  return (
    routing.mode === 'key' ||
    (dedup !== undefined && dedup.id.kind !== 'origin') ||
    conditions.some((list) => list.length > 0) ||
    named.some((mapping) => Object.keys(mapping).length > 0)
  );
}
