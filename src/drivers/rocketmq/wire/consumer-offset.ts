import { RequestCode } from './codes.ts';
import type { Request } from './command.ts';

/** The remark of an otherwise successful 15 that was thrown away, because an operator's reset (222) waits for the group's next pull. */
export const RESET_PENDING_REMARK = 'previously reset';

/** 14 QUERY_CONSUMER_OFFSET. Without `setZeroIfNotFound=false` a group that never committed would read as 0 instead of QUERY_NOT_FOUND. */
export function queryConsumerOffset(group: string, topic: string, queueId: number): Request {
  return {
    code: RequestCode.QUERY_CONSUMER_OFFSET,
    fields: [
      ['consumerGroup', group],
      ['topic', topic],
      ['queueId', String(queueId)],
      ['setZeroIfNotFound', 'false'],
    ],
  };
}

/** 15 UPDATE_CONSUMER_OFFSET, sent two-way so that a refusal is seen. Needs an existing group: SUBSCRIPTION_GROUP_NOT_EXIST otherwise. */
export function updateConsumerOffset(group: string, topic: string, queueId: number, offset: number): Request {
  return {
    code: RequestCode.UPDATE_CONSUMER_OFFSET,
    fields: [
      ['consumerGroup', group],
      ['topic', topic],
      ['queueId', String(queueId)],
      ['commitOffset', String(offset)],
    ],
  };
}
