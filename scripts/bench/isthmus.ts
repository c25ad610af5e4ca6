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
  /** Short names of source topics; each is mirrored to the name behind it. */
  readonly topics: Readonly<Record<string, string>>;
  /** Dedup windows on the target topics, and with them the state in Redis; else none, and the state in a file. */
  readonly windows: boolean;
};

export type Isthmus = {
  readonly pid: number;
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
export async function startIsthmus(bed: Bed, mirroring: Mirroring): Promise<Isthmus> {
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-bench-'));
  const configFile = join(folder, 'isthmus.yaml');
  // JSON is YAML.
  writeFileSync(configFile, JSON.stringify(configuration(bed, mirroring, folder, await freePort()), null, 2));
  const child = replicator({ configFile, logFile: join(folder, 'isthmus.log'), compiled: true, nodeArgs: bed.nodeArgs });
  const beganAt = performance.now();
  child.start();
  return {
    pid: child.pid() ?? -1,
    beganAt,
    assertRunning: child.assertRunning,
    stop: async () => {
      await child.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function configuration(bed: Bed, { topics, windows }: Mirroring, folder: string, port: number): unknown {
  const link = `bench-${Date.now()}-${++runs}`;
  const { source, target, direction, clusters, redisUrl } = bed;
  const dedup = windows ? { window: '24h' } : 'off';
  const mirrors = Object.entries(topics).map(([topic, to], i) => [
    `bench-${i}`,
    { topics: [source.full(topic)], rename: target.full(to), start: 'earliest', dedup },
  ]);
  return {
    region: 'bench',
    http: { listen: `127.0.0.1:${port}` },
    state: windows ? `${redisUrl}/0?prefix=${link}` : `file:${join(folder, 'isthmus.db')}`,
    clusters,
    links: { [link]: { from: direction.source, to: direction.target, mirrors: Object.fromEntries(mirrors) } },
  };
}
