/** The local provider on its smallest server, Redis: the real program, in a directory of its own. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { localProvider } from '../../../scripts/brokers/local.ts';
import type { Provider } from '../../../scripts/brokers/provider.ts';
import { redisEndpoints } from '../../../scripts/brokers/table.ts';

// Test files run side by side; no other one starts servers here.
const offset = -7300;
const { redis: port } = redisEndpoints('redis-east', offset).ports;
let dataDirectory: string;
let lines: string[];

beforeEach(() => {
  dataDirectory = mkdtempSync(join(tmpdir(), 'isthmus-local-'));
  lines = [];
});

afterEach(async () => {
  await provider().down(['redis-east'], true);
  rmSync(dataDirectory, { recursive: true, force: true });
});

/** As another command would make it: what it knows it knows from the data directory. */
const provider = (): Provider =>
  localProvider({ offset, dataDirectory, cache: dataDirectory, report: (line) => lines.push(line) });

async function command(text: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.write(`${text}\r\n`);
  const [reply] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return reply.toString();
}

test('a second up finds what runs already and starts nothing', async () => {
  expect(await provider().up(['redis-east'])).toEqual(['redis-east']);
  const [before] = await provider().status(['redis-east']);
  expect(await provider().up(['redis-east'])).toEqual([]);
  expect(await provider().status(['redis-east'])).toMatchObject([{ state: 'ready', pid: before?.pid }]);
  expect(before?.pid).toBeGreaterThan(0);
});

test('two commands that start the same server at once start it once', async () => {
  const started = await Promise.all([provider().up(['redis-east']), provider().up(['redis-east'])]);
  expect(started.flat()).toEqual(['redis-east']);
});

test('down stops what up started, and a second down finds nothing to stop', async () => {
  await provider().up(['redis-east']);
  expect(await provider().down(['redis-east', 'redis-west'], false)).toEqual(['redis-east']);
  expect(await provider().down(['redis-east'], false)).toEqual([]);
  expect(await provider().status(['redis-east'])).toMatchObject([{ state: 'stopped' }]);
});

test('a killed server starts again', async () => {
  const bed = provider();
  await bed.up(['redis-east']);
  await bed.kill('redis-east');
  expect(await bed.status(['redis-east'])).toMatchObject([{ state: 'stopped' }]);
  expect(await bed.up(['redis-east'])).toEqual(['redis-east']);
  expect(await command('PING')).toBe('+PONG\r\n');
});

test('a paused server does not answer until it is resumed', async () => {
  const bed = provider();
  await bed.up(['redis-east']);
  await bed.pause('redis-east');
  expect(await bed.status(['redis-east'])).toMatchObject([{ state: 'not-ready' }]);
  await bed.resume('redis-east');
  expect(await command('PING')).toBe('+PONG\r\n');
});

test('a port that a stranger holds is an error that names it, and the stranger is left alone', async () => {
  const stranger = createServer((socket) => socket.end()).listen(port, '127.0.0.1');
  await once(stranger, 'listening');
  try {
    await expect(provider().up(['redis-east'])).rejects.toThrow(`Port ${port} of redis-east is taken`);
    expect(await provider().down(['redis-east'], false)).toEqual([]);
    expect(stranger.listening).toBe(true);
  } finally {
    stranger.close();
  }
});

test('the log of a server can be read', async () => {
  await provider().up(['redis-east']);
  expect(await provider().logs('redis-east')).toMatch(/Ready to accept connections/);
});
