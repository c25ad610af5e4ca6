/** The ceiling of RocketMQ to RocketMQ on this machine: a probe that only pulls and one that only sends, at the same time. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RocketmqName, rocketmqEndpoints } from '../brokers/table.ts';
import { type Program, program } from '../program/program.ts';
import { type Bed, queues } from './bed.ts';
import type { ProbeReport } from './probes/remoting.ts';
import { median, rounded } from './statistics.ts';
import { type Backlog, loadBacklog, runIsthmus } from './throughput.ts';

export type Ceiling = {
  readonly case: string;
  /** Of the slower one of both probes. */
  readonly probes_messages_per_s: number | null;
  readonly probes_cpu_us_per_message: number | null;
  readonly ours_messages_per_s: number | null;
  /** Ours of the probes'. */
  readonly share: number | null;
};

/** The least share that is aimed at. */
export const ceilingTarget = 0.85;
const pullsInFlight = 4;
const batchBytes = 100_000;

/** Both in turn, so that neither always finds the warmer brokers. */
export async function measureCeiling(bed: Bed, backlog: Backlog, runs: number): Promise<Ceiling> {
  await loadBacklog(bed, backlog);
  const rows = await bed.source.readRows(backlog.topic, { expect: backlog.count });
  const shares = Array.from({ length: queues }, () => 0);
  for (const { lane } of rows) {
    const queue = Number(lane.slice(lane.indexOf(':') + 1));
    shares[queue] = (shares[queue] ?? 0) + 1;
  }
  const probes: { rate: number; cpu: number }[] = [];
  const ours: (number | null)[] = [];
  for (let i = 0; i < runs; i++) {
    const sides = [
      async () => void probes.push(await runProbes(bed, backlog, shares)),
      async () => void ours.push((await runIsthmus(bed, backlog, false)).flowMessagesPerSecond),
    ];
    for (const side of i % 2 === 0 ? sides : sides.toReversed()) await side();
    bed.report(`  probes ${probes.at(-1)?.rate.toFixed(0)} messages/s, ours ${ours.at(-1)?.toFixed(0) ?? '?'}`);
  }
  await bed.source.deleteTopic(backlog.topic);
  const ceiling = median(probes.map(({ rate }) => rate));
  const rate = median(ours);
  return {
    case: backlog.name,
    probes_messages_per_s: rounded(ceiling, 0),
    probes_cpu_us_per_message: rounded(median(probes.map(({ cpu }) => cpu)), 2),
    ours_messages_per_s: rounded(rate, 0),
    share: rounded(ceiling === null || rate === null ? null : rate / ceiling, 3),
  };
}

async function runProbes(
  bed: Bed,
  { topic, count, size }: Backlog,
  shares: readonly number[],
): Promise<{ rate: number; cpu: number }> {
  const to = `${topic}-probe-${Date.now()}`;
  await bed.target.createTopic(to, queues);
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-probes-'));
  const brokerOf = (name: RocketmqName): string => rocketmqEndpoints(name, bed.offset).broker;
  const batch = Math.max(1, Math.min(500, Math.floor(batchBytes / size)));
  const probe = (name: string, args: readonly (string | number)[]): Program =>
    program({
      name: `The probe that only ${name}s`,
      command: process.execPath,
      args: [join(import.meta.dirname, 'probes', `${name}.ts`), ...args.map(String)],
      logFile: join(folder, `${name}.log`),
    });
  const both = [
    probe('pull', [brokerOf('rmq-east'), topic, shares.join(','), pullsInFlight]),
    probe('send', [brokerOf('rmq-west'), to, count, batch, size]),
  ];
  try {
    for (const each of both) each.start();
    const reports = await Promise.all(both.map(async (each) => JSON.parse((await each.finished()).trim()) as ProbeReport));
    return {
      rate: Math.min(...reports.map((report) => report.count / report.seconds)),
      cpu: reports.reduce((sum, { cpuSeconds }) => sum + (cpuSeconds * 1e6) / count, 0),
    };
  } finally {
    for (const each of both) await each.stop();
    await bed.target.deleteTopic(to);
    rmSync(folder, { recursive: true, force: true });
  }
}
