import { type ErrorCode, IsthmusError } from '../../../errors.ts';

interface ServerErrorRow {
  readonly name: string;
  readonly code: ErrorCode;
  /** Left out = as the code's own rule. */
  readonly retryable?: boolean;
}

/** Every ServerError of the protocol. The reaction is in the code: retryable ones are tried again after a fresh look-up, the others end in `onFailed`. */
const ROWS: readonly ServerErrorRow[] = [
  { name: 'UnknownError', code: 'BROKER_BUSY' },
  { name: 'MetadataError', code: 'BROKER_BUSY' },
  // Also the answer of a deduplicating broker that cannot decide yet: the tail tells.
  { name: 'PersistenceError', code: 'UNKNOWN_OUTCOME' },
  { name: 'AuthenticationError', code: 'ACCESS_DENIED' },
  { name: 'AuthorizationError', code: 'ACCESS_DENIED' },
  // Also a subscription that is being reset.
  { name: 'ConsumerBusy', code: 'BROKER_BUSY' },
  // A bundle that nobody looked up yet, a topic that moves, a broker that starts.
  { name: 'ServiceNotReady', code: 'BROKER_BUSY' },
  { name: 'ProducerBlockedQuotaExceededError', code: 'BROKER_BUSY' },
  { name: 'ProducerBlockedQuotaExceededException', code: 'BROKER_BUSY' },
  { name: 'ChecksumError', code: 'UNKNOWN_OUTCOME' },
  { name: 'UnsupportedVersionError', code: 'BROKER_REFUSED' },
  { name: 'TopicNotFound', code: 'TOPIC_NOT_FOUND' },
  { name: 'SubscriptionNotFound', code: 'NOT_FOUND' },
  { name: 'ConsumerNotFound', code: 'BROKER_BUSY' },
  { name: 'TooManyRequests', code: 'BROKER_BUSY' },
  { name: 'TopicTerminatedError', code: 'TOPIC_TERMINATED' },
  // The name is in use on another connection that lives. Reserved subscription names get this answer too; Isthmus uses none.
  { name: 'ProducerBusy', code: 'OTHER_WRITER' },
  { name: 'InvalidTopicName', code: 'TOPIC_NAME_REFUSED' },
  { name: 'IncompatibleSchema', code: 'TOPIC_MISMATCH' },
  { name: 'ConsumerAssignError', code: 'BROKER_BUSY' },
  { name: 'TransactionCoordinatorNotFound', code: 'BROKER_REFUSED' },
  { name: 'InvalidTxnStatus', code: 'BROKER_REFUSED' },
  { name: 'NotAllowedError', code: 'RECORD_REFUSED' },
  { name: 'TransactionConflict', code: 'BROKER_REFUSED' },
  { name: 'TransactionNotFound', code: 'BROKER_REFUSED' },
  // Somebody opened the topic exclusively: this writer is out until that producer is gone.
  { name: 'ProducerFenced', code: 'OTHER_WRITER', retryable: false },
];

/** What a broker says of an entry that is larger than the topic's policy allows; it has no code of its own. */
const TOO_LARGE = /maximum message size/i;

/** Whether a send was refused for its size. */
export function isTooLarge(error: number, message: string): boolean {
  return ROWS[error]?.name === 'NotAllowedError' && TOO_LARGE.test(message);
}

export const SERVER_ERROR = { checksum: 9, topicNotFound: 11 } as const;

/** A broker's error as ours: "doing: cause". */
export function serverError(error: number, message: string, doing: string): IsthmusError {
  const row = ROWS[error] ?? { name: `ServerError ${error}`, code: 'BROKER_BUSY' as const };
  // A broker's message may be a whole Java stack; the first line says it.
  const cause = `${row.name}: ${(message.split('\n', 1)[0] ?? '').slice(0, 300)}`;
  return new IsthmusError(row.code, `${doing}: ${cause}`, row.retryable === undefined ? {} : { retryable: row.retryable });
}
