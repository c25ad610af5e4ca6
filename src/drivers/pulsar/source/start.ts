import { IsthmusError } from '../../../errors.ts';
import { entryPosition, type Position } from '../../../model/position.ts';
import type { StartAt } from '../../../spi/source.ts';
import { findTime, ledgersAndCursors } from '../admin/cursors.ts';
import type { Rest } from '../admin/rest.ts';
import type { LedgerExtent } from '../admin/topics.ts';
import { BEGINNING } from './continuity.ts';
import { after } from './places.ts';

/** Where a subscription of a partition goes on, `undefined` when there is none. */
export async function committedPlace(rest: Rest, partition: string, group: string): Promise<Position | undefined> {
  const markDelete = (await ledgersAndCursors(rest, partition)).cursors.get(group);
  return markDelete === undefined ? undefined : after(markDelete.ledger, markDelete.entry);
}

/** Where a new lane begins in a partition. */
export async function startPlace(rest: Rest, partition: string, start: StartAt): Promise<Position> {
  if (start.kind === 'time') {
    const found = await findTime(rest, partition, start.time);
    if (found !== undefined) return entryPosition(found.ledger, found.entry);
  }
  const { ledgers } = await ledgersAndCursors(rest, partition);
  const [oldest, newest] = [ledgers[0], ledgers.at(-1)];
  // What comes into an empty topic comes after its beginning, wherever that will be: an empty ledger is thrown away.
  if (oldest === undefined || newest === undefined) return BEGINNING;
  if (start.kind === 'time')
    throw new IsthmusError('BROKER_BUSY', `looking for ${start.time} in ${partition}: the broker gave no place`);
  return start.kind === 'earliest' ? entryPosition(oldest.ledger, 0) : entryPosition(newest.ledger, newest.entries);
}

/** A place with at least `count` entries between it and `place`, or the partition's beginning. */
export async function placeBack(rest: Rest, partition: string, place: Position, count: number): Promise<Position> {
  return countBack((await ledgersAndCursors(rest, partition)).ledgers, place, count);
}

/** `ledgers` oldest first. */
export function countBack(ledgers: readonly LedgerExtent[], place: Position, count: number): Position {
  let left = count;
  for (const { ledger, entries } of ledgers.toReversed()) {
    if (ledger > place.major) continue;
    const before = ledger === place.major ? Math.max(0, place.minor) : entries;
    if (before >= left) return entryPosition(ledger, before - left);
    left -= before;
  }
  const [oldest] = ledgers;
  return oldest === undefined ? BEGINNING : entryPosition(oldest.ledger, 0);
}
