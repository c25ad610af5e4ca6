import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { WindowIds } from '../../src/lib/window-ids.ts';
import { offsetPosition } from '../../src/model/position.ts';
import { RecordBatch } from '../../src/model/record-batch.ts';
import { type DedupWindow, Verdict, type WindowLimits } from '../../src/spi/dedup-window.ts';
import type { State } from '../../src/spi/state-store.ts';
import { openRedisState } from '../../src/state/redis/redis-state.ts';
import { type RedisServer, startRedisServer } from './redis-server.ts';
import { testDeps } from './stores.ts';

const LIMITS: WindowLimits = { windowMillis: 86_400_000, maxIds: 10_000_000, claimMillis: 60_000 };
const { fresh, claimed, stored } = Verdict;
/** The most that Redis may need for an id. */
const MOST_BYTES = 32;

function uniqueKeys(from: number, count: number): WindowIds {
  const ids = new WindowIds();
  const batch = new RecordBatch(count);
  for (let i = 0; i < count; i++) {
    batch.major[i] = from + i;
    const key = Buffer.from(`7F00000100002A139A55${(from + i).toString(16).toUpperCase().padStart(12, '0')}`);
    ids.addKey(key, 0, key.length, batch, i);
  }
  return ids;
}

/** Offsets so far apart that each has a cell of its own. */
function scattered(from: number, count: number): WindowIds {
  const ids = new WindowIds();
  for (let i = from; i < from + count; i++) ids.addRun('origin;rmq-east;orders;broker-a:0', offsetPosition(i * 1_000), 1);
  return ids;
}

function offsets(first: number, count: number): WindowIds {
  const ids = new WindowIds();
  ids.addRun('origin;rmq-east;orders;broker-a:0', offsetPosition(first), count);
  return ids;
}

async function keysOf(redis: Redis): Promise<string[]> {
  return (await redis.keys('*')).filter((key) => key.includes('window:'));
}

async function memoryOf(redis: Redis): Promise<number> {
  const sizes = redis.pipeline();
  for (const key of await keysOf(redis)) sizes.memory('USAGE', key, 'SAMPLES', 0);
  return ((await sizes.exec()) ?? []).reduce((sum, [, bytes]) => sum + Number(bytes), 0);
}

describe('dedup windows in Redis', () => {
  const cleanups: (() => Promise<unknown>)[] = [];
  const started = async (options: Parameters<typeof startRedisServer>[0] = {}): Promise<RedisServer> => {
    const server = await startRedisServer(options);
    cleanups.push(() => server.close());
    return server;
  };
  const opened = async (server: RedisServer): Promise<State> => {
    const store = await openRedisState(server.url, 'isthmus:', testDeps());
    cleanups.push(() => store.close());
    return store;
  };
  const windowOf = (store: State, owner = 'a', limits = LIMITS): DedupWindow =>
    store.windows.open('pulsar-west', 'orders', owner, limits);
  /** Asks until the answer is as wanted; the test's own limit says when that is too late. */
  const until = async <T>(ask: () => Promise<T>, wanted: (answer: T) => boolean): Promise<T> => {
    for (;;) {
      const answer = await ask().catch(() => undefined);
      if (answer !== undefined && wanted(answer)) return answer;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  });

  it.each([
    ['unique keys', uniqueKeys],
    ['positions far apart', scattered],
    ['neighbours', (from: number, count: number) => offsets(from, count)],
  ] as const)('needs at most 32 bytes for an id, here %s, in packed keys that end by themselves', async (_, make) => {
    const server = await started();
    const window = windowOf(await opened(server));
    const count = 40_000;
    for (let from = 0; from < count; from += 1_000) await window.confirm(make(from, 1_000));
    await server.with(async (redis) => {
      expect((await memoryOf(redis)) / count).toBeLessThanOrEqual(MOST_BYTES);
      const keys = await keysOf(redis);
      const tags = keys.map((key) => /\{[^}]*\}/.exec(key)?.[0]);
      expect(new Set(tags).size).toBe(1);
      for (const key of keys) {
        expect(await redis.pttl(key)).toBeGreaterThan(LIMITS.windowMillis);
      }
      const shards = keys.filter((key) => /:\d+:\d+$/.test(key));
      const encodings = await Promise.all(shards.map((key) => redis.object('ENCODING', key)));
      expect(new Set(encodings)).toEqual(new Set(['listpack']));
    });
    const ids = make(0, count);
    await window.claim(ids);
    expect(new Set(ids.verdicts)).toEqual(new Set([stored]));
  });

  it('gives each id to one of several claimants that ask at the same time', async () => {
    const server = await started();
    const windows = await Promise.all(['a', 'b', 'c'].map(async (owner) => windowOf(await opened(server), owner)));
    const asked = await Promise.all(
      windows.map(async (window, i) => {
        const parts = [uniqueKeys(i * 100, 1_000), offsets(i * 100, 1_000)];
        for (const ids of parts) await window.claim(ids);
        return parts.map((ids) => [...ids.verdicts]);
      }),
    );
    for (const kind of [0, 1]) {
      for (let id = 0; id < 1_200; id++) {
        const verdicts = asked.flatMap((parts, i) => parts[kind]?.[id - i * 100] ?? []);
        expect(verdicts.filter((verdict) => verdict === fresh)).toHaveLength(1);
        expect(verdicts.filter((verdict) => verdict !== fresh && verdict !== claimed)).toEqual([]);
      }
    }
  });

  it('forgets ids and claims when their time has passed', async () => {
    const server = await started();
    const store = await opened(server);
    const limits = { windowMillis: 600, maxIds: 1_000, claimMillis: 300 };
    for (const make of [uniqueKeys, offsets]) {
      const window = windowOf(store, 'a', limits);
      await window.confirm(make(0, 300));
      await window.claim(make(500, 300));
      const other = windowOf(store, 'b', limits);
      const asking = (from: number) => async (): Promise<Uint8Array> => {
        const ids = make(from, 300);
        await other.claim(ids);
        return ids.verdicts;
      };
      const allFresh = (verdicts: Uint8Array): boolean => verdicts.every((each) => each === fresh);
      expect(await until(asking(500), allFresh)).toHaveLength(300);
      expect(await until(asking(0), allFresh)).toHaveLength(300);
      await store.windows.forget('pulsar-west', 'orders');
    }
  });

  it('gives the memory of forgotten ids back', async () => {
    const server = await started();
    const window = windowOf(await opened(server), 'a', { ...LIMITS, maxIds: 8_000 });
    for (let from = 0; from < 80_000; from += 1_000) await window.confirm(uniqueKeys(from, 1_000));
    await server.with(async (redis) => expect((await memoryOf(redis)) / 8_000).toBeLessThanOrEqual(MOST_BYTES));
  });

  it('goes on when Redis has forgotten its scripts', async () => {
    const server = await started();
    const window = windowOf(await opened(server));
    await window.confirm(offsets(0, 10));
    await server.with((redis) => redis.script('FLUSH'));
    const ids = offsets(0, 10);
    await window.claim(ids);
    expect(new Set(ids.verdicts)).toEqual(new Set([stored]));
  });

  it('rejects with STATE_UNAVAILABLE while Redis is frozen or gone, and reports the loss when an empty one comes', async () => {
    const server = await started();
    const window = windowOf(await opened(server));
    const before = await window.confirm(offsets(0, 10));
    server.freeze();
    cleanups.push(async () => server.thaw());
    await expect(window.claim(offsets(0, 10))).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' });
    server.thaw();
    expect(
      (
        await until(
          () => window.report(),
          () => true,
        )
      ).lossEpoch,
    ).toBe(before.lossEpoch);
    await server.kill();
    await expect(window.confirm(offsets(0, 10))).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' });
    await server.start();
    const after = await until(
      () => window.report(),
      () => true,
    );
    expect(after.lossEpoch).not.toBe(before.lossEpoch);
    expect(after.completeMillis).toBeLessThan(LIMITS.windowMillis);
  });

  it('reports a loss when Redis was restarted with what it had kept, once for all who ask', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'isthmus-aof-'));
    cleanups.push(() => rm(directory, { recursive: true }));
    const server = await started({ args: ['--appendonly', 'yes', '--appendfsync', 'always', '--dir', directory] });
    const [first, second] = [await opened(server), await opened(server)].map((store) => windowOf(store));
    if (first === undefined || second === undefined) throw new Error('two stores were opened');
    const before = await first.confirm(offsets(0, 10));
    expect((await second.report()).lossEpoch).toBe(before.lossEpoch);
    await server.kill();
    await server.start();
    const after = await until(
      () => first.report(),
      () => true,
    );
    expect(after.lossEpoch).not.toBe(before.lossEpoch);
    expect(
      (
        await until(
          () => second.report(),
          () => true,
        )
      ).lossEpoch,
    ).toBe(after.lossEpoch);
    const ids = offsets(0, 11);
    await first.claim(ids);
    expect([...ids.verdicts]).toEqual([...Array(10).fill(stored), fresh]);
  });

  it.each([
    ['keys', uniqueKeys],
    ['positions', scattered],
  ] as const)('notices that Redis has thrown %s away', async (_, make) => {
    const server = await started();
    const window = windowOf(await opened(server));
    const before = await window.confirm(make(0, 1_000));
    await server.with(async (redis) => {
      const shard = (await keysOf(redis)).find((key) => key.endsWith(':1:3'));
      expect(await redis.unlink(shard ?? '')).toBe(1);
    });
    const after = await window.claim(make(0, 1_000));
    expect(after.lossEpoch).not.toBe(before.lossEpoch);
    expect((await window.claim(make(0, 1_000))).lossEpoch).toBe(after.lossEpoch);
  });

  it('says STATE_DAMAGED when something else stands in its place', async () => {
    const server = await started();
    const window = windowOf(await opened(server));
    await window.report();
    await server.with(async (redis) => {
      const [key = ''] = (await keysOf(redis)).filter((each) => each.endsWith('}'));
      await redis.set(key, 'x');
    });
    await expect(window.report()).rejects.toMatchObject({ code: 'STATE_DAMAGED' });
  });
});
