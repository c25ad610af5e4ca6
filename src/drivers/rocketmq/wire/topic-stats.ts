import { RequestCode } from './codes.ts';
import type { Command, Request } from './command.ts';
import { mapIn, numberIn, parseJsonObject } from './lenient-json.ts';

export interface QueueStats {
  readonly queueId: number;
  readonly minOffset: number;
  /** The offset that the next message will get. */
  readonly maxOffset: number;
}

/** 202 GET_TOPIC_STATS_INFO, to a broker: all its queues of a topic at once. */
export function getTopicStats(topic: string): Request {
  return { code: RequestCode.GET_TOPIC_STATS_INFO, fields: [['topic', topic]] };
}

export function readTopicStats(answer: Command): QueueStats[] {
  const queues: QueueStats[] = [];
  for (const [queue, offsets] of mapIn(parseJsonObject(answer.body), 'offsetTable')) {
    if (!(queue instanceof Map) || !(offsets instanceof Map)) continue;
    queues.push({
      queueId: numberIn(queue, 'queueId', -1),
      minOffset: Math.max(0, numberIn(offsets, 'minOffset', 0)),
      maxOffset: Math.max(0, numberIn(offsets, 'maxOffset', 0)),
    });
  }
  return queues;
}
