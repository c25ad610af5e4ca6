import { type ReadDeps, readStretch } from '../../mirror/audit/stretch-reader.ts';
import type { CutRecords } from '../../mirror/cut-index.ts';
import type { PositionSet } from '../../mirror/position-set.ts';
import { believedEnd, disbelieveBeyond, partitionKey, recover } from '../../mirror/recovery.ts';
import { stagesOf } from '../../mirror/stages/stages.ts';
import { PLAIN_RULES } from '../../model/mirror-spec.ts';
import { comparePositions, formatPosition, type Position } from '../../model/position.ts';
import type { MarkCodec } from '../../model/provenance.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { Stage, Verdicts } from '../../spi/stage.ts';
import type { Checkpoint, CutKind } from '../../spi/state-store.ts';
import { groupName } from '../group-name.ts';
import type { LaneToList } from './lanes.ts';

export interface LostDeps extends ReadDeps {
  readonly marks: MarkCodec;
}

/** A stretch of a lane, and what of it the target has not. */
export interface LostStretch {
  readonly from: Position;
  readonly end: Position;
  readonly records: number;
  readonly stored: number;
  readonly fromTarget: number;
  readonly filtered: number;
  /** Facts that the lane's checkpoint needs when it is moved to `end`. */
  readonly targets: Checkpoint['targets'];
  readonly cuts: CutKind | undefined;
  readonly otherWays: boolean;
  readonly notes: readonly string[];
}

export interface LostRange {
  /** Not beyond this place, where it was listed up to it; else up to where the lane ends now. */
  readonly end?: Position | undefined;
  /** Visits only records at or after it. */
  readonly after?: Position | undefined;
}

/** Hears of each record that only the source has, in the lane's order. The batch is given back when the promise is settled. */
export type LostVisitor = (batch: RecordBatch, i: number) => Promise<void> | undefined;

/**
 * Reads what a lane has beyond its checkpoint, as an onlooker, and sorts out what the target has: by the look at the target that the lane itself would begin with, and by the
 * same stages. The mirror must not run meanwhile, or what it stores after the look would count as lost.
 */
export async function readLost(each: LaneToList, range: LostRange, visit: LostVisitor, deps: LostDeps): Promise<LostStretch> {
  const { mirror, sink, lane, targetTopic, partitions, checkpoint } = each;
  const { key, spec, source, target, reads } = mirror;
  const group = groupName(key, target.name, spec);
  const look = { sourceCluster: source.name, lane, targetTopic, partitions, start: spec.start, group, checkpoint };
  const recovery = await recover(reads, sink, look);
  const { from } = recovery;
  const end = range.end ?? (await reads.resolveStart(lane, { kind: 'latest' }));
  const believed = await believedEnd(recovery, reads, lane, deps.clock, deps.signal);
  if (believed !== undefined) disbelieveBeyond(recovery, believed);
  const sorting = new Sorting(each, recovery.stored, deps.marks);
  const notes: string[] = [];
  const name = `${lane.topic} ${lane.lane}`;
  if (comparePositions(end, from) < 0)
    notes.push(
      `${name}: it ends at ${formatPosition(end)}, before ${formatPosition(from)}, up to where it was mirrored: it was made anew, or has lost its end; the mirror begins in it when it runs, by its rule onRecreated`,
    );
  const records = async (batch: RecordBatch, first: number, stop: number): Promise<void> => {
    sorting.take(batch);
    for (let i = first; i < stop; i++) {
      if (!sorting.isLost(i)) continue;
      if (range.after === undefined || comparePositions(batch.positionAt(i), range.after) >= 0) await visit(batch, i);
    }
  };
  const gone = (first: Position, to: Position): void =>
    void notes.push(`${name}: ${source.name} has deleted ${formatPosition(first)} up to ${formatPosition(to)}`);
  await readStretch(reads, group, { lane, from, to: end }, { records, gone }, deps);
  if (sorting.damagedMarks > 0)
    notes.push(`${name}: ${sorting.damagedMarks} records have a mark that cannot be read; they count as written there`);
  const targets = [...recovery.targets].map(([partition, place]) => [partitionKey(targetTopic, partition), place] as const);
  const { counts, cuts, otherWays } = sorting;
  return { from, end, ...counts, targets: Object.fromEntries(targets), cuts, otherWays, notes };
}

/** Tells what only the source has, and notes what the lane's checkpoint says of records that were cut, as the lane itself would. */
class Sorting implements CutRecords {
  readonly counts = { records: 0, stored: 0, fromTarget: 0, filtered: 0 };
  readonly #stages: readonly Stage[];
  readonly #verdicts: Verdicts = [];
  cuts: CutKind | undefined;
  otherWays: boolean;
  damagedMarks = 0;

  constructor(
    { mirror, lane, targetTopic, partitions, checkpoint, targetPartition }: LaneToList,
    stored: PositionSet,
    marks: MarkCodec,
  ) {
    const { spec, source, target } = mirror;
    this.cuts = checkpoint?.cuts;
    this.otherWays = checkpoint?.otherWays === true;
    this.#stages = stagesOf({
      // Records are told apart as they are, before the mirror's rule gives them another key or other properties.
      context: {
        sourceCluster: source.name,
        targetCluster: target.name,
        spec: { ...spec, routing: { mode: 'identity' }, transform: PLAIN_RULES.transform },
        marks,
      },
      plan: { lane, targetTopic, partitions, targetPartition },
      stored,
      recorder: { damagedMarks: (records) => void (this.damagedMarks += records) },
      cuts: this,
    });
  }

  take(batch: RecordBatch): void {
    this.#verdicts.length = batch.count;
    this.#verdicts.fill(undefined);
    for (const stage of this.#stages) stage(batch, this.#verdicts);
  }

  /** Of a record of the batch that was taken last; each is asked for once. */
  isLost(i: number): boolean {
    const verdict = this.#verdicts[i];
    if (verdict === undefined) this.counts.records++;
    else if (verdict === 'duplicate') this.counts.stored++;
    else if (verdict === 'loop') this.counts.fromTarget++;
    else this.counts.filtered++;
    return verdict === undefined;
  }

  onPlaced(...[, , , , kind]: Parameters<CutRecords['onPlaced']>): void {
    if (this.cuts !== 'around') this.cuts = kind;
  }

  onUnplaced(): void {
    this.cuts ??= 'direct';
  }

  onBrought(): void {
    this.otherWays = true;
  }
}
