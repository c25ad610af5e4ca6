import type { Position } from '../../model/position.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { Verdicts } from '../../spi/stage.ts';
import type { Findings } from './findings.ts';
import { KeyOrder } from './key-order.ts';
import type { SourceLane, TargetLane } from './lane-state.ts';
import type { PlaceReader } from './place-reader.ts';
import { indexInEntry } from './places.ts';
import type { AuditDeps, AuditProgress } from './plan.ts';
import { RecordHash } from './record-hash.ts';
import { readStretch } from './stretch-reader.ts';

/** Gets a record of the source that has to be in the target: its number in the batch and its place. */
export type Take = (batch: RecordBatch, i: number, major: number, minor: number, index: number) => void;

/** Runs a mirror's stages over batches of a source lane, and hands on what goes through. */
export class SourceFilter {
  readonly #stages: ReturnType<AuditDeps['stages']>;
  readonly #verdicts: Verdicts = [];

  constructor(lane: SourceLane, deps: AuditDeps) {
    this.#stages = deps.stages(lane.id);
  }

  /** Looks at rows from `first` up to `end`; `absent` hears of those that are left out. */
  run(batch: RecordBatch, first: number, end: number, take: Take, absent?: Findings): void {
    const verdicts = this.#verdicts;
    verdicts.length = batch.count;
    verdicts.fill(undefined);
    for (const stage of this.#stages) stage(batch, verdicts);
    for (let i = first; i < end; i++) {
      const verdict = verdicts[i];
      if (verdict !== undefined) absent?.absent(verdict);
      else if (batch.damaged?.has(i) === true) absent?.absent('damaged');
      else {
        const minor = batch.minor[i] ?? -1;
        take(batch, i, batch.major[i] ?? -1, minor, indexInEntry(minor, batch.index[i] ?? -1));
      }
    }
  }
}

/** Reads a source lane into its blocks. False when it ended before its known end. */
export async function readSourceLane(
  lane: SourceLane,
  deps: AuditDeps,
  findings: Findings,
  progress: AuditProgress,
): Promise<boolean> {
  const filter = new SourceFilter(lane, deps);
  const hash = new RecordHash(deps.likeness);
  const take: Take = (batch, i, major, minor, index) => {
    hash.take(batch, i, major, minor, index);
    lane.blocks.addSource(major, minor, index, hash.low, hash.high);
  };
  const visitor = {
    records: (batch: RecordBatch, first: number, end: number): void => {
      filter.run(batch, first, end, take, findings);
      progress.sourceRecords += end - first;
    },
    gone: (from: Position, to: Position): void => lane.gone.add(from, to),
  };
  return await readStretch(deps.source, deps.group, { lane: lane.id, from: lane.scope.from, to: lane.scope.to }, visitor, deps);
}

/** Reads a target lane and adds its records to the blocks of the source lanes that they come from. False as above. */
export async function readTargetLane(
  target: TargetLane,
  places: PlaceReader,
  lanes: readonly SourceLane[],
  deps: AuditDeps,
  progress: AuditProgress,
): Promise<boolean> {
  const hash = new RecordHash(deps.likeness);
  const order = new KeyOrder(deps.sizes.keys);
  const take = (batch: RecordBatch, i: number): void => {
    const lane = lanes[places.lane];
    const { major, minor, index } = places;
    if (lane === undefined) return;
    lane.noteSeen(target.number, major, minor, index);
    if (!lane.covers(major, minor, index)) return;
    hash.take(batch, i, major, minor, index);
    const block = lane.blocks.blockOf(major, minor, index);
    if (block < 0) return;
    lane.blocks.addTarget(block, hash.low, hash.high);
    const at = batch.positionAt(i);
    target.segments.add(at.major, at.minor, at.index, places.lane, block);
    if (order.take(places.lane, hash.key, major, minor, index)) return;
    lane.suspect.add(block);
    lane.descents.add({ source: { major, minor, index }, targetLane: target.number, target: at, behind: order.behind });
  };
  const visitor = {
    records: (batch: RecordBatch, first: number, end: number): void => {
      progress.targetRecords += end - first;
      for (let i = first; i < end; i++) if (places.read(batch, i)) take(batch, i);
      places.forget();
    },
    gone: (): void => undefined,
  };
  const { id, from, to, sure } = target;
  return await readStretch(deps.target, deps.group, { lane: id, from, to, sure }, visitor, deps);
}
