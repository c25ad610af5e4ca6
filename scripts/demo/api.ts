/** The replicator's HTTP API, as far as the demo speaks to it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { DemoError } from './errors.ts';

const answerMillis = 5_000;
const readyMillis = 30_000;

/** What the demo reads of a mirror; docs/API.md has the rest. */
export type Mirror = {
  readonly link: string;
  readonly name: string;
  readonly lagSeconds: number | null;
  readonly trouble: { readonly code: string; readonly message: string } | null;
};

export type Api = {
  /** Resolves when it answers; `assertRunning` throws when it never will. */
  readonly untilUp: (assertRunning: () => void, signal: AbortSignal) => Promise<void>;
  readonly mirrors: () => Promise<readonly Mirror[]>;
  readonly addMirror: (link: string, mirror: object) => Promise<void>;
  /** Any other request. Resolves with the answer's body; rejects with what was refused. */
  readonly call: (method: string, path: string, body?: unknown, limitMillis?: number) => Promise<unknown>;
};

export function connectApi(url: string): Api {
  const call: Api['call'] = async (method, path, body, limitMillis = answerMillis) => {
    const headers = { 'content-type': 'application/json' };
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await fetch(`${url}${path}`, { method, headers, ...json, signal: AbortSignal.timeout(limitMillis) });
    const text = await response.text();
    if (!response.ok) throw new DemoError(`${method} ${path} was answered with ${response.status}: ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  };
  return {
    call,
    untilUp: async (assertRunning, signal) => {
      const until = performance.now() + readyMillis;
      for (;;) {
        assertRunning();
        try {
          await call('GET', '/healthz');
          return;
        } catch (error) {
          // It does not listen yet: an ended process and the limit end the waiting.
          if (performance.now() > until) throw new DemoError(`The replicator's API does not answer at ${url}`, { cause: error });
          await sleep(100, undefined, { signal });
        }
      }
    },
    mirrors: async () => listOf<Mirror>(await call('GET', '/v1/mirrors'), 'mirrors'),
    addMirror: async (link, mirror) => {
      await call('POST', '/v1/mirrors', { link, ...mirror });
    },
  };
}

/** The list in an answer; its rows have the shape that the API documents. */
function listOf<T>(answer: unknown, name: string): readonly T[] {
  const list: unknown = typeof answer === 'object' && answer !== null ? Reflect.get(answer, name) : undefined;
  if (!Array.isArray(list)) throw new DemoError(`The API gave no ${name}`);
  return list as readonly T[];
}
