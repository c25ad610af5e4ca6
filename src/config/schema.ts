import { z } from 'zod';
import { type EndlessNames, findEndlessNames } from '../model/endless-names.ts';
import { type ClusterReading, clusterSchema, readCluster } from './cluster-schema.ts';
import {
  formatHostPort,
  type HostPort,
  isLoopback,
  MUST_BE_SIZE,
  name,
  type Parsed,
  parseHostPort,
  parseSize,
  textField,
} from './fields.ts';
import { readSection } from './issues.ts';
import { linkSchema, readLink, sharedAddress } from './link-rules.ts';
import type { Finding } from './problems.ts';
import type { Config, HttpConfig, LinkConfig, StateConfig } from './types.ts';

const MIN_BUDGET = 2 ** 20;
const MAX_BUDGET = 64 * 2 ** 30;
const MIN_TOKEN = 16;
const MAX_TOKEN = 1024;
const MAX_TOKENS = 100;
const MIN_SECRET = 16;
const MAX_SECRETS = 5;

const listen = textField('must be host:port', (text): Parsed<HostPort> => {
  const parsed = parseHostPort(text, 0);
  return parsed === undefined
    ? { wrong: 'must be host:port', hint: 'for example 127.0.0.1:8686; 0.0.0.0:8686 for every network of the machine' }
    : { value: parsed };
});

/** The rules are not in the JSON schema: an editor sees the reference, not what it refers to. */
const token = z.string().superRefine((text, context) => {
  const wrong = (message: string): void =>
    context.addIssue({
      code: 'custom',
      message,
      params: { plain: true, hint: 'for example the output of: openssl rand -hex 24' },
    });
  if (text.length < MIN_TOKEN || text.length > MAX_TOKEN) wrong(`must have ${MIN_TOKEN} to ${MAX_TOKEN} characters`);
  else if (!/^[\x21-\x7e]*$/.test(text)) wrong('must have only visible ASCII characters, so that it fits into a header');
});

const secret = z.string().superRefine((text, context) => {
  if (text.length >= MIN_SECRET) return;
  const params = { plain: true, hint: 'for example the output of: openssl rand -hex 32' };
  context.addIssue({ code: 'custom', message: `must have at least ${MIN_SECRET} characters`, params });
});

const http = z.strictObject({
  listen: listen
    .prefault('127.0.0.1:8686')
    .meta({ description: 'Where the HTTP API listens. Beyond this machine only with tokens.', examples: ['127.0.0.1:8686'] }),
  tokens: z
    .array(
      z.strictObject({
        name: name.meta({ description: 'Shows in the log who did something.' }),
        token: token.meta({
          description: 'A secret of at least 16 characters: write ${NAME} for an environment variable, or file:PATH.',
          examples: ['${ISTHMUS_TOKEN}'],
        }),
        role: z.enum(['admin', 'read']).meta({ description: 'read may only look.' }),
      }),
    )
    .max(MAX_TOKENS)
    .prefault([])
    .meta({ description: 'Bearer tokens. Without any, everybody on this machine may do everything.' }),
  metrics: z
    .enum(['token', 'open'])
    .prefault('token')
    .meta({ description: 'Whether /metrics needs a token as well; open lets a scraper in without one.' }),
});

/** A file path, or where Redis is. */
type StateText = { readonly file: string } | { readonly redis: URL };

const state = textField('must be file:PATH or redis://host:port/database', (text): Parsed<StateText> => {
  const hint = 'for example file:./isthmus-state.db or redis://127.0.0.1:6379/0';
  if (/^file:./.test(text)) return { value: { file: text.slice('file:'.length) } };
  const url = /^rediss?:\/\//.test(text) && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === '') return { wrong: 'must be file:PATH or redis://host:port/database', hint };
  if (!/^(\/\d{0,4})?$/.test(url.pathname)) return { wrong: 'must end in the number of a database', hint };
  const unknown = [...url.searchParams.keys()].find((key) => key !== 'prefix');
  if (unknown !== undefined)
    return { wrong: `must have no "${unknown}" behind the question mark`, hint: 'only prefix is known there' };
  return /^[\w:.-]{0,64}$/.test(url.searchParams.get('prefix') ?? '')
    ? { value: { redis: url } }
    : { wrong: 'must have a prefix of letters, digits and - _ : .', hint };
});

const size = textField(MUST_BE_SIZE, (text): Parsed<number> => {
  const parsed = parseSize(text);
  if ('wrong' in parsed || (parsed.value >= MIN_BUDGET && parsed.value <= MAX_BUDGET)) return parsed;
  return { wrong: 'must be from 1MiB to 64GiB' };
});

const top = z.strictObject({
  region: name.meta({
    description: 'Where this process runs: in the region of the clusters that it writes to.',
    examples: ['west'],
  }),
  http: z.unknown().optional(),
  state: state.prefault('file:./isthmus-state.db').meta({
    description:
      'Where mirrors added at runtime, checkpoints and the position index are kept: file:PATH, or redis://host:port/database?prefix=isthmus.',
    examples: ['file:./isthmus-state.db', 'redis://127.0.0.1:6379/0'],
  }),
  clusters: z
    .record(name, z.unknown())
    .meta({ description: 'Clusters by name. The name is written into the provenance of records: never change it.' }),
  links: z.record(name, z.unknown()).meta({ description: 'Links by name: directed pairs of clusters, with their mirrors.' }),
  limits: z
    .strictObject({
      readAhead: size
        .prefault('48MiB')
        .meta({ description: 'Bytes read ahead of the targets, over all lanes.', examples: ['48MiB'] }),
      inFlight: size
        .prefault('48MiB')
        .meta({ description: 'Bytes sent and not yet stored, over all lanes.', examples: ['48MiB'] }),
    })
    .prefault({})
    .meta({ description: 'Bounds of memory.' }),
  provenance: z
    .strictObject({
      secret: z
        .union([secret, z.array(secret).min(1).max(MAX_SECRETS)], { error: 'must be a secret, or a list of them' })
        .optional()
        .meta({
          description:
            'Seals the marks of records, so that nobody else can write one: the same for all processes of all regions. Write ${NAME} for an environment variable, or file:PATH. Of a list, the first one seals and all are accepted.',
          examples: ['${ISTHMUS_PROVENANCE_SECRET}'],
        }),
      unsealed: z.enum(['refuse', 'accept']).prefault('refuse').meta({
        description:
          'Whether a mark without a seal counts where there is a secret: accept while processes begin to seal, one after the other, else refuse.',
      }),
    })
    .prefault({})
    .meta({ description: 'How the marks that records carry are protected.' }),
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).prefault('info') }).prefault({}),
});

/** The JSON schema of the file, for editors. */
export function configJsonSchema(): object {
  const whole = top.extend({ http: http.optional(), clusters: z.record(name, clusterSchema), links: z.record(name, linkSchema) });
  return { title: 'Isthmus configuration', ...z.toJSONSchema(whole, { io: 'input', target: 'draft-7' }) };
}

function readHttp(raw: unknown): { config: HttpConfig | undefined; findings: Finding[] } {
  const { whole, fields, findings } = readSection(http, raw ?? {}, ['http']);
  const all = [...findings];
  if (fields.listen !== undefined && !isLoopback(fields.listen.host) && fields.tokens?.length === 0) {
    const message = `is ${formatHostPort(fields.listen)}, which others can reach, and there are no tokens`;
    all.push({ path: ['http', 'listen'], message, hint: 'add http.tokens, or listen on 127.0.0.1', plain: true });
  }
  for (const key of ['name', 'token'] as const) {
    for (const [i, entry] of (fields.tokens ?? []).entries()) {
      const first = (fields.tokens ?? []).findIndex((other) => other[key] === entry[key]);
      if (first < i)
        all.push({
          path: ['http', 'tokens', i, key],
          message: `is the same as that of http.tokens[${first}]`,
          hint: 'each token needs its own',
          plain: true,
        });
    }
  }
  const config =
    whole === undefined || all.length > 0 ? undefined : { ...whole.listen, tokens: whole.tokens, metrics: whole.metrics };
  return { config, findings: all };
}

function readClusters(raw: object): { readings: Map<string, ClusterReading>; findings: Finding[] } {
  const readings = new Map(
    Object.entries(raw).map(([cluster, body]) => [cluster, readCluster(body, ['clusters', cluster])] as const),
  );
  const findings = [...readings.values()].flatMap((reading) => reading.findings);
  const all = [...readings];
  for (const [i, [later, reading]] of all.entries()) {
    for (const [earlier, other] of all.slice(0, i)) {
      const address = sharedAddress(reading, other);
      if (address === undefined) continue;
      const message = `shares the address ${address} with ${earlier}: one cluster under two names, whose loops could not be cut`;
      findings.push({ path: ['clusters', later], message, hint: 'keep one of the names', atKey: true, plain: true });
    }
  }
  return { readings, findings };
}

function readLinks(
  raw: object,
  clusters: ReadonlyMap<string, ClusterReading>,
  state: StateConfig['kind'],
): { links: LinkConfig[]; findings: Finding[] } {
  const readings = Object.entries(raw).map(([linkName, body]) => ({
    linkName,
    body: body as unknown,
    ...readLink(linkName, body, clusters, state, ['links', linkName]),
  }));
  const findings = readings.flatMap((reading) => reading.findings);
  const links = readings.flatMap(({ config }) => (config === undefined ? [] : [config]));
  for (const [i, later] of links.entries()) {
    const earlier = links.slice(0, i).find((other) => other.from === later.from && other.to === later.to);
    if (earlier === undefined) continue;
    const message = `joins the same clusters as the link "${earlier.name}"`;
    findings.push({
      path: ['links', later.name],
      message,
      hint: 'put the mirrors of both into one link',
      atKey: true,
      plain: true,
    });
  }
  findings.push(...endlessFindings(links));
  return { links, findings };
}

function endlessFindings(links: readonly LinkConfig[]): Finding[] {
  const endless: EndlessNames | undefined = findEndlessNames(
    links.flatMap(({ name: link, from, to, mirrors }) => mirrors.map((rule) => ({ link, mirror: rule.name, from, to, rule }))),
  );
  if (endless === undefined) return [];
  const { flow, names } = endless;
  const message = `makes topics out of its own without end: ${names.join(' -> ')} -> ...`;
  const hint = 'keep the same names both ways, or leave the copies out with exclude';
  return [{ path: ['links', flow.link, 'mirrors', flow.mirror, 'rename'], message, hint, plain: true }];
}

const DEFAULT_PREFIX = 'isthmus';
/** Parts the prefix from the rest of a key. */
const SEPARATOR = ':';

function stateConfig(parsed: StateText, resolvePath: (path: string) => string): StateConfig {
  if ('file' in parsed) return { kind: 'file', path: resolvePath(parsed.file) };
  const prefix = parsed.redis.searchParams.get('prefix') || DEFAULT_PREFIX;
  const url = new URL(parsed.redis);
  url.search = '';
  return { kind: 'redis', url: url.href, prefix: prefix.endsWith(SEPARATOR) ? prefix : prefix + SEPARATOR };
}

function mapping(raw: unknown, key: string): object {
  const value: unknown = typeof raw === 'object' && raw !== null ? Reflect.get(raw, key) : undefined;
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

/** Validates a whole configuration whose references are resolved. There is a config when there is no finding. */
export function readConfig(
  raw: unknown,
  resolvePath: (path: string) => string,
): { config: Config | undefined; findings: readonly Finding[] } {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    return {
      config: undefined,
      findings: [{ path: [], message: 'must be a mapping with region, clusters and links', plain: true }],
    };
  }
  const { whole, findings: topFindings } = readSection(top, raw, []);
  const httpReading = readHttp(Reflect.get(raw, 'http'));
  const clusters = readClusters(mapping(raw, 'clusters'));
  const state = whole !== undefined && 'redis' in whole.state ? 'redis' : 'file';
  const links = readLinks(mapping(raw, 'links'), clusters.readings, state);
  const findings = [...topFindings, ...httpReading.findings, ...clusters.findings, ...links.findings];
  if (whole === undefined || httpReading.config === undefined || findings.length > 0) return { config: undefined, findings };
  const config: Config = {
    region: whole.region,
    http: httpReading.config,
    state: stateConfig(whole.state, resolvePath),
    clusters: Object.fromEntries(
      [...clusters.readings].flatMap(([cluster, reading]) => (reading.config === undefined ? [] : [[cluster, reading.config]])),
    ),
    links: links.links,
    limits: { readAheadBytes: whole.limits.readAhead, inFlightBytes: whole.limits.inFlight },
    provenance: {
      secrets: [whole.provenance.secret ?? []].flat(),
      acceptUnsealed: whole.provenance.unsealed === 'accept',
    },
    log: whole.log,
  };
  return { config, findings };
}
