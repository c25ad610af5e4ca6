import { existsSync } from 'node:fs';
import { afterEach, beforeEach, expect, type MockInstance, test, vi } from 'vitest';
import { main } from '../../../scripts/brokers/cli.ts';
import { serverNames } from '../../../scripts/brokers/table.ts';

let out: MockInstance<typeof console.log>;
let err: MockInstance<typeof console.error>;

beforeEach(() => {
  out = vi.spyOn(console, 'log').mockImplementation(() => {});
  err = vi.spyOn(console, 'error').mockImplementation(() => {});
});

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

test('help names every command and server', async () => {
  expect(await main(['--help'])).toBe(0);
  const text = String(out.mock.calls[0]?.[0]);
  for (const word of ['up', 'down', 'status', 'logs', ...serverNames]) expect(text).toContain(word);
});

test.each([
  [['up', 'rmq-north'], 'there is no server "rmq-north"'],
  [['sideways'], 'unknown command "sideways"'],
  [['up', '--offset', 'lots'], 'the port offset must be a whole number'],
  [['up', '--ofset', '1'], "Unknown option '--ofset'"],
  [['logs'], '"logs" takes one name'],
  [['status', '--data', '/tmp/two words'], 'has a space in it'],
])('%j is a usage error', async (args, message) => {
  expect(await main(args)).toBe(2);
  expect(String(err.mock.calls[0]?.[0])).toContain(message);
});

test('an unknown way of running brokers is a usage error', async () => {
  vi.stubEnv('ISTHMUS_BROKERS', 'podman');
  expect(await main(['status'])).toBe(2);
  expect(String(err.mock.calls[0]?.[0])).toContain('"local" or "docker"');
});

test.skipIf(existsSync('/var/run/docker.sock'))('asking for containers where no engine answers says what to do', async () => {
  vi.stubEnv('ISTHMUS_BROKERS', 'docker');
  vi.stubEnv('DOCKER_HOST', 'tcp://127.0.0.1:1');
  expect(await main(['up', 'redis-east'])).toBe(2);
  expect(String(err.mock.calls[0]?.[0])).toMatch(/no Docker engine answers[^]*unset ISTHMUS_BROKERS/);
});
