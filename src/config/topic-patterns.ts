import type { Parsed } from './fields.ts';

export type ClusterType = 'rocketmq' | 'pulsar';

/** RocketMQ's TopicValidator: letters, digits, `-`, `_`, `%` and `|`, at most 127. */
const ROCKETMQ_GLOB = /^[%|A-Za-z0-9_*?-]+$/;
const MAX_ROCKETMQ_TOPIC = 127;
const MAX_GLOB = 255;

export const isGlob = (topic: string): boolean => /[*?]/.test(topic);

/** A glob over topics of a source. One that no topic of the source can ever match is refused. */
export function parseTopicGlob(source: ClusterType, glob: string): Parsed<string> {
  if (glob === '' || glob.length > MAX_GLOB) return { wrong: `must have 1 to ${MAX_GLOB} characters` };
  if (source === 'rocketmq' && !ROCKETMQ_GLOB.test(glob)) {
    return {
      wrong: 'can match no RocketMQ topic: those have only letters, digits, -, _, % and |',
      hint: 'wildcards are * (any run) and ? (one character)',
    };
  }
  if (source === 'rocketmq' && !isGlob(glob) && glob.length > MAX_ROCKETMQ_TOPIC) {
    return { wrong: `must have at most ${MAX_ROCKETMQ_TOPIC} characters, as RocketMQ topics do` };
  }
  return { value: glob };
}

const PLACEHOLDER = '{topic}';
const PULSAR_NAME = /^persistent:\/\/([^/]*)\/([^/]*)\/(.*)$/;
/** Pulsar's NamedEntity, for tenants and namespaces. */
const PULSAR_ENTITY = /^[-=:.\w]+$/;
const MAX_PATTERN = 512;

/** A target name for the topics of a mirror, `{topic}` standing for the source's name. */
export function parseTargetPattern(target: ClusterType, pattern: string): Parsed<string> {
  if (pattern === '' || pattern.length > MAX_PATTERN) return { wrong: `must have 1 to ${MAX_PATTERN} characters` };
  const rest = pattern.split(PLACEHOLDER);
  if (rest.length > 2) return { wrong: 'must hold {topic} at most once' };
  const stray = /\{[^{}]*\}?|\}/.exec(rest.join(''));
  if (stray !== null) return { wrong: `must hold no ${stray[0]}`, hint: 'the only placeholder is {topic}' };
  return target === 'pulsar' ? parsePulsarPattern(pattern) : parseTopicGlob(target, pattern.replace(PLACEHOLDER, 'x'));
}

function parsePulsarPattern(pattern: string): Parsed<string> {
  const example = 'for example persistent://public/default/{topic}';
  if (pattern.startsWith('non-persistent://'))
    return { wrong: 'must be a persistent topic: a non-persistent one would lose records', hint: example };
  const [, tenant, namespace, local] = PULSAR_NAME.exec(pattern) ?? [];
  if (tenant === undefined || namespace === undefined || local === undefined) {
    return { wrong: 'must be a full Pulsar name, persistent://tenant/namespace/topic', hint: example };
  }
  if (!PULSAR_ENTITY.test(tenant) || !PULSAR_ENTITY.test(namespace)) {
    return { wrong: 'must have a tenant and a namespace of letters, digits and - = : . _', hint: example };
  }
  if (local === '' || local.includes('/')) return { wrong: 'must end in a topic name without a slash', hint: example };
  if (/[\s*?#"'\\\u0000-\u001f\u007f]/u.test(local))
    return { wrong: 'must have no spaces, quotes, * ? # or \\ in its topic name', hint: example };
  if (/-partition-\d+$/.test(local))
    return { wrong: 'must not end in -partition-N: that is how Pulsar names the partitions of a topic' };
  return { value: pattern };
}

/** The rename of a mirror that names none. */
export function defaultRename(target: ClusterType): string {
  return target === 'pulsar' ? 'persistent://public/default/{topic}' : PLACEHOLDER;
}

export function defaultDeadLetterTopic(rename: string): string {
  return `${rename}-dead-letter`;
}

export function hasPlaceholder(pattern: string): boolean {
  return pattern.includes(PLACEHOLDER);
}
