import { advancePosition, comparePositions, formatPosition, type Position } from '../model/position.ts';
import { formatRuns } from '../model/provenance.ts';
import type { IndexEntry } from '../spi/state-store.ts';

/**
 * How both stores lay out the position index of a lane: as segments, ordered by (first, reach).
 *
 *   first  = the lowest source position in the segment
 *   reach  = the highest source position in this segment or in any before it
 *   chunks = joined chunks (index-codec)
 *
 * A new chunk joins the last segment that begins at or before it, while that has room, else it begins a segment; segments
 * after it whose reach is lower are raised. Entries may therefore come in any order and more than once: a batch that its
 * partition stored late, or all of them again after a recovery.
 *
 * To read [from, to], let P be the last segment that begins at or before `from`. What begins in (from, to] is in a segment
 * that begins there or in an earlier one; whatever holds `from`, or begins after P.first, reaches P.first or more. So it is
 * enough to go from P towards the beginning until a segment's reach lies before P.first, mostly one step. Of the segments
 * after P, as many places where one begins as entries are wanted are enough: each has an entry there. (Segments may begin at
 * one place and hold copies of each other.)
 */

/** A segment is full when it has this many bytes of chunks. Small, because appending rewrites it. */
export const SEGMENT_BYTES = 1024;

/**
 * Segments kept per lane; beyond it those with the lowest positions are dropped (a store may do so by the hundred). They are
 * 16 MiB, some 1.6 million batches. What was dropped is answered by reading the target.
 */
export const SEGMENTS_PER_LANE = 16_384;

/** Bytes of `sortKey`. */
export const SORT_KEY_BYTES = 24;

/** A position as bytes that sort like positions (compared byte by byte, as SQLite and sorted sets do). */
export function sortKey({ major, minor, index }: Position): Buffer {
  const key = Buffer.alloc(SORT_KEY_BYTES);
  [major, minor, index].forEach((part, i) => {
    const high = Math.floor(part / 2 ** 32);
    key.writeUInt32BE(high + 2 ** 31, i * 8);
    key.writeUInt32BE(part - high * 2 ** 32, i * 8 + 4);
  });
  return key;
}

/**
 * The entries of a read out of all those in its segments: what begins at or before `to` and holds `from` or something after
 * it, and the last that begins at or before `from`. Ascending; of entries at one place the one written last comes last.
 */
export function selectEntries(entries: readonly IndexEntry[], from: Position, to: Position, limit: number): IndexEntry[] {
  const spans = withoutCopies(entries).map(spanOf);
  spans.sort((a, b) => comparePositions(a.first, b.first));
  const floor = spans.findLastIndex((span) => comparePositions(span.first, from) <= 0);
  const wanted = spans.filter(
    (span, i) => i === floor || (comparePositions(span.first, to) <= 0 && comparePositions(span.last, from) >= 0),
  );
  return wanted.slice(0, limit).map((span) => span.entry);
}

interface Span {
  readonly entry: IndexEntry;
  readonly first: Position;
  readonly last: Position;
}

function spanOf(entry: IndexEntry): Span {
  const firsts = entry.runs.map((run) => run.first);
  const lasts = entry.runs.map((run) => advancePosition(run.first, run.count - 1));
  return {
    entry,
    first: firsts.reduce((a, b) => (comparePositions(a, b) <= 0 ? a : b)),
    last: lasts.reduce((a, b) => (comparePositions(a, b) >= 0 ? a : b)),
  };
}

/** A retried call or a recovery writes the same entry again. */
function withoutCopies(entries: readonly IndexEntry[]): IndexEntry[] {
  const byText = new Map<string, IndexEntry>();
  for (const entry of entries) {
    const text = `${entry.partition} ${formatPosition(entry.target)} ${formatRuns(entry.runs)}`;
    // Deleted first, so that it moves to the end: the order of equals is the order of writing.
    byText.delete(text);
    byText.set(text, entry);
  }
  return [...byText.values()];
}
