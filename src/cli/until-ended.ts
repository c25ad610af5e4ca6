import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from './api-client.ts';
import { CliError, EXIT, type Io } from './io.ts';

const FIRST_ASK_MILLIS = 100;
const MAX_ASK_MILLIS = 1_000;
/** A process that is restarted meanwhile does not know the work any more; one that is only busy answers again. */
const MAX_FAILED_ASKS = 5;

interface Work {
  readonly state: string;
}

async function ask<T extends Work>(api: ApiClient, path: string, onProgress: (answer: T) => void): Promise<T> {
  let failed = 0;
  for (let wait = FIRST_ASK_MILLIS; ; wait = Math.min(MAX_ASK_MILLIS, wait * 1.5)) {
    await sleep(wait);
    try {
      const answer = (await api.get(path)) as T;
      failed = 0;
      if (answer.state !== 'running') return answer;
      onProgress(answer);
    } catch (error) {
      if (error instanceof CliError && error.exitCode === EXIT.input) throw error;
      if (++failed >= MAX_FAILED_ASKS) throw error;
    }
  }
}

/** Asks for work that runs in the process until it has ended, and shows how far it is. Whoever interrupts the command cancels the work. */
export async function untilEnded<T extends Work>(
  api: ApiClient,
  io: Io,
  path: string,
  progressLine: (answer: T) => string,
): Promise<T> {
  const released = io.onInterrupt?.(() => {
    // Best effort: whoever interrupts does not want to wait for an answer.
    api.send('DELETE', path).catch(() => undefined);
  });
  try {
    return await ask<T>(api, path, (answer) => io.progress?.(progressLine(answer)));
  } finally {
    released?.();
    io.progress?.('');
  }
}
