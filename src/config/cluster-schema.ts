import { z } from 'zod';
import {
  durationField,
  formatHostPort,
  type HostPort,
  name,
  type Parsed,
  parseHostPort,
  sameAddressKey,
  textField,
} from './fields.ts';
import { readSection } from './issues.ts';
import { closest, type Finding, type Path } from './problems.ts';
import type { ClusterType } from './topic-patterns.ts';
import type {
  ClusterConfig,
  PulsarAuth,
  PulsarClusterConfig,
  RocketmqClusterConfig,
  RocketmqProxyConfig,
  TlsConfig,
} from './types.ts';

const MAX_ADDRESSES = 32;

const address = textField('must be host:port', (text): Parsed<HostPort> => {
  const parsed = parseHostPort(text, 1);
  if (parsed !== undefined) return { value: parsed };
  return {
    wrong: 'must be host:port',
    hint: text.includes(';') ? 'write each address as an entry of its own' : 'for example broker-1:9876, or [::1]:9876',
  };
});

interface ServiceUrl {
  readonly tls: boolean;
  readonly addresses: readonly HostPort[];
}

const serviceUrl = textField('must be pulsar://host:port or pulsar+ssl://host:port', (text): Parsed<ServiceUrl> => {
  const wrong: Parsed<ServiceUrl> = {
    wrong: 'must be pulsar://host:port or pulsar+ssl://host:port, several hosts separated by commas',
    hint: 'for example pulsar://broker-1:6650,broker-2:6650',
  };
  const match = /^pulsar(\+ssl)?:\/\/([^/]+)\/?$/.exec(text);
  const tls = match?.[1] !== undefined;
  const addresses = (match?.[2] ?? '')
    .split(',')
    .map((host) => parseHostPort(host, 1) ?? parseHostPort(`${host}:${tls ? 6651 : 6650}`, 1));
  const known = addresses.filter((host) => host !== undefined);
  return known.length === addresses.length && known.length <= MAX_ADDRESSES ? { value: { tls, addresses: known } } : wrong;
});

const adminUrl = textField('must be an http:// or https:// address', (text): Parsed<URL> => {
  const hint = 'for example http://broker-1:8080';
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) return { wrong: 'must be an http:// or https:// address', hint };
  if (url.username !== '' || url.password !== '')
    return { wrong: 'must hold no user and password', hint: 'credentials belong under auth' };
  return url.pathname === '/' && url.search === '' && url.hash === ''
    ? { value: url }
    : { wrong: 'must end after the host and port', hint };
});

/** What proxies take as an invisible duration, and somewhat more at either end. */
const popWindow = durationField(10_000, 24 * 3_600_000, '60s');

const text = z.string().min(1);
const PEM = 'path of a PEM file, or the PEM text itself';

const tls = z.strictObject({
  ca: text.optional().meta({ description: `Certificates to trust instead of the system's: ${PEM}.` }),
  cert: text.optional().meta({ description: `Our certificate, for clusters that ask for one: ${PEM}.` }),
  key: text.optional().meta({ description: `The key of our certificate: ${PEM}.` }),
  serverName: text
    .optional()
    .meta({ description: 'Name that the certificate of the cluster carries, where it is not the host.' }),
  allowUntrusted: z.boolean().prefault(false).meta({ description: 'Takes any certificate. For tests.' }),
});

const region = name.meta({ description: 'Where the cluster is.', examples: ['east'] });
const SECRET = 'A secret: write ${NAME} for an environment variable, or file:PATH.';

const rocketmq = z.strictObject({
  type: z.literal('rocketmq'),
  driver: z
    .literal('remoting')
    .optional()
    .meta({ description: 'How the cluster is reached: remoting (the brokers themselves) or grpc (its proxy).' }),
  region,
  namesrv: z
    .array(address)
    .min(1)
    .max(MAX_ADDRESSES)
    .meta({ description: 'Name servers, host:port.', examples: [['127.0.0.1:9876']] }),
  auth: z
    .strictObject({
      accessKey: text.meta({ description: 'Name of the account.' }),
      secretKey: text.meta({ description: SECRET, examples: ['${ROCKETMQ_SECRET_KEY}'] }),
      securityToken: text.optional().meta({ description: `For temporary credentials. ${SECRET}` }),
    })
    .optional()
    .meta({ description: 'For clusters with access control.' }),
  tls: tls.optional().meta({ description: 'Speaks TLS when present; {} trusts what the system trusts.' }),
  popWindow: popWindow.prefault('60s').meta({
    description:
      'For groups of gRPC (POP) consumers that follow to another cluster: longer, by 10 s and more, than their consumers may have a message without acknowledging it.',
    examples: ['60s'],
  }),
});

const rocketmqProxy = z.strictObject({
  type: z.literal('rocketmq'),
  driver: z
    .literal('grpc')
    .meta({ description: 'Through the proxy, at least once: for clusters whose brokers cannot be reached.' }),
  region,
  endpoints: z
    .array(address)
    .min(1)
    .max(MAX_ADDRESSES)
    .meta({ description: 'Proxies, host:port.', examples: [['127.0.0.1:8081']] }),
  namespace: z.string().prefault('').meta({ description: 'Namespace of topics and groups; none when empty.' }),
  auth: z
    .strictObject({
      accessKey: text.meta({ description: 'Name of the account.' }),
      secretKey: text.meta({ description: SECRET, examples: ['${ROCKETMQ_SECRET_KEY}'] }),
    })
    .optional()
    .meta({ description: 'For clusters with access control.' }),
  tls: z.boolean().prefault(false).meta({ description: 'Speaks TLS.' }),
});

const pulsar = z.strictObject({
  type: z.literal('pulsar'),
  driver: z.enum(['wire', 'native']).prefault('wire').meta({
    description:
      'How the cluster is reached: wire (the brokers themselves) or native (the official client, which has to be installed: npm install pulsar-client).',
  }),
  region,
  serviceUrl: serviceUrl.meta({
    description: 'Brokers or a proxy: pulsar://, or pulsar+ssl:// for TLS.',
    examples: ['pulsar://127.0.0.1:6650'],
  }),
  adminUrl: adminUrl.meta({ description: 'Admin REST address.', examples: ['http://127.0.0.1:8080'] }),
  auth: z
    .strictObject({
      token: text.optional().meta({
        description: `${SECRET} A file is read again whenever the broker asks for a fresh token.`,
        examples: ['file:/run/secrets/pulsar-token'],
      }),
      tls: z.literal(true).optional().meta({ description: 'Authenticate with the certificate under tls.' }),
    })
    .optional()
    .meta({ description: 'For clusters with authentication: a token, or tls.' }),
  tls: tls
    .optional()
    .meta({ description: 'What to trust and to show where the addresses begin with pulsar+ssl:// or https://.' }),
  listenerName: text.optional().meta({ description: 'Advertised listener to ask for.' }),
});

/** One cluster of either kind, for the JSON schema. */
export const clusterSchema: z.ZodType = z.union([rocketmq, rocketmqProxy, pulsar]);

/** What a cluster's mapping says. */
export interface ClusterReading {
  readonly config: ClusterConfig | undefined;
  readonly type: ClusterType | undefined;
  /** Keys of the addresses, for finding one cluster under two names. */
  readonly addresses: readonly string[];
  readonly findings: readonly Finding[];
}

function tlsConfig(fields: z.output<typeof tls> | undefined): TlsConfig | undefined {
  if (fields === undefined) return undefined;
  const { ca, cert, key, serverName, allowUntrusted } = fields;
  return { ca, cert, key, serverName, allowUntrusted };
}

function tlsFindings(fields: z.output<typeof tls> | undefined, base: Path): Finding[] {
  if (fields === undefined || (fields.cert === undefined) === (fields.key === undefined)) return [];
  const [there, missing] = fields.cert === undefined ? ['key', 'cert'] : ['cert', 'key'];
  return [{ path: [...base, 'tls', missing], message: `is missing: ${there} needs it`, plain: true }];
}

function readRocketmq(raw: unknown, base: Path): ClusterReading {
  const { whole, fields, findings } = readSection(rocketmq, raw, base);
  const all = [...findings, ...tlsFindings(fields.tls, base)];
  const addresses = (fields.namesrv ?? []).map(sameAddressKey);
  if (whole === undefined || all.length > 0) return { config: undefined, type: 'rocketmq', addresses, findings: all };
  const config: RocketmqClusterConfig = {
    type: 'rocketmq',
    region: whole.region,
    namesrv: whole.namesrv.map(formatHostPort),
    auth:
      whole.auth === undefined
        ? undefined
        : { accessKey: whole.auth.accessKey, secretKey: whole.auth.secretKey, securityToken: whole.auth.securityToken },
    tls: tlsConfig(whole.tls),
    popWindowMillis: whole.popWindow,
  };
  return { config, type: 'rocketmq', addresses, findings: all };
}

function readRocketmqProxy(raw: unknown, base: Path): ClusterReading {
  const { whole, fields, findings } = readSection(rocketmqProxy, raw, base);
  const addresses = (fields.endpoints ?? []).map(sameAddressKey);
  const config: RocketmqProxyConfig | undefined =
    whole === undefined
      ? undefined
      : {
          type: 'rocketmq',
          driver: 'grpc',
          region: whole.region,
          endpoints: whole.endpoints.map(formatHostPort),
          namespace: whole.namespace,
          auth: whole.auth,
          tls: whole.tls,
        };
  return { config: findings.length > 0 ? undefined : config, type: 'rocketmq', addresses, findings };
}

function pulsarAuth(fields: z.output<typeof pulsar>): PulsarAuth | undefined {
  if (fields.auth === undefined) return undefined;
  const { token } = fields.auth;
  if (token === undefined) return { kind: 'tls' };
  return token.startsWith('file:') ? { kind: 'token-file', path: token.slice('file:'.length) } : { kind: 'token', token };
}

function pulsarFindings(fields: Partial<z.output<typeof pulsar>>, base: Path): Finding[] {
  const findings = tlsFindings(fields.tls, base);
  if (fields.auth !== undefined && (fields.auth.token === undefined) === (fields.auth.tls === undefined)) {
    findings.push({ path: [...base, 'auth'], message: 'must have either token or tls', plain: true });
  }
  if (fields.auth?.tls !== undefined && (fields.tls?.cert === undefined || fields.tls.key === undefined)) {
    findings.push({
      path: [...base, 'auth', 'tls'],
      message: 'needs a certificate',
      hint: 'give cert and key under tls',
      plain: true,
    });
  }
  if (fields.driver === 'native' && fields.tls?.serverName !== undefined) {
    findings.push({
      path: [...base, 'tls', 'serverName'],
      message: 'has no effect with driver: native',
      hint: 'use driver: wire, or an address that the certificate carries',
      plain: true,
    });
  }
  const encrypted = fields.serviceUrl?.tls === true || fields.adminUrl?.protocol === 'https:';
  if (fields.tls !== undefined && fields.serviceUrl !== undefined && fields.adminUrl !== undefined && !encrypted) {
    findings.push({
      path: [...base, 'tls'],
      message: 'has no effect: neither address is encrypted',
      hint: 'use pulsar+ssl:// and https://, or leave tls out',
      plain: true,
    });
  }
  return findings;
}

function readPulsar(raw: unknown, base: Path): ClusterReading {
  const { whole, fields, findings } = readSection(pulsar, raw, base);
  const all = [...findings, ...pulsarFindings(fields, base)];
  const addresses = (fields.serviceUrl?.addresses ?? []).map(sameAddressKey);
  if (whole === undefined || all.length > 0) return { config: undefined, type: 'pulsar', addresses, findings: all };
  const config: PulsarClusterConfig = {
    type: 'pulsar',
    driver: whole.driver,
    region: whole.region,
    serviceUrl: `pulsar${whole.serviceUrl.tls ? '+ssl' : ''}://${whole.serviceUrl.addresses.map(formatHostPort).join(',')}`,
    adminUrl: whole.adminUrl.origin,
    auth: pulsarAuth(whole),
    tls: tlsConfig(whole.tls),
    listenerName: whole.listenerName,
  };
  return { config, type: 'pulsar', addresses, findings: all };
}

/** Validates one cluster; which fields there are depends on its type. */
export function readCluster(raw: unknown, base: Path): ClusterReading {
  const field = (key: string): unknown => (typeof raw === 'object' && raw !== null ? Reflect.get(raw, key) : undefined);
  const type = field('type');
  if (type === 'rocketmq') return field('driver') === 'grpc' ? readRocketmqProxy(raw, base) : readRocketmq(raw, base);
  if (type === 'pulsar') return readPulsar(raw, base);
  const finding = ((): Finding => {
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
      return { path: base, message: 'must be a mapping with a type', plain: true };
    const guess = typeof type === 'string' ? closest(type, ['rocketmq', 'pulsar']) : undefined;
    if (type === undefined) return { path: [...base, 'type'], message: 'is missing; it must be rocketmq or pulsar', plain: true };
    return {
      path: [...base, 'type'],
      message: 'must be rocketmq or pulsar',
      hint: guess === undefined ? undefined : `did you mean "${guess}"?`,
    };
  })();
  return { config: undefined, type: undefined, addresses: [], findings: [finding] };
}
