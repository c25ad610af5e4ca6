import type { State } from '../../spi/state-store.ts';
import { newGeneration, type StateDeps } from '../deps.ts';
import {
  formatCheckpoint,
  formatLaneTable,
  laneText,
  mirrorText,
  parseCheckpoint,
  parseLaneTable,
  parseMirrorText,
  topicText,
} from '../documents.ts';
import { Leases } from '../leases.ts';
import { parseRedisUrl } from './address.ts';
import { openConnection, type RedisConnection } from './connection.ts';
import { leaseTable } from './lease-table.ts';
import { appendIndex, memberHead, readIndex } from './position-index.ts';
import { FORGET_LANE, GENERATION, REPLACE_LIST } from './scripts.ts';
import { redisWindows } from './windows.ts';

/** The kinds of keys of one mirror. */
const MIRROR_KEYS = ['checkpoints', 'lane-tables', 'index'] as const;

/**
 * State in Redis, under keys that begin with `prefix`. Each method is one command, so one round trip.
 * Fails with CONFIG_INVALID when the URL is not one; an absent Redis is no failure, the store is unavailable until it comes.
 */
export async function openRedisState(url: string, prefix: string, deps: StateDeps): Promise<State> {
  const connection = await openConnection(parseRedisUrl(url), deps);
  const registry = `${prefix}registry`;
  const notes = `${prefix}notes`;
  const keyOf = (kind: (typeof MIRROR_KEYS)[number], mirror: string): string => `${prefix}${kind}:${mirror}`;

  return {
    generation: () =>
      connection.call('reading the generation', async (redis) =>
        String(await redis.eval(GENERATION, 1, `${prefix}generation`, newGeneration(deps.random))),
      ),
    loadRegistry: async () => {
      const all = await connection.call('loading the registry', (redis) => redis.hgetall(registry));
      return Object.entries(all).map(([mirror, document]) => ({ key: parseMirrorText(mirror), document }));
    },
    saveRegistryEntry: async ({ key, document }) => {
      await connection.call('saving a mirror', (redis) => redis.hset(registry, mirrorText(key), document));
    },
    deleteRegistryEntry: async (key) => {
      await connection.call('deleting a mirror', (redis) => redis.hdel(registry, mirrorText(key)));
    },
    loadNote: async (name) => (await connection.call('loading a note', (redis) => redis.hget(notes, name))) ?? undefined,
    saveNote: async (name, text) => {
      await connection.call('saving a note', (redis) =>
        text === undefined ? redis.hdel(notes, name) : redis.hset(notes, name, text),
      );
    },
    loadCheckpoints: async (key) => {
      const all = await connection.call('loading checkpoints', (redis) => redis.hgetall(keyOf('checkpoints', mirrorText(key))));
      return Object.entries(all).map(([lane, text]) => parseCheckpoint(lane, text));
    },
    saveCheckpoints: async (key, checkpoints) => {
      if (checkpoints.length === 0) return;
      const fields = new Map(checkpoints.map((each) => [laneText(each.lane), formatCheckpoint(each)]));
      await connection.call('saving checkpoints', (redis) => redis.hset(keyOf('checkpoints', mirrorText(key)), fields));
    },
    loadLaneTable: (key, topic) => loadLanes(connection, keyOf('lane-tables', mirrorText(key)), topic),
    saveLaneTable: (key, topic, lanes, former) =>
      saveLanes(connection, keyOf('lane-tables', mirrorText(key)), topic, lanes, former),
    loadTargetLanes: (cluster, topic) => loadLanes(connection, `${prefix}target-lanes`, topicText(cluster, topic)),
    saveTargetLanes: (cluster, topic, lanes, former) =>
      saveLanes(connection, `${prefix}target-lanes`, topicText(cluster, topic), lanes, former),
    appendIndex: (key, lanes) => appendIndex(connection, keyOf('index', mirrorText(key)), lanes),
    readIndex: (key, lane, from, to, limit) => readIndex(connection, keyOf('index', mirrorText(key)), lane, from, to, limit),
    forgetLane: async (key, lane) => {
      const keys = [keyOf('checkpoints', mirrorText(key)), keyOf('index', mirrorText(key))];
      await connection.call('forgetting a lane', (redis) =>
        redis.call('EVAL', [FORGET_LANE, keys.length, ...keys, laneText(lane), memberHead(lane)]),
      );
    },
    forgetMirror: async (key) => {
      const keys = MIRROR_KEYS.map((kind) => keyOf(kind, mirrorText(key)));
      await connection.call('forgetting a mirror', (redis) => redis.unlink(...keys));
    },
    leases: new Leases(leaseTable(connection, `${prefix}leases`), deps),
    windows: redisWindows(connection, prefix, deps),
    close: () => connection.close(),
  };
}

async function loadLanes(connection: RedisConnection, key: string, field: string): Promise<string[]> {
  const text = await connection.call('loading a lane table', (redis) => redis.hget(key, field));
  return text === null ? [] : parseLaneTable(field, text);
}

async function saveLanes(
  connection: RedisConnection,
  key: string,
  field: string,
  lanes: readonly string[],
  former: readonly string[] | undefined,
): Promise<boolean> {
  const text = formatLaneTable(lanes);
  if (former === undefined) {
    await connection.call('saving a lane table', (redis) => redis.hset(key, field, text));
    return true;
  }
  const expected = formatLaneTable(former);
  const set = await connection.call('saving a lane table', (redis) => redis.eval(REPLACE_LIST, 1, key, field, expected, text));
  return set === 1;
}
