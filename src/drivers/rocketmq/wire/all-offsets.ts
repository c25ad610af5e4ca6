import { RequestCode } from './codes.ts';
import type { Command, Request } from './command.ts';
import { type JsonMap, mapIn, parseJsonObject } from './lenient-json.ts';

/** 43 GET_ALL_CONSUMER_OFFSET: every place of every group at a broker, in one answer. */
export function getAllOffsets(): Request {
  return { code: RequestCode.GET_ALL_CONSUMER_OFFSET, fields: [] };
}

export interface GroupOffsets {
  readonly topic: string;
  readonly group: string;
  /** By queue: the offset that is to be read next. */
  readonly offsets: ReadonlyMap<number, number>;
  /** Whether the broker has seen pulls of this group on the topic since it was started: then the offsets are what its consumers have done, not what was handed to them. */
  readonly pulls: boolean;
}

/** Names hold no `@`. */
export function readAllOffsets(answer: Command): GroupOffsets[] {
  const body = parseJsonObject(answer.body);
  const pulled = mapIn(body, 'pullOffsetTable');
  const found: GroupOffsets[] = [];
  for (const [key, queues] of mapIn(body, 'offsetTable')) {
    if (typeof key !== 'string' || !(queues instanceof Map)) continue;
    const [topic, group] = key.split('@');
    if (topic === undefined || group === undefined) continue;
    found.push({ topic, group, offsets: readQueues(queues), pulls: pulled.has(key) });
  }
  return found;
}

function readQueues(queues: JsonMap): Map<number, number> {
  const offsets = new Map<number, number>();
  for (const [queue, offset] of queues) {
    if (typeof queue === 'string' && typeof offset === 'number' && Number.isSafeInteger(offset))
      offsets.set(Number(queue), offset);
  }
  return offsets;
}
