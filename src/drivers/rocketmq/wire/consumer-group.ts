import { RequestCode } from './codes.ts';
import type { Request } from './command.ts';

/** 200 UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, to each master; the broker fills in the defaults. */
export function createConsumerGroup(group: string): Request {
  return {
    code: RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
    fields: [],
    body: Buffer.from(JSON.stringify({ groupName: group })),
  };
}
