import { RequestCode, ResponseCode } from './codes.ts';
import type { Command, Request } from './command.ts';
import { listIn, parseJsonObject, textIn } from './lenient-json.ts';

/** 203 GET_CONSUMER_CONNECTION_LIST, to a broker. */
export function getGroupMembers(group: string): Request {
  return { code: RequestCode.GET_CONSUMER_CONNECTION_LIST, fields: [['consumerGroup', group]] };
}

export interface GroupMembers {
  /** Client ids: a client is known at every broker. */
  readonly clients: readonly string[];
  /** CONSUME_ACTIVELY, CONSUME_PASSIVELY or CONSUME_POP. */
  readonly consumeType: string;
}

/** `undefined` for an answer that is no refusal but says that nobody is there. */
export function readGroupMembers(answer: Command): GroupMembers | undefined {
  if (answer.code !== ResponseCode.SUCCESS) return undefined;
  const body = parseJsonObject(answer.body);
  const clients = listIn(body, 'connectionSet').map((each) => (each instanceof Map ? textIn(each, 'clientId') : ''));
  return { clients, consumeType: textIn(body, 'consumeType') };
}
