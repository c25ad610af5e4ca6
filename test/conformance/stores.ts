import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/lib/clock.ts';
import type { Clock } from '../../src/spi/clock.ts';
import type { Log, LogFields } from '../../src/spi/log.ts';
import type { State, StateStore } from '../../src/spi/state-store.ts';
import type { StateDeps } from '../../src/state/deps.ts';
import { MemoryStore } from '../../src/state/memory/store.ts';
import { openState } from '../../src/state/open.ts';
import { type RedisServer, startRedisServer } from './redis-server.ts';

/** Where a store under test keeps its things: it can be opened again and lose everything. */
export interface Place {
  open(): Promise<StateStore>;
  /** What goes by a clock, as one process with that clock sees it. A file has one process at a time: the one before is closed first. */
  enter(clock: Clock): Promise<Timed>;
  /** Takes everything away; a store that is open on it has to be closed first where `closedFirst` says so. */
  empty(): Promise<void>;
  readonly closedFirst: boolean;
}

export type Timed = Pick<State, 'leases' | 'windows' | 'close'>;

/** A clock that stands still until it is told otherwise. Waiting for a connection goes by the machine's own. */
export class HandClock implements Clock {
  millis = 1_000_000;
  /** How far the time of day is off. */
  off = 1_760_000_000_000;
  readonly sleep: Clock['sleep'] = (millis, signal) => systemClock.sleep(millis, signal);
  readonly timer: Clock['timer'] = (millis, run) => systemClock.timer(millis, run);
  now(): number {
    return this.millis + this.off;
  }
  monotonic(): number {
    return this.millis;
  }
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
        enter: (clock) => openState({ kind: 'file', path }, { ...testDeps(), clock }),
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
        enter: async (clock) => ({ leases: kept.leases(clock), windows: kept.windows(clock), close: async () => undefined }),
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
        enter: (clock) => openState({ kind: 'redis', url: running().url, prefix }, { ...testDeps(), clock }),
        empty: () => running().with(async (redis) => void (await redis.flushall())),
        closedFirst: false,
      };
    },
  };
}

export const storeKinds: readonly StoreKind[] = [fileKind(), redisKind(), memoryKind()];
