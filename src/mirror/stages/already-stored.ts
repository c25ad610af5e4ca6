import type { Stage } from '../../spi/stage.ts';
import type { PositionSet } from '../position-set.ts';

/** Drops records that a look at the target has found there: the lane is read again from its checkpoint, and some of what follows had been stored. */
export function alreadyStored(found: PositionSet): Stage {
  return (batch, verdicts) => {
    if (found.empty) return;
    for (let i = 0; i < batch.count; i++) {
      const stored = batch.whole ? found.hasEntry(batch.positionAt(i), batch.records[i] ?? 1) : found.has(batch.positionAt(i));
      if (stored) verdicts[i] = 'duplicate';
    }
    if (batch.count > 0) found.forgetBefore(batch.positionAt(batch.count - 1));
  };
}
