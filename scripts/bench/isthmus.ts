/** Runs Isthmus as its container image does: the compiled program with a configuration file, as a process of its own. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../brokers/free-port.ts';
import type { Bed } from './bed.ts';
import { type Child, startChild } from './child.ts';

export type Mirroring = {
  /** Glob of source topics. */
  readonly topics: string;
  /** Target name; `{topic}` stands for the source's. */
  readonly rename: string;
};

export type Isthmus = Child & { readonly beganAt: number };

const root = join(import.meta.dirname, '../..');

let runs = 0;

/** Compiles the sources, as the image is built. Run from its sources, the program would spend its first half second on removing types. */
export async function buildIsthmus(): Promise<void> {
  await promisify(execFile)(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json', '--noCheck'], { cwd: root });
}

/** Starts it with a state, a link and so a consumer group of its own, so that nothing is left of an earlier run. */
export async function startIsthmus(bed: Bed, mirroring: Mirroring): Promise<Isthmus> {
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-bench-'));
  mkdirSync(join(folder, 'state'));
  const file = join(folder, 'isthmus.yaml');
  // JSON is YAML.
  writeFileSync(
    file,
    JSON.stringify(configuration(bed, mirroring, join(folder, 'state', 'isthmus.db'), await freePort()), null, 2),
  );
  const beganAt = performance.now();
  const child = startChild(process.execPath, [...bed.nodeArgs, join(root, 'dist/main.js'), 'run', '-c', file]);
  return {
    ...child,
    beganAt,
    stop: async () => {
      await child.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function configuration({ source, target }: Bed, { topics, rename }: Mirroring, statePath: string, port: number): unknown {
  const link = `bench-${Date.now()}-${++runs}`;
  return {
    region: 'bench',
    http: { listen: `127.0.0.1:${port}` },
    state: `file:${statePath}`,
    clusters: {
      [source.name]: { type: 'rocketmq', region: 'bench', namesrv: [source.namesrv] },
      [target.name]: { type: 'pulsar', region: 'bench', serviceUrl: target.serviceUrl, adminUrl: target.adminUrl },
    },
    links: {
      [link]: { from: source.name, to: target.name, mirrors: { bench: { topics: [topics], rename, start: 'earliest' } } },
    },
  };
}
