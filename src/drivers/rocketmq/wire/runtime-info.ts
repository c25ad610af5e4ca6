import { IsthmusError } from '../../../errors.ts';
import { RequestCode } from './codes.ts';
import type { Command, Request } from './command.ts';
import { mapIn, parseJsonObject, textIn } from './lenient-json.ts';

/** How far a broker's log and its index are, in bytes of the log. */
export interface LogProgress {
  /** The log ends here. */
  readonly endBytes: number;
  /** So much of the log is not in the index yet, and cannot be pulled. */
  readonly behindBytes: number;
}

/** 28 GET_BROKER_RUNTIME_INFO, to a broker. */
export function getRuntimeInfo(): Request {
  return { code: RequestCode.GET_BROKER_RUNTIME_INFO, fields: [] };
}

/** The broker's version, such as `V5_5_0`. */
export function readBrokerVersion(answer: Command): string {
  return textIn(mapIn(parseJsonObject(answer.body), 'table'), 'brokerVersionDesc');
}

/** Throws PROTOCOL_VIOLATION where a broker does not tell. */
export function readLogProgress(answer: Command): LogProgress {
  const table = mapIn(parseJsonObject(answer.body), 'table');
  const [endBytes, behindBytes] = [Number(textIn(table, 'commitLogMaxOffset')), Number(textIn(table, 'dispatchBehindBytes'))];
  if (!Number.isSafeInteger(endBytes) || !Number.isSafeInteger(behindBytes))
    throw new IsthmusError(
      'PROTOCOL_VIOLATION',
      'reading the runtime information of a broker: it does not say how far its index is',
    );
  return { endBytes, behindBytes };
}
