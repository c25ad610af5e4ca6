import { accessSync, constants, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { hostname } from 'node:os';
import type { ClusterConfig, Config } from './config/types.ts';
import { Supervisor } from './control/supervisor.ts';
import { toIsthmusError } from './errors.ts';
import { createHttpApp } from './http/app.ts';
import { serveHttp } from './http/serve.ts';
import { ByteBudget } from './lib/byte-budget.ts';
import { systemClock } from './lib/clock.ts';
import { keyedMarks } from './lib/keyed-marks.ts';
import { randomSuffix, systemRandom } from './lib/random.ts';
import { runHook } from './lib/run-hook.ts';
import { createLog } from './metrics/log.ts';
import { createMetrics } from './metrics/prometheus.ts';
import { LeaseKeeper } from './mirror/lease-keeper.ts';
import type { MarkCodec } from './model/provenance.ts';
import type { Clock } from './spi/clock.ts';
import type { CheckItem, Cluster } from './spi/cluster.ts';
import type { Log } from './spi/log.ts';
import { openState } from './state/open.ts';

/** A running process. */
export interface App {
  /** Where the API listens, for people. */
  readonly url: string;
  /** Stops reading, lets what is in flight be stored, keeps the last checkpoints, and closes everything. */
  stop(): Promise<void>;
}

/** What is passed in everywhere instead of being reached for. */
export interface ProcessDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly marks: MarkCodec;
}

/** The machine's own clock and randomness, a log of this level on standard output, and marks as configured. */
export function processDeps(level: Config['log']['level'], provenance: Config['provenance']): ProcessDeps {
  return { clock: systemClock, log: createLog(level), random: systemRandom, marks: keyedMarks(provenance) };
}

/** Opens the clusters of a configuration; drivers that none of them needs are not even loaded. Nothing is connected before the first use. */
export async function openClusters(config: Config, deps: ProcessDeps): Promise<Map<string, Cluster>> {
  const clusters = new Map<string, Cluster>();
  for (const [name, cluster] of Object.entries(config.clusters))
    clusters.set(
      name,
      await openCluster(name, cluster, config.limits.inFlightBytes, { ...deps, log: deps.log.child({ cluster: name }) }),
    );
  return clusters;
}

async function openCluster(name: string, cluster: ClusterConfig, inFlightBytes: number, deps: ProcessDeps): Promise<Cluster> {
  if (cluster.type === 'rocketmq' && 'driver' in cluster) {
    const { openRocketmqGrpc } = await import('./drivers/rocketmq/grpc/driver.ts');
    return openRocketmqGrpc(name, cluster, deps);
  }
  if (cluster.type === 'rocketmq') {
    const { openRocketmq } = await import('./drivers/rocketmq/driver.ts');
    return openRocketmq(name, { ...cluster, inFlightBytes }, deps);
  }
  if (cluster.driver === 'native') {
    const { openPulsarNative } = await import('./drivers/pulsar/native/driver.ts');
    return openPulsarNative(name, { ...cluster, inFlightBytes }, deps);
  }
  const { openPulsar } = await import('./drivers/pulsar/driver.ts');
  return openPulsar(name, { ...cluster, inFlightBytes }, deps);
}

/**
 * Whether the state of a configuration could be used, without leaving anything in it. A state file is not opened: a running process holds its lock,
 * and one that does not exist would be created.
 */
export async function checkState(config: Config, deps: ProcessDeps): Promise<CheckItem> {
  const { state } = config;
  const what = state.kind === 'file' ? `state file ${state.path}` : `state in Redis at ${new URL(state.url).host}`;
  try {
    if (state.kind === 'file') {
      if (existsSync(state.path)) accessSync(state.path, constants.R_OK | constants.W_OK);
      return { what, ok: true, detail: existsSync(state.path) ? 'can be written' : 'does not exist yet; it will be created' };
    }
    const store = await openState(state, deps);
    try {
      return { what, ok: true, detail: `answers; it keeps ${(await store.loadRegistry()).length} mirrors` };
    } finally {
      await store.close();
    }
  } catch (error) {
    return { what, ok: false, detail: toIsthmusError(error).message };
  }
}

/** Builds and starts everything, in order: state, clusters, mirrors, API. The only place that knows every room. */
export async function startApp(config: Config, version: string): Promise<App> {
  const deps = processDeps(config.log.level, config.provenance);
  const { log, clock } = deps;
  const metrics = createMetrics();
  const store = await openState(config.state, deps);
  const clusters = await openClusters(config, deps);
  const budget = new ByteBudget(config.limits.readAheadBytes);
  const closeAll = async (): Promise<void> => {
    await Promise.all([...clusters.values()].map((cluster) => cluster.close()));
    await store.close();
  };
  const leases = new LeaseKeeper({ store: store.leases, owner: processName(config.region, deps.random), clock, log });
  const supervisor = new Supervisor({
    ...deps,
    leases,
    windows: store.windows,
    runHook,
    region: config.region,
    version,
    clusters: new Map([...clusters].map(([name, cluster]) => [name, { cluster, region: config.clusters[name]?.region ?? '' }])),
    links: config.links,
    fileMirrors: config.links.flatMap((link) => link.mirrors.map((spec) => ({ link: link.name, spec }))),
    store,
    recorder: metrics.recorder,
    budget,
  });
  metrics.watchLanes(() => supervisor.allLanes());
  metrics.watchGroups(() => supervisor.groups.rows());
  metrics.watchBytes(() => ({ readAheadBytes: budget.usedBytes }));
  const app = createHttpApp({
    control: supervisor,
    links: config.links,
    metrics,
    http: config.http,
    state: config.state.kind,
    log,
    clock,
    version,
  });
  const server = await serveHttp(app, config.http.host, config.http.port).catch(async (error: unknown) => {
    // What is open keeps the process alive: a taken port would look like a process that runs and does nothing.
    await closeAll();
    throw error;
  });
  supervisor.start();
  log.info('started', { region: config.region, version, url: server.url });
  return {
    url: server.url,
    async stop() {
      log.info('stopping');
      await supervisor.close();
      await closeAll();
      await server.close();
      log.info('stopped');
    },
  };
}

/** Tells this process from all others, and people where it runs. */
function processName(region: string, random: () => number): string {
  return `${region}/${hostname()}:${process.pid}/${randomSuffix(random)}`;
}

/** The version of package.json, which lies one level above both src/ and dist/. */
export function readVersion(): string {
  const manifest = createRequire(import.meta.url)('../package.json') as { version: string };
  return manifest.version;
}
