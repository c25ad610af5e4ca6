import { RequestCode } from './codes.ts';
import { type Command, numberField, type Request } from './command.ts';

function queueFields(topic: string, queueId: number): (readonly [string, string])[] {
  return [
    ['topic', topic],
    ['queueId', String(queueId)],
  ];
}

/** 30 GET_MAX_OFFSET: the offset that the next message will get. It lags behind an acknowledged send for some milliseconds. */
export function getMaxOffset(topic: string, queueId: number): Request {
  return { code: RequestCode.GET_MAX_OFFSET, fields: queueFields(topic, queueId) };
}

/** 31 GET_MIN_OFFSET: the oldest offset that is still stored. */
export function getMinOffset(topic: string, queueId: number): Request {
  return { code: RequestCode.GET_MIN_OFFSET, fields: queueFields(topic, queueId) };
}

/** 29 SEARCH_OFFSET_BY_TIMESTAMP: the first message stored at `time` (milliseconds since 1970) or later. May lie below the oldest one. */
export function searchOffset(topic: string, queueId: number, time: number): Request {
  return { code: RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, fields: [...queueFields(topic, queueId), ['timestamp', String(time)]] };
}

/** The answer to each of them. A broker says -1 for a queue that never had a message. */
export function readOffset(answer: Command): number {
  return Math.max(0, numberField(answer, 'offset'));
}
