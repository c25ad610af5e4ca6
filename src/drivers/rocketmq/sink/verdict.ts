import { type ErrorCode, IsthmusError } from '../../../errors.ts';
import { refusal } from '../refusal.ts';
import { ResponseCode } from '../wire/codes.ts';
import type { Command } from '../wire/command.ts';

/**
 * What an answer to a send means. `weak`: stored, but a disk or a replica has not confirmed it in time; to send it again would store it twice. `refused`: surely not stored,
 * and it may be stored later. `doubt`: only the queue itself can tell. `failed`: not stored, and no use to try again. `illegal`: as `failed`, unless the broker's limit is
 * another one than we know.
 */
export type SendVerdict =
  | { readonly kind: 'stored'; readonly weak: boolean }
  | { readonly kind: 'refused' | 'doubt' | 'failed' | 'illegal'; readonly error: IsthmusError };

const WEAK: ReadonlySet<number> = new Set([
  ResponseCode.FLUSH_DISK_TIMEOUT,
  ResponseCode.SLAVE_NOT_AVAILABLE,
  ResponseCode.FLUSH_SLAVE_TIMEOUT,
]);

/** Said before anything is stored: overload, shutdown, disk full, wrong role, no permission, no such queue. */
const REFUSED: ReadonlySet<number> = new Set([
  ResponseCode.SYSTEM_BUSY,
  ResponseCode.SERVICE_NOT_AVAILABLE,
  ResponseCode.NO_PERMISSION,
  ResponseCode.FLOW_CONTROL,
  ResponseCode.NOT_LEADER_FOR_QUEUE,
  ResponseCode.GO_AWAY,
]);

export function judgeSend(answer: Command, doing: string): SendVerdict {
  if (answer.code === ResponseCode.SUCCESS) return { kind: 'stored', weak: false };
  if (WEAK.has(answer.code)) return { kind: 'stored', weak: true };
  const error = refusal(answer, doing);
  if (REFUSED.has(answer.code)) return { kind: 'refused', error };
  switch (answer.code) {
    case ResponseCode.TOPIC_NOT_EXIST:
      return { kind: 'failed', error };
    case ResponseCode.INVALID_PARAMETER:
      // The topic has fewer queues now; it may grow again.
      return { kind: 'refused', error: as('TOPIC_NOT_FOUND', error) };
    case ResponseCode.MESSAGE_ILLEGAL:
      return { kind: 'illegal', error: as('BROKER_REFUSED', error) };
    default:
      // The one refusal among the broker's exceptions that no second try changes.
      if (answer.remark.includes('size exceeded')) return { kind: 'illegal', error: as('BROKER_REFUSED', error) };
      return { kind: 'doubt', error: as('UNKNOWN_OUTCOME', error) };
  }
}

function as(code: ErrorCode, error: IsthmusError): IsthmusError {
  return new IsthmusError(code, error.message);
}
