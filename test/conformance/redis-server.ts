import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';

/** A redis-server of one test file's own, to be frozen, killed and flushed as it likes. Keeps nothing on disk. */
export interface RedisServer {
  readonly port: number;
  readonly url: string;
  /** Speaks to the server beside the store under test. */
  with<T>(work: (redis: Redis) => Promise<T>): Promise<T>;
  freeze(): void;
  thaw(): void;
  /** Kills it; `start` brings an empty one on the same port. */
  kill(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

export async function startRedisServer(
  options: { readonly args?: readonly string[]; readonly password?: string } = {},
): Promise<RedisServer> {
  const port = await freePort();
  const directory = await mkdtemp(join(tmpdir(), 'isthmus-redis-'));
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', directory];
  if (options.password !== undefined) args.push('--requirepass', options.password);
  args.push(...(options.args ?? []));
  let child = await launch(args);

  const connected = (): Redis => new Redis({ port, ...(options.password === undefined ? {} : { password: options.password }) });
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  return {
    port,
    url: `redis://127.0.0.1:${port}/0`,
    async with(work) {
      const redis = connected();
      try {
        return await work(redis);
      } finally {
        redis.disconnect();
      }
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    kill,
    async start() {
      child = await launch(args);
    },
    async close() {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Resolves when the server says that it accepts connections. */
async function launch(args: readonly string[]): Promise<ChildProcess> {
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  await new Promise<void>((resolve, reject) => {
    child.on('error', (error) => reject(new Error(`starting redis-server (install Redis 6 or newer): ${error.message}`)));
    child.on('exit', (code) => reject(new Error(`redis-server ended with ${code}: ${said}`)));
    child.stdout?.on('data', (text: Buffer) => {
      said += text.toString();
      if (said.includes('Ready to accept connections')) resolve();
    });
  });
  child.stdout?.removeAllListeners('data').resume();
  child.removeAllListeners('exit');
  return child;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}
