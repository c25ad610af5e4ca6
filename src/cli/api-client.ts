import { CliError, EXIT, type ExitCode, printable } from './io.ts';

/** Enough for an answer that waits for a broker. */
const TIMEOUT_MILLIS = 40_000;

/** The HTTP API of a running process. Every call throws a CliError with what to do. */
export interface ApiClient {
  readonly url: string;
  get(path: string): Promise<unknown>;
  send(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: object): Promise<unknown>;
}

/** The caller's doing: a wrong token, name or body. Conflicts and troubles of the process count as failed. */
const INPUT_STATUS = new Set([400, 401, 403, 404, 405, 413, 415, 422]);

interface ProblemAnswer {
  readonly code: string;
  readonly detail: string;
  readonly problems?: readonly { readonly path: string; readonly message: string; readonly hint?: string }[];
}

function isProblem(answer: unknown): answer is ProblemAnswer {
  return (
    typeof answer === 'object' &&
    answer !== null &&
    typeof Reflect.get(answer, 'code') === 'string' &&
    typeof Reflect.get(answer, 'detail') === 'string'
  );
}

const TOKEN_HINT = 'give a token with --token, ISTHMUS_TOKEN, or -c FILE';

function refusal(url: string, status: number, answer: unknown): CliError {
  if (!isProblem(answer))
    return new CliError(EXIT.unreachable, `${url} answers ${status}, but not as Isthmus does: is this its address?`);
  const exitCode: ExitCode = INPUT_STATUS.has(status) ? EXIT.input : EXIT.failed;
  const list = (answer.problems ?? [])
    .map(({ path, message, hint }) => `\n  ${path} ${message}${hint === undefined ? '' : `\n    ${hint}`}`)
    .join('');
  const text = list === '' ? answer.detail : `the request is refused:${list}`;
  return new CliError(exitCode, `${text}${answer.code === 'UNAUTHORIZED' ? `\n${TOKEN_HINT}` : ''}`, answer);
}

function unreachable(url: string, error: unknown): CliError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code =
    cause instanceof Error && 'code' in cause ? String(cause.code) : cause instanceof Error ? cause.name : String(cause);
  const reasons: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'nothing listens there',
    ENOTFOUND: 'the host is not known',
    TimeoutError: 'it does not answer in time',
  };
  const hint = 'is `isthmus run` running, and is this its address? Give it with --url, ISTHMUS_URL or -c FILE';
  return new CliError(EXIT.unreachable, `cannot reach ${url}: ${reasons[code] ?? code}\n${hint}`, {}, error);
}

function parse(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return text;
  }
}

export function createApiClient(url: string, token: string | undefined): ApiClient {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new CliError(EXIT.input, `--url must be an http:// or https:// address, not ${JSON.stringify(printable(url))}`);
  const base = url.replace(/\/+$/, '');
  const call = async (method: string, path: string, body?: object): Promise<unknown> => {
    const headers: Record<string, string> = { accept: 'application/json' };
    if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    const content = body === undefined ? {} : { body: JSON.stringify(body) };
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${base}${path}`, {
        method,
        headers,
        ...content,
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MILLIS),
      });
      text = await response.text();
    } catch (error) {
      throw unreachable(base, error);
    }
    const answer = parse(text);
    if (response.ok && (answer === undefined || typeof answer === 'object')) return answer;
    throw refusal(base, response.status, answer);
  };
  return { url: base, get: (path) => call('GET', path), send: call };
}
