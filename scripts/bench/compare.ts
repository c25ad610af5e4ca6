/** Isthmus and the rival on the same backlog, in turn. */
import { type Bed, queues } from './bed.ts';
import { type Case, throughputTarget } from './directions.ts';
import { median, ratio, rounded } from './statistics.ts';
import { type Backlog, loadBacklog, type Run, runIsthmus, runRival } from './throughput.ts';

export type Side = {
  readonly messages_per_s: number | null;
  readonly cpu_us_per_message: number | null;
  readonly rss_mib: number | null;
  readonly whole_messages_per_s: number | null;
  readonly whole_cpu_us_per_message: number | null;
  /** The slowest and the dearest run. */
  readonly worst: { readonly messages_per_s: number | null; readonly cpu_us_per_message: number | null };
};

export type Row = {
  readonly case: string;
  /** Whether dedup windows were on. */
  readonly windows: boolean;
  readonly ours: Side;
  readonly rival: Side;
  /** Ours divided by the rival's; `throughput` and `cpu` are the less favourable ways of counting. */
  readonly ratio: {
    readonly throughput: number | null;
    readonly cpu: number | null;
    readonly whole_throughput: number | null;
    readonly whole_cpu: number | null;
  };
  /** The least throughput and the most CPU per message that are aimed at, as ratios. */
  readonly target: { readonly throughput: number; readonly cpu: number };
  readonly runs: number;
  /** Why runs do not count, if any. */
  readonly void: readonly string[];
};

/** One row for each way of running ours. All in turn, the first one changing, so that none always finds the warmer brokers. */
export async function compare(bed: Bed, wanted: Case, windows: readonly boolean[], runs: number): Promise<readonly Row[]> {
  const backlog: Backlog = { ...wanted, topic: `bench-${wanted.size}-${Date.now()}` };
  await loadBacklog(bed, backlog);
  const rival: Run[] = [];
  const ours = windows.map((on) => ({ on, runs: [] as Run[] }));
  const sides = [
    ...ours.map(({ on, runs: into }) => ({ name: nameOf(on), into, run: async () => await runIsthmus(bed, backlog, on) })),
    { name: 'rival', into: rival, run: async () => await runRival(bed, backlog) },
  ];
  for (let i = 0; i < runs; i++) {
    for (const side of i % 2 === 0 ? sides : sides.toReversed()) {
      bed.report(`${backlog.name} run ${i + 1} of ${runs}: ${side.name}`);
      const run = await side.run();
      bed.report(run.void === null ? `  ${describeRun(run)}` : `  void: ${run.void}`);
      side.into.push(run);
    }
  }
  await bed.source.deleteTopic(backlog.topic);
  return ours.map(({ on, runs: mine }) => rowOf(wanted, on, mine, rival, bed.target.kind === 'rocketmq'));
}

function nameOf(windows: boolean): string {
  return windows ? 'ours, windows on' : 'ours';
}

function describeRun(run: Run): string {
  const rate = run.flowMessagesPerSecond?.toFixed(0) ?? '?';
  const cpu = (run.flowCpuMicros ?? run.wholeCpuMicros)?.toFixed(2) ?? '?';
  return `${rate} messages/s, ${cpu} us of CPU per message, ${run.peakRssMib?.toFixed(0) ?? '?'} MiB, ${queues} lanes`;
}

/** `leased`: on RocketMQ, lanes that are new to a state store wait for their lease once, which says nothing of speed. */
function rowOf(wanted: Case, windows: boolean, ours: readonly Run[], rival: readonly Run[], leased: boolean): Row {
  const us = side(ours);
  const them = side(rival);
  const flow = ratio(us.messages_per_s, them.messages_per_s);
  const whole = ratio(us.whole_messages_per_s, them.whole_messages_per_s);
  return {
    case: wanted.name,
    windows,
    ours: us,
    rival: them,
    ratio: {
      throughput: rounded(leased || flow === null || whole === null ? flow : Math.min(flow, whole), 3),
      // Our whole process against what the rival's flow costs without its start.
      cpu: rounded(ratio(us.whole_cpu_us_per_message, them.cpu_us_per_message), 4),
      whole_throughput: rounded(whole, 3),
      whole_cpu: rounded(ratio(us.whole_cpu_us_per_message, them.whole_cpu_us_per_message), 4),
    },
    target: { throughput: throughputTarget, cpu: wanted.cpuTarget },
    runs: ours.length,
    void: [...ours, ...rival].flatMap((run) => (run.void === null ? [] : [run.void])),
  };
}

function side(runs: readonly Run[]): Side {
  const middle = (pick: (run: Run) => number | null, digits: number): number | null => rounded(median(runs.map(pick)), digits);
  const rates = runs.map((run) => run.flowMessagesPerSecond).filter((rate) => rate !== null);
  const costs = runs.map(cpuOf).filter((cost) => cost !== null);
  return {
    messages_per_s: middle((run) => run.flowMessagesPerSecond, 0),
    cpu_us_per_message: middle(cpuOf, 3),
    rss_mib: middle((run) => run.peakRssMib, 0),
    whole_messages_per_s: middle((run) => run.wholeMessagesPerSecond, 0),
    whole_cpu_us_per_message: middle((run) => run.wholeCpuMicros, 3),
    worst: {
      messages_per_s: rates.length === 0 ? null : rounded(Math.min(...rates), 0),
      cpu_us_per_message: costs.length === 0 ? null : rounded(Math.max(...costs), 3),
    },
  };
}

function cpuOf(run: Run): number | null {
  return run.flowCpuMicros ?? run.wholeCpuMicros;
}
