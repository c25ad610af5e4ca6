/** The result for people, beside the targets. */
import type { Result, ResultRow } from './rocketmq-to-pulsar.ts';

const columns = [26, 12, 12, 10, 10] as const;

export function renderTable(result: Result): string {
  const { machine, latency, idle } = result;
  return [
    `${result.bench} on ${machine.cores} x ${machine.cpu}, ${machine.memory_gib} GiB, ${machine.system}, Node ${machine.node},`,
    `RocketMQ ${machine.rocketmq}, Pulsar ${machine.pulsar}; brokers, eyes and both bridges share these cores. Medians. Load before: ${machine.load_before}.`,
    ...(result.quick ? ['QUICK: a tenth of the work; most of what is measured is warming up.'] : []),
    '',
    line('', 'ours', 'rival', 'ratio', 'target', ''),
    ...result.rows.flatMap(caseLines),
    line(`latency p50 (ms)`, number(latency.p50_ms, 1), '', '', '', ''),
    line(
      `latency p99 (ms)`,
      number(latency.p99_ms, 1),
      '',
      '',
      '<= 20',
      met(latency.p99_ms, (p99) => p99 <= 20),
    ),
    line(
      `${idle.lanes} idle lanes (% of core)`,
      number(idle.cpu_percent, 2),
      '',
      '',
      '< 2',
      met(idle.cpu_percent, (cpu) => cpu < 2),
    ),
  ].join('\n');
}

function caseLines({ case: name, ours, rival, ratio, void: reasons }: ResultRow): readonly string[] {
  const throughput = ratio.throughput === null ? '-' : `${ratio.throughput.toFixed(2)} x`;
  const cpu = ratio.cpu === null ? '-' : `1/${(1 / ratio.cpu).toFixed(1)}`;
  const [ourRate, ourCpu] = [number(ours.messages_per_s, 0), number(ours.cpu_us_per_message, 1)];
  const [theirRate, theirCpu] = [number(rival.messages_per_s, 0), number(rival.cpu_us_per_message, 1)];
  return [
    line(
      `${name} messages/s`,
      ourRate,
      theirRate,
      throughput,
      '>= 3 x',
      met(ratio.throughput, (value) => value >= 3),
    ),
    line(
      `${name} CPU (us/message)`,
      ourCpu,
      theirCpu,
      cpu,
      '<= 1/6',
      met(ratio.cpu, (value) => value <= 1 / 6),
    ),
    line(
      `${name} memory (MiB)`,
      number(ours.rss_mib, 0),
      number(rival.rss_mib, 0),
      '',
      '<= 200',
      met(ours.rss_mib, (rss) => rss <= 200),
    ),
    ...reasons.map((reason) => `  void: ${reason.split('\n')[0]}`),
  ];
}

function line(...cells: readonly string[]): string {
  return cells
    .map((cell, i) => (i === 0 ? cell.padEnd(columns[0]) : cell.padStart(columns[i] ?? 8)))
    .join('')
    .trimEnd();
}

function number(value: number | null, digits: number): string {
  return value === null ? '-' : value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function met(value: number | null, isMet: (value: number) => boolean): string {
  return value === null ? '' : isMet(value) ? 'met' : 'missed';
}
