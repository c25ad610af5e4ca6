import { RequestCode } from './codes.ts';
import type { Command, Request } from './command.ts';

/** 26 GET_BROKER_CONFIG, to a broker: all its settings, as lines of `name=value`. */
export function getBrokerConfig(): Request {
  return { code: RequestCode.GET_BROKER_CONFIG, fields: [] };
}

/** A setting that is a number; `undefined` where the broker has none of that name. */
export function readNumberSetting(answer: Command, name: string): number | undefined {
  const line = answer.body
    .toString('utf8')
    .split('\n')
    .find((each) => each.startsWith(`${name}=`));
  const value = Number(line?.slice(name.length + 1));
  return line === undefined || !Number.isSafeInteger(value) ? undefined : value;
}
