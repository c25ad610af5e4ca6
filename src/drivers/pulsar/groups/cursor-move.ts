import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import { comparePositions, entryPosition } from '../../../model/position.ts';
import type { DoneRange, GroupPlace, MovedLane } from '../../../spi/groups.ts';
import type { Rest } from '../admin/rest.ts';
import { reasonOf } from '../admin/rest.ts';
import { internalStatsOf, topicPath } from '../admin/topics.ts';
import type { MessageId } from '../wire/message-id.ts';
import {
  after,
  type CursorState,
  compareCursor,
  entriesWithin,
  entryBefore,
  type PartitionState,
  readPartitionState,
} from './cursor-state.ts';
import type { GroupsParts } from './groups.ts';
import { acknowledgeFor } from './hole-keeper.ts';

/** Holes beyond it are read again: a broker writes down 10,000 ranges of a cursor. */
const MAX_HOLE_ENTRIES = 50_000;
const TRIES = 5;
const TRY_AGAIN_MILLIS = 200;

export interface CursorMove {
  /** The broker's name of the partition, and its number as the admin REST wants it (-1: the topic has none). */
  readonly partition: string;
  readonly partitionIndex: number;
  readonly subscription: string;
  readonly place: GroupPlace;
  /** Consumers that are connected. */
  readonly members: number;
  readonly force: boolean;
}

/** Brings a subscription to a place in one partition and reads back what came of it. What is wrong with this partition alone is told, not thrown. */
export async function moveCursor(parts: GroupsParts, move: CursorMove): Promise<MovedLane> {
  const { lane } = move.place;
  try {
    return await tryMove(parts, move);
  } catch (error) {
    const { code, message } = toIsthmusError(error);
    return { lane, outcome: 'failed', next: undefined, rereads: undefined, detail: `${code}: ${message}` };
  }
}

async function tryMove(parts: GroupsParts, move: CursorMove): Promise<MovedLane> {
  const { place, subscription, members, force } = move;
  const { lane } = place;
  const state = await stateOf(parts.rest, move);
  const cursor = state.cursors.get(subscription);
  const next = cursor === undefined ? undefined : after(cursor.markDelete);
  if (members > 0 && !force) return { lane, outcome: 'active', next, rereads: undefined };
  const order = cursor === undefined ? -1 : compareCursor(state.ledgers, cursor.markDelete, place.next);
  if (order > 0 && !force) return { lane, outcome: 'ahead', next, rereads: undefined };
  if (cursor === undefined) await create(parts.rest, move);
  else if (order > 0) await reset(parts.rest, move);
  else if (order < 0) await forward(parts, move, state);
  const holes = await keepHoles(parts, move, members);
  const back = await stateOf(parts.rest, move);
  const there = back.cursors.get(subscription);
  if (there === undefined || compareCursor(back.ledgers, there.markDelete, place.next) < 0) {
    throw new IsthmusError(
      'CONFLICT',
      `moving the subscription ${subscription} of ${move.partition}: its place reads ${there === undefined ? 'nothing' : `${there.markDelete.ledger}:${there.markDelete.entry}`} after it was moved`,
      { retryable: true },
    );
  }
  const changed = cursor === undefined || order !== 0 || holes.acknowledged > 0;
  return { lane, outcome: changed ? 'applied' : 'same', next: after(there.markDelete), rereads: rereads(place, back, there) };
}

async function stateOf(rest: Rest, { partition }: CursorMove): Promise<PartitionState> {
  const stats = await internalStatsOf(rest, partition);
  if (stats === undefined)
    throw new IsthmusError('TOPIC_NOT_FOUND', `reading the subscriptions of ${partition}: it does not exist`);
  return readPartitionState(stats);
}

function path({ partition, subscription }: CursorMove, what = ''): string {
  return `${topicPath(partition)}/subscription/${encodeURIComponent(subscription)}${what}`;
}

/** Before the first entry a ledger and entry of -1 stand for the beginning. */
async function create(rest: Rest, move: CursorMove): Promise<void> {
  const { major, minor } = move.place.next;
  const at = major < 0 ? 'earliest' : { ledgerId: major, entryId: Math.max(0, minor), partitionIndex: -1 };
  const answer = await rest.send('PUT', path(move), at);
  // 409: it was made meanwhile; the next call moves it.
  rest.expectSuccess(answer, `creating the subscription ${move.subscription} of ${move.partition}`);
}

/** Backwards, which only this can do. It forgets all holes, and disconnects consumers. */
async function reset(rest: Rest, move: CursorMove): Promise<void> {
  const { major, minor } = move.place.next;
  const id = { ledgerId: major, entryId: Math.max(0, minor), partitionIndex: move.partitionIndex, batchIndex: -1 };
  rest.expectSuccess(
    await rest.send('POST', path(move, '/resetcursor'), id),
    `moving the subscription ${move.subscription} of ${move.partition} back`,
  );
}

/** Forward, with holes and consumers kept. A 409 also says that the last such request is still being worked on. */
async function forward({ rest, clock }: GroupsParts, move: CursorMove, state: PartitionState): Promise<void> {
  const last = entryBefore(state.ledgers, move.place.next);
  if (last === undefined) return;
  const id = { ledgerId: last.ledger, entryId: last.entry, partitionIndex: move.partitionIndex, batchIndex: -1 };
  for (let tries = 1; ; tries++) {
    const answer = await rest.send('POST', path(move, '/expireMessages'), id);
    if (answer.status >= 200 && answer.status < 300) break;
    if (answer.status !== 409 || tries === TRIES) {
      throw new IsthmusError(
        'BROKER_REFUSED',
        `moving the subscription ${move.subscription} of ${move.partition} forward: ${reasonOf(answer)}`,
      );
    }
    await clock.sleep(TRY_AGAIN_MILLIS);
  }
  // 204 says that it was begun.
  for (let tries = 1; tries < TRIES; tries++) {
    const back = await stateOf(rest, move);
    const there = back.cursors.get(move.subscription);
    if (there !== undefined && compareCursor(back.ledgers, there.markDelete, move.place.next) >= 0) return;
    await clock.sleep(TRY_AGAIN_MILLIS);
  }
}

/** Entries that are done beyond the place, as far as the subscription does not know it yet. */
async function keepHoles(parts: GroupsParts, move: CursorMove, members: number): Promise<{ readonly acknowledged: number }> {
  const { place, subscription, partition } = move;
  if (place.done.length === 0 || members > 0) return { acknowledged: 0 };
  const { ledgers, cursors } = await stateOf(parts.rest, move);
  const cursor = cursors.get(subscription);
  const ids: MessageId[] = [];
  for (const range of place.done) ids.push(...entriesWithin(ledgers, range, MAX_HOLE_ENTRIES - ids.length));
  const missing = ids.filter((id) => cursor === undefined || !isDone(cursor, id));
  if (missing.length > 0) await acknowledgeFor(parts.pool, partition, subscription, missing);
  return { acknowledged: missing.length };
}

function isDone({ markDelete, done }: CursorState, { ledger, entry }: MessageId): boolean {
  const place = entryPosition(ledger, entry);
  if (comparePositions(place, after(markDelete)) < 0) return true;
  return done.some(({ from, to }) => comparePositions(from, place) <= 0 && comparePositions(place, to) < 0);
}

/** Done records of which the cursor does not know: parts of entries, and what could not be kept as holes. */
function rereads({ next, done }: GroupPlace, { ledgers }: PartitionState, cursor: CursorState): number {
  // What lies in the entry of the place before it is read again with the entry.
  let records = comparePositions(after(cursor.markDelete), next) < 0 ? Math.max(0, next.index) : 0;
  for (const range of done) records += unknownRecords(range, ledgers, cursor);
  return records;
}

function unknownRecords(range: DoneRange, ledgers: PartitionState['ledgers'], cursor: CursorState): number {
  const whole = entriesWithin(ledgers, range, MAX_HOLE_ENTRIES);
  const known = whole.filter((id) => isDone(cursor, id)).length;
  const partAtEnd = range.to.index > 0 && !isDone(cursor, { ledger: range.to.major, entry: range.to.minor }) ? range.to.index : 0;
  if (whole.length === 0) return isDone(cursor, { ledger: range.from.major, entry: range.from.minor }) ? 0 : range.records;
  return known === whole.length ? partAtEnd : Math.round((range.records * (whole.length - known)) / whole.length) + partAtEnd;
}
