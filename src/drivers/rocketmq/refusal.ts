import { type ErrorCode, IsthmusError } from '../../errors.ts';
import { ResponseCode } from './wire/codes.ts';
import type { Command } from './wire/command.ts';

/** What a response code other than success means for us; all else is BROKER_REFUSED. */
const MEANING: Readonly<Record<number, ErrorCode>> = {
  // Also "name server not ready", and whatever exception a broker ran into: it may pass.
  [ResponseCode.SYSTEM_ERROR]: 'BROKER_BUSY',
  [ResponseCode.SYSTEM_BUSY]: 'BROKER_BUSY',
  [ResponseCode.SERVICE_NOT_AVAILABLE]: 'BROKER_BUSY',
  [ResponseCode.FLOW_CONTROL]: 'BROKER_BUSY',
  [ResponseCode.NOT_LEADER_FOR_QUEUE]: 'BROKER_BUSY',
  [ResponseCode.GO_AWAY]: 'BROKER_BUSY',
  [ResponseCode.NO_PERMISSION]: 'ACCESS_DENIED',
  [ResponseCode.TOPIC_NOT_EXIST]: 'TOPIC_NOT_FOUND',
  [ResponseCode.QUERY_NOT_FOUND]: 'NOT_FOUND',
};

/** The error of a refused request: "doing X: the broker answered N remark". */
export function refusal(answer: Command, doing: string): IsthmusError {
  const remark = answer.remark.slice(0, 300);
  return new IsthmusError(
    MEANING[answer.code] ?? 'BROKER_REFUSED',
    `${doing}: the answer was ${answer.code}${remark === '' ? '' : ` (${remark})`}`,
  );
}

/** Lets a successful answer through. Throws the refusal otherwise. */
export function accepted(answer: Command, doing: string): Command {
  if (answer.code !== ResponseCode.SUCCESS) throw refusal(answer, doing);
  return answer;
}
