import { formatProvenance, hasPassed, type MarkCodec } from '../../model/provenance.ts';
import type { Stage } from '../../spi/stage.ts';

/**
 * Drops records that have been in the target cluster before, and keeps the mark of those that came from elsewhere, with
 * the source cluster added to their way. A damaged mark makes a record local: it is mirrored, never lost.
 */
export function loopCut(sourceCluster: string, targetCluster: string, marks: MarkCodec, onDamagedMark: () => void): Stage {
  return (batch, verdicts) => {
    for (let i = 0; i < batch.count; i++) {
      const start = batch.provenanceStart[i] ?? -1;
      if (start < 0 || verdicts[i] !== undefined) continue;
      const mark = marks.read(batch.bytes.toString('utf8', start, batch.provenanceEnd[i]));
      if (mark === undefined) {
        onDamagedMark();
      } else if (hasPassed(mark, targetCluster)) {
        verdicts[i] = 'loop';
      } else {
        batch.marks ??= new Map();
        batch.marks.set(i, formatProvenance({ ...mark, passed: [...mark.passed, sourceCluster] }));
      }
    }
  };
}
