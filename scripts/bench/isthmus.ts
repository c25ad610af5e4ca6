/** Runs Isthmus as its container image does: the compiled program with a configuration file, as a process of its own. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../brokers/free-port.ts';
import { replicator } from '../program/replicator.ts';
import type { Bed } from './bed.ts';

export type Mirroring = {
  /** Short names of source topics; each is mirrored to the name behind it, by a mirror of its own. */
  readonly topics: Readonly<Record<string, string>>;
  /** Dedup windows on the target topics, and with them the state in Redis; else none, and the state in a file. */
  readonly windows: boolean;
};

/** One mirror of many topics, which keep their names, without windows; and their groups follow. */
export type Following = {
  /** Of short names. */
  readonly glob: string;
  /** A duration: `5s`. */
  readonly groupsEvery: string;
};

export type Isthmus = {
  readonly pid: number;
  readonly httpUrl: string;
  /** `performance.now()`, milliseconds. */
  readonly beganAt: number;
  /** Throws, with its last words, if it has ended. */
  readonly assertRunning: () => void;
  readonly stop: () => Promise<void>;
};

const root = join(import.meta.dirname, '../..');

let runs = 0;

/** Compiles the sources, as the image is built. Run from its sources, the program would spend its first half second on removing types. */
export async function buildIsthmus(): Promise<void> {
  await promisify(execFile)(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json', '--noCheck'], { cwd: root });
}

/** Starts it with a state, a link and so a group of its own, so that nothing is left of an earlier run. */
export async function startIsthmus(bed: Bed, mirroring: Mirroring | Following): Promise<Isthmus> {
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-bench-'));
  const configFile = join(folder, 'isthmus.yaml');
  const port = await freePort();
  // JSON is YAML.
  writeFileSync(configFile, JSON.stringify(configuration(bed, mirroring, folder, port), null, 2));
  const child = replicator({ configFile, logFile: join(folder, 'isthmus.log'), compiled: true, nodeArgs: bed.nodeArgs });
  const beganAt = performance.now();
  child.start();
  return {
    pid: child.pid() ?? -1,
    httpUrl: `http://127.0.0.1:${port}`,
    beganAt,
    assertRunning: child.assertRunning,
    stop: async () => {
      await child.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function configuration(bed: Bed, mirroring: Mirroring | Following, folder: string, port: number): unknown {
  const link = `bench-${Date.now()}-${++runs}`;
  const { direction, clusters, redisUrl } = bed;
  const inRedis = 'windows' in mirroring && mirroring.windows;
  return {
    region: 'bench',
    http: { listen: `127.0.0.1:${port}` },
    state: inRedis ? `${redisUrl}/0?prefix=${link}` : `file:${join(folder, 'isthmus.db')}`,
    clusters,
    links: { [link]: { from: direction.source, to: direction.target, ...linkRules(bed, mirroring) } },
  };
}

function linkRules({ source, target }: Bed, mirroring: Mirroring | Following): Readonly<Record<string, unknown>> {
  if ('glob' in mirroring) {
    const { glob, groupsEvery } = mirroring;
    const all = { topics: [source.full(glob)], rename: target.full('{name}'), start: 'earliest', dedup: 'off' };
    return { groups: { every: groupsEvery }, mirrors: { bench: all } };
  }
  const { topics, windows } = mirroring;
  const mirrors = Object.entries(topics).map(([topic, to], i) => [
    `bench-${i}`,
    { topics: [source.full(topic)], rename: target.full(to), start: 'earliest', dedup: windows ? { window: '24h' } : 'off' },
  ]);
  return { mirrors: Object.fromEntries(mirrors) };
}
