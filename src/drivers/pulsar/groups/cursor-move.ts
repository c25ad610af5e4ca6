import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import { forEachLimited } from '../../../lib/concurrency.ts';
import { comparePositions, entryPosition } from '../../../model/position.ts';
import type { Clock } from '../../../spi/clock.ts';
import type { DoneRange, GroupMove, GroupPlace, MovedLane } from '../../../spi/groups.ts';
import type { Rest } from '../admin/rest.ts';
import { reasonOf } from '../admin/rest.ts';
import { topicPath } from '../admin/topics.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import { partitionName } from '../topic-name.ts';
import type { MessageId } from '../wire/message-id.ts';
import { after, type CursorState, compareCursor, entriesWithin, entryBefore, type PartitionState } from './cursor-state.ts';
import { acknowledgeFor } from './hole-keeper.ts';
import { readTopicState, type TopicState } from './topic-state.ts';

const PARTITIONS_AT_A_TIME = 4;
/** Holes beyond it are read again: a broker writes down 10,000 ranges of a cursor. */
const MAX_HOLE_ENTRIES = 50_000;
const TRIES = 5;
const TRY_AGAIN_MILLIS = 200;

export interface GroupsParts {
  readonly rest: Rest;
  readonly pool: BrokerPool;
  readonly clock: Clock;
}

/** A subscription in one partition. */
interface CursorMove {
  /** The broker's name of the partition, and its number as the admin REST wants it (-1: the topic has none). */
  readonly partition: string;
  readonly partitionIndex: number;
  readonly subscription: string;
  readonly place: GroupPlace;
  readonly force: boolean;
  /** Whether the broker was asked for something. */
  changed: boolean;
  /** Whether it was further on. */
  back: boolean;
  /** What became of it, once that is known. */
  moved: MovedLane | undefined;
}

/**
 * Brings a subscription that has so many `members` to its places, and reads back what came of it. The topic is read as a whole, after all its partitions were asked: one by one it would be three times as
 * many requests as there are partitions. What is wrong with one partition alone is told, not thrown.
 */
export async function moveCursors(
  parts: GroupsParts,
  { topic, group, places, force }: GroupMove,
  members: number,
  before: TopicState,
): Promise<MovedLane[]> {
  const moves = places.map((place): CursorMove => {
    const partition = partitionName(topic, Number(place.lane), before.partitions);
    const partitionIndex = before.partitions === 0 ? -1 : Number(place.lane);
    return { partition, partitionIndex, subscription: group, place, force, changed: false, back: false, moved: undefined };
  });
  const each = async (work: (move: CursorMove) => Promise<void>): Promise<void> =>
    await forEachLimited(
      moves.filter(({ moved }) => moved === undefined),
      PARTITIONS_AT_A_TIME,
      async (move) => await work(move).catch((error: unknown) => fail(move, error)),
    );
  await each(async (move) => await begin(parts, move, members, stateIn(before, move)));
  let now = before;
  try {
    if (moves.some(({ changed }) => changed)) now = await whenThere(parts, topic, moves);
    let acknowledged = false;
    await each(async (move) => {
      if (members === 0 && (await keepHoles(parts, move, stateIn(now, move)))) acknowledged = true;
    });
    if (acknowledged) now = await stateOf(parts.rest, topic);
  } catch (error) {
    for (const move of moves) if (move.moved === undefined) fail(move, error);
  }
  await each(async (move) => await Promise.resolve(finish(move, stateIn(now, move))));
  return moves.flatMap(({ moved }) => moved ?? []);
}

function fail(move: CursorMove, error: unknown): void {
  const { code, message } = toIsthmusError(error);
  move.moved = { lane: move.place.lane, outcome: 'failed', next: undefined, rereads: undefined, detail: `${code}: ${message}` };
}

/** Asks for what has to be done. A subscription that is to be left alone is over with that. */
async function begin(parts: GroupsParts, move: CursorMove, members: number, state: PartitionState): Promise<void> {
  const { place, subscription, force } = move;
  const { lane } = place;
  const cursor = state.cursors.get(subscription);
  const next = cursor === undefined ? undefined : after(cursor.markDelete);
  const order = cursor === undefined ? -1 : compareCursor(state.ledgers, cursor.markDelete, place.next);
  if (members > 0 && !force) move.moved = { lane, outcome: 'active', next, rereads: undefined };
  else if (cursor !== undefined && order > 0 && !force) move.moved = { lane, outcome: 'ahead', next, rereads: undefined };
  else if (cursor === undefined || order !== 0) {
    move.changed = true;
    move.back = order > 0;
    if (cursor === undefined) await create(parts.rest, move);
    else if (order > 0) await reset(parts.rest, move);
    else await forward(parts, move, state);
  }
}

/** The topic once all that was asked for has come about, or what it is after a while: a success may say that it was begun. */
async function whenThere({ rest, clock }: GroupsParts, topic: string, moves: readonly CursorMove[]): Promise<TopicState> {
  for (let tries = 1; ; tries++) {
    const now = await stateOf(rest, topic);
    if (tries === TRIES || moves.every((move) => move.moved !== undefined || isThere(move, stateIn(now, move)))) return now;
    await clock.sleep(TRY_AGAIN_MILLIS);
  }
}

function isThere({ subscription, place }: CursorMove, { cursors, ledgers }: PartitionState): boolean {
  const there = cursors.get(subscription);
  return there !== undefined && compareCursor(ledgers, there.markDelete, place.next) >= 0;
}

function finish(move: CursorMove, state: PartitionState): void {
  const { place, subscription, partition, changed, back } = move;
  const there = state.cursors.get(subscription);
  if (there === undefined || !isThere(move, state)) {
    throw new IsthmusError(
      'CONFLICT',
      `moving the subscription ${subscription} of ${partition}: its place reads ${there === undefined ? 'nothing' : `${there.markDelete.ledger}:${there.markDelete.entry}`} after it was moved`,
      { retryable: true },
    );
  }
  const outcome = changed ? 'applied' : 'same';
  move.moved = {
    lane: place.lane,
    outcome,
    next: after(there.markDelete),
    rereads: rereads(place, state, there),
    movedBack: back || undefined,
  };
}

async function stateOf(rest: Rest, topic: string): Promise<TopicState> {
  const state = await readTopicState(rest, topic);
  if (state === undefined) throw new IsthmusError('TOPIC_NOT_FOUND', `reading the subscriptions of ${topic}: it does not exist`);
  return state;
}

/** Of a partition that the topic has not (any more): nothing. */
function stateIn({ states }: TopicState, { place, partition }: CursorMove): PartitionState {
  const state = states[Number(place.lane)];
  if (state === undefined)
    throw new IsthmusError('TOPIC_NOT_FOUND', `reading the subscriptions of ${partition}: it does not exist`);
  return state;
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
}

/** Acknowledges entries that are done beyond the place, as far as the subscription does not know it yet. Gives whether there were any. */
async function keepHoles({ pool }: GroupsParts, move: CursorMove, { ledgers, cursors }: PartitionState): Promise<boolean> {
  const { place, subscription, partition } = move;
  const cursor = cursors.get(subscription);
  const ids: MessageId[] = [];
  for (const range of place.done) ids.push(...entriesWithin(ledgers, range, MAX_HOLE_ENTRIES - ids.length));
  const missing = ids.filter((id) => cursor === undefined || !isDone(cursor, id));
  if (missing.length === 0) return false;
  move.changed = true;
  await acknowledgeFor(pool, partition, subscription, missing);
  return true;
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
