/**
 * Names and fixed ports of the test bed's servers, so that people, the demo and the tests know them without asking.
 *
 * Two beds stand side by side by a port offset. The last two digits of all ports differ between servers, except that a west server and `rmq-timer` are
 * their east twin plus 10000 or 20000: any offset that is a multiple of 100 and not of 10000 is free of clashes.
 */

export type RocketmqName = 'rmq-east' | 'rmq-east-b' | 'rmq-west' | 'rmq-timer' | 'rmq-timer-west';
export type PulsarName = 'pulsar-east' | 'pulsar-west' | 'pulsar-full';
export type RedisName = 'redis-east' | 'redis-west';
export type ServerName = RocketmqName | PulsarName | RedisName;

type RocketmqRow = {
  readonly kind: 'rocketmq';
  /** Cluster name; a row whose name differs is a further broker of that cluster and uses its namesrv. */
  readonly cluster: string;
  readonly brokerName: string;
  readonly timerWheel: boolean;
  readonly ports: {
    readonly namesrv: number;
    readonly broker: number;
    readonly proxyGrpc: number;
    readonly proxyRemoting: number;
  };
};

type PulsarRow = {
  readonly kind: 'pulsar';
  readonly ports: {
    readonly service: number;
    readonly admin: number;
    readonly bookie: number;
    /** Ports for TLS; there are some where everything is on that is off by default. */
    readonly serviceTls?: number;
    readonly adminTls?: number;
  };
};

type RedisRow = { readonly kind: 'redis'; readonly ports: { readonly redis: number } };

// Taken for database captures: mariadb 23306, postgres 25432.
const rocketmqRows: Readonly<Record<RocketmqName, RocketmqRow>> = {
  'rmq-east': {
    kind: 'rocketmq',
    cluster: 'rmq-east',
    brokerName: 'broker-a',
    timerWheel: false,
    ports: { namesrv: 29876, broker: 20911, proxyGrpc: 28081, proxyRemoting: 28080 },
  },
  'rmq-east-b': {
    kind: 'rocketmq',
    cluster: 'rmq-east',
    brokerName: 'broker-b',
    timerWheel: false,
    ports: { namesrv: 29876, broker: 20931, proxyGrpc: 28091, proxyRemoting: 28090 },
  },
  'rmq-west': {
    kind: 'rocketmq',
    cluster: 'rmq-west',
    brokerName: 'broker-a',
    timerWheel: false,
    ports: { namesrv: 39876, broker: 30911, proxyGrpc: 38081, proxyRemoting: 38080 },
  },
  'rmq-timer': {
    kind: 'rocketmq',
    cluster: 'rmq-timer',
    brokerName: 'broker-a',
    timerWheel: true,
    ports: { namesrv: 49876, broker: 40911, proxyGrpc: 48081, proxyRemoting: 48080 },
  },
  // Its own last digits: another 10000 on top would leave little room for offsets.
  'rmq-timer-west': {
    kind: 'rocketmq',
    cluster: 'rmq-timer-west',
    brokerName: 'broker-a',
    timerWheel: true,
    ports: { namesrv: 49886, broker: 40941, proxyGrpc: 48061, proxyRemoting: 48060 },
  },
};

const pulsarRows: Readonly<Record<PulsarName, PulsarRow>> = {
  'pulsar-east': { kind: 'pulsar', ports: { service: 26650, admin: 28082, bookie: 23181 } },
  'pulsar-west': { kind: 'pulsar', ports: { service: 36650, admin: 38082, bookie: 33181 } },
  'pulsar-full': {
    kind: 'pulsar',
    ports: { service: 46650, admin: 48082, bookie: 43181, serviceTls: 46651, adminTls: 48083 },
  },
};

const redisRows: Readonly<Record<RedisName, RedisRow>> = {
  'redis-east': { kind: 'redis', ports: { redis: 26379 } },
  'redis-west': { kind: 'redis', ports: { redis: 36379 } },
};

const rows: Readonly<Record<ServerName, RocketmqRow | PulsarRow | RedisRow>> = { ...rocketmqRows, ...pulsarRows, ...redisRows };

/** Every server that can be named, in the order in which they are listed. */
export const serverNames: readonly ServerName[] = Object.keys(rows).filter(isServerName);

/** What `up` starts when no name is given; the others are for tests that ask for them. */
export const defaultNames: readonly ServerName[] = [
  'rmq-east',
  'rmq-west',
  'pulsar-east',
  'pulsar-west',
  'redis-east',
  'redis-west',
];

export function isServerName(name: string): name is ServerName {
  return Object.hasOwn(rows, name);
}

export function isPulsarName(name: ServerName): name is PulsarName {
  return Object.hasOwn(pulsarRows, name);
}

const host = '127.0.0.1';

/** A RocketMQ broker of the bed. Addresses are `host:port`. */
export type RocketmqEndpoints = {
  readonly kind: 'rocketmq';
  readonly name: RocketmqName;
  readonly cluster: string;
  readonly brokerName: string;
  readonly timerWheel: boolean;
  /** False for a further broker of a cluster, which registers with the first broker's namesrv. */
  readonly ownsNamesrv: boolean;
  readonly namesrv: string;
  readonly broker: string;
  readonly proxyGrpc: string;
  readonly proxyRemoting: string;
  readonly ports: RocketmqRow['ports'];
};

/** A Pulsar standalone of the bed; its cluster name is its name. */
export type PulsarEndpoints = {
  readonly kind: 'pulsar';
  readonly name: PulsarName;
  readonly serviceUrl: string;
  readonly adminUrl: string;
  /** The same over TLS, where the server speaks it; it then also has transactions and tokens. */
  readonly tls: { readonly serviceUrl: string; readonly adminUrl: string } | undefined;
  readonly ports: PulsarRow['ports'];
};

export type RedisEndpoints = {
  readonly kind: 'redis';
  readonly name: RedisName;
  readonly url: string;
  readonly ports: RedisRow['ports'];
};

export type Endpoints = RocketmqEndpoints | PulsarEndpoints | RedisEndpoints;

export function rocketmqEndpoints(name: RocketmqName, offset: number): RocketmqEndpoints {
  const { kind, cluster, brokerName, timerWheel, ports: base } = rocketmqRows[name];
  const ports = {
    namesrv: base.namesrv + offset,
    broker: base.broker + offset,
    proxyGrpc: base.proxyGrpc + offset,
    proxyRemoting: base.proxyRemoting + offset,
  };
  return {
    kind,
    name,
    cluster,
    brokerName,
    timerWheel,
    ownsNamesrv: cluster === name,
    namesrv: `${host}:${ports.namesrv}`,
    broker: `${host}:${ports.broker}`,
    proxyGrpc: `${host}:${ports.proxyGrpc}`,
    proxyRemoting: `${host}:${ports.proxyRemoting}`,
    ports,
  };
}

export function pulsarEndpoints(name: PulsarName, offset: number): PulsarEndpoints {
  const { kind, ports: base } = pulsarRows[name];
  const { serviceTls, adminTls } = base;
  const plain = { service: base.service + offset, admin: base.admin + offset, bookie: base.bookie + offset };
  const common = {
    kind,
    name,
    serviceUrl: `pulsar://${host}:${plain.service}`,
    adminUrl: `http://${host}:${plain.admin}`,
  };
  if (serviceTls === undefined || adminTls === undefined) return { ...common, tls: undefined, ports: plain };
  const ports = { ...plain, serviceTls: serviceTls + offset, adminTls: adminTls + offset };
  const tls = { serviceUrl: `pulsar+ssl://${host}:${ports.serviceTls}`, adminUrl: `https://${host}:${ports.adminTls}` };
  return { ...common, tls, ports };
}

export function redisEndpoints(name: RedisName, offset: number): RedisEndpoints {
  const { kind, ports: base } = redisRows[name];
  const ports = { redis: base.redis + offset };
  return { kind, name, url: `redis://${host}:${ports.redis}`, ports };
}

/** Endpoints of any server, for code that goes over all of them; the three functions above give the precise type. */
export function endpointsOf(name: ServerName, offset: number): Endpoints {
  if (isPulsarName(name)) return pulsarEndpoints(name, offset);
  return isRedisName(name) ? redisEndpoints(name, offset) : rocketmqEndpoints(name, offset);
}

function isRedisName(name: ServerName): name is RedisName {
  return Object.hasOwn(redisRows, name);
}

/** Ports that a server listens on, also those it opens unasked: a RocketMQ broker adds listenPort - 2 and + 1. */
export function listenedPorts(endpoints: Endpoints): readonly number[] {
  switch (endpoints.kind) {
    case 'rocketmq': {
      const { namesrv, broker, proxyGrpc, proxyRemoting } = endpoints.ports;
      const own = [broker, broker - 2, broker + 1, proxyGrpc, proxyRemoting];
      return endpoints.ownsNamesrv ? [namesrv, ...own] : own;
    }
    case 'pulsar':
    case 'redis':
      return Object.values(endpoints.ports);
  }
}

/** The addresses of a server that a person may want, each with its label. */
export function describeEndpoints(endpoints: Endpoints): readonly string[] {
  switch (endpoints.kind) {
    case 'rocketmq':
      return [
        `namesrv ${endpoints.namesrv}`,
        `broker ${endpoints.broker}`,
        `proxy gRPC ${endpoints.proxyGrpc}`,
        `proxy remoting ${endpoints.proxyRemoting}`,
      ];
    case 'pulsar':
      return [
        endpoints.serviceUrl,
        `admin ${endpoints.adminUrl}`,
        `bookie ${host}:${endpoints.ports.bookie}`,
        ...(endpoints.tls === undefined ? [] : [endpoints.tls.serviceUrl, `admin ${endpoints.tls.adminUrl}`]),
      ];
    case 'redis':
      return [endpoints.url];
  }
}

/** Adds the server that owns the namesrv before each broker that only joins its cluster; each name once. */
export function withNamesrvOwners(names: readonly ServerName[]): readonly ServerName[] {
  const all = names.flatMap((name) => {
    const row = rows[name];
    return row.kind === 'rocketmq' && isServerName(row.cluster) ? [row.cluster, name] : [name];
  });
  return [...new Set(all)];
}

/** Reads a port offset; undefined or empty is 0. Throws where a port would leave the range of ports. */
export function parseOffset(text: string | undefined): number {
  if (text === undefined || text === '') return 0;
  const offset = Number(text);
  const highest = Math.max(...serverNames.flatMap((name) => listenedPorts(endpointsOf(name, 0))));
  const lowest = Math.min(...serverNames.flatMap((name) => listenedPorts(endpointsOf(name, 0))));
  if (!Number.isInteger(offset) || highest + offset > 65_535 || lowest + offset < 1024) {
    throw new RangeError(
      `the port offset must be a whole number from ${1024 - lowest} to ${65_535 - highest}, got ${JSON.stringify(text)}`,
    );
  }
  return offset;
}
