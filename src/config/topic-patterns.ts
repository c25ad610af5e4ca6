import { pulsarParts, renameTopic } from '../model/topic-name.ts';
import type { Parsed } from './fields.ts';

export type ClusterType = 'rocketmq' | 'pulsar';

/** Which way a mirror goes: the rules for topic names differ per kind of cluster. */
export interface Direction {
  readonly source: ClusterType;
  readonly target: ClusterType;
}

/** RocketMQ's TopicValidator: letters, digits, `-`, `_`, `%` and `|`, at most 127. */
const ROCKETMQ_GLOB = /^[%|A-Za-z0-9_*?-]+$/;
const ROCKETMQ_NAME = /^[%|A-Za-z0-9_-]+$/;
const MAX_ROCKETMQ_TOPIC = 127;
const MAX_GLOB = 255;
/** So that each has a placeholder of one digit, and no glob takes long to match. */
const MAX_WILDCARDS = 9;

const PULSAR = 'persistent://';
const PULSAR_ENTITY_GLOB = /^[-=:.\w*?]+$/;
const PARTITION = /-partition-\d+$/;
const PULSAR_HINT =
  'write persistent://tenant/namespace/topic with wildcards * and ?, or the topic alone for one of public/default';
/** Topics of consumer groups and subscriptions, by the names that the clients of each kind give them. */
const RETRY_TOPIC: Readonly<Record<ClusterType, RegExp>> = { rocketmq: /^%(?:RETRY|DLQ)%/, pulsar: /-(?:RETRY|DLQ)$/ };

export const isGlob = (topic: string): boolean => /[*?]/.test(topic);

/** Whether a glob speaks only of retry or dead-letter topics. */
export function isRetryTopic(source: ClusterType, glob: string): boolean {
  return RETRY_TOPIC[source].test(glob);
}

/** A glob over topics of a source, as a full name on Pulsar. One that no topic of the source can ever match is refused. */
export function parseTopicGlob(source: ClusterType, glob: string): Parsed<string> {
  if (glob === '' || glob.length > MAX_GLOB) return { wrong: `must have 1 to ${MAX_GLOB} characters` };
  if (source === 'pulsar') return parsePulsarGlob(glob);
  if (!ROCKETMQ_GLOB.test(glob)) {
    return {
      wrong: 'can match no RocketMQ topic: those have only letters, digits, -, _, % and |',
      hint: 'wildcards are * (any run) and ? (one character)',
    };
  }
  if (!isGlob(glob) && glob.length > MAX_ROCKETMQ_TOPIC) {
    return { wrong: `must have at most ${MAX_ROCKETMQ_TOPIC} characters, as RocketMQ topics do` };
  }
  return { value: glob };
}

function parsePulsarGlob(glob: string): Parsed<string> {
  if (glob.startsWith('non-persistent://'))
    return { wrong: 'must be persistent topics: what a non-persistent one loses cannot be mirrored', hint: PULSAR_HINT };
  const parts = glob.startsWith(PULSAR) ? glob.slice(PULSAR.length).split('/') : glob.split('/');
  const full = parts.length === 1 && !glob.startsWith(PULSAR) ? ['public', 'default', glob] : parts;
  const [tenant = '', namespace = '', local = ''] = full;
  if (full.length !== 3 || !PULSAR_ENTITY_GLOB.test(tenant) || !PULSAR_ENTITY_GLOB.test(namespace) || local === '')
    return { wrong: 'can match no Pulsar topic', hint: PULSAR_HINT };
  if (/[\s\u0000-\u001f\u007f]/u.test(local)) return { wrong: 'must hold no spaces and control characters', hint: PULSAR_HINT };
  if (PARTITION.test(local))
    return { wrong: 'names one partition of a topic', hint: 'name the topic without -partition-N: a mirror takes all of it' };
  return { value: `${PULSAR}${full.join('/')}` };
}

/** A glob of a rename rule. */
export function parseRenameMatch(source: ClusterType, glob: string): Parsed<string> {
  const parsed = parseTopicGlob(source, glob);
  const wildcards = glob.match(/[*?]/g)?.length ?? 0;
  return 'value' in parsed && wildcards > MAX_WILDCARDS ? { wrong: `must have at most ${MAX_WILDCARDS} wildcards` } : parsed;
}

/** Which placeholders a pattern may hold besides those of its direction. */
export interface Placeholders {
  /** The glob whose wildcards have numbers. */
  readonly match?: string | undefined;
  /** `{target}`, for dead-letter topics. */
  readonly target?: boolean;
}

const PULSAR_NAME = /^persistent:\/\/([^/]*)\/([^/]*)\/(.*)$/;
/** Pulsar's NamedEntity, for tenants and namespaces. */
const PULSAR_ENTITY = /^[-=:.\w]+$/;
const MAX_PATTERN = 512;
/** Stands for a name of the source wherever a pattern is tried out; RocketMQ's may hold what no tenant and namespace can. */
const SAMPLE: Readonly<Record<ClusterType, string>> = { rocketmq: 'x|x', pulsar: 'persistent://x/x/x' };

function placeholdersOf({ source }: Direction, { match = '', target = false }: Placeholders): string[] {
  return [
    '{topic}',
    '{name}',
    ...(source === 'pulsar' ? ['{tenant}', '{namespace}'] : []),
    ...(match.match(/[*?]/g) ?? []).map((_, i) => `{${i + 1}}`),
    ...(target ? ['{target}'] : []),
  ];
}

/** A target name for the topics of a mirror, with placeholders for parts of the source's name. */
export function parseTargetPattern(direction: Direction, pattern: string, more: Placeholders = {}): Parsed<string> {
  if (pattern === '' || pattern.length > MAX_PATTERN) return { wrong: `must have 1 to ${MAX_PATTERN} characters` };
  const known = placeholdersOf(direction, more);
  const used: string[] = pattern.match(/\{[^{}]*\}?|\}/g) ?? [];
  const stray = used.find((each) => !known.includes(each));
  if (stray !== undefined) return { wrong: `must hold no ${stray}`, hint: `the placeholders are ${known.join(', ')}` };
  const twice = used.find((each, i) => used.indexOf(each) < i);
  if (twice !== undefined) return { wrong: `must hold ${twice} at most once` };
  if (direction.source === 'pulsar' && direction.target === 'rocketmq' && used.includes('{topic}'))
    return {
      wrong: 'must not hold {topic}: full Pulsar names have colons and slashes, which RocketMQ refuses',
      hint: 'use {name}',
    };
  const captures = known.map(() => 'x');
  const name = renameTopic(pattern, SAMPLE[direction.source], captures, SAMPLE[direction.target]);
  const parsed = direction.target === 'pulsar' ? parsePulsarName(name, direction) : parseRocketmqName(name);
  return 'value' in parsed ? { value: pattern } : parsed;
}

function parseRocketmqName(name: string): Parsed<string> {
  if (!ROCKETMQ_NAME.test(name))
    return { wrong: 'must give RocketMQ topics names of letters, digits, -, _, % and |', hint: 'for example {name}-copy' };
  if (name.length > MAX_ROCKETMQ_TOPIC) return { wrong: `must give names of at most ${MAX_ROCKETMQ_TOPIC} characters` };
  return { value: name };
}

function parsePulsarName(name: string, { source }: Direction): Parsed<string> {
  const example = `for example persistent://public/default/${source === 'pulsar' ? '{name}' : '{topic}'}`;
  if (name.startsWith('non-persistent://'))
    return { wrong: 'must be a persistent topic: a non-persistent one would lose records', hint: example };
  const [, tenant, namespace, local] = PULSAR_NAME.exec(name) ?? [];
  if (tenant === undefined || namespace === undefined || local === undefined) {
    return { wrong: 'must be a full Pulsar name, persistent://tenant/namespace/topic', hint: example };
  }
  if (!PULSAR_ENTITY.test(tenant) || !PULSAR_ENTITY.test(namespace)) {
    return { wrong: 'must have a tenant and a namespace of letters, digits and - = : . _', hint: example };
  }
  if (local === '' || local.includes('/')) return { wrong: 'must end in a topic name without a slash', hint: example };
  if (/[\s*?#"'\\\u0000-\u001f\u007f]/u.test(local))
    return { wrong: 'must have no spaces, quotes, * ? # or \\ in its topic name', hint: example };
  if (PARTITION.test(local)) return { wrong: 'must not end in -partition-N: that is how Pulsar names the partitions of a topic' };
  return { value: name };
}

/** The rename of a mirror that names none: the same name where the target can have it. */
export function defaultRename({ source, target }: Direction): string {
  if (source === target) return '{topic}';
  return target === 'pulsar' ? 'persistent://public/default/{topic}' : '{name}';
}

export const DEFAULT_DEAD_LETTER_TOPIC = '{target}-dead-letter';

/** Whether a pattern could give one name to several of the topics that the globs take. */
export function mergesTopics(pattern: string, topics: readonly string[], match: string | undefined): boolean {
  if (match === undefined ? topics.length === 1 && !isGlob(topics[0] ?? '') : !isGlob(match)) return false;
  if (pattern.includes('{topic}')) return false;
  const wildcards = (match?.match(/[*?]/g) ?? []).length;
  if (wildcards > 0 && Array.from({ length: wildcards }, (_, i) => `{${i + 1}}`).every((each) => pattern.includes(each)))
    return false;
  if (!pattern.includes('{name}')) return true;
  const parts = (match === undefined ? topics : [match]).map(pulsarParts);
  /** A part that is the same for all topics need not be in their new names. */
  const told = (part: 'tenant' | 'namespace'): boolean =>
    pattern.includes(`{${part}}`) || (new Set(parts.map((each) => each?.[part])).size === 1 && !isGlob(parts[0]?.[part] ?? ''));
  return !(told('tenant') && told('namespace'));
}
