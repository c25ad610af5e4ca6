/** `npm run bench -- NAME`: measures and reports; it never judges by its exit code. */
import { parseArgs } from 'node:util';
import { directions } from './bench/directions.ts';
import { buildIsthmus } from './bench/isthmus.ts';
import { describeMachine } from './bench/machine.ts';
import { measure, parts, type Result } from './bench/run.ts';
import { renderTable } from './bench/table.ts';
import { parseOffset } from './brokers/table.ts';

const help = `Measures Isthmus on real brokers of its own, against a bridge over the official Java clients (see docs/BENCHMARKS.md).

Usage: npm run bench -- NAME [options]

  ${directions.map(({ name }) => name).join('\n  ')}
  all                  all four, with one table at the end

Each: a backlog of 1,000,000 x 128 B and of 500,000 x 1 KiB (4,000,000 and 1,000,000 from Pulsar to Pulsar); latency at 1,000 messages/s; the cost of 200 idle lanes; memory with 500 lanes of 4 MiB bodies.

Options:
  --runs N             runs of each side and case, of which the median counts (default 3)
  --quick              a tenth of the work: shows that it works, not how fast
  --only PART[,PART]   only these parts: ${parts.join(', ')}
  --windows W          dedup windows on the target topics: on, off or both (default both)
  --offset N           port offset of the brokers (default -15300); what runs there already is used and left
  --profile DIR        write a CPU profile of each run of Isthmus into DIR; it then costs more
  --json               one JSON object on the standard output
  --help               this text

Examples:
  npm run bench -- rocketmq-to-pulsar
  npm run --silent bench -- all --json > result.json
  npm run bench -- pulsar-to-pulsar --quick --runs 1 --only 128B,latency
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '3' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    windows: { type: 'string', default: 'both' },
    offset: { type: 'string', default: '-15300' },
    profile: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const runs = Number(values.runs);
const only = values.only === '' ? [] : values.only.split(',');
const windows = (['on', 'off', 'both'] as const).find((each) => each === values.windows);
const known = only.every((part) => parts.some((each) => each === part));
const chosen = directions.filter(({ name }) => positionals[0] === 'all' || positionals[0] === name);

if (values.help) {
  console.log(help);
} else if (
  positionals.length !== 1 ||
  chosen.length === 0 ||
  !Number.isInteger(runs) ||
  runs < 1 ||
  !known ||
  windows === undefined
) {
  console.error(help);
  process.exitCode = 2;
} else {
  const began = performance.now();
  const report = (line: string): void =>
    console.error(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${line}`);
  const machine = describeMachine();
  if (machine.load_before > machine.cores / 2)
    report(`the machine is busy (load ${machine.load_before}): the figures will not be its best`);
  report('compiling');
  await buildIsthmus();
  const { offset, quick, profile } = values;
  const results: Result[] = [];
  for (const direction of chosen) {
    report(direction.name);
    results.push(await measure(direction, { offset: parseOffset(offset), runs, quick, only, windows, profile, report }));
  }
  const object = positionals[0] === 'all' ? { bench: 'all', machine, quick, results } : { ...results[0], machine, quick };
  console.log(values.json ? JSON.stringify(object) : renderTable(machine, results, quick));
}
