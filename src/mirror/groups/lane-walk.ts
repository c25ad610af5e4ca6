import { comparePositions, type Position } from '../../model/position.ts';
import type { IndexEntry } from '../../spi/state-store.ts';
import type { DonePlaces } from './done-places.ts';
import { type DoneRecords, firstUndone, type Part, sizeOf, targetOf } from './done-records.ts';
import type { Stretch } from './stretch.ts';
import type { TranslateSizes } from './translation.ts';

export interface WalkSizes extends Pick<TranslateSizes, 'mostEntries' | 'lookBack'> {
  /** Records within which the target may have another order than the lane; infinite where nothing is known of its order. */
  readonly roundRecords: number;
}

/** What the index says of a group's records in one lane. */
export interface LaneWalk {
  /** Per partition: the lowest place of a record that is not done. */
  readonly firsts: ReadonlyMap<number, Position>;
  /** Per partition: entries that are done in part or wholly, and do not end before the group's place. */
  readonly done: ReadonlyMap<number, readonly DoneEntry[]>;
  /** Partitions in which the target may have deleted records that are not done, without anybody knowing. */
  readonly gone?: ReadonlySet<number>;
  /** The walk ended before it was sure of every partition: it was too long. */
  readonly open: boolean;
  /** Whether all is found that is done after the group's place. */
  readonly counted: boolean;
}

interface DoneEntry {
  readonly entry: IndexEntry;
  readonly parts: readonly Part[];
}

/**
 * Goes through the index from a group's place on, up to `upTo`: until for each of the partitions a record was found that is not done, and a round after it (what is stored before
 * that one comes in the lane within a round of it), and everything that is done ahead of the place.
 */
export async function walkAhead(
  stretch: Stretch,
  group: DoneRecords,
  upTo: Position,
  partitions: readonly number[],
  sizes: WalkSizes,
): Promise<LaneWalk> {
  const firsts = new Map<number, Position>();
  const done = new Map<number, DoneEntry[]>();
  const seenAt = new Map<number, number>();
  let records = 0;
  if (comparePositions(group.next, upTo) >= 0) return { firsts, done, open: false, counted: true };
  for (let i = stretch.firstReaching(group.next), steps = 0; ; i++, steps++) {
    while (i >= stretch.held.length && (await stretch.later(upTo)));
    const held = stretch.held[i];
    if (held === undefined || comparePositions(held.first, upTo) >= 0) return { firsts, done, open: false, counted: true };
    const pastDone = comparePositions(held.first, group.end) >= 0;
    const enough = partitions.every((partition) => records - (seenAt.get(partition) ?? records) >= sizes.roundRecords);
    if (pastDone && enough && partitions.length > 0) return { firsts, done, open: false, counted: true };
    if (steps >= sizes.mostEntries) return { firsts, done, open: !enough, counted: pastDone };
    const { entry } = held;
    const parts = group.partsOf(entry);
    const undone = firstUndone(entry, parts);
    if (undone !== undefined) {
      const place = targetOf(entry, undone);
      const former = firsts.get(entry.partition);
      if (former === undefined || comparePositions(place, former) < 0) firsts.set(entry.partition, place);
      if (!seenAt.has(entry.partition)) seenAt.set(entry.partition, records);
    }
    if (parts.length > 0) listOf(done, entry.partition).push({ entry, parts });
    const size = sizeOf(entry);
    records += Number.isFinite(size) ? size : 1;
  }
}

/**
 * Goes back from a group's place for what is stored at or after the places found: other lanes of a partition are not as far, and within a round the target has its own order. Tells
 * whether it has found everything. `known`: places up to which the lane has stored something, by partition. `complete`: the index begins where the lane does.
 */
export async function walkBack(
  stretch: Stretch,
  group: DoneRecords,
  places: ReadonlyMap<number, DonePlaces>,
  known: ReadonlyMap<number, Position>,
  complete: boolean,
  sizes: WalkSizes,
): Promise<boolean> {
  for (;;) {
    const found = goBack(stretch, group, places, known, sizes);
    if (found !== 'more') return found === 'all';
    if (stretch.atBeginning) return complete;
    await stretch.earlier();
  }
}

/** `more`: what is held does not reach back far enough to be sure. */
function goBack(
  stretch: Stretch,
  group: DoneRecords,
  places: ReadonlyMap<number, DonePlaces>,
  known: ReadonlyMap<number, Position>,
  sizes: WalkSizes,
): 'all' | 'more' | 'too-much' {
  const lookBack = Math.min(sizes.lookBack, sizes.roundRecords);
  // Partitions in which there may be more further back: the walk is not over before it has come to an entry that lies before the place.
  const open = new Set<number>();
  for (const [partition, place] of places) if (place.isAtOrBefore(known.get(partition))) open.add(partition);
  let quiet = 0;
  let steps = 0;
  for (let i = stretch.countBefore(group.next) - 1; i >= 0; i--) {
    const held = stretch.held[i];
    if (held === undefined || comparePositions(held.first, stretch.from) < 0) break;
    if (steps++ >= sizes.mostEntries) return 'too-much';
    const { entry } = held;
    const place = places.get(entry.partition);
    if (place?.isReachedBy(entry) === true && place.add(entry, group.partsOf(entry))) {
      open.add(entry.partition);
      quiet = 0;
    } else {
      // What the target has stored late, behind the place, comes within a round of what lies before it.
      quiet = open.delete(entry.partition) ? 0 : quiet + 1;
    }
    if (open.size === 0 && quiet >= lookBack) return 'all';
  }
  return 'more';
}

function listOf<K, V>(map: Map<K, V[]>, key: K): V[] {
  let list = map.get(key);
  if (list === undefined) map.set(key, (list = []));
  return list;
}
