import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  beganAt,
  isRunning,
  killHard,
  launch,
  type ProcessRecord,
  readRunning,
  signal,
  terminate,
  writeRecord,
} from '../../../scripts/brokers/process.ts';

let directory: string;
let pidFile: string;
const launched: ProcessRecord[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'isthmus-process-'));
  pidFile = join(directory, 'server.pid');
});

afterEach(() => {
  for (const record of launched.splice(0)) signal(record, 'SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

/** A shell that says it is ready and then waits. */
async function launchShell(script: string): Promise<ProcessRecord> {
  const record = await launch({
    command: 'sh',
    args: ['-c', script],
    env: {},
    directory,
    pidFile,
    logFile: join(directory, 'server.log'),
  });
  launched.push(record);
  return record;
}

describe('process records', () => {
  test('find the process that was launched', async () => {
    const record = await launchShell('exec sleep 60');
    expect(readRunning(pidFile)).toEqual(record);
  });

  test('do not claim a process that has the same id but began at another time', async () => {
    const record = await launchShell('exec sleep 60');
    writeRecord(pidFile, { pid: record.pid, began: `${record.began}1` });
    expect(readRunning(pidFile)).toBeUndefined();
    await terminate(pidFile, 1_000);
    expect(isRunning(record)).toBe(true);
  });

  test('never lead to a signal for a process that began at another time', async () => {
    const record = await launchShell('exec sleep 60');
    expect(signal({ pid: record.pid, began: 'before-the-reboot' }, 'SIGKILL')).toBe(false);
    expect(isRunning(record)).toBe(true);
  });

  test.each(['', '17', '-1 x', '0 x', '1 x', 'abc x', '4 5 6', '\0\0\0'])('that read %j count as no process', (text) => {
    writeFileSync(pidFile, text);
    expect(readRunning(pidFile)).toBeUndefined();
  });

  test('of a process that has ended count as no process', async () => {
    const record = await launchShell('exec sleep 60');
    await killHard(pidFile);
    expect(isRunning(record)).toBe(false);
    expect(beganAt(record.pid)).toBeUndefined();
    await expect(killHard(pidFile)).rejects.toThrow('nothing to kill');
  });
});

describe('terminate', () => {
  test('ends a process that obeys SIGTERM', async () => {
    const record = await launchShell('exec sleep 60');
    await terminate(pidFile, 10_000);
    expect(isRunning(record)).toBe(false);
  });

  test('ends a process that ignores SIGTERM once the limit is over', async () => {
    const record = await launchShell('trap "" TERM; while :; do sleep 0.05; done');
    await terminate(pidFile, 100);
    expect(isRunning(record)).toBe(false);
  });

  test('ends a process that is paused', async () => {
    const record = await launchShell('exec sleep 60');
    signal(record, 'SIGSTOP');
    await terminate(pidFile, 10_000);
    expect(isRunning(record)).toBe(false);
  });
});

test('a command that does not exist is an error and leaves no record', async () => {
  const launching = launch({
    command: join(directory, 'no-such-command'),
    args: [],
    env: {},
    directory,
    pidFile,
    logFile: join(directory, 'server.log'),
  });
  await expect(launching).rejects.toThrow('ENOENT');
  expect(readRunning(pidFile)).toBeUndefined();
});
