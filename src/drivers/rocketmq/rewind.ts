import type { GapReason } from '../../spi/source.ts';
import { type History, sameMessage } from './history.ts';
import { type Identity, readIdentity } from './message/decode.ts';
import { refusal } from './refusal.ts';
import type { RemotingConnection } from './remoting.ts';
import { ResponseCode } from './wire/codes.ts';
import { type PullEncoder, type PullHeader, readPullHeader } from './wire/pull-message.ts';

const TIMEOUT_MILLIS = 10_000;

export interface RewindSearch {
  readonly connection: RemotingConnection;
  readonly encoder: PullEncoder;
  readonly history: History;
  readonly doing: string;
  /** Where the queue ends now, for want of anything better. */
  readonly end: number;
  readonly reason: GapReason;
}

export interface Rewind {
  /** From here on the queue holds other messages than those that were read. */
  readonly to: number;
  readonly reason: GapReason;
}

/**
 * Compares what was read with what the queue holds now, newest first: the first message that is still the same marks the place from
 * which on it was replaced. A queue whose oldest message is younger than all that was read is a new one. Rejects when it cannot be read.
 */
export async function findRewind(search: RewindSearch): Promise<Rewind> {
  const remembered = search.history.entries();
  let oldest: number | undefined;
  let minOffset = 0;
  for (const before of remembered) {
    const { message, header } = await readOne(search, before.offset);
    if (message?.offset === before.offset && sameMessage(message, before))
      return { to: before.offset + 1, reason: search.reason };
    oldest = before.offset;
    minOffset = header.minOffset;
  }
  const newest = remembered[0];
  // Opened at an offset that the queue does not reach, with nothing to compare.
  if (newest === undefined || oldest === undefined) return { to: search.end, reason: search.reason };
  const { message: first } = await readOne(search, minOffset);
  if (first === undefined || first.storeTime > newest.storeTime) return { to: minOffset, reason: 'recreated' };
  return { to: Math.min(oldest, search.end), reason: search.reason };
}

async function readOne(search: RewindSearch, offset: number): Promise<{ message: Identity | undefined; header: PullHeader }> {
  const answer = await search.connection.ask(
    (opaque) => search.encoder.encode({ offset, maxMessages: 1, suspendMillis: 0 }, opaque),
    TIMEOUT_MILLIS,
  );
  if (answer.code === ResponseCode.SUCCESS) return { message: readIdentity(answer.body, 0), header: readPullHeader(answer) };
  if (answer.code === ResponseCode.PULL_NOT_FOUND || answer.code === ResponseCode.PULL_OFFSET_MOVED)
    return { message: undefined, header: readPullHeader(answer) };
  throw refusal(answer, search.doing);
}
