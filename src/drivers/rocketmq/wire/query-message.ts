import { RequestCode } from './codes.ts';
import type { Request } from './command.ts';

/** 12 QUERY_MESSAGE by the client's message id (UNIQ_KEY): the broker's index gives the stored messages as in an answer to a pull. Answers QUERY_NOT_FOUND when there is none. */
export function queryByUniqueKey(topic: string, uniqueKey: string, maxMessages: number): Request {
  return {
    code: RequestCode.QUERY_MESSAGE,
    fields: [
      ['topic', topic],
      ['key', uniqueKey],
      ['maxNum', String(maxMessages)],
      ['beginTimestamp', '0'],
      ['endTimestamp', String(Number.MAX_SAFE_INTEGER)],
      ['_UNIQUE_KEY_QUERY', 'true'],
    ],
  };
}
