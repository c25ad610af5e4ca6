import { findOwnCollision } from '../model/topic-overlap.ts';
import type { Parsed } from './fields.ts';
import type { MirrorFields } from './mirror-fields.ts';
import type { Finding, Path } from './problems.ts';
import {
  type Direction,
  defaultRename,
  isRetryTopic,
  mergesTopics,
  type Placeholders,
  parseRenameMatch,
  parseTargetPattern,
  parseTopicGlob,
} from './topic-patterns.ts';

/** The names of a mirror, in the form in which they are compared. */
export interface MirrorNames {
  readonly topics: readonly string[];
  readonly exclude: readonly string[];
  readonly rename: string;
  readonly renames: readonly { readonly match: string; readonly to: string }[];
}

/** The names of a mirror's fields, as far as they are right. */
export function namesOf(fields: Partial<MirrorFields>, direction: Direction): MirrorNames {
  const whole = (glob: string): string => {
    const parsed = parseTopicGlob(direction.source, glob);
    return 'value' in parsed ? parsed.value : glob;
  };
  const { topics = [], exclude = [], rename } = fields;
  const rules = typeof rename === 'string' || rename === undefined ? [] : rename;
  return {
    topics: topics.map(whole),
    exclude: exclude.map(whole),
    rename: typeof rename === 'string' ? rename : defaultRename(direction),
    renames: rules.map(({ match, to }) => ({ match: whole(match), to })),
  };
}

/** Findings about a text that its context decides on. */
function refused<T>(path: Path, parsed: Parsed<T>): Finding[] {
  return 'value' in parsed ? [] : [{ path, message: parsed.wrong, hint: parsed.hint }];
}

function globFindings(fields: Partial<MirrorFields>, { source }: Direction, base: Path): Finding[] {
  const { topics = [], exclude = [], retryTopics } = fields;
  const findings = [
    ...topics.flatMap((glob, i) => refused([...base, 'topics', i], parseTopicGlob(source, glob))),
    ...exclude.flatMap((glob, i) => refused([...base, 'exclude', i], parseTopicGlob(source, glob))),
  ];
  for (const [i, glob] of retryTopics === false ? topics.entries() : []) {
    if (!isRetryTopic(source, glob)) continue;
    const message = 'is a topic of a consumer group, which is left to its own cluster';
    findings.push({
      path: [...base, 'topics', i],
      message,
      hint: 'set retryTopics: true to mirror it all the same',
      plain: true,
    });
  }
  return findings;
}

const MERGED = { message: 'would give several topics one name, and mix their order', plain: true };

function renameFindings(fields: Partial<MirrorFields>, direction: Direction, base: Path): Finding[] {
  const { rename, topics } = fields;
  const names = namesOf(fields, direction);
  const path = [...base, 'rename'];
  const pattern = (at: Path, text: string, more: Placeholders = {}): Finding[] => {
    const findings = refused(at, parseTargetPattern(direction, text, more));
    if (findings.length > 0 || topics === undefined || !mergesTopics(text, names.topics, more.match)) return findings;
    const whole = direction.source === 'pulsar' ? '{tenant}, {namespace} and {name}' : '{topic}';
    const hint =
      more.match === undefined ? `put ${whole} into it, or name exactly one topic` : `put ${whole} or all its wildcards into it`;
    return [{ path: at, ...MERGED, hint }];
  };
  if (rename === undefined) return topics === undefined ? [] : pattern(path, names.rename);
  if (typeof rename === 'string') return pattern(path, rename);
  const findings = rename.flatMap(({ match, to }, i) => [
    ...refused([...path, i, 'match'], parseRenameMatch(direction.source, match)),
    ...pattern([...path, i, 'to'], to, { match }),
  ]);
  if (findings.length > 0 || topics === undefined) return findings;
  const twice = findOwnCollision(names);
  if (twice === undefined) return [];
  const message = `could give the name "${twice}" to two topics, by different rules: their order would be mixed`;
  return [{ path, message, hint: 'leave one of the topics out with exclude, or give it another name', plain: true }];
}

/** Fields that say nothing in a direction: somebody expects something of them. */
function directionFindings(fields: Partial<MirrorFields>, { source, target }: Direction, base: Path): Finding[] {
  const { compression = 'none', batching = 'auto', retention = 'keep', routing, filter } = fields;
  const findings: Finding[] = [];
  const useless = (path: Path, message: string, hint: string): void => {
    findings.push({ path: [...base, ...path], message, hint, plain: true });
  };
  if (target === 'rocketmq') {
    if (compression !== 'none')
      useless(['compression'], 'has no effect on a RocketMQ target', 'leave it out: bodies are stored as they are');
    if (batching !== 'auto')
      useless(['batching'], 'has no effect on a RocketMQ target', 'leave it out: RocketMQ keeps each message of a batch apart');
    if (retention !== 'keep')
      useless(['retention'], 'has no effect on a RocketMQ target', 'leave it out, and set fileReservedTime on its brokers');
  }
  if (source === 'pulsar') {
    if (routing?.mode === 'key' && (routing.by.kind === 'sharding-key' || routing.by.kind === 'keys'))
      useless(['routing', 'by'], 'speaks of RocketMQ messages', 'use default for the key of the message, or property:<name>');
    if (filter !== undefined && filter.tags.length > 0)
      useless(
        ['filter', 'tags'],
        'speaks of RocketMQ messages',
        'write properties: { TAGS: [...] } for those that came from RocketMQ',
      );
  }
  return findings;
}

/** Rules that need the kind of the clusters, or several fields together. */
export function ruleFindings(fields: Partial<MirrorFields>, direction: Direction, base: Path): Finding[] {
  const { deadLetterTopic, rename } = fields;
  const findings = [
    ...globFindings(fields, direction, base),
    ...renameFindings(fields, direction, base),
    ...directionFindings(fields, direction, base),
  ];
  if (deadLetterTopic !== undefined) {
    const path = [...base, 'deadLetterTopic'];
    findings.push(...refused(path, parseTargetPattern(direction, deadLetterTopic, { target: true })));
    if (deadLetterTopic === (rename ?? defaultRename(direction)) || deadLetterTopic === '{target}') {
      const message = 'must be another topic than the target itself';
      findings.push({ path, message, hint: 'leave it out, or add -dead-letter' });
    }
  }
  return findings;
}
