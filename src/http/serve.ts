import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { formatHostPort } from '../config/fields.ts';
import { type ErrorCode, IsthmusError } from '../errors.ts';
import { MAX_BODY_BYTES } from './body.ts';
import { problemBody } from './problem.ts';

/** A listening API. */
export interface HttpServer {
  /** For people, `http://127.0.0.1:8686`. */
  readonly url: string;
  readonly port: number;
  /** Takes no more requests; those under way get up to `graceMillis`. */
  close(graceMillis?: number): Promise<void>;
}

/** Limits that no caller can stretch; all in milliseconds or bytes. */
export interface ServeLimits {
  /** From the first byte of a request to the last of its headers: against callers that send them one by one. */
  readonly headersMillis: number;
  /** From the first byte of a request to the last of its body. */
  readonly requestMillis: number;
  readonly idleMillis: number;
  readonly headerBytes: number;
  readonly connections: number;
}

const LIMITS: ServeLimits = {
  headersMillis: 10_000,
  requestMillis: 30_000,
  idleMillis: 10_000,
  headerBytes: 16 * 1024,
  connections: 512,
};
const GRACE_MILLIS = 2_000;

/** Answers for requests that never become one: too long a header, too slow, not HTTP at all. */
function answerBroken(error: Error & { code?: string }, socket: Duplex): void {
  const [status, code, detail] = ((): [number, ErrorCode, string] => {
    if (error.code === 'HPE_HEADER_OVERFLOW') return [431, 'INVALID_REQUEST', 'reading a request: its headers are too long'];
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return [408, 'REQUEST_TIMEOUT', 'reading a request: it came too slowly'];
    return [400, 'INVALID_REQUEST', 'reading a request: this is not HTTP'];
  })();
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const { body } = problemBody(new IsthmusError(code, detail), '-');
  const text = JSON.stringify({ ...(JSON.parse(body) as object), status });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`);
}

/** Answers when the target of a request is no path or its host no host. */
function answerUnreadable(): Response {
  const { status, body } = problemBody(
    new IsthmusError('INVALID_REQUEST', 'reading a request: its target or its Host header is not valid'),
    '-',
  );
  return new Response(body, { status, headers: { 'Content-Type': 'application/problem+json' } });
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: Error & { code?: string }) => {
      const reason =
        error.code === 'EADDRINUSE' ? 'another process listens there; stop it, or change http.listen' : error.message;
      reject(new IsthmusError('CONFIG_INVALID', `listening on ${formatHostPort({ host, port })}: ${reason}`, { cause: error }));
    });
    server.listen({ host, port }, () => resolve(server.address() as AddressInfo));
  });
}

async function closeServer(server: Server, graceMillis: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const timer = setTimeout(() => server.closeAllConnections(), graceMillis);
  await closed;
  clearTimeout(timer);
}

/** Serves the API. Rejects with CONFIG_INVALID when it cannot listen there. Port 0 takes any that is free. */
export async function serveHttp(
  app: { fetch(request: Request): Response | Promise<Response> },
  host: string,
  port: number,
  limits: Partial<ServeLimits> = {},
): Promise<HttpServer> {
  const { headersMillis, requestMillis, idleMillis, headerBytes, connections } = { ...LIMITS, ...limits };
  const listener = getRequestListener((request) => app.fetch(request), {
    overrideGlobalObjects: false,
    hostname: 'localhost',
    errorHandler: answerUnreadable,
  });
  const handle = (request: IncomingMessage, response: ServerResponse): void => void listener(request, response);
  const server = createServer(
    {
      maxHeaderSize: headerBytes,
      headersTimeout: headersMillis,
      requestTimeout: requestMillis,
      keepAliveTimeout: idleMillis,
      connectionsCheckingInterval: Math.min(1_000, headersMillis),
    },
    handle,
  );
  server.maxConnections = connections;
  server.on('clientError', answerBroken);
  // Who asks first whether to send a body that is too large is not told to go on.
  server.on('checkContinue', (request, response) => {
    if (Number(request.headers['content-length'] ?? 0) <= MAX_BODY_BYTES) response.writeContinue();
    handle(request, response);
  });
  const address = await listen(server, host, port);
  return {
    url: `http://${formatHostPort({ host, port: address.port })}`,
    port: address.port,
    close: (graceMillis = GRACE_MILLIS) => closeServer(server, graceMillis),
  };
}
