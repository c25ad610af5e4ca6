/** `npm run bench -- rocketmq-to-pulsar`: see docs/BENCHMARKS.md for what is measured and how. */
import { type Bed, type Report, withBed } from './bed.ts';
import { type Idle, measureIdle } from './idle.ts';
import { buildIsthmus } from './isthmus.ts';
import { type Latency, measureLatency } from './latency.ts';
import { describeMachine, type Machine } from './machine.ts';
import { median, ratio, rounded } from './statistics.ts';
import { type Backlog, loadBacklog, queues, type Run, runIsthmus, runRival } from './throughput.ts';

export type Options = {
  readonly offset: number;
  readonly runs: number;
  /** A tenth of everything: shows that it works, not how fast. */
  readonly quick: boolean;
  /** Parts to measure: names of cases, `latency`, `idle`; empty: all. */
  readonly only: readonly string[];
  /** Where to write CPU profiles of Isthmus; undefined: none are taken. */
  readonly profile: string | undefined;
  readonly report: Report;
};

export type Side = {
  readonly messages_per_s: number | null;
  readonly cpu_us_per_message: number | null;
  readonly rss_mib: number | null;
  readonly whole_messages_per_s: number | null;
  readonly whole_cpu_us_per_message: number | null;
};

export type ResultRow = {
  readonly case: string;
  readonly ours: Side;
  readonly rival: Side;
  /** Ours divided by the rival's; `throughput` and `cpu` are the less favourable ways of counting. */
  readonly ratio: {
    readonly throughput: number | null;
    readonly cpu: number | null;
    readonly whole_throughput: number | null;
    readonly whole_cpu: number | null;
  };
  readonly runs: number;
  /** Why runs do not count, if any. */
  readonly void: readonly string[];
};

export type Result = {
  readonly bench: 'rocketmq-to-pulsar';
  readonly quick: boolean;
  readonly machine: Machine;
  readonly rows: readonly ResultRow[];
  readonly latency: {
    readonly p50_ms: number | null;
    readonly p99_ms: number | null;
    readonly max_ms: number | null;
    readonly messages_per_s: number;
    readonly samples: number;
  };
  readonly idle: { readonly lanes: number; readonly cpu_percent: number | null; readonly rss_mib: number | null };
};

export const parts = ['128B', '1KiB', 'latency', 'idle'] as const;

const messagesPerSecond = 1_000;
const idleTopics = 25;

export async function benchRocketmqToPulsar(options: Options): Promise<Result> {
  const wanted = (part: string): boolean => options.only.length === 0 || options.only.includes(part);
  const scale = options.quick ? 10 : 1;
  const stamp = Date.now();
  const nodeArgs = options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`];
  const backlogs: readonly Backlog[] = [
    { name: '128B', topic: `bench-128-${stamp}`, count: 1_000_000 / scale, size: 128 },
    { name: '1KiB', topic: `bench-1024-${stamp}`, count: 500_000 / scale, size: 1024 },
  ];
  const machine = describeMachine();
  if (machine.load_before > machine.cores / 2)
    options.report(`the machine is busy (load ${machine.load_before}): the figures will not be its best`);
  options.report('compiling');
  await buildIsthmus();
  return await withBed({ ...options, nodeArgs }, async (bed) => {
    const rows: ResultRow[] = [];
    for (const backlog of backlogs) if (wanted(backlog.name)) rows.push(await compare(bed, backlog, options.runs));
    const times = options.quick ? { warmUpSeconds: 5, seconds: 10 } : { warmUpSeconds: 10, seconds: 40 };
    const latency = wanted('latency')
      ? await orNothing(bed, 'latency', async () => await measureLatency(bed, { messagesPerSecond, ...times }))
      : undefined;
    const idle = wanted('idle')
      ? await orNothing(bed, 'idle', async () => await measureIdle(bed, idleTopics, options.quick ? 10 : 40))
      : undefined;
    return summary(options, machine, rows, latency, idle);
  });
}

/** Both sides in turn, the first one changing, so that neither always finds the warmer brokers. */
async function compare(bed: Bed, backlog: Backlog, runs: number): Promise<ResultRow> {
  await loadBacklog(bed, backlog);
  const ours: Run[] = [];
  const rival: Run[] = [];
  for (let i = 0; i < runs; i++) {
    const sides = [
      { name: 'ours', into: ours, run: runIsthmus },
      { name: 'rival', into: rival, run: runRival },
    ];
    for (const side of i % 2 === 0 ? sides : sides.toReversed()) {
      bed.report(`${backlog.name} run ${i + 1} of ${runs}: ${side.name}`);
      const run = await side.run(bed, backlog);
      bed.report(run.void === null ? `  ${describeRun(run)}` : `  void: ${run.void}`);
      side.into.push(run);
    }
  }
  await bed.sourceEyes.deleteTopic(backlog.topic);
  return resultRow(backlog.name, ours, rival);
}

function describeRun(run: Run): string {
  const rate = run.flowMessagesPerSecond?.toFixed(0) ?? '?';
  const cpu = (run.flowCpuMicros ?? run.wholeCpuMicros)?.toFixed(1) ?? '?';
  return `${rate} messages/s, ${cpu} us of CPU per message, ${run.peakRssMib?.toFixed(0) ?? '?'} MiB`;
}

function resultRow(name: string, ours: readonly Run[], rival: readonly Run[]): ResultRow {
  const us = side(ours);
  const them = side(rival);
  const flow = ratio(us.messages_per_s, them.messages_per_s);
  const whole = ratio(us.whole_messages_per_s, them.whole_messages_per_s);
  return {
    case: name,
    ours: us,
    rival: them,
    ratio: {
      throughput: rounded(flow === null || whole === null ? null : Math.min(flow, whole), 3),
      // Our whole process against what the rival's flow costs without its start.
      cpu: rounded(ratio(us.whole_cpu_us_per_message, them.cpu_us_per_message), 3),
      whole_throughput: rounded(whole, 3),
      whole_cpu: rounded(ratio(us.whole_cpu_us_per_message, them.whole_cpu_us_per_message), 3),
    },
    runs: ours.length,
    void: [...ours, ...rival].flatMap((run) => (run.void === null ? [] : [run.void])),
  };
}

function side(runs: readonly Run[]): Side {
  const middle = (pick: (run: Run) => number | null, digits: number): number | null => rounded(median(runs.map(pick)), digits);
  return {
    messages_per_s: middle((run) => run.flowMessagesPerSecond, 0),
    cpu_us_per_message: middle((run) => run.flowCpuMicros ?? run.wholeCpuMicros, 2),
    rss_mib: middle((run) => run.peakRssMib, 0),
    whole_messages_per_s: middle((run) => run.wholeMessagesPerSecond, 0),
    whole_cpu_us_per_message: middle((run) => run.wholeCpuMicros, 2),
  };
}

/** A part that fails is reported and missing; the others still count. */
async function orNothing<T>(bed: Bed, part: string, measure: () => Promise<T>): Promise<T | undefined> {
  try {
    bed.report(part);
    return await measure();
  } catch (error) {
    bed.report(`  void: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

function summary(
  options: Options,
  machine: Machine,
  rows: readonly ResultRow[],
  latency: Latency | undefined,
  idle: Idle | undefined,
): Result {
  return {
    bench: 'rocketmq-to-pulsar',
    quick: options.quick,
    machine,
    rows,
    latency: {
      p50_ms: rounded(latency?.p50 ?? null, 2),
      p99_ms: rounded(latency?.p99 ?? null, 2),
      max_ms: rounded(latency?.max ?? null, 2),
      messages_per_s: messagesPerSecond,
      samples: latency?.samples ?? 0,
    },
    idle: {
      lanes: idleTopics * queues,
      cpu_percent: rounded(idle?.cpuPercent ?? null, 2),
      rss_mib: rounded(idle?.peakRssMib ?? null, 0),
    },
  };
}
