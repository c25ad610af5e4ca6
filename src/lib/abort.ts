import type { Clock } from '../spi/clock.ts';

/**
 * The result of a promise, or a rejection with the signal's reason as soon as it aborts; `late` gets a result that comes after that,
 * so that what was opened can be closed. The promise itself is not cancelled.
 */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal, late?: (value: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    let over = false;
    const onAbort = (): void => {
      over = true;
      reject(signal.reason as Error);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    promise.then(
      (value) => {
        signal.removeEventListener('abort', onAbort);
        if (over) late?.(value);
        else resolve(value);
      },
      (error: unknown) => {
        signal.removeEventListener('abort', onAbort);
        if (!over) reject(error);
      },
    );
  });
}

/** Waits for a promise, but no longer than `millis`; false when the time was up. What comes of it later is not looked at. */
export async function within(promise: Promise<unknown>, clock: Clock, millis: number): Promise<boolean> {
  const settled = new AbortController();
  const inTime = promise.then(() => true);
  try {
    return await Promise.race([inTime, clock.sleep(millis, settled.signal).then(() => false)]);
  } finally {
    settled.abort();
  }
}
