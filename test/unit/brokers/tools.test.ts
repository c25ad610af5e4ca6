import { afterEach, expect, test, vi } from 'vitest';
import { BrokersError } from '../../../scripts/brokers/errors.ts';
import { javaProblem, requireTools } from '../../../scripts/brokers/tools.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

test('missing programs are named all at once, with what to install, and end with exit code 2', async () => {
  vi.stubEnv('PATH', '/nonexistent');
  vi.stubEnv('JAVA_HOME', '');
  const failure = await requireTools(['java', 'mvn', 'redis-server']).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(BrokersError);
  expect(failure).toMatchObject({ exitCode: 2 });
  expect(String(failure)).toContain('sudo apt-get install openjdk-17-jdk-headless maven redis-server');
  expect(String(failure)).toContain('"redis-server" was not found');
  expect(String(failure)).toContain('ISTHMUS_BROKERS=docker');
});

test('a JAVA_HOME without Java in it is named in the message', async () => {
  vi.stubEnv('JAVA_HOME', '/nonexistent/jdk');
  await expect(requireTools(['java'])).rejects.toThrow('"/nonexistent/jdk/bin/java" was not found');
});

test.each([
  ['openjdk version "17.0.15" 2025-04-15', undefined],
  ['openjdk version "21" 2023-09-19', undefined],
  ['java version "1.8.0_392"', 'version 1.8.0_392 is too old'],
  ['openjdk version "11.0.22" 2024-01-16', 'version 11.0.22 is too old'],
  ['something else', 'its version cannot be told'],
])('%s: %s', (output, problem) => {
  expect(javaProblem(output)).toBe(problem);
});
