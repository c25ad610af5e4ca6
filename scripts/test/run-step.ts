/** Runs one step of the test run and counts what came out of it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Step } from './steps.ts';

export type Counts = { readonly passed: number; readonly failed: number };

const root = join(import.meta.dirname, '../..');

/** Resolves with the counts; output goes to this terminal. `folder` takes the report of vitest. An abort ends the step with SIGTERM. */
export async function runStep(step: Step, folder: string, signal: AbortSignal): Promise<Counts> {
  if ('script' in step.run) {
    const code = await execute('npm', ['run', '--silent', step.run.script], signal);
    return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
  }
  const { projects } = step.run;
  const report = join(folder, `${projects[0]}.json`);
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const chosen = projects.map((project) => `--project=${project}`);
  const code = await execute(process.execPath, [vitest, 'run', ...chosen, ...reporters], signal);
  return countTests(readReport(report), code);
}

async function execute(command: string, args: readonly string[], signal: AbortSignal): Promise<number | null> {
  const child = spawn(command, [...args], { cwd: root, stdio: 'inherit' });
  const stop = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  try {
    await once(child, 'close');
    return child.exitCode;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function readReport(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    // No report or half of one: vitest came to no end, which countTests counts as a failure.
    return undefined;
  }
}

/**
 * The tests of a vitest report (its JSON reporter). A run that fails without a failed test, because a file does not load, a server
 * does not start or an error went unhandled, counts as one failure, and so does a run without any test.
 */
export function countTests(report: unknown, exitCode: number | null): Counts {
  const passed = numberOf(report, 'numPassedTests');
  const failed = numberOf(report, 'numFailedTests');
  const sound = exitCode === 0 && passed + failed > 0;
  return { passed, failed: sound ? failed : Math.max(1, failed) };
}

function numberOf(report: unknown, name: string): number {
  const value: unknown = typeof report === 'object' && report !== null ? Reflect.get(report, name) : undefined;
  return typeof value === 'number' ? value : 0;
}
