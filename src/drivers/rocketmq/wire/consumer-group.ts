import { RequestCode } from './codes.ts';
import type { Command, Request } from './command.ts';
import { parseJsonObject } from './lenient-json.ts';

/** 200 UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, to each master; the broker fills in the defaults. */
export function createConsumerGroup(group: string): Request {
  return {
    code: RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
    fields: [],
    body: Buffer.from(JSON.stringify({ groupName: group })),
  };
}

/** 352 GET_SUBSCRIPTIONGROUP_CONFIG, to a master. */
export function getConsumerGroup(group: string): Request {
  return { code: RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, fields: [['group', group]] };
}

/** Whether POP consumers of the group get a queue's messages one after the other, so that its offset is what they have acknowledged. */
export function readsInOrder(answer: Command): boolean {
  return parseJsonObject(answer.body).get('consumeMessageOrderly') === true;
}
