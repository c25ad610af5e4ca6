import { z } from 'zod';
import type { MirrorSpec } from '../model/mirror-spec.ts';
import { findCollision } from '../model/topic-overlap.ts';
import type { ClusterReading } from './cluster-schema.ts';
import { failoverConfig, failoverRule } from './failover-rule.ts';
import { name } from './fields.ts';
import { groupsConfig, groupsRule } from './groups-rule.ts';
import { readSection } from './issues.ts';
import { mirrorSchema } from './mirror-fields.ts';
import { type MirrorContext, type MirrorReading, readMirror } from './mirror-schema.ts';
import { closest, type Finding, type Path } from './problems.ts';
import type { LinkConfig } from './types.ts';

const link = z.strictObject({
  from: name.meta({ description: 'Name of the source cluster.', examples: ['rmq-east'] }),
  to: name.meta({ description: 'Name of the target cluster.', examples: ['pulsar-west'] }),
  groups: groupsRule.optional(),
  failover: failoverRule.optional(),
  mirrors: z.record(name, z.unknown()).prefault({}).meta({ description: 'Mirrors by name. More can be added at runtime.' }),
});

/** One link, for the JSON schema. */
export const linkSchema: z.ZodObject = link.extend({ mirrors: z.record(name, mirrorSchema).optional() });

export interface LinkReading {
  readonly config: LinkConfig | undefined;
  readonly findings: readonly Finding[];
}

type Clusters = ReadonlyMap<string, ClusterReading>;

/** Whether clusters answer at the same address, so that they are one under two names. */
export function sharedAddress(a: ClusterReading, b: ClusterReading): string | undefined {
  return a.addresses.find((address) => b.addresses.includes(address));
}

function endFindings(end: 'from' | 'to', cluster: string | undefined, clusters: Clusters, base: Path): Finding[] {
  if (cluster === undefined || clusters.has(cluster)) return [];
  const guess = closest(cluster, [...clusters.keys()]);
  const hint =
    guess === undefined ? `the clusters are: ${[...clusters.keys()].join(', ') || 'none'}` : `did you mean "${guess}"?`;
  return [{ path: [...base, end], message: 'must be the name of a cluster', hint }];
}

function directionFindings(from: string | undefined, to: string | undefined, clusters: Clusters, base: Path): Finding[] {
  if (from === undefined || to === undefined) return [];
  if (from === to)
    return [
      {
        path: base,
        message: `has the same cluster, ${from}, at both ends`,
        hint: 'a link joins two clusters',
        atKey: true,
        plain: true,
      },
    ];
  const [source, target] = [clusters.get(from), clusters.get(to)];
  if (source === undefined || target === undefined) return [];
  const address = sharedAddress(source, target);
  if (address !== undefined) {
    const message = `has the same cluster at both ends: ${from} and ${to} share the address ${address}`;
    return [{ path: base, message, hint: 'a link joins two clusters', atKey: true, plain: true }];
  }
  return [];
}

/** Pairs of mirrors that would store a record twice or mix topics. */
function collisionFindings(mirrors: ReadonlyMap<string, MirrorReading>, base: Path): Finding[] {
  const rules = [...mirrors].flatMap(([mirror, { names }]) => (names === undefined ? [] : [{ mirror, ...names }]));
  return rules.flatMap((later, i) =>
    rules.slice(0, i).flatMap((earlier): Finding[] => {
      const collision = findCollision(earlier, later);
      if (collision === undefined) return [];
      const path = [...base, later.mirror, collision.side === 'source' ? 'topics' : 'rename'];
      if (collision.side === 'target') {
        const message = `gives "${collision.topic}" to a topic, and so does the mirror "${earlier.mirror}" to another: their order would be mixed`;
        return [{ path, message, hint: 'give one of them another rename', plain: true }];
      }
      const message = `overlaps with the mirror "${earlier.mirror}": both take a topic like "${collision.topic}", whose records would be stored twice`;
      return [{ path, message, hint: `leave them out here with exclude: ${JSON.stringify(earlier.topics)}`, plain: true }];
    }),
  );
}

/** Validates one link with its mirrors. */
export function readLink(
  linkName: string,
  raw: unknown,
  clusters: Clusters,
  state: MirrorContext['state'],
  base: Path,
): LinkReading {
  const { whole, fields, findings } = readSection(link, raw, base);
  const context: MirrorContext = {
    state,
    source: clusters.get(fields.from ?? '')?.type ?? 'rocketmq',
    target: clusters.get(fields.to ?? '')?.type ?? 'pulsar',
  };
  const mirrors = new Map(
    Object.entries(rawMirrors(raw)).map(
      ([mirror, body]) => [mirror, readMirror(mirror, body, context, [...base, 'mirrors', mirror])] as const,
    ),
  );
  const all = [
    ...findings,
    ...endFindings('from', fields.from, clusters, base),
    ...endFindings('to', fields.to, clusters, base),
    ...directionFindings(fields.from, fields.to, clusters, base),
    ...[...mirrors.values()].flatMap((mirror) => mirror.findings),
    ...collisionFindings(mirrors, [...base, 'mirrors']),
  ];
  const specs = [...mirrors.values()].map((mirror) => mirror.spec).filter((spec): spec is MirrorSpec => spec !== undefined);
  const config =
    whole === undefined || all.length > 0
      ? undefined
      : {
          name: linkName,
          from: whole.from,
          to: whole.to,
          groups: groupsConfig(whole.groups),
          failover: failoverConfig(whole.failover),
          mirrors: specs,
        };
  return { config, findings: all };
}

/** The mirrors as they stand there, also when something else about the link is wrong. */
function rawMirrors(raw: unknown): object {
  const mirrors: unknown = typeof raw === 'object' && raw !== null ? Reflect.get(raw, 'mirrors') : undefined;
  return typeof mirrors === 'object' && mirrors !== null && !Array.isArray(mirrors) ? mirrors : {};
}
