import { IsthmusError } from '../../../errors.ts';
import { deferred } from '../../../lib/deferred.ts';
import { comparePositions, type Position } from '../../../model/position.ts';
import type { Clock } from '../../../spi/clock.ts';
import type { MessageId } from '../wire/message-id.ts';
import type { NativeClients } from './client.ts';
import { nativeId, positionOf } from './message-ids.ts';
import type { NativeMessage } from './module.ts';
import { nativeError } from './refusal.ts';

/** After so much silence the broker is asked whether there is more: what statistics count as the end may be a marker, which no consumer gets. */
const SILENCE_MILLIS = 1_000;
const STALL_MILLIS = 30_000;

export interface Look {
  /** A partition. */
  readonly topic: string;
  /** The entry before the first one wanted; `undefined`: from the beginning. */
  readonly after: MessageId | undefined;
  /** Called in order; false ends the look. What lies before `after` may come, too. */
  readonly visit: (position: Position, message: NativeMessage) => boolean;
}

/**
 * Reads a partition with a reader of its own, until `visit` has seen enough or there is no more. Rejects with REQUEST_TIMEOUT when nothing comes though there is more: silence
 * is never taken for the end.
 */
export async function look(clients: NativeClients, { topic, after, visit }: Look, clock: Clock): Promise<void> {
  const { client, module } = await clients.get();
  const done = deferred<void>();
  done.promise.catch(() => undefined);
  let heardAt = clock.monotonic();
  let over = false;
  const finish = (error?: Error): void => {
    over = true;
    if (error === undefined) done.resolve();
    else done.reject(error);
  };
  const listener = (message: NativeMessage): void => {
    heardAt = clock.monotonic();
    if (over) return;
    try {
      if (!visit(positionOf(message.getMessageId()), message)) finish();
    } catch (error) {
      finish(nativeError(`reading ${topic}`, error));
    }
  };
  const startMessageId = after === undefined ? module.MessageId.earliest() : nativeId(module, after);
  const reader = await client.createReader({ topic, startMessageId, listener }).catch((error: unknown) => {
    throw nativeError(`reading ${topic}`, error);
  });
  const silence = async (): Promise<void> => {
    while (!over) {
      await clock.sleep(SILENCE_MILLIS);
      const silentMillis = clock.monotonic() - heardAt;
      if (over || silentMillis < SILENCE_MILLIS) continue;
      if (!reader.hasNext()) finish();
      else if (silentMillis >= STALL_MILLIS)
        finish(new IsthmusError('REQUEST_TIMEOUT', `reading ${topic}: nothing came for ${STALL_MILLIS} ms`));
    }
  };
  silence().catch((error: unknown) => finish(nativeError(`reading ${topic}`, error)));
  try {
    await done.promise;
  } finally {
    over = true;
    await reader.close().catch(() => undefined);
  }
}

/** The first message at or after a place, as far as there is one. */
export async function firstFrom(
  clients: NativeClients,
  topic: string,
  after: MessageId | undefined,
  from: Position,
  clock: Clock,
): Promise<Position | undefined> {
  let first: Position | undefined;
  const visit = (position: Position): boolean => {
    if (comparePositions(position, from) < 0) return true;
    first = position;
    return false;
  };
  await look(clients, { topic, after, visit }, clock);
  return first;
}
