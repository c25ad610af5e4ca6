import { entryPosition, type Position } from '../../../model/position.ts';
import type { GapReason } from '../../../spi/source.ts';
import { expires, ledgersAndCursors, type StorageState, writtenCursor } from '../admin/cursors.ts';
import type { Rest } from '../admin/rest.ts';
import { BEFORE_FIRST, compareIds } from '../net/entry-reader.ts';
import type { MessageId } from '../wire/message-id.ts';
import { entryOf } from './places.ts';

/** Before every entry of a topic: where a lane begins of which nothing is known. */
export const BEGINNING: Position = entryPosition(0, 0);

/** A stretch that the source has no more; `back`: it goes on below what was read. */
export interface Hole {
  readonly to: Position;
  readonly reason: GapReason;
  readonly back: boolean;
}

/**
 * Whether something between `from` and what a partition has now is gone. `unsure`: the subscription stands at the beginning of a ledger, which is where brokers put it when the ledger
 * that it had read to the end is gone, and also when others had moved it there.
 *
 * Ledger ids rise over a whole cluster, so a place in a ledger that is younger than the newest one is from another life of the cluster. And a durable subscription keeps every
 * ledger that it has not passed, so a ledger that is gone was passed: by us, which is fine, or by somebody else (expiry, eviction, an operator), which is a loss.
 */
export function judgeOpening(from: Position, group: string, state: StorageState): Hole | 'fine' | 'unsure' {
  const { ledgers, newest, cursors } = state;
  if (newest < 0 || from.major <= BEGINNING.major) return 'fine';
  const wanted = entryOf(from);
  const begin = entryPosition(ledgers[0]?.ledger ?? newest, 0);
  if (wanted.ledger > newest) return { to: ledgers[0] === undefined ? BEGINNING : begin, reason: 'recreated', back: true };
  const entries = ledgers.find(({ ledger }) => ledger === wanted.ledger)?.entries ?? (wanted.ledger === newest ? 0 : undefined);
  if (entries !== undefined) {
    return wanted.entry > entries ? { to: entryPosition(wanted.ledger, entries), reason: 'truncated', back: true } : 'fine';
  }
  const cursor = cursors.get(group);
  if (cursor === undefined) return { to: begin, reason: 'recreated', back: false };
  if (compareIds(cursor, wanted) < 0) return 'fine';
  return cursor.entry < 0 ? 'unsure' : { to: begin, reason: 'expired', back: false };
}

export interface OpeningPlace {
  readonly topic: string;
  readonly partition: string;
  readonly group: string;
  readonly from: Position;
}

export interface Opening {
  /** What is gone before the first entry that the lane can be read from. */
  readonly hole: Hole | undefined;
  /** Where the subscription has to be at least: it is worth no reading before that. */
  readonly doneBefore: MessageId;
}

/** Looks at what a partition has before it is read. `lookBack`: so many entries before may be of use still, where the subscription has kept them. */
export async function lookAtOpening(rest: Rest, place: OpeningPlace, lookBack: number): Promise<Opening> {
  const state = await ledgersAndCursors(rest, place.partition);
  const doneBefore = entriesBefore(state, entryOf(place.from), state.cursors.has(place.group) ? lookBack : 0);
  return { hole: await findHole(rest, place, state), doneBefore };
}

/** The entry that has `count` more between itself and `entry`. */
export function entriesBefore(
  { ledgers }: Pick<StorageState, 'ledgers'>,
  { ledger, entry }: MessageId,
  count: number,
): MessageId {
  let rest = count - entry;
  if (rest < 0) return { ledger, entry: entry - count - 1 };
  for (const each of ledgers.filter((one) => one.ledger < ledger).toReversed()) {
    if (each.entries > rest) return { ledger: each.ledger, entry: each.entries - rest - 1 };
    rest -= each.entries;
  }
  return count === 0 ? { ledger, entry: entry - 1 } : BEFORE_FIRST;
}

async function findHole(
  rest: Rest,
  { topic, partition, group, from }: OpeningPlace,
  state: StorageState,
): Promise<Hole | undefined> {
  const verdict = judgeOpening(from, group, state);
  if (verdict === 'fine') return undefined;
  if (verdict !== 'unsure') return verdict;
  const hole: Hole = { to: entryPosition(state.ledgers[0]?.ledger ?? state.newest, 0), reason: 'expired', back: false };
  const wanted = entryOf(from);
  // Written down in the ledger that is gone, it tells whether that was read to its end or passed by others.
  const written = await writtenCursor(rest, partition, group);
  if (written?.ledger === wanted.ledger) return compareIds(written, wanted) < 0 ? undefined : hole;
  return (await expires(rest, topic)) ? hole : undefined;
}
