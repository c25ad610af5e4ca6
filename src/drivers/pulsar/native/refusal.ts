import { type ErrorCode, IsthmusError } from '../../../errors.ts';

/** The client's words for a result (`pulsar_result_str`), and what they mean to us. */
const MEANINGS: readonly (readonly [words: RegExp, code: ErrorCode])[] = [
  [/Authentication|Authorization/i, 'ACCESS_DENIED'],
  [/ProducerBusy|ProducerFenced|ConsumerBusy/i, 'OTHER_WRITER'],
  [/TopicTerminated/i, 'TOPIC_TERMINATED'],
  [/TopicNotFound/i, 'TOPIC_NOT_FOUND'],
  [/TimeOut|Timeout/, 'REQUEST_TIMEOUT'],
  [/TooManyLookup|ServiceUnitNotReady|QuotaExceeded/i, 'BROKER_BUSY'],
];

/** The client's errors, told as ours. They have no codes, only texts. */
export function nativeError(doing: string, error: unknown): IsthmusError {
  if (error instanceof IsthmusError) return error;
  const detail = error instanceof Error ? error.message : String(error);
  const code = MEANINGS.find(([words]) => words.test(detail))?.[1] ?? 'CONNECT_FAILED';
  return new IsthmusError(code, `${doing}: ${detail}`, { cause: error });
}

/** Whether the broker takes no message of this size. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof Error && /MessageTooBig/i.test(error.message);
}
