import { z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { readSection } from '../config/issues.ts';
import { toProblems } from '../config/problems.ts';
import { IsthmusError } from '../errors.ts';
import { RequestProblems } from './problem.ts';

/** Far more than any mirror needs. */
export const MAX_BODY_BYTES: number = 256 * 1024;

function tooLarge(): IsthmusError {
  return new IsthmusError('PAYLOAD_TOO_LARGE', `reading the request body: it has more than ${MAX_BODY_BYTES} bytes`);
}

/** Whether the caller says that a body follows. */
export function announcesBody(headers: { readonly get: (name: string) => string | null }): boolean {
  return headers.get('transfer-encoding') !== null || (headers.get('content-length') ?? '0') !== '0';
}

/** Reads at most the limit: an announced body beyond it is not read at all, any other only so far. */
async function readBytes(request: Request): Promise<Uint8Array> {
  if (Number(request.headers.get('content-length') ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(chunks);
    size += value.length;
    if (size > MAX_BODY_BYTES) throw tooLarge();
    chunks.push(value);
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    // The engine's own text quotes the body; only the place is passed on.
    const place = /position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1];
    throw new IsthmusError(
      'INVALID_REQUEST',
      `reading the request body: it is not JSON${place === undefined ? '' : ` at character ${place}`}`,
    );
  }
}

/**
 * The body of a request as JSON. Throws UNSUPPORTED_MEDIA_TYPE, PAYLOAD_TOO_LARGE or INVALID_REQUEST. Only application/json is taken:
 * a web page of another site can send that only after a preflight, which is never granted.
 */
export async function readJsonBody(context: Context): Promise<Readonly<Record<string, unknown>>> {
  const type = context.req.header('content-type') ?? '';
  if (
    !/^application\/(?:merge-patch\+)?json\s*(?:;\s*charset="?utf-8"?\s*)?$/i.test(type) ||
    context.req.header('content-encoding') !== undefined
  ) {
    throw new IsthmusError(
      'UNSUPPORTED_MEDIA_TYPE',
      'reading the request body: send JSON with the header "Content-Type: application/json"',
    );
  }
  const value = parseJson(await readBytes(context.req.raw));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new IsthmusError('INVALID_REQUEST', 'reading the request body: it must be a JSON object');
  }
  return { ...value };
}

/** A body as its schema reads it. Throws INVALID_REQUEST with all that is wrong with it at once; `doing` begins the message. */
export function checkBody<S extends z.ZodObject>(schema: S, body: unknown, doing: string): z.output<S> {
  const { whole, findings } = readSection(schema, body, []);
  if (whole === undefined) throw new RequestProblems(doing, toProblems(findings, body));
  return whole;
}

/** What the document says of a body: as it is sent, not as it is read. */
export function sentSchema(schema: z.ZodType): object {
  const { $schema: _, ...sent } = z.toJSONSchema(schema, { io: 'input' });
  return sent;
}
