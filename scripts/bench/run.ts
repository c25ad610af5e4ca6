/** What `npm run bench -- DIRECTION` does: see docs/BENCHMARKS.md for what is measured and how. */
import { type Bed, type Report, withBed } from './bed.ts';
import { compare, type Row } from './compare.ts';
import { type Direction, type DirectionName, geoCount } from './directions.ts';
import { type Geo, measureGeo } from './geo.ts';
import { type Idle, measureIdle } from './idle.ts';
import { type Latency, measureLatency } from './latency.ts';
import { type Memory, measureMemory } from './memory.ts';
import { type Ceiling, measureCeiling } from './probes.ts';

export type Options = {
  readonly offset: number;
  readonly runs: number;
  /** A tenth of everything: shows that it works, not how fast. */
  readonly quick: boolean;
  /** Parts to measure; empty: all. */
  readonly only: readonly string[];
  /** `both`: windows on and off. */
  readonly windows: 'on' | 'off' | 'both';
  /** Where to write CPU profiles of Isthmus; undefined: none are taken. */
  readonly profile: string | undefined;
  readonly report: Report;
};

/** Null: not measured. */
export type Result = {
  readonly bench: DirectionName;
  readonly rows: readonly Row[];
  readonly latency: Latency | null;
  readonly idle: Idle | null;
  readonly memory: Memory | null;
  /** RocketMQ to RocketMQ only. */
  readonly ceilings: readonly Ceiling[];
  /** Pulsar to Pulsar only. */
  readonly geo: Geo | null;
};

export const parts = ['128B', '1KiB', 'latency', 'idle', 'memory', 'probes', 'geo'] as const;

const messagesPerSecond = 1_000;
const idleTopics = 25;
const memoryLanes = 500;
const quickMemoryLanes = 50;

export async function measure(direction: Direction, options: Options): Promise<Result> {
  const wanted = (part: string): boolean => options.only.length === 0 || options.only.includes(part);
  const scale = options.quick ? 10 : 1;
  const nodeArgs = options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`];
  const windows = options.windows === 'both' ? [false, true] : [options.windows === 'on'];
  const cases = direction.cases.map((each) => ({ ...each, count: each.count / scale }));
  return await withBed(direction, { offset: options.offset, report: options.report, nodeArgs }, async (bed) => {
    const rows: Row[] = [];
    for (const each of cases) if (wanted(each.name)) rows.push(...(await compare(bed, each, windows, options.runs)));
    const ceilings: Ceiling[] = [];
    for (const each of direction.name === 'rocketmq-to-rocketmq' && wanted('probes') ? cases : []) {
      const backlog = { ...each, topic: `bench-probe-${each.size}-${Date.now()}` };
      const ceiling = await orNothing(bed, `probes ${each.name}`, async () => await measureCeiling(bed, backlog, options.runs));
      if (ceiling !== null) ceilings.push(ceiling);
    }
    const geoCase = direction.name === 'pulsar-to-pulsar' ? cases.find(({ name }) => name === '1KiB') : undefined;
    const times = options.quick ? { warmUpSeconds: 5, seconds: 10 } : { warmUpSeconds: 10, seconds: 40 };
    const lanes = options.quick ? quickMemoryLanes : memoryLanes;
    const part = async <T>(name: string, work: () => Promise<T>): Promise<T | null> =>
      wanted(name) ? await orNothing(bed, name, work) : null;
    return {
      bench: direction.name,
      rows,
      latency: await part('latency', async () => await measureLatency(bed, { messagesPerSecond, ...times })),
      idle: await part('idle', async () => await measureIdle(bed, idleTopics, options.quick ? 10 : 40)),
      memory: await part('memory', async () => await measureMemory(bed, lanes, 1)),
      ceilings,
      geo:
        geoCase === undefined
          ? null
          : await part('geo', async () => await measureGeo(bed, { ...geoCase, count: geoCount / scale }, options.runs)),
    };
  });
}

/** A part that fails is reported and missing; the others still count. */
async function orNothing<T>(bed: Bed, part: string, work: () => Promise<T>): Promise<T | null> {
  try {
    bed.report(part);
    return await work();
  } catch (error) {
    bed.report(`  void: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}
