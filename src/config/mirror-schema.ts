import { z } from 'zod';
import { type KeyRule, type MirrorSpec, PLAIN_RULES, type RoutingRule } from '../model/mirror-spec.ts';
import { nameProblem, type Parsed, parseTime, textField } from './fields.ts';
import { readSection } from './issues.ts';
import { type Finding, type Path, type Problem, toProblems } from './problems.ts';
import {
  type ClusterType,
  defaultDeadLetterTopic,
  defaultRename,
  hasPlaceholder,
  isGlob,
  parseTargetPattern,
  parseTopicGlob,
} from './topic-patterns.ts';

/** What a mirror is part of: the rules for topic names differ per kind of cluster. */
export interface MirrorContext {
  readonly source: ClusterType;
  readonly target: ClusterType;
}

export type MirrorResult = { readonly spec: MirrorSpec } | { readonly problems: readonly Problem[] };

const MAX_GLOBS = 200;
const MAX_PARTITIONS = 1024;
const MAX_VALUES = 200;

const globs = z.array(z.string().min(1)).max(MAX_GLOBS);
const values = z.array(z.string().min(1)).max(MAX_VALUES);

const start = textField('must be earliest, latest or a moment with its zone', (text): Parsed<MirrorSpec['start']> => {
  if (text === 'earliest' || text === 'latest') return { value: text };
  const millis = parseTime(text);
  if (millis !== undefined && millis >= 0) return { value: millis };
  return { wrong: 'must be earliest, latest or a moment with its zone', hint: 'for example 2026-11-01T00:00:00Z' };
});

const keyRule = textField('must be default, sharding-key, keys or property:<name>', (text): Parsed<KeyRule> => {
  if (text === 'default' || text === 'sharding-key' || text === 'keys') return { value: { kind: text } };
  if (/^property:.{1,255}$/su.test(text)) return { value: { kind: 'property', name: text.slice('property:'.length) } };
  return { wrong: 'must be default, sharding-key, keys or property:<name>', hint: 'for example property:customer' };
});

const MUST_BE_RETENTION = 'must be keep, or a time in minutes, hours or days';
const MAX_RETENTION_MINUTES = 10 * 365 * 24 * 60;
const MINUTES: Readonly<Record<string, number>> = { m: 1, h: 60, d: 24 * 60 };

const retention = textField(MUST_BE_RETENTION, (text): Parsed<number | undefined> => {
  if (text === 'keep') return { value: undefined };
  const match = /^([1-9]\d{0,6})([mhd])$/.exec(text);
  const minutes = Number(match?.[1]) * (MINUTES[match?.[2] ?? ''] ?? Number.NaN);
  return minutes <= MAX_RETENTION_MINUTES ? { value: minutes } : { wrong: MUST_BE_RETENTION, hint: 'for example 72h' };
});

const tag = z
  .string()
  .min(1)
  .max(255)
  .refine((text) => !text.includes('||'), {
    message: 'must be one tag',
    params: { hint: 'write each tag as an entry of its own instead of joining them with ||' },
  });

const mirror = z.strictObject({
  topics: globs.min(1).meta({
    description: 'Which topics of the source: names, or globs with * (a run of characters) and ? (one character).',
    examples: [['orders-*']],
  }),
  exclude: globs
    .prefault([])
    .meta({ description: 'Globs of topics that are left out although `topics` matches them.', examples: [['orders-test-*']] }),
  rename: z
    .string()
    .optional()
    .meta({
      description:
        'Name of the target topic; {topic} stands for the name at the source, at most once. Without {topic} the mirror must name exactly one topic.',
      examples: ['persistent://public/default/{topic}'],
    }),
  start: start.prefault('earliest').meta({
    description:
      'Where a topic that was never mirrored starts: earliest, latest, or a moment (ISO 8601 with its zone) by the store time of the source.',
    examples: ['earliest', '2026-11-01T00:00:00Z'],
  }),
  routing: z
    .discriminatedUnion(
      'mode',
      [
        z.strictObject({ mode: z.literal('identity').meta({ description: 'Queue i goes to partition i.' }) }),
        z.strictObject({
          mode: z
            .literal('key')
            .meta({ description: 'The hash of the ordering key chooses the partition, as in the clients of the target.' }),
          by: keyRule.prefault('default').meta({
            description:
              'What the ordering key is: default (the sharding key, else the first of KEYS), sharding-key, keys, or property:<name>.',
            examples: ['default', 'property:customer'],
          }),
          partitions: z.int().min(1).max(MAX_PARTITIONS).optional().meta({
            description: 'Partitions of a target topic that has to be created; as many as the source has queues when absent.',
          }),
        }),
      ],
      { error: (issue) => (issue.code === 'invalid_union' ? 'must be identity or key' : undefined) },
    )
    .prefault({ mode: 'identity' })
    .meta({ description: 'Which partition a record goes to. Both modes keep the order per key.' }),
  filter: z
    .strictObject({
      tags: z
        .array(tag)
        .max(MAX_VALUES)
        .prefault([])
        .meta({ description: 'Only records with one of these tags; when empty, all pass, tagged or not.', examples: [['paid']] }),
      properties: z
        .record(z.string().min(1), values.min(1))
        .prefault({})
        .meta({
          description: 'Only records whose properties have one of the given values, for every property named.',
          examples: [{ region: ['eu', 'us'] }],
        }),
    })
    .prefault({})
    .meta({ description: 'What passes; everything when absent.' }),
  onBadRecord: z.enum(['stop-lane', 'dead-letter']).prefault('stop-lane').meta({
    description:
      'What to do with a record that the target refuses: stop its lane and say so, or keep it in the dead-letter topic and go on.',
  }),
  deadLetterTopic: z
    .string()
    .optional()
    .meta({
      description: 'Target topic for refused records, {topic} as in `rename`; by default the rename with -dead-letter behind it.',
      examples: ['persistent://public/default/{topic}-dead-letter'],
    }),
  batching: z.enum(['auto', 'mixed', 'per-key']).prefault('auto').meta({
    description:
      'mixed: several keys in a batch, the fastest; per-key: one key per batch, which Key_Shared consumers need; auto: per-key while the target has a Key_Shared subscription.',
  }),
  retention: retention.prefault('72h').meta({
    description:
      'How long a target topic that the mirror creates keeps records, read or not, where its namespace sets nothing: 72h as in RocketMQ; keep leaves it to the namespace, which deletes what no subscription holds.',
    examples: ['72h', '7d', 'keep'],
  }),
  compression: z
    .enum(['none', 'lz4', 'zlib', 'zstd', 'snappy'])
    .prefault('none')
    .meta({ description: 'Compression of the batches written to the target.' }),
});

/** The fields of a mirror, for the JSON schema of the file and the OpenAPI document. */
export const mirrorSchema: z.ZodObject = mirror;

type MirrorFields = z.output<typeof mirror>;

/** Findings about a text that its context decides on. */
function refused<T>(path: Path, parsed: Parsed<T>): Finding[] {
  return 'value' in parsed ? [] : [{ path, message: parsed.wrong, hint: parsed.hint }];
}

/** Rules that need the kind of the clusters, or several fields together. */
function ruleFindings(fields: Partial<MirrorFields>, context: MirrorContext, base: Path): Finding[] {
  const { topics, exclude, rename, deadLetterTopic } = fields;
  const findings = [
    ...(topics ?? []).flatMap((glob, i) => refused([...base, 'topics', i], parseTopicGlob(context.source, glob))),
    ...(exclude ?? []).flatMap((glob, i) => refused([...base, 'exclude', i], parseTopicGlob(context.source, glob))),
    ...(rename === undefined ? [] : refused([...base, 'rename'], parseTargetPattern(context.target, rename))),
    ...(deadLetterTopic === undefined
      ? []
      : refused([...base, 'deadLetterTopic'], parseTargetPattern(context.target, deadLetterTopic))),
  ];
  if (rename !== undefined && !hasPlaceholder(rename) && topics !== undefined && (topics.length > 1 || topics.some(isGlob))) {
    findings.push({
      path: [...base, 'rename'],
      message: 'would give several topics one name, and mix their order',
      hint: 'put {topic} into it, or name exactly one topic',
      plain: true,
    });
  }
  if (deadLetterTopic !== undefined && deadLetterTopic === (rename ?? defaultRename(context.target))) {
    findings.push({
      path: [...base, 'deadLetterTopic'],
      message: 'must be another topic than the target itself',
      hint: 'leave it out, or add -dead-letter',
    });
  }
  return findings;
}

function routingOf(fields: MirrorFields): RoutingRule {
  const { routing } = fields;
  return routing.mode === 'identity' ? { mode: 'identity' } : { mode: 'key', by: routing.by, partitions: routing.partitions };
}

function specOf(name: string, fields: MirrorFields, context: MirrorContext): MirrorSpec {
  const { retention: retentionMinutes, ...rest } = fields;
  const rename = fields.rename ?? defaultRename(context.target);
  return {
    ...PLAIN_RULES,
    ...rest,
    retentionMinutes,
    name,
    rename,
    routing: routingOf(fields),
    deadLetterTopic: fields.deadLetterTopic ?? defaultDeadLetterTopic(rename),
  };
}

/** What a mirror's mapping says. */
export interface MirrorReading {
  /** The whole, if all of it is right. */
  readonly spec: MirrorSpec | undefined;
  /** Which topics it takes and how it calls them, as far as that is right. */
  readonly topics: readonly string[] | undefined;
  readonly exclude: readonly string[] | undefined;
  readonly rename: string | undefined;
  readonly findings: readonly Finding[];
}

export function readMirror(name: string, body: unknown, context: MirrorContext, base: Path): MirrorReading {
  const section = readSection(mirror, body, base);
  const findings = [...section.findings, ...ruleFindings(section.fields, context, base)];
  const spec = section.whole === undefined || findings.length > 0 ? undefined : specOf(name, section.whole, context);
  const { topics, exclude, rename = defaultRename(context.target) } = section.fields;
  return { spec, topics, exclude, rename, findings };
}

/** Validates the mapping of a mirror as it stands in the file or in a request, and fills in the defaults. Paths of problems begin at the mapping. */
export function parseMirrorSpec(name: string, body: unknown, context: MirrorContext): MirrorResult {
  const { spec, findings } = readMirror(name, body, context, []);
  const badName = nameProblem(name);
  if (spec !== undefined && badName === undefined) return { spec };
  const raw = typeof body === 'object' && body !== null ? { ...body, name } : body;
  return { problems: toProblems([...(badName === undefined ? [] : [{ path: ['name'], ...badName }]), ...findings], raw) };
}

function formatKeyRule(rule: KeyRule): string {
  return rule.kind === 'property' ? `property:${rule.name}` : rule.kind;
}

/** A mirror as it would be written in the file (without its name): `parseMirrorSpec` reads it back. */
export function formatMirrorSpec(spec: MirrorSpec): Record<string, unknown> {
  const {
    name: _,
    start,
    routing,
    retentionMinutes,
    renames: _a,
    retryTopics: _b,
    transform: _c,
    dedup: _d,
    onRecreated: _e,
    ...rest
  } = spec;
  return {
    ...rest,
    retention: retentionMinutes === undefined ? 'keep' : `${retentionMinutes}m`,
    start: typeof start === 'number' ? new Date(start).toISOString() : start,
    routing:
      routing.mode === 'identity'
        ? routing
        : {
            mode: 'key',
            by: formatKeyRule(routing.by),
            ...(routing.partitions === undefined ? {} : { partitions: routing.partitions }),
          },
  };
}
