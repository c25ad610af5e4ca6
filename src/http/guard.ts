import type { Context, MiddlewareHandler } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { isLoopback } from '../config/fields.ts';
import type { HttpConfig } from '../config/types.ts';
import { IsthmusError, toIsthmusError } from '../errors.ts';
import type { Clock } from '../spi/clock.ts';
import type { Log } from '../spi/log.ts';
import { createAuthenticator, type Principal } from './auth.ts';
import { problemBody, statusOf } from './problem.ts';

/** What a request carries through its way. */
export interface ApiEnv {
  Variables: { requestId: string; principal: Principal | undefined };
}

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

const HEADERS: Readonly<Record<string, string>> = {
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
};

const REQUEST_ID = /^[\w.:-]{1,64}$/;

/** An answer for an error, of whatever kind. */
export function problemResponse(context: Context<ApiEnv>, thrown: unknown): Response {
  const { status, body } = problemBody(thrown, context.get('requestId'));
  context.header('Content-Type', 'application/problem+json');
  if (status === 401) {
    const invalid = context.req.header('authorization') === undefined ? '' : ', error="invalid_token"';
    context.header('WWW-Authenticate', `Bearer realm="isthmus"${invalid}`);
  }
  if (status === 503) context.header('Retry-After', '5');
  return context.body(body, status as ContentfulStatusCode);
}

/** Gives each request an id, each answer its headers, and each line of the log what happened. Never a header or body of the caller in the log. */
export function observe(log: Log, clock: Clock): MiddlewareHandler<ApiEnv> {
  const boot = clock.now().toString(36);
  let count = 0;
  return async (context, next) => {
    const given = context.req.header('x-request-id') ?? '';
    const requestId = REQUEST_ID.test(given) ? given : `${boot}-${(++count).toString(36)}`;
    context.set('requestId', requestId);
    const begun = clock.monotonic();
    await next();
    context.res.headers.set('X-Request-Id', requestId);
    for (const [name, value] of Object.entries(HEADERS)) context.res.headers.set(name, value);
    const fields = {
      request: requestId,
      method: context.req.method,
      path: context.req.path.slice(0, 256),
      status: context.res.status,
      who: context.get('principal')?.name,
      millis: Math.round(clock.monotonic() - begun),
    };
    if (SAFE_METHODS.has(context.req.method)) log.debug('http-request', fields);
    else log.info('http-request', fields);
  };
}

/** Tells the log what the caller is not told. */
export function logFailure(log: Log, context: Context<ApiEnv>, thrown: unknown): void {
  const error = toIsthmusError(thrown);
  if (statusOf(error) !== 500) return;
  log.error('http-request-failed', {
    request: context.get('requestId'),
    code: error.code,
    error: error.message,
    stack: thrown instanceof Error ? thrown.stack : undefined,
  });
}

function hostName(host: string): string {
  return host
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
}

/** A page of another site must not act through the browser of somebody who reaches us. */
function refuseForeignPages(context: Context<ApiEnv>, open: boolean): void {
  const host = context.req.header('host') ?? '';
  // Without tokens the name is all that keeps out a page whose own name was made to point at this machine (DNS rebinding).
  if (open && !isLoopback(hostName(host))) {
    throw new IsthmusError(
      'FORBIDDEN',
      'serving a request: without tokens only requests to localhost, 127.0.0.1 or [::1] are answered',
    );
  }
  if (SAFE_METHODS.has(context.req.method)) return;
  const origin = context.req.header('origin');
  const foreign = origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host.toLowerCase());
  if (foreign || context.req.header('sec-fetch-site') === 'cross-site') {
    throw new IsthmusError('FORBIDDEN', 'serving a request: it comes from a page of another site');
  }
}

/** Lets in who may come in: public paths to everybody, the rest to tokens, changes to admins. */
export function guard(tokens: HttpConfig['tokens'], publicPaths: ReadonlySet<string>): MiddlewareHandler<ApiEnv> {
  const authenticate = createAuthenticator(tokens);
  return async (context, next) => {
    refuseForeignPages(context, tokens.length === 0);
    const principal = ((): Principal | undefined => {
      try {
        return authenticate(context.req.header('authorization'));
      } catch (error) {
        if (publicPaths.has(context.req.path)) return undefined;
        throw error;
      }
    })();
    context.set('principal', principal);
    if (!SAFE_METHODS.has(context.req.method) && principal?.role === 'read') {
      throw new IsthmusError('FORBIDDEN', `serving a request: the token "${principal.name}" may only read`);
    }
    await next();
  };
}
