/** The result for people, beside what was aimed at. */
import type { Row, Side } from './compare.ts';
import type { Geo } from './geo.ts';
import { ageTargetSeconds, cpuTargetPercent, everySeconds, type GroupsResult } from './groups.ts';
import type { Machine } from './machine.ts';
import { memoryTargetMib } from './memory.ts';
import { ceilingTarget } from './probes.ts';
import type { Result } from './run.ts';

const columns = [34, 22, 22, 10, 10] as const;
const latencyTargetMs = 20;
const idleTargetPercent = 2;
const rssTargetMib = 200;

export function renderTable(machine: Machine, results: readonly Result[], quick: boolean): string {
  return [
    describe(machine),
    `brokers, eyes and both bridges share these cores. Medians, in brackets the worst run. Load before: ${machine.load_before}.`,
    ...(quick ? ['QUICK: a tenth of the work; most of what is measured is warming up.'] : []),
    ...results.flatMap((result) => ['', line(result.bench, 'ours', 'rival', 'ratio', 'target', ''), ...body(result)]),
  ].join('\n');
}

export function renderGroups(machine: Machine, result: GroupsResult): string {
  const { direction, groups, topics, lanes, moving, seconds, sync_age_s: age, out_of_step: outOfStep } = result;
  return [
    describe(machine),
    `brokers and eyes share these cores. Load before: ${machine.load_before}.`,
    '',
    `${direction}: ${groups} groups on ${topics} topics of ${lanes} lanes, ${moving} of them moving, every ${everySeconds} s; over ${seconds} s`,
    line('groups', 'measured', '', '', 'target', ''),
    line('sync age p50 (s)', number(age?.p50 ?? null, 1), '', '', '', ''),
    limit('sync age p99 (s)', age?.p99 ?? null, 1, ageTargetSeconds),
    line('sync age max (s)', number(age?.max ?? null, 1), '', '', '', ''),
    limit('groups out of step at the end', outOfStep, 0, 0),
    limit('CPU (% of core)', result.cpu_percent, 2, cpuTargetPercent),
    line('memory (MiB)', number(result.rss_mib, 0), '', '', '', ''),
  ].join('\n');
}

function describe({ cores, cpu, memory_gib, system, node, rocketmq, pulsar }: Machine): string {
  return `${cores} x ${cpu}, ${memory_gib} GiB, ${system}, Node ${node}, RocketMQ ${rocketmq}, Pulsar ${pulsar};`;
}

function body({ rows, latency, idle, memory, ceilings, geo }: Result): readonly string[] {
  return [
    ...rows.flatMap(caseLines),
    ...ceilings.map((ceiling) =>
      line(
        `${ceiling.case} messages/s of the probes'`,
        number(ceiling.ours_messages_per_s, 0),
        number(ceiling.probes_messages_per_s, 0),
        percent(ceiling.share),
        `>= ${percent(ceilingTarget)}`,
        met(ceiling.share, (share) => share >= ceilingTarget),
      ),
    ),
    ...(geo === null ? [] : geoLines(geo)),
    ...(latency === null ? [] : [line('latency p50 (ms)', number(latency.p50_ms, 1), '', '', '', '')]),
    ...(latency === null ? [] : [limit('latency p99 (ms)', latency.p99_ms, 1, latencyTargetMs)]),
    ...(idle === null ? [] : [limit(`${idle.lanes} idle lanes (% of core)`, idle.cpu_percent, 2, idleTargetPercent)]),
    ...(memory === null ? [] : [limit(`${memory.lanes} lanes, 4.1 MB bodies (MiB)`, memory.rss_mib, 0, memoryTargetMib)]),
  ];
}

/** The rival here is the brokers' own replication, which has no target but itself. */
function geoLines({ case: name, ours, brokers_own: own }: Geo): readonly string[] {
  const rows = [
    ['until all is there (s)', ours.seconds, own.seconds],
    ['after the last one (s)', ours.after_last_s, own.after_last_s],
    ['CPU with brokers (s)', ours.cpu_s, own.cpu_s],
  ] as const;
  return rows.map(([what, mine, theirs]) => {
    const ratio = mine === null || theirs === null || theirs === 0 ? '-' : `${(mine / theirs).toFixed(2)} x`;
    return line(`geo ${name}: ${what}`, number(mine, 1), number(theirs, 1), ratio, '', '');
  });
}

function caseLines(row: Row): readonly string[] {
  const { ours, rival, ratio, target } = row;
  const name = `${row.case}${row.windows ? ', windows on' : ''}`;
  return [
    line(
      `${name}: messages/s`,
      ...sides(ours, rival, (side) => withWorst(side.messages_per_s, side.worst.messages_per_s, 0)),
      ratio.throughput === null ? '-' : `${ratio.throughput.toFixed(2)} x`,
      `>= ${target.throughput} x`,
      met(ratio.throughput, (value) => value >= target.throughput),
    ),
    line(
      `${name}: CPU (us/message)`,
      ...sides(ours, rival, (side) => withWorst(side.cpu_us_per_message, side.worst.cpu_us_per_message, 2)),
      ratio.cpu === null ? '-' : `1/${(1 / ratio.cpu).toFixed(1)}`,
      `<= 1/${Math.round(1 / target.cpu)}`,
      met(ratio.cpu, (value) => value <= target.cpu),
    ),
    line(
      `${name}: memory (MiB)`,
      ...sides(ours, rival, (side) => number(side.rss_mib, 0)),
      '',
      `<= ${rssTargetMib}`,
      met(ours.rss_mib, (rss) => rss <= rssTargetMib),
    ),
    ...row.void.map((reason) => `  void: ${reason.split('\n')[0]}`),
  ];
}

function sides(ours: Side, rival: Side, show: (side: Side) => string): readonly [string, string] {
  return [show(ours), show(rival)];
}

function limit(name: string, value: number | null, digits: number, target: number): string {
  return line(
    name,
    number(value, digits),
    '',
    '',
    `<= ${target}`,
    met(value, (measured) => measured <= target),
  );
}

function line(...cells: readonly string[]): string {
  return cells
    .map((cell, i) => (i === 0 ? cell.padEnd(columns[0]) : cell.padStart(columns[i] ?? 8)))
    .join('')
    .trimEnd();
}

function withWorst(value: number | null, worst: number | null, digits: number): string {
  return `${number(value, digits)} (${number(worst, digits)})`;
}

function number(value: number | null, digits: number): string {
  return value === null ? '-' : value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function percent(share: number | null): string {
  return share === null ? '-' : `${(share * 100).toFixed(0)} %`;
}

function met(value: number | null, isMet: (value: number) => boolean): string {
  return value === null ? '' : isMet(value) ? 'met' : 'MISSED';
}
