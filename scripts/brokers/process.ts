/**
 * Processes that outlive the command which started them, remembered in files.
 *
 * A record holds the process id and the time the process began. Both must match before a signal is sent: after a reboot or a
 * long uptime the same id belongs to somebody else's program.
 */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export type ProcessRecord = {
  readonly pid: number;
  /** When the process began, in the system's own unit; only compared for equality. */
  readonly began: string;
};

export type Launch = {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly directory: string;
  readonly logFile: string;
  readonly pidFile: string;
};

/** When the process began, or undefined if there is no such process (or only its unreaped remains). */
export function beganAt(pid: number): string | undefined {
  return process.platform === 'linux' ? beganAtLinux(pid) : beganAtPosix(pid);
}

function beganAtLinux(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT') || isCode(error, 'ESRCH')) return undefined;
    throw error;
  }
  // proc(5): the command name in parentheses may hold spaces; state is field 3 and starttime, in ticks since boot, field 22.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const ticks = fields[19];
  if (ticks === undefined) throw new Error(`/proc/${pid}/stat has no start time: ${stat}`);
  if (state === 'Z' || state === 'X') return undefined;
  return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}:${ticks}`;
}

function beganAtPosix(pid: number): string | undefined {
  try {
    const env = { ...process.env, LC_ALL: 'C' };
    const line = execFileSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], { encoding: 'utf8', env }).trim();
    return line === '' || line.startsWith('Z') ? undefined : line.split(/\s+/).slice(1).join('-');
  } catch (error) {
    // ps exits with 1 when the process does not exist.
    if (error instanceof Error && 'status' in error && error.status === 1) return undefined;
    throw error;
  }
}

/** The process that the file tells of if it still runs, else undefined. A torn or foreign file counts as no process. */
export function readRunning(pidFile: string): ProcessRecord | undefined {
  let text: string;
  try {
    text = readFileSync(pidFile, 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  const record = parseRecord(text);
  return record !== undefined && isRunning(record) ? record : undefined;
}

export function isRunning(record: ProcessRecord): boolean {
  return beganAt(record.pid) === record.began;
}

function parseRecord(text: string): ProcessRecord | undefined {
  const [pidText, began, ...rest] = text.trim().split(' ');
  const pid = Number(pidText);
  // Ids 0 and below address process groups in kill(2).
  return Number.isInteger(pid) && pid > 1 && began !== undefined && rest.length === 0 ? { pid, began } : undefined;
}

/** Starts a process that goes on when this one ends, and writes its record. Throws if the command cannot be run at all. */
export async function launch(spec: Launch): Promise<ProcessRecord> {
  mkdirSync(spec.directory, { recursive: true });
  mkdirSync(dirname(spec.logFile), { recursive: true });
  const log = openSync(spec.logFile, 'a');
  try {
    const child = spawn(spec.command, [...spec.args], {
      cwd: spec.directory,
      env: { ...process.env, ...spec.env },
      detached: true,
      stdio: ['ignore', log, log],
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    const { pid } = child;
    const began = pid === undefined ? undefined : beganAt(pid);
    if (pid === undefined || began === undefined) throw new Error(`${spec.command} ended at once; its log is ${spec.logFile}`);
    const record = { pid, began };
    writeRecord(spec.pidFile, record);
    return record;
  } finally {
    closeSync(log);
  }
}

export function writeRecord(pidFile: string, record: ProcessRecord): void {
  mkdirSync(dirname(pidFile), { recursive: true });
  // Renamed into place: a reader must never see half a number, which could be another process's id.
  writeFileSync(`${pidFile}.new`, `${record.pid} ${record.began}\n`);
  renameSync(`${pidFile}.new`, pidFile);
}

/** Sends a signal if that very process still runs; false if it does not. */
export function signal(record: ProcessRecord, name: NodeJS.Signals): boolean {
  if (!isRunning(record)) return false;
  try {
    return process.kill(record.pid, name);
  } catch (error) {
    if (isCode(error, 'ESRCH')) return false;
    throw error;
  }
}

/** Ends the process of a record: SIGTERM, and SIGKILL once `limitMs` have passed. Resolves when it is gone; its file goes too. */
export async function terminate(pidFile: string, limitMs: number): Promise<void> {
  const record = readRunning(pidFile);
  if (record !== undefined) {
    signal(record, 'SIGTERM');
    // A stopped (paused) process acts on SIGTERM only after it is continued.
    signal(record, 'SIGCONT');
    if (!(await waitForEnd(record, limitMs))) {
      signal(record, 'SIGKILL');
      if (!(await waitForEnd(record, 10_000))) throw new Error(`process ${record.pid} does not end, not even by SIGKILL`);
    }
  }
  rmSync(pidFile, { force: true });
}

/** Ends the process by SIGKILL, as a crash would. Resolves when it is gone. Throws if it does not run. */
export async function killHard(pidFile: string): Promise<void> {
  const record = readRunning(pidFile);
  if (record === undefined || !signal(record, 'SIGKILL')) throw new Error(`nothing to kill: no process of ${pidFile} runs`);
  if (!(await waitForEnd(record, 10_000))) throw new Error(`process ${record.pid} does not end, not even by SIGKILL`);
  rmSync(pidFile, { force: true });
}

async function waitForEnd(record: ProcessRecord, limitMs: number): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  while (isRunning(record)) {
    if (performance.now() > deadline) return false;
    await sleep(25);
  }
  return true;
}

/** Resident memory of a process in bytes; undefined where the system does not tell. */
export function residentBytes(record: ProcessRecord): number | undefined {
  try {
    const kib = Number(execFileSync('ps', ['-o', 'rss=', '-p', String(record.pid)], { encoding: 'utf8' }).trim());
    return Number.isFinite(kib) ? kib * 1024 : undefined;
  } catch {
    // Only a figure for people: a system without ps shows none.
    return undefined;
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
