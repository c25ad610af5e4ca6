import { RequestCode } from './codes.ts';
import type { Command, Request } from './command.ts';
import { mapIn, parseJsonObject, textIn } from './lenient-json.ts';

/** 28 GET_BROKER_RUNTIME_INFO, to a broker. */
export function getRuntimeInfo(): Request {
  return { code: RequestCode.GET_BROKER_RUNTIME_INFO, fields: [] };
}

/** The broker's version, such as `V5_5_0`. */
export function readBrokerVersion(answer: Command): string {
  return textIn(mapIn(parseJsonObject(answer.body), 'table'), 'brokerVersionDesc');
}
