/** A topic's parts, from `persistent://tenant/namespace/local` or the short forms that Pulsar's own clients take. */
export interface TopicName {
  readonly tenant: string;
  readonly namespace: string;
  readonly local: string;
}

const PART = /^[-=:.\w]+$/;
const PARTITION_SUFFIX = /-partition-\d+$/;

/** Why Pulsar, or a mirror's own rules, would not have this name; `undefined` when it is fine. */
export function topicNameProblem(topic: string): string | undefined {
  if (topic.startsWith('non-persistent://')) return 'non-persistent topics keep nothing, so nothing can be mirrored into them';
  const parts = split(topic);
  if (parts === undefined) return 'it must be persistent://tenant/namespace/topic, or tenant/namespace/topic, or the topic alone';
  const { tenant, namespace, local } = parts;
  if (!PART.test(tenant) || !PART.test(namespace)) return 'tenant and namespace may hold letters, digits and _ - = : . only';
  if (local === '') return 'the topic is empty';
  // The broker takes any characters; these make URLs, tools and our own reports ambiguous.
  if (/[\u0000-\u0020\u007f#/?%]/.test(local)) return 'the topic holds a space, a control character or one of / # ? %';
  if (PARTITION_SUFFIX.test(local)) return "a name that ends like a partition (-partition-N) is Pulsar's own";
  if (local.startsWith('__')) return "names that begin with __ are Pulsar's own";
  return undefined;
}

/** Reads a topic name that has passed `topicNameProblem`. */
export function parseTopicName(topic: string): TopicName {
  const parts = split(topic);
  if (parts === undefined) throw new Error(`topic name "${topic}" was not checked`);
  return parts;
}

/** The full name: `persistent://tenant/namespace/local`. */
export function fullTopicName(topic: string): string {
  const { tenant, namespace, local } = parseTopicName(topic);
  return `persistent://${tenant}/${namespace}/${local}`;
}

export function partitionTopic(topic: string, partition: number): string {
  return `${fullTopicName(topic)}-partition-${partition}`;
}

/** The broker's name of a partition of a topic that has so many; one that has none (0) is its own only partition. */
export function partitionName(topic: string, partition: number, partitions: number): string {
  return partitions === 0 ? fullTopicName(topic) : partitionTopic(topic, partition);
}

/** Whether a name is one partition of a topic. */
export function isPartitionName(topic: string): boolean {
  return PARTITION_SUFFIX.test(topic);
}

function split(topic: string): TopicName | undefined {
  const [tenant, namespace, local, ...more] = topic.replace(/^persistent:\/\//, '').split('/');
  if (tenant === undefined || topic.includes('://', 12) || more.length > 0) return undefined;
  if (local !== undefined && namespace !== undefined) return { tenant, namespace, local };
  if (namespace !== undefined || topic.includes('://')) return undefined;
  return { tenant: 'public', namespace: 'default', local: tenant };
}
