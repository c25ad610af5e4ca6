/**
 * The one table of errors. Match on `code`; the text may change.
 *
 * `retryable`: doing the same again later can succeed. `stops`: the largest thing that this error brings to a halt;
 * everything outside it goes on. `UNKNOWN_OUTCOME` is a state of its own: the write may or may not have happened, and
 * only the target's tail can tell.
 */
const TABLE = {
  CONFIG_INVALID: { retryable: false, stops: 'process', meaning: 'the configuration has problems; all are listed' },
  CONNECT_FAILED: { retryable: true, stops: 'lane', meaning: 'no connection to a broker, name server, admin address or store' },
  CONNECTION_LOST: { retryable: true, stops: 'lane', meaning: 'a connection ended while something was waiting for an answer' },
  REQUEST_TIMEOUT: { retryable: true, stops: 'lane', meaning: 'a broker did not answer in time' },
  PROTOCOL_VIOLATION: { retryable: true, stops: 'lane', meaning: 'a peer sent bytes that the protocol does not allow' },
  FRAME_TOO_LARGE: { retryable: false, stops: 'lane', meaning: 'a frame is larger than the protocol or the peer allows' },
  BROKER_BUSY: { retryable: true, stops: 'lane', meaning: 'a broker is overloaded, starting, stopping or no longer the owner' },
  BROKER_REFUSED: { retryable: false, stops: 'lane', meaning: 'a broker refused a request for good' },
  ACCESS_DENIED: { retryable: true, stops: 'lane', meaning: 'credentials or permissions do not suffice' },
  TOPIC_NOT_FOUND: { retryable: true, stops: 'lane', meaning: 'the topic does not exist (yet)' },
  SOURCE_GONE: {
    retryable: true,
    stops: 'lane',
    meaning:
      'the source topic was deleted: everything that had it answers, and has it no more; it is mirrored again when it is made again',
  },
  SOURCE_REWOUND: {
    retryable: false,
    stops: 'lane',
    meaning: 'the source goes on below a position that was read before: truncated or recreated',
  },
  TOPIC_NAME_REFUSED: { retryable: false, stops: 'mirror', meaning: 'the target does not allow this topic name' },
  TOPIC_MISMATCH: {
    retryable: false,
    stops: 'mirror',
    meaning: 'the target topic exists with settings that do not fit the mirror',
  },
  TOPIC_TERMINATED: { retryable: false, stops: 'lane', meaning: 'the topic takes no more records' },
  OTHER_WRITER: { retryable: true, stops: 'lane', meaning: 'another process writes this lane; it is waited for' },
  UNKNOWN_OUTCOME: {
    retryable: true,
    stops: 'lane',
    meaning: 'a write may or may not have been stored; the target is looked at',
  },
  LIMIT_LOWERED: {
    retryable: true,
    stops: 'lane',
    meaning:
      'the target takes only smaller messages than it said before: the lane reads them again and finds what is too large now',
  },
  RECORD_REFUSED: { retryable: false, stops: 'lane', meaning: 'the target cannot hold this record' },
  RECORD_DAMAGED: { retryable: false, stops: 'lane', meaning: 'a stored record cannot be read' },
  HOOK_FAILED: { retryable: true, stops: 'process', meaning: 'a command or webhook of a failover has failed' },
  STATE_UNAVAILABLE: { retryable: true, stops: 'record', meaning: 'the state store does not answer' },
  STATE_DAMAGED: { retryable: false, stops: 'process', meaning: 'the state store holds something unreadable' },
  WINDOW_LOST: {
    retryable: false,
    stops: 'lane',
    meaning: 'a dedup window has lost ids: they are read from the target again, or a person has to decide',
  },
  CODEC_UNAVAILABLE: { retryable: false, stops: 'lane', meaning: 'a compression is not supported' },
  NOT_FOUND: { retryable: false, stops: 'record', meaning: 'no such thing' },
  CONFLICT: { retryable: false, stops: 'record', meaning: 'the request does not fit what is there' },
  INVALID_REQUEST: { retryable: false, stops: 'record', meaning: 'the request is not understood' },
  METHOD_NOT_ALLOWED: { retryable: false, stops: 'record', meaning: 'the path does not know this method' },
  UNSUPPORTED_MEDIA_TYPE: { retryable: false, stops: 'record', meaning: 'the request body is of the wrong kind' },
  UNAUTHORIZED: { retryable: false, stops: 'record', meaning: 'no valid token' },
  FORBIDDEN: { retryable: false, stops: 'record', meaning: 'the token does not allow this' },
  PAYLOAD_TOO_LARGE: { retryable: false, stops: 'record', meaning: 'the request body is too large' },
  CLOSED: { retryable: false, stops: 'lane', meaning: 'it was closed' },
  INTERNAL: { retryable: false, stops: 'lane', meaning: 'a defect in Isthmus' },
} as const;

export type ErrorCode = keyof typeof TABLE;
export type ErrorScope = 'record' | 'lane' | 'mirror' | 'process';

export const ERROR_CODES: Readonly<Record<ErrorCode, { retryable: boolean; stops: ErrorScope; meaning: string }>> = TABLE;

/** An error with a stable code. The message reads "doing X: cause" and says what to do where that helps; it never holds a secret or a payload. */
export class IsthmusError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly stops: ErrorScope;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown; retryable?: boolean }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'IsthmusError';
    this.code = code;
    this.retryable = options?.retryable ?? ERROR_CODES[code].retryable;
    this.stops = ERROR_CODES[code].stops;
  }
}

/** Total over foreign errors: what is not ours becomes INTERNAL, with the original as cause. */
export function toIsthmusError(error: unknown): IsthmusError {
  if (error instanceof IsthmusError) return error;
  return new IsthmusError('INTERNAL', error instanceof Error ? error.message : String(error), { cause: error });
}
