import { z } from '@hono/zod-openapi';
import type { Problem } from '../config/problems.ts';
import { ERROR_CODES, type ErrorCode, IsthmusError, toIsthmusError } from '../errors.ts';

/** A request that is refused with a list of what is wrong in its body. */
export class RequestProblems extends IsthmusError {
  readonly problems: readonly Problem[];

  constructor(doing: string, problems: readonly Problem[]) {
    const list = problems.map(({ path, message }) => `${path} ${message}`.trim()).join('; ');
    super('INVALID_REQUEST', `${doing}: ${list}`);
    this.problems = problems;
  }
}

/** Codes that are about the request; everything about brokers and stores is a 502, 503 or 504, and the rest our own fault. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  INVALID_REQUEST: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  TOPIC_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  CONFLICT: 409,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  TOPIC_NAME_REFUSED: 422,
  TOPIC_MISMATCH: 422,
  ACCESS_DENIED: 502,
  BROKER_REFUSED: 502,
  CONNECTION_LOST: 502,
  CONNECT_FAILED: 502,
  PROTOCOL_VIOLATION: 502,
  BROKER_BUSY: 503,
  CLOSED: 503,
  STATE_UNAVAILABLE: 503,
  REQUEST_TIMEOUT: 504,
};

export function statusOf(error: IsthmusError): number {
  return STATUS[error.code] ?? 500;
}

/** RFC 9457, with our stable code. */
const problemDetails = z
  .strictObject({
    type: z.string().meta({ description: 'A URN made from the code.', examples: ['urn:isthmus:error:CONFLICT'] }),
    title: z.string().meta({ description: 'What the code means.' }),
    status: z.int().meta({ description: 'The HTTP status again.', examples: [409] }),
    code: z.string().meta({ description: 'Stable: match on this.', examples: ['CONFLICT'] }),
    detail: z.string().meta({ description: 'What went wrong this time, and what to do where that helps. May change.' }),
    requestId: z.string().meta({ description: 'The same as the header X-Request-Id; it is in the log line of this request.' }),
    problems: z
      .array(
        z.strictObject({
          path: z.string().meta({ description: 'Which field of the body.', examples: ['routing.partitions'] }),
          message: z.string(),
          hint: z.string().optional(),
        }),
      )
      .optional()
      .meta({ description: 'Everything that is wrong with the body, at once.' }),
  })
  .openapi('Problem');

export const problemSchema: z.ZodType = problemDetails;

/** What the caller gets to see of an error: never a stack, and of our own faults nothing but the way to the log. */
export function problemBody(thrown: unknown, requestId: string): { readonly status: number; readonly body: string } {
  const error = toIsthmusError(thrown);
  const status = statusOf(error);
  const details: z.output<typeof problemDetails> = {
    type: `urn:isthmus:error:${error.code}`,
    title: ERROR_CODES[error.code].meaning,
    status,
    code: error.code,
    detail: status === 500 ? `something unexpected happened; the log says more about request ${requestId}` : error.message,
    requestId,
    ...(error instanceof RequestProblems
      ? {
          problems: error.problems.map(({ path, message, hint }) =>
            hint === undefined ? { path, message } : { path, message, hint },
          ),
        }
      : {}),
  };
  return { status, body: JSON.stringify(details) };
}
