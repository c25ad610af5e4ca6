/** The `npm test` command. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { testOffset } from '../../test/kit/brokers.ts';
import { chooseProvider } from '../brokers/cli.ts';
import { serverNames } from '../brokers/table.ts';
import { type Counts, runStep } from './run-step.ts';
import { isPart, type Part, parts, type Step, steps, usualParts } from './steps.ts';

const help = `Runs the tests, all of them but "faults", or the parts that are named. The last line is "N passed, N failed".

Usage: npm test [-- PART...]

${steps.map((step) => `  ${step.part.padEnd(13)}${nameOf(step.run).padEnd(14)}${step.what}`).join('\n')}

Real brokers come up by themselves at the port offset $ISTHMUS_PORT_OFFSET (default -18300), with data of their own, beside
those of "npm run brokers". What the run has started is stopped at its end. A running step can be ended with Ctrl+C.

Examples:
  npm test
  npm test -- check unit
`;

/** Runs the command line and resolves to the exit code: 0 when all passed and at least one test ran. */
export async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h', default: false } },
  });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const wrong = positionals.filter((name) => !isPart(name));
  if (wrong.length > 0) {
    console.error(`There is no part ${JSON.stringify(wrong[0])}; the parts are: ${parts.join(', ')}`);
    return 2;
  }
  const wanted = positionals.filter(isPart);
  return await withBrokersCleanedUp(async (signal) => await runAll(wanted.length > 0 ? wanted : usualParts, signal));
}

async function runAll(wanted: readonly Part[], signal: AbortSignal): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-test-'));
  const chosen = steps.filter((step) => wanted.includes(step.part));
  const total = { passed: 0, failed: 0 };
  const summary: string[] = [];
  for (const [i, step] of chosen.entries()) {
    if (signal.aborted) break;
    console.log(`\n--- ${i + 1}/${chosen.length} ${nameOf(step.run)}: ${step.what}`);
    const began = performance.now();
    const counts = await runStep(step, folder, signal);
    total.passed += counts.passed;
    total.failed += counts.failed;
    summary.push(line(nameOf(step.run), counts, performance.now() - began));
  }
  rmSync(folder, { recursive: true, force: true });
  console.log(`\n${summary.join('\n')}${signal.aborted ? '\nInterrupted: not everything has run.' : ''}\n`);
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 && total.passed > 0 && !signal.aborted ? 0 : 1;
}

function line(name: string, { passed, failed }: Counts, millis: number): string {
  return `${name.padEnd(14)}${`${passed} passed`.padStart(12)}${`${failed} failed`.padStart(12)}${(millis / 1000).toFixed(1).padStart(9)} s`;
}

function nameOf(run: Step['run']): string {
  return 'script' in run ? run.script : run.projects[0];
}

/** Stops, however the work ends, every server at the tests' offset that did not run before, and removes its data. */
async function withBrokersCleanedUp(work: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt);
  const provider = chooseProvider({ offset: testOffset, report: (text) => console.error(text) });
  const running = async (): Promise<readonly string[]> =>
    (await provider.status(serverNames)).filter((server) => server.state !== 'stopped').map((server) => server.name);
  const before = await running();
  try {
    return await work(interruption.signal);
  } finally {
    const ours = serverNames.filter((name) => !before.includes(name));
    await provider.down(ours, true);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt);
  }
}
