import { comparePositions, countBefore, type Position } from '../../model/position.ts';
import { type MarkPlace, readPlace } from '../../model/provenance.ts';
import type { FoundMark, Sink } from '../../spi/sink.ts';
import type { IndexEntry } from '../../spi/state-store.ts';
import { asWhole, type DoneRecords, firstUndone, type Part, targetOf } from './done-records.ts';
import type { LaneWalk } from './lane-walk.ts';
import type { LaneView, TopicView, TranslateSizes } from './translation.ts';

/** The newest marks of a partition. */
interface PartitionMarks {
  /** By source lane, in the target's order. */
  readonly lanes: ReadonlyMap<string, readonly IndexEntry[]>;
  readonly fromBeginning: boolean;
}

interface Searched {
  readonly walk: LaneWalk;
}

interface NotFound {
  readonly partitions: readonly number[] | undefined;
  readonly reason: string;
}

/** Finds places by the marks in the target, where the position index does not reach. Each partition is read once per pass. */
export class MarkSearch {
  readonly #scan: Sink['scan'];
  readonly #sizes: Pick<TranslateSizes, 'searchEntries' | 'roundRecords'>;
  readonly #marks = new Map<string, Promise<PartitionMarks>>();

  constructor(scan: Sink['scan'], sizes: Pick<TranslateSizes, 'searchEntries' | 'roundRecords'>) {
    this.#scan = scan;
    this.#sizes = sizes;
  }

  forget(): void {
    this.#marks.clear();
  }

  async lane(
    view: TopicView,
    { lane }: LaneView,
    group: DoneRecords,
    partitions: readonly number[],
  ): Promise<Searched | NotFound> {
    const firsts = new Map<number, Position>();
    const done = new Map<number, { entry: IndexEntry; parts: Part[] }[]>();
    const gone = new Set<number>();
    for (const partition of partitions) {
      const { lanes, fromBeginning } = await this.#marksOf(view, partition);
      const entries = lanes.get(lane) ?? [];
      // What is stored before a record of the lane comes within a round of it in the lane: with so many in view, nothing that is not done lies further back.
      const before = recordsBefore(entries, group.next);
      if (!fromBeginning && before < this.#sizes.roundRecords) {
        const reason = `neither the position index nor the newest ${this.#sizes.searchEntries} entries of partition ${partition} reach back to the group's place in the lane ${lane}`;
        return { partitions: undefined, reason };
      }
      if (before === 0 && !isVeryBeginning(view.extents.get(partition)?.begin)) gone.add(partition);
      for (const entry of entries) {
        const parts = group.partsOf(entry);
        const undone = firstUndone(entry, parts);
        if (undone !== undefined) firsts.set(partition, lowest(firsts.get(partition), targetOf(entry, undone)));
        if (parts.length > 0) listOf(done, partition).push({ entry, parts });
      }
    }
    return { walk: { firsts, done, gone, open: false, counted: true } };
  }

  #marksOf(view: TopicView, partition: number): Promise<PartitionMarks> {
    const key = `${view.targetTopic}#${partition}`;
    let marks = this.#marks.get(key);
    if (marks === undefined) this.#marks.set(key, (marks = this.#read(view, partition)));
    return marks;
  }

  async #read({ sourceCluster, topic, targetTopic }: TopicView, partition: number): Promise<PartitionMarks> {
    const lanes = new Map<string, IndexEntry[]>();
    const report = await this.#scan(targetTopic, partition, undefined, this.#sizes.searchEntries, ({ provenance, target }) => {
      const place = placeAt(provenance, sourceCluster, topic);
      if (place !== undefined) listOf(lanes, place.lane).push(asWhole({ runs: place.runs, partition, target }));
    });
    return { lanes, fromBeginning: report.fromBeginning };
  }
}

/** Where in the source topic a record lies: where the writer of its mark has read it, or, when it came by another way, where it was written. */
function placeAt(provenance: FoundMark['provenance'], cluster: string, topic: string): MarkPlace | undefined {
  const read = readPlace(provenance);
  if (read.cluster === cluster && read.topic === topic) return read;
  return provenance.cluster === cluster && provenance.topic === topic ? provenance : undefined;
}

function recordsBefore(entries: readonly IndexEntry[], place: Position): number {
  let before = 0;
  for (const { runs } of entries) for (const { first, count } of runs) before += countBefore(first, count, place);
  return before;
}

/** A target whose places are offsets, and that still has the very first. */
function isVeryBeginning(begin: Position | undefined): boolean {
  return begin !== undefined && begin.minor < 0 && begin.major <= 0;
}

function lowest(a: Position | undefined, b: Position): Position {
  return a !== undefined && comparePositions(a, b) <= 0 ? a : b;
}

function listOf<K, V>(map: Map<K, V[]>, key: K): V[] {
  let list = map.get(key);
  if (list === undefined) map.set(key, (list = []));
  return list;
}
