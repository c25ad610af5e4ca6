import type { LaneId } from '../../model/lane.ts';
import { comparePositions, offsetPosition, type Position } from '../../model/position.ts';
import type { GapReason, LaneExtent } from '../../spi/source.ts';
import { type BatchRow, rowOf } from './batch.ts';
import type { EntryBroker, StoredEntry } from './entry-broker.ts';
import { encodeEntry } from './entry-codec.ts';
import type { QueueBroker } from './queue-broker.ts';

/** What a broker answers to somebody who reads on at a place. */
export interface Seen {
  readonly extent: LaneExtent;
  /** Reading goes on there, because what lies before is gone. */
  readonly gap?: { readonly to: Position; readonly reason: GapReason } | undefined;
  readonly rows: readonly BatchRow[];
  readonly whole: boolean;
  /** Where reading goes on after the rows. */
  readonly next: Position;
  /** Whether the driver tells that place with the batch. */
  readonly tellsEnd: boolean;
  /** The answer has arrived: what it told need not be told again. */
  readonly arrived?: () => void;
}

/** One lane of a fake cluster, as a reader's requests see it. */
export interface LaneView {
  extent(): LaneExtent;
  /** At most `most` rows from `next` on. */
  look(next: Position, most: number): Seen;
  whenGrown(wake: () => void): void;
  commit(group: string, next: Position): void;
}

/** A queue: one message after the other, with a tail that can be cut off. */
export class QueueView implements LaneView {
  readonly #broker: QueueBroker;
  readonly #lane: LaneId;
  #knownCuts: number;

  constructor(broker: QueueBroker, lane: LaneId) {
    this.#broker = broker;
    this.#lane = lane;
    this.#knownCuts = broker.cuts(lane.topic, lane.lane).count;
  }

  extent(): LaneExtent {
    const { begin, end } = this.#broker.extent(this.#lane.topic, this.#lane.lane);
    return { begin: offsetPosition(begin), end: offsetPosition(end) };
  }

  look(from: Position, most: number): Seen {
    const { topic, lane } = this.#lane;
    const extent = this.extent();
    const cuts = this.#broker.cuts(topic, lane, this.#knownCuts);
    const next = Math.max(0, from.major);
    const rows = this.#broker.read(topic, lane, next, most).map(rowOf);
    // A real reader compares what it has read with what is there now; one that has read nothing yet sees only that the queue ends too early.
    const cutTo = Math.min(cuts.lowest ?? next, extent.end.major);
    const gap =
      next < extent.begin.major
        ? { to: extent.begin, reason: 'expired' as const }
        : cutTo < next
          ? { to: offsetPosition(cutTo), reason: 'truncated' as const }
          : undefined;
    const arrived = (): void => {
      this.#knownCuts = cuts.count;
    };
    return { extent, gap, rows, whole: false, next: offsetPosition(next + rows.length), tellsEnd: false, arrived };
  }

  whenGrown(wake: () => void): void {
    this.#broker.whenGrown(this.#lane.topic, this.#lane.lane, wake);
  }

  commit(group: string, next: Position): void {
    this.#broker.commit(this.#lane.topic, this.#lane.lane, group, next.major);
  }
}

/** A partition of entries: single messages and batches, which are taken apart or handed out whole. */
export class EntryView implements LaneView {
  readonly #broker: EntryBroker;
  readonly #lane: LaneId;
  readonly #wholeFrom: Position | undefined;
  readonly #random: () => number;

  constructor(broker: EntryBroker, lane: LaneId, wholeFrom: Position | undefined, random: () => number) {
    this.#broker = broker;
    this.#lane = lane;
    this.#wholeFrom = wholeFrom;
    this.#random = random;
  }

  extent(): LaneExtent {
    return this.#broker.extent(this.#lane.topic, Number(this.#lane.lane));
  }

  look(next: Position, most: number): Seen {
    const extent = this.extent();
    const nothing = { extent, rows: [], whole: false, next, tellsEnd: false };
    if (comparePositions(next, extent.begin) < 0) return { ...nothing, gap: { to: extent.begin, reason: 'expired' } };
    const entries = this.#broker
      .entries(this.#lane.topic, Number(this.#lane.lane))
      .filter(({ position }) => comparePositions(afterEntry(position), next) > 0);
    const [first] = entries;
    if (first === undefined) return nothing;
    // Whoever has taken a whole entry never gets a part of it again.
    if (this.#isWhole(first)) return { ...nothing, ...this.#whole(entries, most) };
    const seen = { ...nothing, ...this.#apart(entries, next, most) };
    // Nothing was left of the entry that reading began in.
    return seen.rows.length === 0 && comparePositions(seen.next, next) > 0 ? this.look(seen.next, most) : seen;
  }

  #isWhole({ position, inner }: StoredEntry): boolean {
    return this.#wholeFrom !== undefined && inner !== true && comparePositions(position, this.#wholeFrom) >= 0;
  }

  #whole(entries: readonly StoredEntry[], most: number): Pick<Seen, 'rows' | 'whole' | 'next' | 'tellsEnd'> {
    const end = entries.findIndex((entry) => !this.#isWhole(entry));
    const taken = entries.slice(0, Math.min(most, end < 0 ? entries.length : end));
    const rows = taken.map((entry) => ({
      position: entry.position,
      storeTime: entry.storeTime,
      body: encodeEntry(entry),
      mark: entry.mark === undefined ? undefined : { text: entry.mark, ordinal: 0 },
      records: entry.records.length,
    }));
    const last = taken.at(-1)?.position ?? { major: 0, minor: 0, index: -1 };
    return { rows, whole: true, next: afterEntry(last), tellsEnd: this.#random() < 0.5 };
  }

  #apart(entries: readonly StoredEntry[], from: Position, most: number): Pick<Seen, 'rows' | 'next' | 'tellsEnd'> {
    const rows: BatchRow[] = [];
    let next = from;
    for (const entry of entries) {
      if (this.#isWhole(entry)) break;
      const left = rowsOf(entry).filter(({ position }) => comparePositions(position, from) >= 0);
      const taken = left.slice(0, most - rows.length);
      rows.push(...taken);
      const last = taken.at(-1)?.position;
      if (taken.length === left.length) next = afterEntry(entry.position);
      else if (last !== undefined) next = { ...last, index: last.index + 1 };
      if (rows.length >= most) break;
    }
    return { rows, next, tellsEnd: this.#random() < 0.5 };
  }

  whenGrown(wake: () => void): void {
    this.#broker.whenGrown(this.#lane.topic, Number(this.#lane.lane), wake);
  }

  commit(group: string, next: Position): void {
    this.#broker.commit(this.#lane.topic, Number(this.#lane.lane), group, next);
  }
}

/** The place right after an entry. */
function afterEntry({ major, minor }: Position): Position {
  return { major, minor: minor + 1, index: -1 };
}

function rowsOf({ position, records, batched, mark, inner, storeTime }: StoredEntry): BatchRow[] {
  // Of an entry with a mark whose writer says nothing of marks in it, those are not ours: an application wrote them, and the entry was passed on whole.
  const counts = mark === undefined || inner === true;
  return records.map((record, index) => {
    const own = record.mark === undefined || !counts ? undefined : { text: record.mark, ordinal: 0 };
    const shared = mark === undefined ? undefined : { text: mark, ordinal: index };
    return {
      ...record,
      position: batched === false ? position : { ...position, index },
      storeTime,
      mark: own ?? shared,
    };
  });
}
