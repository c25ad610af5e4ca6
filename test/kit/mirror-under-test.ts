/** A mirror as users run it: a configuration file, a process of its own, and its HTTP API. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../scripts/brokers/free-port.ts';
import { type Replicator, replicator } from '../../scripts/demo/replicator.ts';
import type { LaneStatus, ProcessStatus } from '../../src/control/api.ts';
import { pulsarEndpoints, redisEndpoints, rocketmqEndpoints, testOffset } from './brokers.ts';

export type MirrorUnderTest = {
  readonly process: Replicator;
  readonly link: string;
  readonly url: string;
  readonly logFile: string;
  /** A request to the API; the body of the answer, whatever its status. */
  readonly api: <Result>(
    method: string,
    path: string,
    body?: unknown,
  ) => Promise<{ readonly status: number; readonly body: Result }>;
  readonly lanes: (mirror?: string) => Promise<readonly LaneStatus[]>;
  readonly status: () => Promise<ProcessStatus>;
  /** Resolves when the API answers. */
  readonly listening: () => Promise<void>;
  /** Loses the state file; the process must not run. */
  readonly forgetState: () => void;
  /** Stops the process (if it runs) and removes its files. */
  readonly remove: () => Promise<void>;
};

export type MirrorOptions = {
  /** Rules of the mirror `m`: topics, routing, filter, ... */
  readonly mirror: Readonly<Record<string, unknown>>;
  readonly state?: 'file' | 'redis';
  readonly source?: 'rmq-east' | 'rmq-timer';
  readonly offset?: number;
  /** Adds links from and to clusters where nobody listens. */
  readonly deadLinks?: boolean;
};

let count = 0;

// Ports of the IANA's reserved range, where nothing listens.
const deadClusters = {
  'rmq-dead': { type: 'rocketmq', region: 'east', namesrv: ['127.0.0.1:3'] },
  'pulsar-dead': { type: 'pulsar', region: 'west', serviceUrl: 'pulsar://127.0.0.1:4', adminUrl: 'http://127.0.0.1:5' },
};

function deadLinks(source: string): object {
  const rename = 'persistent://public/default/from-dead-{topic}';
  return {
    'dead-source': { from: 'rmq-dead', to: 'pulsar-west', mirrors: { m: { topics: ['*'], rename } } },
    'dead-target': { from: source, to: 'pulsar-dead', mirrors: { m: { topics: ['*'] } } },
  };
}

/** Writes the configuration; nothing runs yet. Each call has a link and so a consumer group and a state of its own. */
export async function mirrorUnderTest(options: MirrorOptions): Promise<MirrorUnderTest> {
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-test-'));
  const offset = options.offset ?? testOffset;
  const source = options.source ?? 'rmq-east';
  const link = `t${Date.now().toString(36)}-${++count}`;
  const port = await freePort();
  const configFile = join(folder, 'isthmus.yaml');
  const logFile = join(folder, 'isthmus.log');
  const { serviceUrl, adminUrl } = pulsarEndpoints('pulsar-west', offset);
  const config = {
    region: 'west',
    http: { listen: `127.0.0.1:${port}` },
    state:
      options.state === 'redis'
        ? `${redisEndpoints('redis-east', offset).url}/${count % 16}?prefix=${link}`
        : `file:${join(folder, 'state.db')}`,
    clusters: {
      [source]: { type: 'rocketmq', region: 'east', namesrv: [rocketmqEndpoints(source, offset).namesrv] },
      'pulsar-west': { type: 'pulsar', region: 'west', serviceUrl, adminUrl },
      ...(options.deadLinks === true ? deadClusters : {}),
    },
    links: {
      [link]: { from: source, to: 'pulsar-west', mirrors: { m: options.mirror } },
      ...(options.deadLinks === true ? deadLinks(source) : {}),
    },
  };
  writeFileSync(configFile, JSON.stringify(config, null, 2));
  const process = replicator(configFile, logFile);
  const url = `http://127.0.0.1:${port}`;
  const api = async <Result>(method: string, path: string, body?: unknown): Promise<{ status: number; body: Result }> => {
    const init =
      body === undefined ? { method } : { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    const response = await fetch(`${url}${path}`, init);
    const text = await response.text();
    // The shape is the caller's knowledge of the API; DELETE answers nothing.
    return { status: response.status, body: (text === '' ? undefined : JSON.parse(text)) as Result };
  };
  return {
    process,
    link,
    url,
    logFile,
    api,
    lanes: async (mirror = 'm') => (await api<{ lanes: LaneStatus[] }>('GET', `/v1/mirrors/${link}/${mirror}/lanes`)).body.lanes,
    status: async () => (await api<ProcessStatus>('GET', '/v1/status')).body,
    listening: async () => await eventually('the API answers', async () => (await api('GET', '/healthz')).status === 200),
    forgetState: () => {
      for (const suffix of ['', '-wal', '-shm']) rmSync(join(folder, `state.db${suffix}`), { force: true });
    },
    remove: async () => {
      await process.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until a condition holds; a throw counts as not yet. Fails with what was waited for and the last error. */
export async function eventually(what: string, condition: () => Promise<boolean>, limitMillis = 200_000): Promise<void> {
  const deadline = performance.now() + limitMillis;
  let last: unknown = 'it did not hold';
  while (performance.now() < deadline) {
    try {
      if (await condition()) return;
      last = 'it did not hold';
    } catch (error) {
      last = error;
    }
    await sleep(100);
  }
  throw new Error(`waited ${limitMillis} ms until ${what}: ${String(last)}`);
}
