/** The `npm run drill` command. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { ConfigError } from '../../src/config/problems.ts';
import type { ClusterName } from '../../test/kit/cluster-eyes.ts';
import { startEyes } from '../../test/kit/eyes.ts';
import { BrokersError } from '../brokers/errors.ts';
import { isServerName, parseOffset } from '../brokers/table.ts';
import { DemoError } from '../demo/errors.ts';
import { openScreen, type Screen } from '../demo/screen.ts';
import { ProgramError } from '../program/program.ts';
import { type Bed, configuredBed, kitBed } from './bed.ts';
import { type Drill, drills } from './drills.ts';
import { type DrillResult, hasPassed } from './outcome.ts';
import { renderPage } from './page.ts';
import { paceOf } from './plan.ts';
import { playDrill } from './play.ts';

/** Leaves the brokers of people and of tests alone, and has all ports below 32768, where Linux takes none for outgoing connections. */
const ownOffset = '-17100';

const help = `Disaster recovery drills: Isthmus under load, a fault, the recovery, and a report to keep.

Each drill starts two clusters and Redis as local processes and a replicator with a link each way, writes records on both sides and consumes them with the
official Java clients, lets its fault loose, waits for the recovery, and checks: nothing lost, nothing doubled, order per key, time to recover, and that
consumer groups read again exactly what was predicted. docs/FAILOVER.md is the runbook that it follows.

Usage: npm run drill -- NAME [options]

${drills.map(({ name, title, needsKit }) => `  ${name.padEnd(18)} ${title}${needsKit ? '' : ' (*)'}`).join('\n')}
  all                all of them, one after the other

  --once         the short form: less load, each fault once
  --both         the target is written all the time; else only after the failover
  --from NAME    the source, a cluster of the kit (default rmq-east)
  --to NAME      the target, a cluster of the kit (default pulsar-west)
  --config FILE  play on the two clusters of a link in this configuration instead: drills with (*) alone, with topics and groups of their own
                 (isthmus-drill-..., drill-...) and a replicator and state of their own; the running system is not touched
  --link NAME    which link of the configuration (default: the first)
  --yes          do not ask before playing on somebody's clusters
  --report DIR   where report.html and report.json go (default .isthmus/drills/NAME)
  --offset N     shift the ports of the kit by N (default: $ISTHMUS_PORT_OFFSET, else ${ownOffset})
  --help         this text

It needs a JDK (17 or newer), Maven and redis-server, or a Docker engine and ISTHMUS_BROKERS=docker.

Exit codes: 0 every check passed; 1 one failed, or a drill was broken off; 2 the command is wrong or something is not installed; 130 interrupted.
`;

type Options = {
  readonly once: boolean;
  readonly both: boolean;
  readonly config: string | undefined;
  readonly link: string | undefined;
  readonly yes: boolean;
  readonly from: ClusterName;
  readonly to: ClusterName;
  readonly offset: number;
  readonly report: string;
};

class UsageError extends Error {}

/** Runs the command line and resolves to the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const screen = openScreen(process.stdout);
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        once: { type: 'boolean', default: false },
        both: { type: 'boolean', default: false },
        from: { type: 'string', default: 'rmq-east' },
        to: { type: 'string', default: 'pulsar-west' },
        config: { type: 'string' },
        link: { type: 'string' },
        yes: { type: 'boolean', default: false },
        report: { type: 'string' },
        offset: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const [name, ...more] = positionals;
    if (values.help || name === undefined || more.length > 0) {
      screen.say(help);
      return values.help ? 0 : 2;
    }
    const chosen = chooseDrills(name, values.config !== undefined);
    const options: Options = {
      once: values.once,
      both: values.both,
      config: values.config,
      link: values.link,
      yes: values.yes,
      from: requireCluster(values.from),
      to: requireCluster(values.to),
      offset: parseOffset(values.offset ?? (process.env['ISTHMUS_PORT_OFFSET'] || ownOffset)),
      report: resolve(values.report ?? join(import.meta.dirname, '../../.isthmus/drills', name)),
    };
    return await perform(screen, chosen, options);
  } catch (error) {
    return explain(screen, error);
  }
}

function explain(screen: Screen, error: unknown): number {
  if (
    error instanceof BrokersError ||
    error instanceof DemoError ||
    error instanceof ProgramError ||
    error instanceof ConfigError
  ) {
    screen.say(`\n${error.message}`);
    return error instanceof BrokersError ? error.exitCode : 1;
  }
  if (error instanceof UsageError || error instanceof RangeError || (error instanceof TypeError && 'code' in error)) {
    screen.say(`${error.message}\nTry: npm run drill -- --help`);
    return 2;
  }
  throw error;
}

/** Throws a UsageError. */
export function chooseDrills(name: string, onConfiguredClusters: boolean): readonly Drill[] {
  if (name === 'all') return onConfiguredClusters ? drills.filter(({ needsKit }) => !needsKit) : drills;
  const drill = drills.find((each) => each.name === name);
  if (drill === undefined)
    throw new UsageError(`there is no drill ${name}; there are ${drills.map((each) => each.name).join(', ')}, all`);
  if (onConfiguredClusters && drill.needsKit)
    throw new UsageError(
      `${name} kills servers or stands in their way: it plays on the brokers of the kit alone, without --config`,
    );
  return [drill];
}

function requireCluster(name: string): ClusterName {
  if (isServerName(name) && name !== 'rmq-east-b' && name !== 'redis-east' && name !== 'redis-west') return name;
  throw new UsageError(`there is no cluster ${name} in the kit`);
}

async function perform(screen: Screen, chosen: readonly Drill[], options: Options): Promise<number> {
  if (options.from === options.to) throw new UsageError('source and target are the same cluster');
  if (options.config !== undefined && !options.yes && !(await agreed(screen, options.config, options.link))) return 1;
  const interruption = new AbortController();
  const interrupt = (): void => {
    if (interruption.signal.aborted) return;
    screen.note('Stopping what was started; a moment.');
    interruption.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  const results: DrillResult[] = [];
  const eyes = await startEyes();
  try {
    for (const drill of chosen) {
      screen.say(`\n${drill.title}: ${drill.says}`);
      const open = async (): Promise<Bed> => await openBed(screen, drill, options);
      const { both, once } = options;
      const result = await playDrill({ drill, open, eyes, screen, signal: interruption.signal, pace: paceOf(once), both });
      if (interruption.signal.aborted) return 130;
      results.push(result);
      showResult(screen, result);
      writeReport(options.report, results);
    }
  } finally {
    // The terminal's Ctrl+C has ended it as well.
    await eyes.close().catch(() => undefined);
  }
  const passed = results.filter(hasPassed).length;
  const where = relative(process.cwd(), options.report);
  screen.say(
    `\n${passed === results.length ? 'PASS' : 'FAIL'}: ${passed} of ${results.length} drills passed. Report: ${where}/report.html`,
  );
  return passed === results.length ? 0 : 1;
}

async function openBed(screen: Screen, drill: Drill, { config, link, from, to, offset }: Options): Promise<Bed> {
  if (config !== undefined) return configuredBed(config, link);
  const report = (line: string): void => screen.say(`             ${line}`);
  return await kitBed({ from, to, offset, proxied: drill.proxied === true, report });
}

/** Somebody's clusters are written only when somebody has said so. */
async function agreed(screen: Screen, file: string, link: string | undefined): Promise<boolean> {
  const { source, target } = configuredBed(file, link);
  screen.say(
    `This writes to ${source.name} and ${target.name} of ${file}: topics isthmus-drill-..., consumer groups drill-... and isthmus-drill-...,\nsome hundred records a second for some minutes. Topics are deleted at the end; groups of RocketMQ stay.`,
  );
  if (!process.stdin.isTTY) {
    screen.say('Nobody is there to be asked: add --yes.');
    return false;
  }
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await lines.question('Go on? Type yes: ');
  lines.close();
  return answer.trim() === 'yes';
}

function showResult(screen: Screen, result: DrillResult): void {
  screen.say('');
  for (const { name, expected, measured, passed, detail = [] } of result.checks) {
    screen.say(`  ${passed ? 'ok  ' : 'FAIL'}  ${name}: ${measured}${passed ? '' : `, expected ${expected}`}`);
    if (!passed) for (const line of detail) screen.say(`          ${line}`);
  }
  if (result.brokenOff !== null) screen.say(`  FAIL  broken off: ${result.brokenOff}`);
  screen.say(
    `\n${hasPassed(result) ? 'PASS' : 'FAIL'}: ${result.title}, after ${((result.endedAt - result.startedAt) / 1_000).toFixed(0)} s`,
  );
}

/** After each drill, so that what was shown stays when a later one ends the program. */
function writeReport(folder: string, results: readonly DrillResult[]): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'report.html'), renderPage(results));
  const passed = results.every(hasPassed);
  const all = results.map((result) => ({ ...result, passed: hasPassed(result) }));
  writeFileSync(join(folder, 'report.json'), `${JSON.stringify({ passed, drills: all }, null, 2)}\n`);
}
