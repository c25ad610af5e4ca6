import { comparePositions, entryPosition, offsetPosition, type Position } from '../../../../src/model/position.ts';
import { formatProvenance, parseProvenance } from '../../../../src/model/provenance.ts';
import type { FoundMark, ScanReport } from '../../../../src/spi/sink.ts';
import type { IndexEntry } from '../../../../src/spi/state-store.ts';

/** A record in the target. */
export interface Copy {
  readonly partition: number;
  readonly place: Position;
  /** `undefined`: written there. */
  readonly lane: number | undefined;
  /** Where it is in the source; of a record that was written in the target, when it has come there. */
  source: { lane: number; position: Position } | undefined;
  way: 'mirror' | 'other' | 'local' | 'lost-track';
  readonly batch: number;
}

interface StoredBatch {
  readonly entry: IndexEntry;
  readonly lane: number | undefined;
  readonly way: Copy['way'];
}

/** The target topic: all its records, and what of them its marks say. */
export class TargetTopic {
  readonly copies: Copy[] = [];
  readonly begins: Position[] = [];
  readonly #entries: boolean;
  readonly #whole: boolean;
  readonly #batches: StoredBatch[] = [];
  readonly #next: number[] = [];

  constructor(partitions: number, entries: boolean, whole: boolean) {
    this.#entries = entries;
    this.#whole = whole;
    for (let p = 0; p < partitions; p++) {
      this.#next.push(0);
      this.begins.push(this.#place(0));
    }
  }

  /** The position that the next record of a partition gets. */
  end(p: number): Position {
    return this.#place(this.#next[p] ?? 0);
  }

  of(p: number): Copy[] {
    return this.copies.filter(({ partition }) => partition === p);
  }

  /** Batches that the mirror has stored of a lane. */
  batchesOf(lane: number): IndexEntry[] {
    return this.#batches.filter((each) => each.lane === lane && each.way === 'mirror').map(({ entry }) => entry);
  }

  /** Puts a batch at the next place of its partition; `given.target` does not matter. */
  keep(given: IndexEntry, lane: number | undefined, way: Copy['way'], size: number): IndexEntry {
    const { partition, runs } = given;
    const at = this.#next[partition] ?? 0;
    this.#next[partition] = at + (this.#entries ? 1 : size);
    const place = this.#place(at);
    const entry = { runs, partition, target: this.#entries && size > 1 ? { ...place, index: 0 } : place };
    this.#batches.push({ entry, lane, way });
    const sources = runs.flatMap(({ first, count }) =>
      Array.from({ length: this.#whole ? size : count }, (_, i) => this.#source(first, i, size)),
    );
    for (let i = 0; i < size; i++) {
      const position = sources[i];
      const source = lane === undefined || position === undefined ? undefined : { lane, position };
      const own = this.#entries ? { ...place, index: size === 1 ? 0 : i } : offsetPosition(place.major + i);
      this.copies.push({ partition, place: own, lane, source, way, batch: this.#batches.length });
    }
    return entry;
  }

  /** Deletes the oldest of a partition. */
  expire(p: number, share: number): void {
    const there = this.of(p);
    const first = there[Math.floor(there.length * share)];
    const begin = this.begins[p];
    if (first === undefined || begin === undefined || comparePositions(first.place, begin) <= 0) return;
    this.begins[p] = this.#entries ? { ...first.place, index: -1 } : first.place;
  }

  scan(p: number, topic: string, limit: number, visit: (mark: FoundMark) => void): ScanReport {
    const begin = this.begins[p] ?? this.#place(0);
    const here = this.#batches.filter(
      ({ entry }) => entry.partition === p && comparePositions({ ...entry.target, index: -1 }, begin) >= 0,
    );
    const seen = here.slice(Math.max(0, here.length - limit));
    for (const { entry, lane } of seen) {
      if (lane === undefined) continue;
      const text = formatProvenance({ cluster: 'east', topic, lane: String(lane), runs: entry.runs, time: 0, passed: [] });
      const provenance = parseProvenance(text);
      if (provenance !== undefined) visit({ partition: p, provenance, target: entry.target });
    }
    return { entries: seen.length, fromBeginning: seen.length === here.length };
  }

  #source(first: Position, i: number, size: number): Position {
    if (this.#whole) return { ...first, index: size === 1 ? -1 : i };
    return step(first, i);
  }

  #place(n: number): Position {
    return this.#entries ? entryPosition(20 + 5 * Math.floor(n / 4), n % 4) : offsetPosition(n);
  }
}

/** The place `n` neighbours after another. */
export function step(first: Position, n: number): Position {
  if (first.minor < 0) return offsetPosition(first.major + n);
  return first.index < 0 ? { ...first, minor: first.minor + n } : { ...first, index: first.index + n };
}
