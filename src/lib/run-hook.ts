import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { FailoverHook } from '../model/mirror-spec.ts';

const run = promisify(execFile);
const MAX_OUTPUT = 64 * 1024;
const SHOWN_OUTPUT = 500;

/** Runs a command, without a shell, or posts to a webhook. The context is given as ISTHMUS_... in the environment, or as the JSON body. Rejects with what it said. */
export async function runHook(
  hook: FailoverHook,
  context: Readonly<Record<'link' | 'kind' | 'step' | 'failover', string>>,
  signal: AbortSignal,
): Promise<void> {
  if ('command' in hook) await runCommand(hook.command, hook.timeoutMillis, context, signal);
  else await callWebhook(hook.webhook, hook.timeoutMillis, context, signal);
}

async function runCommand(
  [file = '', ...args]: readonly string[],
  timeout: number,
  context: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const names = Object.entries(context).map(([name, value]) => [`ISTHMUS_${name.toUpperCase()}`, value] as const);
  const env = { ...process.env, ...Object.fromEntries(names) };
  try {
    await run(file, args, { timeout, signal, env, maxBuffer: MAX_OUTPUT, killSignal: 'SIGKILL' });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const said: unknown = 'stderr' in error ? error.stderr : '';
    const code: unknown = 'code' in error ? error.code : undefined;
    const killed = 'killed' in error && error.killed === true;
    const what = killed ? `it took more than ${timeout} ms` : `it ended with ${String(code)}`;
    const words = typeof said === 'string' && said.trim() !== '' ? `: ${said.trim().slice(-SHOWN_OUTPUT)}` : '';
    throw new Error(`${what}${words}`, { cause: error });
  }
}

async function callWebhook(
  url: string,
  timeout: number,
  context: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(context),
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeout)]),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`it answered ${response.status}${text === '' ? '' : `: ${text.slice(0, SHOWN_OUTPUT)}`}`);
}
