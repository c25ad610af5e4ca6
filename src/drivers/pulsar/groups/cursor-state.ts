import { comparePositions, entryPosition, type Position } from '../../../model/position.ts';
import type { PositionRange } from '../../../model/progress.ts';
import { field, numberField, textField } from '../admin/json.ts';
import { type LedgerExtent, ledgersIn } from '../admin/topics.ts';
import type { MessageId } from '../wire/message-id.ts';

/** A subscription's place in a partition, as its broker has it in memory. */
export interface CursorState {
  /** The last entry before which all is done, and which is done itself. */
  readonly markDelete: MessageId;
  /** Entries that were acknowledged one by one, ascending; whole entries alone, because the admin REST does not tell of parts. */
  readonly done: readonly PositionRange[];
}

/** What the internal statistics of a partition say. */
export interface PartitionState {
  readonly ledgers: readonly LedgerExtent[];
  readonly cursors: ReadonlyMap<string, CursorState>;
}

/** Names of cursors that are no subscription of an application. */
const SYSTEM_CURSOR = /^(?:pulsar\.(?:dedup|repl)\b|__compaction$|__)/;

export function readPartitionState(stats: unknown): PartitionState {
  const cursors = new Map<string, CursorState>();
  for (const [encoded, cursor] of Object.entries(field(stats, 'cursors') ?? {})) {
    const name = decodeURIComponent(encoded);
    const [markDelete] = readIds(textField(cursor, 'markDeletePosition'));
    if (SYSTEM_CURSOR.test(name) || markDelete === undefined) continue;
    const done =
      numberField(cursor, 'totalNonContiguousDeletedMessagesRange') === 0
        ? []
        : readRanges(textField(cursor, 'individuallyDeletedMessages'));
    cursors.set(name, { markDelete, done });
  }
  return { ledgers: ledgersIn(stats), cursors };
}

const ID = /(-?\d{1,16}):(-?\d{1,16})/g;

function readIds(text: string): MessageId[] {
  return [...text.matchAll(ID)].map(([, ledger, entry]) => ({ ledger: Number(ledger), entry: Number(entry) }));
}

/** Reads `[(5:3..5:7],(5:9..6:1]]`: pairs of an entry that is not part of the range and its last one. */
function readRanges(text: string): PositionRange[] {
  const ids = readIds(text);
  const ranges: PositionRange[] = [];
  for (let i = 0; i + 1 < ids.length; i += 2) {
    const [before, last] = [ids[i], ids[i + 1]];
    if (before === undefined || last === undefined) continue;
    ranges.push({ from: after(before), to: after(last) });
  }
  return ranges;
}

/** The place right after an entry. */
export function after({ ledger, entry }: MessageId): Position {
  return entryPosition(ledger, entry + 1);
}

/** Every entry in [from, to) that a partition has, ascending: only such that are in it as a whole. Stops after `limit`. */
export function entriesWithin(ledgers: readonly LedgerExtent[], { from, to }: PositionRange, limit: number): MessageId[] {
  const found: MessageId[] = [];
  for (const { ledger, entries } of ledgers) {
    if (ledger < from.major || ledger > to.major) continue;
    const first = ledger > from.major ? 0 : from.minor + (from.index > 0 ? 1 : 0);
    // Up to a record of an entry is never all of it: acknowledging the entry would take the rest away from the group.
    const end = ledger < to.major ? entries : Math.min(entries, to.minor);
    for (let entry = Math.max(0, first); entry < end; entry++) {
      if (found.length >= limit) return found;
      found.push({ ledger, entry });
    }
  }
  return found;
}

/**
 * The last entry before a place, which is what a cursor that is to go on there has as done; `undefined` when there is none, so that the cursor belongs at the beginning. A place inside an
 * entry leaves the whole entry to be read.
 */
export function entryBefore(ledgers: readonly LedgerExtent[], place: Position): MessageId | undefined {
  for (const { ledger, entries } of ledgers.toReversed()) {
    if (ledger > place.major) continue;
    const entry = ledger < place.major ? entries - 1 : Math.min(entries, place.minor) - 1;
    if (entry >= 0) return { ledger, entry };
  }
  return undefined;
}

/** Whether a cursor at `markDelete` has nothing more to read before `place`, and nothing less: ledger borders and whole entries between them do not matter. */
export function compareCursor(ledgers: readonly LedgerExtent[], markDelete: MessageId, place: Position): number {
  const wanted = entryBefore(ledgers, place);
  const there = entryBefore(ledgers, after(markDelete));
  if (wanted === undefined || there === undefined) return Number(there !== undefined) - Number(wanted !== undefined);
  return comparePositions(entryPosition(there.ledger, there.entry), entryPosition(wanted.ledger, wanted.entry));
}
