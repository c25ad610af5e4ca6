/** Isthmus as a user runs it: a process of its own, with a configuration file. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DemoError } from './errors.ts';

const graceMillis = 15_000;

/** Loaded before the program: ends it in good order when whoever started it is gone, however that went. */
const endWithParent = `data:text/javascript,${encodeURIComponent(
  "process.once('disconnect', () => process.kill(process.pid, 'SIGTERM')); process.channel?.unref();",
)}`;

export type Replicator = {
  readonly pid: () => number | undefined;
  readonly start: () => void;
  /** Throws, with the end of its log, if it has ended by itself. */
  readonly assertRunning: () => void;
  /** SIGKILL: it gets no chance to say goodbye. */
  readonly kill: () => Promise<void>;
  /** SIGTERM; SIGKILL if it does not end in time. Resolves to false then. */
  readonly stop: () => Promise<boolean>;
};

export function replicator(configFile: string, logFile: string): Replicator {
  let child: ChildProcess | undefined;
  const running = (): ChildProcess | undefined =>
    child?.pid !== undefined && child.exitCode === null && child.signalCode === null ? child : undefined;
  return {
    pid: () => running()?.pid,
    start: () => {
      const log = openSync(logFile, 'a');
      const main = join(import.meta.dirname, '../../src/main.ts');
      const args = ['--import', endWithParent, main, 'run', '-c', configFile];
      // A process group of its own: Ctrl+C is for the demo, which then ends the replicator in good order.
      child = spawn(process.execPath, args, { stdio: ['ignore', log, log, 'ipc'], detached: true });
      closeSync(log);
    },
    assertRunning: () => {
      if (child === undefined || running() !== undefined) return;
      const how = child.signalCode ?? `exit code ${child.exitCode}`;
      throw new DemoError(`The replicator has ended (${how}). Its last words, from ${logFile}:\n${lastLines(logFile)}`);
    },
    kill: async () => await end(running(), 'SIGKILL'),
    stop: async () => {
      const last = running();
      if (last === undefined) return true;
      await Promise.race([end(last, 'SIGTERM'), sleep(graceMillis, undefined, { ref: false })]);
      const inTime = running() === undefined;
      await end(running(), 'SIGKILL');
      return inTime;
    },
  };
}

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (child === undefined) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

function lastLines(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-15).join('\n');
}
