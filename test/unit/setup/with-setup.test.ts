import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const wrapper = join(import.meta.dirname, '../../../scripts/with-setup.js');
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'isthmus-setup-'));
  writeFileSync(
    join(directory, 'echo.ts'),
    'const args: string[] = process.argv.slice(2); console.log(JSON.stringify(args)); process.exitCode = 7;',
  );
  writeFileSync(
    join(directory, 'wait.ts'),
    "process.on('SIGTERM', () => process.exit(9)); setTimeout(() => {}, 60_000); console.log('waiting');",
  );
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

test('hands on the arguments and the exit code', async () => {
  const child = execFile(process.execPath, [wrapper, join(directory, 'echo.ts'), 'a b', '--flag']);
  let output = '';
  child.stdout?.on('data', (chunk: string) => (output += chunk));
  const [code] = await once(child, 'close');
  expect(JSON.parse(output)).toEqual(['a b', '--flag']);
  expect(code).toBe(7);
});

test('hands on a signal', async () => {
  const child = spawn(process.execPath, [wrapper, join(directory, 'wait.ts')], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  const [code] = await once(child, 'close');
  expect(code).toBe(9);
});
