/** `npm run bench -- NAME`: measures and reports; it never judges by its exit code. */
import { parseArgs } from 'node:util';
import { directions } from './bench/directions.ts';
import { measureGroups } from './bench/groups.ts';
import { buildIsthmus } from './bench/isthmus.ts';
import { describeMachine } from './bench/machine.ts';
import { measure, parts, type Result } from './bench/run.ts';
import { renderGroups, renderTable } from './bench/table.ts';
import { parseOffset } from './brokers/table.ts';

const help = `Measures Isthmus on real brokers of its own, against a bridge over the official Java clients (see docs/BENCHMARKS.md).

Usage: npm run bench -- NAME [options]

  ${directions.map(({ name }) => name).join('\n  ')}
  all                  all four, with one table at the end
  groups               how old the places of many groups are, and what following them costs

Each direction: a backlog of 1,000,000 x 128 B and of 500,000 x 1 KiB (4,000,000 and 1,000,000 from Pulsar to Pulsar); latency at 1,000 messages/s; the cost of 200 idle lanes; memory with 500 lanes of one message of 4.1 MB each.

Options:
  --runs N             runs of each side and case, of which the median counts (default 3)
  --quick              a tenth of the work: shows that it works, not how fast
  --only PART[,PART]   only these parts: ${parts.join(', ')}
  --windows W          dedup windows on the target topics: on, off or both (default both)
  --offset N           port offset of the brokers (default -15300); what runs there already is used and left
  --profile DIR        write a CPU profile of each run of Isthmus into DIR; it then costs more
Of groups:
  --direction D        one of the four (default rocketmq-to-pulsar)
  --groups N           so many, shared out over the topics (default 1000)
  --topics N           (default 100)
  --lanes N            queues or partitions of each topic (default 4)
  --moving N           groups that commit every 5 s, their topics get a record per lane as often (default 50)
  --seconds N          how long is measured, after all groups have been in step (default 120)

  --json               one JSON object on the standard output
  --help               this text

Examples:
  npm run bench -- rocketmq-to-pulsar
  npm run --silent bench -- all --json > result.json
  npm run bench -- pulsar-to-pulsar --quick --runs 1 --only 128B,latency
  npm run bench -- groups --groups 50 --topics 5 --moving 5 --seconds 30
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
    direction: { type: 'string', default: 'rocketmq-to-pulsar' },
    groups: { type: 'string', default: '1000' },
    topics: { type: 'string', default: '100' },
    lanes: { type: 'string', default: '4' },
    moving: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '120' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const runs = Number(values.runs);
const only = values.only === '' ? [] : values.only.split(',');
const windows = (['on', 'off', 'both'] as const).find((each) => each === values.windows);
const known = only.every((part) => parts.some((each) => each === part));
const ofGroups = positionals[0] === 'groups';
const wanted = ofGroups ? values.direction : positionals[0];
const chosen = directions.filter(({ name }) => (wanted === 'all' && !ofGroups) || name === wanted);
const sizes = {
  groups: Number(values.groups),
  topics: Number(values.topics),
  lanes: Number(values.lanes),
  moving: Number(values.moving),
  seconds: Number(values.seconds),
};

const isCount = (number: number): boolean => Number.isInteger(number) && number >= 1;
const right =
  positionals.length === 1 &&
  chosen.length > 0 &&
  known &&
  [runs, sizes.groups, sizes.topics, sizes.lanes, sizes.seconds, sizes.moving + 1].every(isCount) &&
  sizes.moving <= sizes.groups;

if (values.help) {
  console.log(help);
} else if (!right || windows === undefined) {
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
  const { quick, profile } = values;
  const offset = parseOffset(values.offset);
  if (ofGroups) {
    for (const direction of chosen) {
      const result = await measureGroups(direction, { ...sizes, offset, profile, report });
      console.log(values.json ? JSON.stringify({ ...result, machine }) : renderGroups(machine, result));
    }
  } else {
    const results: Result[] = [];
    for (const direction of chosen) {
      report(direction.name);
      results.push(await measure(direction, { offset, runs, quick, only, windows, profile, report }));
    }
    const object = positionals[0] === 'all' ? { bench: 'all', machine, quick, results } : { ...results[0], machine, quick };
    console.log(values.json ? JSON.stringify(object) : renderTable(machine, results, quick));
  }
}
