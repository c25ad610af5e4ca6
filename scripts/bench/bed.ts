/** The brokers and the independent eyes that all measurements of a direction share. */

import { type ClusterEyes, clusterConfig, clusterEyes } from '../../test/kit/cluster-eyes.ts';
import { type Eyes, startEyes } from '../../test/kit/eyes.ts';
import { chooseProvider } from '../brokers/cli.ts';
import { redisEndpoints, type ServerName } from '../brokers/table.ts';
import type { Direction } from './directions.ts';

export type Report = (line: string) => void;

export type Bed = {
  readonly direction: Direction;
  readonly offset: number;
  readonly eyes: Eyes;
  readonly source: ClusterEyes;
  readonly target: ClusterEyes;
  /** Sections of the configuration file, by name of cluster. */
  readonly clusters: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly redisUrl: string;
  /** Process of a server, for its CPU time; undefined where the servers are containers. */
  readonly pidOf: (name: ServerName) => Promise<number | undefined>;
  /** Arguments for the Node that runs Isthmus. */
  readonly nodeArgs: readonly string[];
  readonly report: Report;
};

export type BedOptions = Pick<Bed, 'nodeArgs' | 'report' | 'offset'>;

/** Lanes of every topic that is measured. */
export const queues = 8;

/**
 * Runs `work` on brokers of its own, without the timer wheel, at the given port offset. What runs there already is used
 * and left; what had to be started is stopped and its data removed afterwards.
 */
export async function withBed<T>(direction: Direction, options: BedOptions, work: (bed: Bed) => Promise<T>): Promise<T> {
  const { offset, report } = options;
  const provider = chooseProvider({ offset, report });
  const started = await provider.up([direction.source, direction.target, 'redis-east']);
  try {
    const eyes = await startEyes();
    try {
      return await work({
        ...options,
        direction,
        eyes,
        source: clusterEyes(eyes, direction.source, offset),
        target: clusterEyes(eyes, direction.target, offset),
        clusters: Object.fromEntries([direction.source, direction.target].map((name) => [name, clusterConfig(name, offset)])),
        redisUrl: redisEndpoints('redis-east', offset).url,
        pidOf: async (name) => (await provider.status([name]))[0]?.pid,
      });
    } finally {
      await eyes.close();
    }
  } finally {
    if (started.length > 0) await provider.down(started, true);
  }
}
