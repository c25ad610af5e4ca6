/** Mirrors as users run them: a configuration file, a process of its own, and its HTTP API. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../scripts/brokers/free-port.ts';
import type { Program } from '../../scripts/program/program.ts';
import { replicator } from '../../scripts/program/replicator.ts';
import type { LaneStatus, MirrorStatus, ProcessStatus } from '../../src/control/api.ts';
import { redisEndpoints, testOffset } from './brokers.ts';
import { type ClusterName, clusterConfig } from './cluster-eyes.ts';

type Section = Readonly<Record<string, unknown>>;

/** A link of the configuration; its name gets the run's stem in front. */
export type LinkUnderTest = {
  readonly name: string;
  readonly from: ClusterName;
  readonly to: ClusterName;
  /** Which consumer groups follow, and how. */
  readonly groups?: Section;
  /** What a failover calls. */
  readonly failover?: Section | object;
  /** Rules by name of mirror: topics, routing, filter, ... */
  readonly mirrors: Readonly<Record<string, Section>>;
};

export type MirrorUnderTest = {
  readonly process: Program;
  /** Name of the first link. */
  readonly link: string;
  /** Names of all links, in the order given. */
  readonly links: readonly string[];
  readonly url: string;
  readonly configFile: string;
  readonly logFile: string;
  /** A request to the API; the body of the answer, whatever its status. */
  readonly api: <Result>(
    method: string,
    path: string,
    body?: unknown,
  ) => Promise<{ readonly status: number; readonly body: Result }>;
  readonly lanes: (mirror?: string, link?: string) => Promise<readonly LaneStatus[]>;
  readonly mirrors: () => Promise<readonly MirrorStatus[]>;
  readonly status: () => Promise<ProcessStatus>;
  /** Resolves when the API answers. */
  readonly listening: () => Promise<void>;
  /** Loses the state file; the process must not run. */
  readonly forgetState: () => void;
  /** The same configuration for a second process, with an API of its own: what somebody starts by mistake. */
  readonly twin: () => Promise<MirrorUnderTest>;
  /** Stops the process (if it runs) and removes its files. */
  readonly remove: () => Promise<void>;
};

export type RunOptions = {
  readonly state?: 'file' | 'redis';
  readonly offset?: number;
  /** Sections that replace those of clusters, as where a proxy stands in front of one. */
  readonly clusters?: Readonly<Record<string, Section>>;
  /** Further sections of the configuration: `provenance`, `limits`, ... */
  readonly config?: Section;
  /** Modules that the process loads before the program. */
  readonly imports?: readonly string[];
};

export type MirrorOptions = RunOptions & {
  /** Rules of the mirror `m`: topics, routing, filter, ... */
  readonly mirror: Section;
  readonly source?: ClusterName;
  readonly target?: ClusterName;
  /** Adds links from and to clusters where nobody listens. */
  readonly deadLinks?: boolean;
};

let count = 0;
const usualLimitMillis = 200_000;

// Ports of the IANA's reserved range, where nothing listens.
const deadClusters = {
  'rmq-dead': { type: 'rocketmq', region: 'east', namesrv: ['127.0.0.1:3'] },
  'pulsar-dead': { type: 'pulsar', region: 'west', serviceUrl: 'pulsar://127.0.0.1:4', adminUrl: 'http://127.0.0.1:5' },
};

function deadLinks(source: string, target: string): object {
  const rename = 'persistent://public/default/from-dead-{topic}';
  return {
    'dead-source': { from: 'rmq-dead', to: target, mirrors: { m: { topics: ['*'], rename } } },
    'dead-target': { from: source, to: 'pulsar-dead', mirrors: { m: { topics: ['*'] } } },
  };
}

/** One link with one mirror `m`, from RocketMQ to Pulsar unless said otherwise. Nothing runs yet. */
export async function mirrorUnderTest(options: MirrorOptions): Promise<MirrorUnderTest> {
  const { mirror, source: from = 'rmq-east', target: to = 'pulsar-west', deadLinks: dead = false, ...rest } = options;
  const more = dead ? { clusters: deadClusters, links: deadLinks(from, to) } : {};
  return await linksUnderTest([{ name: 'l', from, to, mirrors: { m: mirror } }], rest, more);
}

/** Writes the configuration; nothing runs yet. Each call has links and so consumer groups and a state of its own. */
export async function linksUnderTest(
  links: readonly LinkUnderTest[],
  options: RunOptions = {},
  more: { readonly clusters?: object; readonly links?: object } = {},
): Promise<MirrorUnderTest> {
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-test-'));
  const offset = options.offset ?? testOffset;
  const stem = `t${Date.now().toString(36)}-${++count}`;
  const names = [...new Set(links.flatMap(({ from, to }) => [from, to]))];
  const config = {
    region: 'west',
    state:
      options.state === 'redis'
        ? `${redisEndpoints('redis-east', offset).url}/${count % 16}?prefix=${stem}`
        : `file:${join(folder, 'state.db')}`,
    ...options.config,
    clusters: {
      ...Object.fromEntries(names.map((name) => [name, clusterConfig(name, offset)])),
      ...options.clusters,
      ...more.clusters,
    },
    links: {
      ...Object.fromEntries(links.map(({ name, ...link }) => [`${stem}-${name}`, link])),
      ...more.links,
    },
  };
  const linkNames = links.map(({ name }) => `${stem}-${name}`);
  return await processWith(config, linkNames, folder, options.imports ?? []);
}

async function processWith(
  config: Section,
  links: readonly string[],
  folder: string,
  imports: readonly string[],
): Promise<MirrorUnderTest> {
  const port = await freePort();
  const stem = `isthmus-${port}`;
  const [configFile, logFile] = [join(folder, `${stem}.yaml`), join(folder, `${stem}.log`)];
  // JSON is YAML.
  writeFileSync(configFile, JSON.stringify({ ...config, http: { listen: `127.0.0.1:${port}` } }, null, 2));
  const process = replicator({ configFile, logFile, imports });
  const url = `http://127.0.0.1:${port}`;
  const link = links[0] ?? '';
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
    links,
    url,
    configFile,
    logFile,
    api,
    lanes: async (mirror = 'm', of = link) =>
      (await api<{ lanes: LaneStatus[] }>('GET', `/v1/mirrors/${of}/${mirror}/lanes`)).body.lanes,
    mirrors: async () => (await api<{ mirrors: MirrorStatus[] }>('GET', '/v1/mirrors')).body.mirrors,
    status: async () => (await api<ProcessStatus>('GET', '/v1/status')).body,
    listening: async () => await eventually('the API answers', async () => (await api('GET', '/healthz')).status === 200),
    forgetState: () => {
      for (const suffix of ['', '-wal', '-shm']) rmSync(join(folder, `state.db${suffix}`), { force: true });
    },
    twin: async () => await processWith(config, links, folder, imports),
    remove: async () => {
      await process.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until a condition holds; a throw counts as not yet. Fails with what was waited for and the last error, and at once when the program that is given has ended by itself. */
export async function eventually(
  what: string,
  condition: () => Promise<boolean>,
  limit: number | Program = usualLimitMillis,
): Promise<void> {
  const limitMillis = typeof limit === 'number' ? limit : usualLimitMillis;
  const deadline = performance.now() + limitMillis;
  let last: unknown = 'it did not hold';
  while (performance.now() < deadline) {
    if (typeof limit !== 'number') limit.assertRunning();
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
