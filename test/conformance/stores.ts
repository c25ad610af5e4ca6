import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/lib/clock.ts';
import type { Log, LogFields } from '../../src/spi/log.ts';
import type { StateStore } from '../../src/spi/state-store.ts';
import type { StateDeps } from '../../src/state/deps.ts';
import { MemoryStore } from '../../src/state/memory/store.ts';
import { openState } from '../../src/state/open.ts';
import { type RedisServer, startRedisServer } from './redis-server.ts';

/** Where a store under test keeps its things: it can be opened again and lose everything. */
export interface Place {
  open(): Promise<StateStore>;
  /** Takes everything away; a store that is open on it has to be closed first where `closedFirst` says so. */
  empty(): Promise<void>;
  readonly closedFirst: boolean;
}

export interface StoreKind {
  readonly name: 'file' | 'redis' | 'memory';
  start(): Promise<void>;
  stop(): Promise<void>;
  place(): Promise<Place>;
}

/** A log that keeps its lines for a look. */
export function memoryLog(lines: { event: string; fields: LogFields | undefined }[] = []): Log {
  const add = (event: string, fields?: LogFields): void => void lines.push({ event, fields });
  const log: Log = { debug: add, info: add, warn: add, error: add, child: () => log };
  return log;
}

export function testDeps(log: Log = memoryLog()): StateDeps {
  return { clock: systemClock, random: Math.random, log };
}

function fileKind(): StoreKind {
  let directory = '';
  let places = 0;
  return {
    name: 'file',
    async start() {
      directory = await mkdtemp(join(tmpdir(), 'isthmus-state-'));
    },
    stop: () => rm(directory, { recursive: true }),
    async place() {
      const folder = join(directory, String(places++));
      const path = join(folder, 'deep', 'state.db');
      return {
        open: () => openState({ kind: 'file', path }, testDeps()),
        empty: () => rm(folder, { recursive: true }),
        closedFirst: true,
      };
    },
  };
}

/** What the simulation uses in their place, held to the same. */
function memoryKind(): StoreKind {
  return {
    name: 'memory',
    start: async () => undefined,
    stop: async () => undefined,
    async place() {
      const kept = new MemoryStore(Math.random);
      return {
        open: async () => kept.open(),
        empty: async () => kept.empty(),
        closedFirst: false,
      };
    },
  };
}

function redisKind(): StoreKind {
  let server: RedisServer | undefined;
  let places = 0;
  const running = (): RedisServer => {
    if (server === undefined) throw new Error('the server is not started');
    return server;
  };
  return {
    name: 'redis',
    async start() {
      server = await startRedisServer();
    },
    stop: () => running().close(),
    async place() {
      const prefix = `test-${places++}:`;
      return {
        open: () => openState({ kind: 'redis', url: running().url, prefix }, testDeps()),
        empty: () => running().with(async (redis) => void (await redis.flushall())),
        closedFirst: false,
      };
    },
  };
}

export const storeKinds: readonly StoreKind[] = [fileKind(), redisKind(), memoryKind()];
