import type { Position } from '../../model/position.ts';
import { advancePosition } from '../../model/position.ts';
import { formatProvenance, hasPassed, type MarkCodec, type PositionRun, type Provenance } from '../../model/provenance.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { Stage, Verdicts } from '../../spi/stage.ts';
import type { CutPlaces } from './cut-places.ts';

export interface LoopCutOptions {
  readonly sourceCluster: string;
  readonly targetCluster: string;
  readonly marks: MarkCodec;
  /** Records whose mark is damaged, forged or does not speak of them; called at most once per batch. */
  readonly onDamagedMarks: (records: number) => void;
  /** Is told of what is dropped. */
  readonly places?: CutPlaces | undefined;
}

/**
 * Drops records that have been in the target cluster before, and keeps the mark of those that came from elsewhere, with the source cluster added to their way.
 * A mark that cannot be read makes a record local: it is mirrored, never lost.
 */
export function loopCut(options: LoopCutOptions): Stage {
  const { sourceCluster, targetCluster, places } = options;
  return (batch, verdicts) => {
    places?.begin();
    cutForeign(batch, verdicts, options);
    let damaged = 0;
    // All records of an entry share its mark: it is read once. Whole entries have one each, which may lie at the same place of another memory.
    let readStart = -1;
    let readEnd = -1;
    let mark: Provenance | undefined;
    for (let i = 0; i < batch.count; i++) {
      const start = batch.provenanceStart[i] ?? -1;
      if (start < 0 || verdicts[i] !== undefined) continue;
      const end = batch.provenanceEnd[i] ?? 0;
      if (batch.whole || start !== readStart || end !== readEnd) {
        [readStart, readEnd] = [start, end];
        mark = options.marks.read(batch.bytesAt(i).toString('utf8', start, end));
      }
      const runs = mark === undefined ? undefined : originOf(mark.runs, batch, i);
      if (mark === undefined || runs === undefined) {
        damaged += batch.whole ? (batch.records[i] ?? 1) : 1;
      } else if (hasPassed(mark, targetCluster)) {
        verdicts[i] = 'loop';
        places?.note(batch, i, mark);
      } else {
        const { cluster, topic, lane, time } = mark;
        batch.marks ??= new Map();
        batch.marks.set(i, formatProvenance({ cluster, topic, lane, runs, time, passed: [...mark.passed, sourceCluster] }));
      }
    }
    if (damaged > 0) options.onDamagedMarks(damaged);
  };
}

/** Records that another replicator has brought from a cluster of the target's name: they have been there. */
function cutForeign(batch: RecordBatch, verdicts: Verdicts, { targetCluster, places }: LoopCutOptions): void {
  if (batch.broughtFrom === undefined) return;
  for (const [i, clusters] of batch.broughtFrom) {
    if (!clusters.includes(targetCluster) || verdicts[i] !== undefined) continue;
    verdicts[i] = 'loop';
    places?.noteForeign(batch, i);
  }
}

/** Which positions of the origin a row stands for: one, or all of a whole entry. `undefined` when the mark speaks of fewer records than there are. */
function originOf(runs: readonly PositionRun[], batch: RecordBatch, i: number): readonly PositionRun[] | undefined {
  if (batch.whole) return runs;
  const ordinal = batch.provenanceOrdinal[i] ?? 0;
  const entry = entryOf(runs);
  // Of an entry that was passed on whole the mark names the entry. Only the first of its records would have an origin otherwise, and the others could come back to it.
  if (entry !== undefined && isShared(batch, i)) return [{ first: { ...entry, index: ordinal }, count: 1 }];
  let rest = ordinal;
  for (const run of runs) {
    if (rest < run.count) return [{ first: advancePosition(run.first, rest), count: 1 }];
    rest -= run.count;
  }
  return undefined;
}

function entryOf(runs: readonly PositionRun[]): Position | undefined {
  const [only, more] = runs;
  return only !== undefined && more === undefined && only.count === 1 && only.first.minor >= 0 && only.first.index < 0
    ? only.first
    : undefined;
}

/** Whether a record has its mark in common with a neighbour. */
function isShared({ provenanceStart, provenanceOrdinal, count }: RecordBatch, i: number): boolean {
  return (provenanceOrdinal[i] ?? 0) > 0 || (i + 1 < count && provenanceStart[i + 1] === provenanceStart[i]);
}
