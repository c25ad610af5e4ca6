import type { StateStore } from '../../spi/state-store.ts';
import { newGeneration, type StateDeps } from '../deps.ts';
import {
  formatCheckpoint,
  formatLaneTable,
  laneText,
  mirrorText,
  parseCheckpoint,
  parseLaneTable,
  parseMirrorText,
} from '../documents.ts';
import { parseRedisUrl } from './address.ts';
import { openConnection } from './connection.ts';
import { appendIndex, readIndex } from './position-index.ts';
import { GENERATION } from './scripts.ts';

/** The kinds of keys of one mirror. */
const MIRROR_KEYS = ['checkpoints', 'lane-tables', 'index'] as const;

/**
 * State in Redis, under keys that begin with `prefix`. Each method is one command, so one round trip.
 * Fails with CONFIG_INVALID when the URL is not one; an absent Redis is no failure, the store is unavailable until it comes.
 */
export async function openRedisState(url: string, prefix: string, deps: StateDeps): Promise<StateStore> {
  const connection = await openConnection(parseRedisUrl(url), deps);
  const registry = `${prefix}registry`;
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
    loadCheckpoints: async (key) => {
      const all = await connection.call('loading checkpoints', (redis) => redis.hgetall(keyOf('checkpoints', mirrorText(key))));
      return Object.entries(all).map(([lane, text]) => parseCheckpoint(lane, text));
    },
    saveCheckpoints: async (key, checkpoints) => {
      if (checkpoints.length === 0) return;
      const fields = new Map(checkpoints.map((each) => [laneText(each.lane), formatCheckpoint(each)]));
      await connection.call('saving checkpoints', (redis) => redis.hset(keyOf('checkpoints', mirrorText(key)), fields));
    },
    loadLaneTable: async (key, topic) => {
      const text = await connection.call('loading a lane table', (redis) =>
        redis.hget(keyOf('lane-tables', mirrorText(key)), topic),
      );
      return text === null ? [] : parseLaneTable(topic, text);
    },
    saveLaneTable: async (key, topic, lanes) => {
      await connection.call('saving a lane table', (redis) =>
        redis.hset(keyOf('lane-tables', mirrorText(key)), topic, formatLaneTable(lanes)),
      );
    },
    appendIndex: (key, lanes) => appendIndex(connection, keyOf('index', mirrorText(key)), lanes),
    readIndex: (key, lane, from, to, limit) => readIndex(connection, keyOf('index', mirrorText(key)), lane, from, to, limit),
    forgetMirror: async (key) => {
      const keys = MIRROR_KEYS.map((kind) => keyOf(kind, mirrorText(key)));
      await connection.call('forgetting a mirror', (redis) => redis.unlink(...keys));
    },
    close: () => connection.close(),
  };
}
