import { z } from 'zod';
import type { DedupId, DedupRule, KeyRule, MirrorSpec, RenameRule } from '../model/mirror-spec.ts';
import { type Parsed, parseDuration, parseTime, textField } from './fields.ts';
import { readSection, type Section } from './issues.ts';
import type { Path } from './problems.ts';

const MAX_GLOBS = 200;
const MAX_RENAMES = 50;
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

function propertyOf(text: string): { readonly kind: 'property'; readonly name: string } | undefined {
  return /^property:.{1,255}$/su.test(text) ? { kind: 'property', name: text.slice('property:'.length) } : undefined;
}

const keyRule = textField('must be default, sharding-key, keys or property:<name>', (text): Parsed<KeyRule> => {
  if (text === 'default' || text === 'sharding-key' || text === 'keys') return { value: { kind: text } };
  const property = propertyOf(text);
  if (property !== undefined) return { value: property };
  return { wrong: 'must be default, sharding-key, keys or property:<name>', hint: 'for example property:customer' };
});

const MUST_BE_RETENTION = 'must be keep, or a time in minutes, hours or days';
const MAX_RETENTION_MILLIS = 10 * 365 * 86_400_000;

/** In minutes, as Pulsar takes it. */
const retention = textField(MUST_BE_RETENTION, (text): Parsed<number | 'keep'> => {
  if (text === 'keep') return { value: text };
  const minutes = (parseDuration(text) ?? Number.NaN) / 60_000;
  return Number.isInteger(minutes) && minutes * 60_000 <= MAX_RETENTION_MILLIS
    ? { value: minutes }
    : { wrong: MUST_BE_RETENTION, hint: 'for example 72h' };
});

const MUST_BE_WINDOW = 'must be a time in seconds, minutes, hours or days, at most 365d';
const dedupWindow = textField(MUST_BE_WINDOW, (text): Parsed<number> => {
  const millis = parseDuration(text) ?? Number.NaN;
  return millis <= 365 * 86_400_000 ? { value: millis } : { wrong: MUST_BE_WINDOW, hint: 'for example 24h' };
});

const dedupId = textField('must be origin, producer or property:<name>', (text): Parsed<DedupId> => {
  if (text === 'origin' || text === 'producer') return { value: { kind: text } };
  const property = propertyOf(text);
  if (property !== undefined) return { value: property };
  return { wrong: 'must be origin, producer or property:<name>', hint: 'for example property:orderId' };
});

const dedup = z.strictObject({
  window: dedupWindow.prefault('24h').meta({ description: 'How long an id is remembered.', examples: ['24h'] }),
  maxIds: z
    .int()
    .min(1)
    .max(1_000_000_000)
    .prefault(10_000_000)
    .meta({ description: 'How many ids are remembered per target topic, the newest ones; about 32 bytes of Redis each.' }),
  id: dedupId.prefault('origin').meta({
    description:
      'What makes two records the same: origin (where they were first written), producer (the id that the producer gave them, so that its own resends go too), or property:<name>.',
    examples: ['origin', 'property:orderId'],
  }),
  onStateLoss: z.enum(['stop', 'continue']).prefault('stop').meta({
    description:
      'While the state store is away or was emptied: stop waits for it; continue goes on with what the target itself tells, which is exact but for what only the window can know.',
  }),
});

const propertyName = z
  .string()
  .min(1)
  .max(255)
  .refine((text) => !/[\u0000-\u001f\u007f]/.test(text), { message: 'must hold no control characters' })
  .refine((text) => !/^ISTHMUS(?:$|-)/.test(text), {
    message: 'must not be a property of our own',
    params: { hint: 'ISTHMUS and ISTHMUS-... are marks' },
  });
const propertyValue = z
  .string()
  .max(4096)
  .refine((text) => !/[\u0001\u0002]/.test(text), {
    message: 'must hold no control characters 1 and 2, which RocketMQ puts between properties',
  });
const MAX_PROPERTIES = 100;
const fewProperties = <V>(mapping: Readonly<Record<string, V>>): boolean => Object.keys(mapping).length <= MAX_PROPERTIES;
const TOO_MANY = { message: `must have at most ${MAX_PROPERTIES} entries`, params: { plain: true } };

const transform = z.strictObject({
  drop: z
    .array(z.string().min(1).max(255))
    .max(MAX_PROPERTIES)
    .prefault([])
    .meta({
      description: 'Properties that are left out: names, or globs with * and ?.',
      examples: [['debug-*']],
    }),
  rename: z
    .record(propertyName, propertyName)
    .prefault({})
    .refine(fewProperties, TOO_MANY)
    .refine((names) => new Set(Object.values(names)).size === Object.keys(names).length, {
      message: 'must not give several properties one name',
      params: { plain: true },
    })
    .meta({
      description: 'Other names for properties: old name to new name. What had the new name is replaced.',
      examples: [{ cust: 'customer' }],
    }),
  set: z
    .record(propertyName, propertyValue)
    .prefault({})
    .refine(fewProperties, TOO_MANY)
    .meta({
      description: 'Properties that every record gets, in place of one of the same name.',
      examples: [{ region: 'east' }],
    }),
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
    .union(
      [
        z.string(),
        z
          .array(z.strictObject({ match: z.string(), to: z.string() }))
          .min(1)
          .max(MAX_RENAMES),
      ],
      {
        error: 'must be a text, or a list of rules with match and to',
      },
    )
    .optional()
    .meta({
      description:
        'Name of the target topic. {topic} stands for the name at the source, {name} for the same without tenant and namespace, {tenant} and {namespace} for these. Or a list of rules, the first that matches: match is a glob, to the name, with {1} for what its first wildcard has matched; a topic that none matches keeps the default name. Without a placeholder the mirror must name exactly one topic.',
      examples: ['persistent://public/default/{topic}', [{ match: 'orders-*', to: 'eu-orders-{1}' }]],
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
      except: z
        .record(z.string().min(1), values.min(1))
        .prefault({})
        .meta({
          description:
            'Only records whose properties have none of the given values, for every property named; one without the property passes.',
          examples: [{ kind: ['test'] }],
        }),
      present: values
        .prefault([])
        .meta({ description: 'Only records that have all of these properties.', examples: [['customer']] }),
      absent: values
        .prefault([])
        .meta({ description: 'Only records that have none of these properties.', examples: [['debug']] }),
    })
    .prefault({})
    .meta({ description: 'What passes; everything when absent.' }),
  transform: transform.prefault({}).meta({
    description: 'What becomes of properties: left out, renamed, set, in this order. Filters and routing see them as they were.',
  }),
  dedup: z
    .union([z.literal('off'), dedup], { error: 'must be off, or a mapping with window, maxIds, id and onStateLoss' })
    .optional()
    .meta({
      description:
        'The window in which a record that comes a second time is left out. On with its defaults where the state is in Redis, else off.',
      examples: [{ window: '24h', maxIds: 10_000_000, id: 'origin', onStateLoss: 'stop' }, 'off'],
    }),
  retryTopics: z.boolean().prefault(false).meta({
    description:
      'Also takes topics of consumer groups that the globs match: %RETRY% and %DLQ% topics of RocketMQ, -RETRY and -DLQ topics of Pulsar.',
  }),
  onRecreated: z.enum(['follow', 'stop']).prefault('follow').meta({
    description:
      'When a source topic was deleted and made again: follow starts over with the new one; stop waits for somebody to look.',
  }),
  onBadRecord: z.enum(['stop-lane', 'dead-letter']).prefault('stop-lane').meta({
    description:
      'What to do with a record that the target refuses: stop its lane and say so, or keep it in the dead-letter topic and go on.',
  }),
  deadLetterTopic: z
    .string()
    .optional()
    .meta({
      description:
        'Target topic for refused records, with placeholders as in `rename` and {target} for the target topic; by default {target}-dead-letter.',
      examples: ['{target}-dead-letter'],
    }),
  batching: z.enum(['auto', 'mixed', 'per-key']).prefault('auto').meta({
    description:
      'mixed: several keys in a batch, the fastest; per-key: one key per batch, which Key_Shared consumers need; auto: per-key while the target has a Key_Shared subscription. Only for Pulsar targets.',
  }),
  retention: retention.optional().meta({
    description:
      'How long a target topic that the mirror creates keeps records, read or not, where its namespace sets nothing: 72h by default, as in RocketMQ; keep leaves it to the namespace, which deletes what no subscription holds. Only for Pulsar targets.',
    examples: ['72h', '7d', 'keep'],
  }),
  compression: z.enum(['none', 'lz4', 'zlib', 'zstd', 'snappy']).prefault('none').meta({
    description:
      'Compression of the batches that are made for the target; entries passed whole keep theirs. Only for Pulsar targets.',
  }),
});

/** The fields of a mirror, for the JSON schema of the file and the OpenAPI document. */
export const mirrorSchema: z.ZodObject = mirror;

/** The fields of a mirror as they are written, with the defaults that do not depend on its direction. */
export interface MirrorFields
  extends Pick<
    MirrorSpec,
    | 'topics'
    | 'exclude'
    | 'start'
    | 'filter'
    | 'transform'
    | 'retryTopics'
    | 'onRecreated'
    | 'onBadRecord'
    | 'batching'
    | 'compression'
  > {
  readonly rename?: string | readonly RenameRule[] | undefined;
  readonly routing:
    | { readonly mode: 'identity' }
    | { readonly mode: 'key'; readonly by: KeyRule; readonly partitions?: number | undefined };
  readonly dedup?: 'off' | (Omit<DedupRule, 'windowMillis'> & { readonly window: number }) | undefined;
  readonly deadLetterTopic?: string | undefined;
  /** Minutes. */
  readonly retention?: number | 'keep' | undefined;
}

/** Validates the fields of a mirror, each by itself. What they mean together, and in which direction, is in mirror-rules.ts. */
export function readMirrorFields(body: unknown, base: Path): Section<MirrorFields> {
  return readSection(mirror, body, base);
}
