import type { DedupRule, KeyRule, MirrorSpec, RoutingRule } from '../model/mirror-spec.ts';
import { formatDuration, nameProblem } from './fields.ts';
import { type MirrorFields, readMirrorFields } from './mirror-fields.ts';
import { type MirrorNames, namesOf, ruleFindings } from './mirror-rules.ts';
import { type Finding, type Path, type Problem, toProblems } from './problems.ts';
import { DEFAULT_DEAD_LETTER_TOPIC, type Direction } from './topic-patterns.ts';

/** What a mirror is part of. */
export interface MirrorContext extends Direction {
  /** Where the state is: a mirror that says nothing of it has a dedup window in Redis. */
  readonly state: 'file' | 'redis';
}

export type MirrorResult = { readonly spec: MirrorSpec } | { readonly problems: readonly Problem[] };

const DEFAULT_RETENTION_MINUTES = 72 * 60;
const PLAIN_DEDUP: DedupRule = {
  windowMillis: 24 * 3_600_000,
  maxIds: 10_000_000,
  id: { kind: 'origin' },
  onStateLoss: 'continue',
};

function routingOf({ routing }: MirrorFields): RoutingRule {
  return routing.mode === 'identity' ? { mode: 'identity' } : { mode: 'key', by: routing.by, partitions: routing.partitions };
}

function dedupOf({ dedup }: MirrorFields, context: MirrorContext): DedupRule | undefined {
  if (dedup === undefined) return context.state === 'redis' ? PLAIN_DEDUP : undefined;
  if (dedup === 'off') return undefined;
  const { window: windowMillis, maxIds, id, onStateLoss } = dedup;
  return { windowMillis, maxIds, id, onStateLoss };
}

function retentionOf({ retention }: MirrorFields, { target }: Direction): number | undefined {
  if (retention !== undefined) return retention === 'keep' ? undefined : retention;
  return target === 'pulsar' ? DEFAULT_RETENTION_MINUTES : undefined;
}

function specOf(name: string, fields: MirrorFields, context: MirrorContext): MirrorSpec {
  const { retention: _, ...rest } = fields;
  return {
    ...rest,
    ...namesOf(fields, context),
    retentionMinutes: retentionOf(fields, context),
    name,
    routing: routingOf(fields),
    dedup: dedupOf(fields, context),
    deadLetterTopic: fields.deadLetterTopic ?? DEFAULT_DEAD_LETTER_TOPIC,
  };
}

/** What a mirror's mapping says. */
export interface MirrorReading {
  /** The whole, if all of it is right. */
  readonly spec: MirrorSpec | undefined;
  /** Which topics it takes and how it calls them, if that is right. */
  readonly names: MirrorNames | undefined;
  readonly findings: readonly Finding[];
}

export function readMirror(name: string, body: unknown, context: MirrorContext, base: Path): MirrorReading {
  const section = readMirrorFields(body, base);
  const findings = [...section.findings, ...ruleFindings(section.fields, context, base)];
  const spec = section.whole === undefined || findings.length > 0 ? undefined : specOf(name, section.whole, context);
  const named = findings.length === 0 && section.fields.topics !== undefined;
  return { spec, names: named ? namesOf(section.fields, context) : undefined, findings };
}

/** Validates the mapping of a mirror as it stands in the file or in a request, and fills in the defaults. Paths of problems begin at the mapping. */
export function parseMirrorSpec(name: string, body: unknown, context: MirrorContext): MirrorResult {
  const { spec, findings } = readMirror(name, body, context, []);
  const badName = nameProblem(name);
  if (spec !== undefined && badName === undefined) return { spec };
  const raw = typeof body === 'object' && body !== null ? { ...body, name } : body;
  return { problems: toProblems([...(badName === undefined ? [] : [{ path: ['name'], ...badName }]), ...findings], raw) };
}

function formatChoice(rule: KeyRule | DedupRule['id']): string {
  return rule.kind === 'property' ? `property:${rule.name}` : rule.kind;
}

function formatDedup(dedup: DedupRule | undefined): unknown {
  if (dedup === undefined) return 'off';
  const { windowMillis, id, ...rest } = dedup;
  return { window: formatDuration(windowMillis), id: formatChoice(id), ...rest };
}

/** A mirror as it would be written in the file (without its name): `parseMirrorSpec` reads it back. */
export function formatMirrorSpec(spec: MirrorSpec): Record<string, unknown> {
  const { name: _, start, routing, retentionMinutes, rename, renames, dedup, ...rest } = spec;
  return {
    ...rest,
    rename: renames.length > 0 ? renames : rename,
    dedup: formatDedup(dedup),
    retention: retentionMinutes === undefined ? 'keep' : formatDuration(retentionMinutes * 60_000),
    start: typeof start === 'number' ? new Date(start).toISOString() : start,
    routing:
      routing.mode === 'identity'
        ? routing
        : {
            mode: 'key',
            by: formatChoice(routing.by),
            ...(routing.partitions === undefined ? {} : { partitions: routing.partitions }),
          },
  };
}
