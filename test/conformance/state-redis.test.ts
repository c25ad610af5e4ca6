import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { toIsthmusError } from '../../src/errors.ts';
import { offsetPosition } from '../../src/model/position.ts';
import type { LogFields } from '../../src/spi/log.ts';
import type { MirrorKey, StateStore } from '../../src/spi/state-store.ts';
import { openRedisState } from '../../src/state/redis/redis-state.ts';
import { freePort, type RedisServer, startRedisServer } from './redis-server.ts';
import { memoryLog, testDeps } from './stores.ts';

const run = promisify(execFile);
const KEY: MirrorKey = { link: 'l', mirror: 'm' };
const LANE = { topic: 't', lane: '0' };
const CHECKPOINT = { lane: LANE, next: offsetPosition(7), targets: {}, time: 1 };
const PREFIX = 'isthmus:';

const CHECKPOINTS = `${PREFIX}checkpoints:["l","m"]`;
const DAMAGES: readonly (readonly [string, (redis: Redis) => Promise<unknown>])[] = [
  ['a key of another type', (redis) => redis.set(CHECKPOINTS, 'x')],
  ['a checkpoint that is no JSON', (redis) => redis.hset(CHECKPOINTS, '["t","0"]', '{"next"')],
  ['a checkpoint without a position', (redis) => redis.hset(CHECKPOINTS, '["t","0"]', '{"next":"x","targets":{},"time":1}')],
  ['a lane name that is no pair', (redis) => redis.hset(CHECKPOINTS, 'orders', '{"next":"1","targets":{},"time":1}')],
];

/** Asks until the store answers; how long that takes is the test's own limit to judge. */
async function answered(store: StateStore): Promise<string> {
  for (;;) {
    try {
      return await store.generation();
    } catch (error) {
      if (toIsthmusError(error).code !== 'STATE_UNAVAILABLE') throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

describe('state in a Redis that misbehaves', () => {
  const cleanups: (() => Promise<unknown>)[] = [];
  const started = async (options: Parameters<typeof startRedisServer>[0] = {}): Promise<RedisServer> => {
    const server = await startRedisServer(options);
    cleanups.push(() => server.close());
    return server;
  };
  const opened = async (url: string, lines: { event: string; fields: LogFields | undefined }[] = []): Promise<StateStore> => {
    const store = await openRedisState(url, PREFIX, testDeps(memoryLog(lines)));
    cleanups.push(() => store.close());
    return store;
  };
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  });

  it('rejects calls while Redis is killed and goes on, with a new generation, when an empty one comes', async () => {
    const server = await started();
    const lines: { event: string; fields: LogFields | undefined }[] = [];
    const store = await opened(server.url, lines);
    const before = await store.generation();
    await server.kill();
    await expect(store.saveCheckpoints(KEY, [CHECKPOINT])).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE', retryable: true });
    await expect(store.loadRegistry()).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' });
    await server.start();
    expect(await answered(store)).not.toBe(before);
    await store.saveCheckpoints(KEY, [CHECKPOINT]);
    expect(await store.loadCheckpoints(KEY)).toEqual([CHECKPOINT]);
    expect(lines.map((line) => line.event)).toEqual(['state-connected', 'state-unavailable', 'state-connected']);
  });

  it('gives up calls to a frozen Redis, holds none back for later, and goes on when it thaws', async () => {
    const server = await started();
    const store = await opened(server.url);
    const before = await store.generation();
    server.freeze();
    cleanups.push(async () => server.thaw());
    const calls = Array.from({ length: 1_000 }, () => store.saveCheckpoints(KEY, [CHECKPOINT]));
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.every((each) => each.status === 'rejected' && each.reason.code === 'STATE_UNAVAILABLE')).toBe(true);
    await expect(store.saveCheckpoints(KEY, [CHECKPOINT])).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' });
    server.thaw();
    expect(await answered(store)).toBe(before);
  });

  it('opens without a Redis and works when one comes', async () => {
    const server = await started();
    await server.kill();
    const store = await opened(server.url);
    await expect(store.generation()).rejects.toMatchObject({
      code: 'STATE_UNAVAILABLE',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    await server.start();
    expect(await answered(store)).toMatch(/^[0-9a-f]{24}$/);
  });

  it('closes at once while Redis is frozen, and the waiting call says CLOSED', async () => {
    const server = await started();
    const store = await opened(server.url);
    await store.generation();
    server.freeze();
    cleanups.push(async () => server.thaw());
    const waiting = store.generation();
    await store.close();
    await expect(waiting).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('logs in with a password that needs escaping, and never tells a wrong one', async () => {
    const server = await started({ password: 'p@ss/w:rd' });
    const right = await opened(`redis://:p%40ss%2Fw%3Ard@127.0.0.1:${server.port}/0`);
    expect(await right.generation()).toMatch(/^[0-9a-f]{24}$/);

    const lines: { event: string; fields: LogFields | undefined }[] = [];
    const wrong = await opened(`redis://:hunter2@127.0.0.1:${server.port}/0`, lines);
    const error: unknown = await wrong.generation().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'STATE_UNAVAILABLE', message: expect.stringContaining('check user and password') });
    expect(JSON.stringify([lines, error, (error as Error).message, (error as Error).stack])).not.toContain('hunter2');
    expect((error as Error).cause).toBeUndefined();
    // One line for all the tries.
    expect(lines).toHaveLength(1);
  });

  it('keeps to the database of the URL, and refuses to work on another when Redis has none of that number', async () => {
    const server = await started();
    const store = await opened(`redis://127.0.0.1:${server.port}/3`);
    await store.generation();
    await server.with(async (redis) => {
      expect(await redis.dbsize()).toBe(0);
      await redis.select(3);
      expect(await redis.keys('*')).toEqual([`${PREFIX}generation`]);
    });
    const beyond = await opened(`redis://127.0.0.1:${server.port}/99`);
    await expect(beyond.generation()).rejects.toMatchObject({
      code: 'STATE_UNAVAILABLE',
      message: expect.stringContaining('database number'),
    });
    await server.with(async (redis) => expect(await redis.dbsize()).toBe(0));
  });

  it('speaks TLS to rediss:// and refuses a certificate that nobody vouches for', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'isthmus-tls-'));
    cleanups.push(() => rm(directory, { recursive: true }));
    const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    await run('openssl', [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      key,
      '-out',
      cert,
      ...subject,
    ]);
    const tlsPort = await freePort();
    const args = ['--tls-port', String(tlsPort), '--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert];
    const server = await started({ args: [...args, '--tls-auth-clients', 'no'] });
    const url = `rediss://localhost:${tlsPort}/0`;

    const refused = await opened(url);
    await expect(refused.generation()).rejects.toMatchObject({
      code: 'STATE_UNAVAILABLE',
      message: expect.stringContaining('certificate'),
    });

    // Which authorities count is read when a process starts, so a process of its own has to ask.
    const program = `
      import { openRedisState } from ${JSON.stringify(new URL('../../src/state/redis/redis-state.ts', import.meta.url).href)};
      import { systemClock } from ${JSON.stringify(new URL('../../src/lib/clock.ts', import.meta.url).href)};
      const quiet = () => {};
      const log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log };
      const store = await openRedisState(${JSON.stringify(url)}, ${JSON.stringify(PREFIX)}, { clock: systemClock, random: Math.random, log });
      console.log(await store.generation());
      await store.close();`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: cert },
    });
    expect(stdout.trim()).toBe(await server.with((redis) => redis.get(`${PREFIX}generation`)));
  });

  it('replaces a connection that dies in the middle of an answer', async () => {
    const server = await started();
    const sockets: Socket[] = [];
    let cut = false;
    const proxy = createServer((client) => {
      const upstream = connect(server.port, '127.0.0.1');
      sockets.push(client, upstream);
      for (const socket of [client, upstream]) socket.on('error', () => socket.destroy());
      client.pipe(upstream);
      upstream.on('data', (data) => {
        if (cut) client.end(data.subarray(0, 3));
        else client.write(data);
      });
    });
    const port = await freePort();
    await new Promise<void>((resolve) => proxy.listen(port, '127.0.0.1', resolve));
    cleanups.push(async () => {
      for (const socket of sockets) socket.destroy();
      proxy.close();
    });
    const store = await opened(`redis://127.0.0.1:${port}/0`);
    const before = await store.generation();
    cut = true;
    await expect(store.generation()).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' });
    cut = false;
    expect(await answered(store)).toBe(before);
  });

  it.each(DAMAGES)('says STATE_DAMAGED and what to do about %s', async (_, damage) => {
    const server = await started();
    const store = await opened(server.url);
    await server.with(damage);
    const damaged = { code: 'STATE_DAMAGED', message: expect.stringContaining('What to do') };
    await expect(store.loadCheckpoints(KEY)).rejects.toMatchObject(damaged);
  });

  it('says STATE_DAMAGED about a lane table, a registry and a position index that are damaged', async () => {
    const server = await started();
    const store = await opened(server.url);
    await store.appendIndex(KEY, [
      { lane: LANE, entries: [{ runs: [{ first: offsetPosition(5), count: 9 }], partition: 0, target: offsetPosition(1) }] },
    ]);
    await server.with(async (redis) => {
      await redis.hset(`${PREFIX}lane-tables:["l","m"]`, 't', '{}');
      await redis.hset(`${PREFIX}registry`, 'no pair', '{}');
      const index = `${PREFIX}index:["l","m"]`;
      const [member] = await redis.zrangeBuffer(index, 0, '-1');
      if (member === undefined) throw new Error('there is no segment to damage');
      await redis.zrem(index, member);
      const last = member.length - 6;
      member.writeUInt8((member[last] ?? 0) ^ 1, last);
      await redis.call('ZADD', [index, '0', member]);
    });
    const damaged = { code: 'STATE_DAMAGED', message: expect.stringContaining('What to do') };
    await expect(store.loadLaneTable(KEY, 't')).rejects.toMatchObject(damaged);
    await expect(store.loadRegistry()).rejects.toMatchObject(damaged);
    await expect(store.readIndex(KEY, LANE, offsetPosition(0), offsetPosition(9), 9)).rejects.toMatchObject(damaged);
  });

  it.each(['http://h', 'redis://', 'redis://h:6379/one', 'redis://h/0?password=x', 'redis://u:%ZZ@h', 'nonsense hunter2'])(
    'refuses the address %s without repeating it',
    async (url) => {
      const error: unknown = await openRedisState(url, PREFIX, testDeps()).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
      expect((error as Error).message).not.toContain('hunter2');
    },
  );
});
