import http from 'node:http';
import https from 'node:https';
import { IsthmusError } from '../../../errors.ts';
import type { Clock } from '../../../spi/clock.ts';
import type { TlsOptions } from '../../../wire/connection.ts';
import type { Credentials } from '../net/credentials.ts';

/** As in the Java client. */
const MAX_REDIRECTS = 20;
const TIMEOUT_MILLIS = 30_000;
const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;
const MAX_SOCKETS = 16;

export interface RestOptions {
  readonly adminUrl: string;
  readonly tls: TlsOptions | undefined;
  readonly credentials: Credentials;
}

export interface RestAnswer {
  readonly status: number;
  readonly body: string;
}

type Method = 'GET' | 'PUT' | 'POST' | 'DELETE';

/** The admin REST of a cluster, below `/admin/v2`. */
export class Rest {
  readonly #options: RestOptions;
  readonly #base: URL;
  readonly #clock: Clock;
  readonly #httpAgent = new http.Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });
  readonly #httpsAgent: https.Agent;

  constructor(options: RestOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#base = parseAdminUrl(options.adminUrl);
    const { ca, cert, key, serverName, allowUntrusted } = options.tls ?? {};
    this.#httpsAgent = new https.Agent({
      keepAlive: true,
      maxSockets: MAX_SOCKETS,
      ca,
      cert,
      key,
      servername: serverName,
      rejectUnauthorized: allowUntrusted !== true,
    });
  }

  /** GET; `undefined` for 404. Rejects as `send`. */
  async get(path: string): Promise<unknown> {
    const answer = await this.send('GET', path);
    if (answer.status === 404) return undefined;
    this.expectSuccess(answer, `GET ${path}`);
    if (answer.body === '') return undefined;
    try {
      return JSON.parse(answer.body);
    } catch (error) {
      throw new IsthmusError('PROTOCOL_VIOLATION', `GET ${path}: the answer is not JSON`, { cause: error });
    }
  }

  /**
   * Sends a request and follows redirects to the owner broker with method, body and credentials kept (a 307 asks for just that, and `fetch` would drop the credentials
   * on the way to another host). Rejects with CONNECT_FAILED, REQUEST_TIMEOUT, ACCESS_DENIED (401, 403) or BROKER_BUSY (5xx, 429); other answers are the caller's.
   */
  async send(method: Method, path: string, body?: unknown): Promise<RestAnswer> {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const authorization = await this.#options.credentials.header();
    let url = new URL(`${this.#base.pathname.replace(/\/$/, '')}/admin/v2${path}`, this.#base);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const { answer, location } = await this.#exchange(method, url, payload, authorization);
      if (location === undefined) return this.#checked(answer, `${method} ${url.pathname}`);
      const next = new URL(location, url);
      // Credentials must not leave a TLS cluster in the clear because some broker's address is wrong.
      if (url.protocol === 'https:' && next.protocol !== 'https:') {
        throw new IsthmusError(
          'PROTOCOL_VIOLATION',
          `${method} ${url.pathname}: ${url.host} redirects from https to ${next.origin}`,
        );
      }
      url = next;
    }
    throw new IsthmusError('BROKER_BUSY', `${method} ${path}: more than ${MAX_REDIRECTS} redirects`);
  }

  expectSuccess(answer: RestAnswer, doing: string): void {
    if (answer.status < 200 || answer.status > 299) throw new IsthmusError('BROKER_REFUSED', `${doing}: ${reasonOf(answer)}`);
  }

  close(): void {
    this.#httpAgent.destroy();
    this.#httpsAgent.destroy();
  }

  #checked(answer: RestAnswer, doing: string): RestAnswer {
    const { status } = answer;
    if (status === 401 || status === 403) throw new IsthmusError('ACCESS_DENIED', `${doing}: ${reasonOf(answer)}`);
    if (status === 429 || status >= 500) throw new IsthmusError('BROKER_BUSY', `${doing}: ${reasonOf(answer)}`);
    return answer;
  }

  #exchange(
    method: Method,
    url: URL,
    payload: string | undefined,
    authorization: string | undefined,
  ): Promise<{ answer: RestAnswer; location: string | undefined }> {
    const secure = url.protocol === 'https:';
    const doing = `${method} ${url.origin}${url.pathname}`;
    const headers: Record<string, string> = { accept: 'application/json' };
    if (payload !== undefined) headers['content-type'] = 'application/json';
    if (authorization !== undefined) headers['authorization'] = authorization;
    return new Promise((resolve, reject) => {
      const request = (secure ? https : http).request(url, {
        method,
        headers,
        agent: secure ? this.#httpsAgent : this.#httpAgent,
      });
      const cancel = this.#clock.timer(TIMEOUT_MILLIS, () =>
        request.destroy(new IsthmusError('REQUEST_TIMEOUT', `${doing}: no answer within ${TIMEOUT_MILLIS} ms`)),
      );
      const fail = (error: Error): void => {
        cancel();
        reject(
          error instanceof IsthmusError
            ? error
            : new IsthmusError('CONNECT_FAILED', `${doing}: ${error.message || String(error)}`, { cause: error }),
        );
      };
      request.on('error', fail);
      request.on('response', (response) => {
        response.on('error', fail);
        collect(response).then((body) => {
          cancel();
          const status = response.statusCode ?? 0;
          const redirect = status === 301 || status === 302 || status === 307 || status === 308;
          resolve({ answer: { status, body }, location: redirect ? response.headers.location : undefined });
        }, fail);
      });
      request.end(payload);
    });
  }
}

/** What an answer says is wrong: brokers put `{"reason": ...}` in the body. */
export function reasonOf(answer: RestAnswer): string {
  const reason = /"reason"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(answer.body)?.[1] ?? '';
  return `HTTP ${answer.status}${reason === '' ? '' : `, ${(reason.split('\\n', 1)[0] ?? '').slice(0, 300)}`}`;
}

/** By events: an iterator over the parts costs more than all else that is done here with a short answer. */
function collect(response: http.IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    response.on('error', reject);
    response.on('end', () => resolve(Buffer.concat(parts, bytes).toString('utf8')));
    response.on('data', (part: Buffer) => {
      parts.push(part);
      bytes += part.length;
      if (bytes > MAX_RESPONSE_BYTES)
        response.destroy(
          new IsthmusError('FRAME_TOO_LARGE', `reading an answer of the admin REST: more than ${MAX_RESPONSE_BYTES} bytes`),
        );
    });
  });
}

function parseAdminUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new IsthmusError('CONFIG_INVALID', `reading the admin URL "${text}": it must be http://host:8080 or https://host:8443`);
  }
  return url;
}
