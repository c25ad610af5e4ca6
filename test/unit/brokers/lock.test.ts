import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withLock } from '../../../scripts/brokers/lock.ts';

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'isthmus-lock-'));
  file = join(directory, 'lock');
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const unasked = (): void => {};
const lockModule = join(import.meta.dirname, '../../../scripts/brokers/lock.ts');

test('two holders never work at the same time', async () => {
  let inside = 0;
  let waited = 0;
  const work = async (): Promise<number> => {
    inside += 1;
    const seen = inside;
    await new Promise((resolve) => setImmediate(resolve));
    inside -= 1;
    return seen;
  };
  const seen = await Promise.all([1, 2, 3].map(async () => await withLock(file, 60_000, () => (waited += 1), work)));
  expect(seen).toEqual([1, 1, 1]);
  expect(waited).toBe(2);
});

test('a failure inside gives the lock back', async () => {
  await expect(withLock(file, 0, unasked, () => Promise.reject(new Error('inside')))).rejects.toThrow('inside');
  await expect(withLock(file, 0, unasked, () => Promise.resolve('next'))).resolves.toBe('next');
});

test('a holder that is killed gives the lock back', async () => {
  const script = `
    const { withLock } = await import(${JSON.stringify(lockModule)});
    await withLock(${JSON.stringify(file)}, 0, () => {}, async () => {
      console.log('held');
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    });`;
  const holder = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  await expect(withLock(file, 0, unasked, () => Promise.resolve())).rejects.toThrow('another process has held');
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  await expect(withLock(file, 0, unasked, () => Promise.resolve('mine'))).resolves.toBe('mine');
});
