/** `npm run bench -- NAME`: measures and reports; it never judges by its exit code. */
import { parseArgs } from 'node:util';
import { benchRocketmqToPulsar, parts } from './bench/rocketmq-to-pulsar.ts';
import { renderTable } from './bench/table.ts';
import { parseOffset } from './brokers/table.ts';

const help = `Measures Isthmus on real brokers of its own (see docs/BENCHMARKS.md).

Usage: npm run bench -- NAME [options]

  rocketmq-to-pulsar   a backlog of 1,000,000 x 128 B and of 500,000 x 1 KiB, against a bridge over the official
                       Java clients; latency at 1,000 messages/s; the cost of 200 idle lanes

Options:
  --runs N             runs of each side and case, of which the median counts (default 3)
  --quick              a tenth of the work: shows that it works, not how fast
  --only PART[,PART]   only these parts: ${parts.join(', ')}
  --offset N           port offset of the brokers (default -15300); what runs there already is used and left
  --profile DIR        write a CPU profile of each run of Isthmus into DIR; it then costs more
  --json               one JSON object on the standard output
  --help               this text

Examples:
  npm run bench -- rocketmq-to-pulsar
  npm run --silent bench -- rocketmq-to-pulsar --json > result.json
  npm run bench -- rocketmq-to-pulsar --quick --runs 1 --only 128B,latency
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '3' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    offset: { type: 'string', default: '-15300' },
    profile: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const runs = Number(values.runs);
const only = values.only === '' ? [] : values.only.split(',');
const unknown = only.filter((part) => !parts.some((known) => known === part));

if (values.help) {
  console.log(help);
} else if (positionals.join(' ') !== 'rocketmq-to-pulsar' || !Number.isInteger(runs) || runs < 1 || unknown.length > 0) {
  console.error(help);
  process.exitCode = 2;
} else {
  const began = performance.now();
  const report = (line: string): void =>
    console.error(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${line}`);
  const result = await benchRocketmqToPulsar({
    offset: parseOffset(values.offset),
    runs,
    quick: values.quick,
    only,
    profile: values.profile,
    report,
  });
  console.log(values.json ? JSON.stringify(result) : renderTable(result));
}
