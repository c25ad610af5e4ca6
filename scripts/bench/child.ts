/** A program under measurement. */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

export type Child = {
  readonly pid: number;
  readonly output: () => string;
  /** Throws, with the end of its output, if the program has ended. */
  readonly assertRunning: () => void;
  /** Resolves with the standard output of a program that ends by itself with exit code 0; throws otherwise. */
  readonly finished: () => Promise<string>;
  /** SIGTERM, and SIGKILL 15 s later. */
  readonly stop: () => Promise<void>;
};

const keptOutput = 20_000;

export function startChild(command: string, args: readonly string[]): Child {
  const child = spawn(command, [...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let all = '';
  let failure: Error | undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout = (stdout + text).slice(-keptOutput);
    all = (all + text).slice(-keptOutput);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    all = (all + text).slice(-keptOutput);
  });
  child.once('error', (error) => {
    failure = error;
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const ended = (): Error | undefined => {
    if (failure === undefined && isRunning(child)) return undefined;
    return new Error(
      `${command} ended (${child.exitCode ?? child.signalCode ?? failure?.message}); its last words:\n${all.slice(-2_000)}`,
    );
  };
  return {
    pid: child.pid ?? -1,
    output: () => all,
    assertRunning: () => {
      const error = ended();
      if (error !== undefined) throw error;
    },
    finished: async () => {
      await closed;
      if (child.exitCode !== 0) throw ended() ?? new Error(`${command} does not end`);
      return stdout;
    },
    stop: async () => {
      if (!isRunning(child)) return;
      child.kill('SIGTERM');
      await Promise.race([closed, sleep(15_000, undefined, { ref: false })]);
      if (isRunning(child)) child.kill('SIGKILL');
      await closed;
    },
  };
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}
