import type { LaneId } from '../../model/lane.ts';
import type { Position } from '../../model/position.ts';
import type { IndexEntry } from '../../spi/state-store.ts';
import { laneText } from '../documents.ts';
import { decodeChunks, encodeChunks } from '../index-codec.ts';
import { SEGMENT_BYTES, SEGMENTS_PER_LANE, SORT_KEY_BYTES, selectEntries, sortKey } from '../segments.ts';
import type { RedisConnection } from './connection.ts';
import { APPEND_INDEX, READ_INDEX } from './scripts.ts';

/** The position index of a mirror as one sorted set, a member per segment (see segments.ts and scripts.ts). */
export async function appendIndex(
  connection: RedisConnection,
  key: string,
  lanes: readonly { readonly lane: LaneId; readonly entries: readonly IndexEntry[] }[],
): Promise<void> {
  const args: (Buffer | string)[] = [];
  for (const { lane, entries } of lanes) {
    const head = memberHead(lane);
    for (const chunk of encodeChunks(entries)) args.push(head, sortKey(chunk.first), sortKey(chunk.last), chunk.bytes);
  }
  if (args.length === 0) return;
  await connection.call('writing the position index', (redis) =>
    redis.call('EVAL', [APPEND_INDEX, 1, key, SEGMENT_BYTES, SEGMENTS_PER_LANE, SORT_KEY_BYTES, ...args]),
  );
}

export async function readIndex(
  connection: RedisConnection,
  key: string,
  lane: LaneId,
  from: Position,
  to: Position,
  limit: number,
): Promise<IndexEntry[]> {
  const found = await connection.call('reading the position index', (redis) =>
    redis.callBuffer('EVAL', [READ_INDEX, 1, key, memberHead(lane), sortKey(from), sortKey(to), SORT_KEY_BYTES, limit]),
  );
  const chunks = Array.isArray(found) ? found.filter((part) => Buffer.isBuffer(part)) : [];
  return selectEntries(decodeChunks(Buffer.concat(chunks), `the position index of lane ${laneText(lane)}`), from, to, limit);
}

/** How members of a lane begin. The zero byte ends the name, so that no name begins another. */
export function memberHead(lane: LaneId): string {
  return `${laneText(lane)}\0`;
}
