/** A program that runs as a process of its own and writes into a log file: the replicator, or its rival in a benchmark. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const graceMillis = 15_000;

/** A failure that its message explains; shown without a stack trace. */
export class ProgramError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ProgramError';
  }
}

export type ProgramSpec = {
  /** For people: "the replicator". */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Takes both of its outputs; what is there already stays. */
  readonly logFile: string;
  /**
   * In a process group of its own, so that the terminal's Ctrl+C is for us alone, who then end it in good order; and with a channel (IPC), whose end tells a
   * Node program that we are gone.
   */
  readonly tethered?: boolean;
};

export type Program = {
  /** Undefined while it does not run. */
  readonly pid: () => number | undefined;
  readonly start: () => void;
  /** Throws, with the end of its log, if it was started and has ended by itself. */
  readonly assertRunning: () => void;
  /** Resolves with the log when it has ended by itself with exit code 0; rejects otherwise. */
  readonly finished: () => Promise<string>;
  /** SIGKILL: it gets no chance to say goodbye. */
  readonly kill: () => Promise<void>;
  /** SIGTERM; SIGKILL if it does not end in time. Resolves to false then. */
  readonly stop: () => Promise<boolean>;
};

export function program(spec: ProgramSpec): Program {
  const { name, command, args, logFile, tethered = false } = spec;
  let child: ChildProcess | undefined;
  let failure: Error | undefined;
  const running = (): ChildProcess | undefined => (child !== undefined && runs(child) ? child : undefined);
  const ended = (): ProgramError => {
    const how = failure?.message ?? child?.signalCode ?? `exit code ${child?.exitCode}`;
    return new ProgramError(`${name} has ended (${how}). Its last words, from ${logFile}:\n${lastLines(logFile)}`);
  };
  return {
    pid: () => running()?.pid,
    start: () => {
      const log = openSync(logFile, 'a');
      failure = undefined;
      child = spawn(command, [...args], {
        stdio: ['ignore', log, log, ...(tethered ? (['ipc'] as const) : [])],
        detached: tethered,
      });
      child.once('error', (error) => {
        failure = error;
      });
      closeSync(log);
    },
    assertRunning: () => {
      if (child !== undefined && running() === undefined) throw ended();
    },
    finished: async () => {
      const last = running();
      if (last !== undefined) await once(last, 'exit');
      if (child?.exitCode !== 0) throw ended();
      return readFileSync(logFile, 'utf8');
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

function runs(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
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
