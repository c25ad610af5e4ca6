import { connect } from 'node:net';
import type { Control, LaneStatus, MirrorStatus } from '../../../src/control/api.ts';
import { IsthmusError } from '../../../src/errors.ts';
import type { HttpDeps } from '../../../src/http/api.ts';
import { createHttpApp } from '../../../src/http/app.ts';
import { type HttpServer, type ServeLimits, serveHttp } from '../../../src/http/serve.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { type MirrorSpec, PLAIN_RULES } from '../../../src/model/mirror-spec.ts';
import { offsetPosition } from '../../../src/model/position.ts';
import type { Log, LogFields } from '../../../src/spi/log.ts';
import type { MirrorKey } from '../../../src/spi/state-store.ts';
import { type FakeFailbacks, fakeFailbacks } from './fake-failbacks.ts';
import { type FakeFailovers, fakeFailovers } from './fake-failovers.ts';
import { type FakeGroups, fakeGroups } from './fake-groups.ts';
import { type FakeReplays, fakeReplays } from './fake-replays.ts';
import { type FakeVerifications, fakeVerifications } from './fake-verifications.ts';

export const ADMIN = 'an-admin-token-0123456789';
export const READER = 'a-reader-token-0123456789';
export const TOKENS: HttpDeps['http']['tokens'] = [
  { name: 'ops', token: ADMIN, role: 'admin' },
  { name: 'board', token: READER, role: 'read' },
];

const SPEC: MirrorSpec = {
  name: 'orders',
  topics: ['orders-*'],
  exclude: [],
  rename: 'persistent://public/default/{topic}',
  start: Date.UTC(2026, 10, 1),
  routing: { mode: 'key', by: { kind: 'property', name: 'customer' }, partitions: undefined },
  filter: { tags: [], properties: {} },
  onBadRecord: 'stop-lane',
  deadLetterTopic: 'persistent://public/default/{topic}-dead-letter',
  batching: 'auto',
  compression: 'none',
  retentionMinutes: undefined,
  ...PLAIN_RULES,
};

const LANE: LaneStatus = {
  topic: 'orders-eu',
  lane: 'broker-a:3',
  targetTopic: 'persistent://public/default/orders-eu',
  targetPartitions: [3],
  state: 'waiting',
  next: '125000',
  source: { begin: '0', end: '125010' },
  target: { 3: '812:45' },
  lagRecords: 10,
  lagSeconds: 0.5,
  recordsStored: 125_000,
  recordsDropped: 0,
  deadLetters: 0,
  windowInForce: null,
  gaps: [{ from: '5', to: '9', reason: 'expired', at: 1_000 }],
  trouble: { code: 'CONNECT_FAILED', message: 'connecting to broker-a: refused', since: 2_000 },
};

/** A control room that holds its mirrors in memory. */
export interface FakeControl extends Control {
  readonly verifications: FakeVerifications;
  readonly replays: FakeReplays;
  readonly groups: FakeGroups;
  readonly failovers: FakeFailovers;
  readonly failbacks: FakeFailbacks;
  readonly specs: Map<string, { link: string; spec: MirrorSpec; definedBy: 'file' | 'api'; paused: boolean }>;
  ready: boolean;
}

const keyText = (key: MirrorKey): string => `${key.link}/${key.mirror}`;

export function fakeControl(overrides: Partial<Control> = {}): FakeControl {
  const specs: FakeControl['specs'] = new Map([
    ['east-west/orders', { link: 'east-west', spec: SPEC, definedBy: 'file', paused: false }],
  ]);
  const entry = (key: MirrorKey) => {
    const found = specs.get(keyText(key));
    if (found === undefined) throw new IsthmusError('NOT_FOUND', `looking for the mirror ${keyText(key)}: there is none`);
    return found;
  };
  const status = (key: MirrorKey): MirrorStatus => {
    const { link, spec, definedBy, paused } = entry(key);
    return {
      link,
      spec,
      definedBy,
      from: 'rmq-east',
      to: 'pulsar-west',
      state: paused ? 'paused' : 'running',
      trouble: null,
      topics: ['orders-eu'],
      lanes: { total: 1, running: 0, waiting: 1, stopped: 0 },
      lagRecords: 10,
      lagSeconds: 0.5,
    };
  };
  const ofApi = (key: MirrorKey): void => {
    if (entry(key).definedBy === 'file') throw new IsthmusError('CONFLICT', 'changing a mirror: it is defined in the file');
  };
  const control: FakeControl = {
    specs,
    ready: true,
    status: () => ({
      region: 'west',
      version: '1.2.3',
      startedAt: 0,
      stateAvailable: true,
      ready: control.ready,
      reasons: control.ready ? [] : ['mirror east-west/orders waits'],
    }),
    clusters: () => [
      { name: 'rmq-east', type: 'rocketmq', region: 'east', reachable: true, trouble: null },
      { name: 'pulsar-west', type: 'pulsar', region: 'west', reachable: false, trouble: LANE.trouble },
    ],
    checkCluster: (cluster) => Promise.resolve([{ what: `connect to ${cluster}`, ok: false, detail: 'refused' }]),
    topics: () => Promise.resolve(['orders-eu', 'orders-us']),
    topic: (_, topic) =>
      Promise.resolve({
        description: {
          topic,
          lanes: [
            { lane: 'broker-a:0', readable: true, writable: true },
            { lane: 'broker-a:1', readable: true, writable: false },
          ],
          settings: { type: 'NORMAL' },
        },
        extents: new Map([['broker-a:0', { begin: offsetPosition(1), end: offsetPosition(9) }]]),
      }),
    mirrors: () => [...specs.values()].map(({ link, spec }) => status({ link, mirror: spec.name })),
    mirror: status,
    lanes: (key) => (entry(key), [LANE]),
    addMirror: (link, spec) => {
      const key = { link, mirror: spec.name };
      if (specs.has(keyText(key)))
        return Promise.reject(new IsthmusError('CONFLICT', `adding the mirror ${keyText(key)}: it exists`));
      specs.set(keyText(key), { link, spec, definedBy: 'api', paused: false });
      return Promise.resolve(status(key));
    },
    changeMirror: async (key, spec) => {
      ofApi(key);
      entry(key).spec = spec;
      return status(key);
    },
    deleteMirror: async (key) => {
      ofApi(key);
      specs.delete(keyText(key));
    },
    pauseMirror: async (key) => {
      entry(key).paused = true;
      return status(key);
    },
    resumeMirror: async (key) => {
      entry(key).paused = false;
      return status(key);
    },
    restartMirror: async (key) => status(key),
    ...overrides,
    verifications: fakeVerifications(),
    replays: fakeReplays(),
    groups: fakeGroups(),
    failovers: fakeFailovers(),
    failbacks: fakeFailbacks(),
  };
  return control;
}

export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly fields: LogFields;
}

export function memoryLog(lines: LogLine[]): Log {
  const at =
    (level: string) =>
    (event: string, fields: LogFields = {}) =>
      void lines.push({ level, event, fields });
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log };
  return log;
}

export interface Api {
  readonly server: HttpServer;
  readonly control: FakeControl;
  readonly log: LogLine[];
  /** Asks over a real socket, as an admin where nothing else is said. */
  ask(
    method: string,
    path: string,
    options?: { body?: unknown; token?: string | null; headers?: Record<string, string> },
  ): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

export async function startApi(
  options: {
    tokens?: HttpDeps['http']['tokens'];
    metrics?: 'open' | 'token';
    control?: Partial<Control>;
    limits?: Partial<ServeLimits>;
  } = {},
): Promise<Api> {
  const control = fakeControl(options.control);
  const log: LogLine[] = [];
  const app = createHttpApp({
    control,
    links: [{ name: 'east-west', from: 'rmq-east', to: 'pulsar-west' }],
    metrics: { render: () => Promise.resolve('isthmus_up 1\n'), contentType: 'text/plain; version=0.0.4' },
    state: 'file',
    http: { tokens: options.tokens ?? TOKENS, metrics: options.metrics ?? 'token' },
    log: memoryLog(log),
    clock: systemClock,
    version: '1.2.3',
  });
  const server = await serveHttp(app, '127.0.0.1', 0, options.limits);
  return {
    server,
    control,
    log,
    async ask(method, path, { body, token = ADMIN, headers = {} } = {}) {
      const response = await fetch(`${server.url}${path}`, {
        method,
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const json =
        text !== '' && /json/.test(response.headers.get('content-type') ?? '')
          ? (JSON.parse(text) as Record<string, unknown>)
          : {};
      return { status: response.status, headers: response.headers, text, body: json };
    },
  };
}

/** Writes bytes as they are and returns all that comes back until the other side closes, or until `enough` says so. */
export function rawExchange(
  port: number,
  request: string | Buffer,
  enough: (answer: string) => boolean = () => false,
): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    socket.on('data', (chunk) => {
      answer += chunk.toString();
      if (enough(answer)) socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}
