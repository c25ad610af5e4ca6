import { describe, expect, it } from 'vitest';
import { loopCut } from '../../../src/mirror/stages/loop-cut.ts';
import { entryPosition } from '../../../src/model/position.ts';
import { formatProvenance, plainMarks } from '../../../src/model/provenance.ts';
import { RecordBatch } from '../../../src/model/record-batch.ts';
import type { Verdicts } from '../../../src/spi/stage.ts';

const mark = (cluster: string): Buffer =>
  Buffer.from(
    formatProvenance({ cluster, topic: 't', lane: '0', runs: [{ first: entryPosition(1, 2), count: 1 }], time: 5, passed: [] }),
  );

/** Whole entries that are nothing but their mark. */
function apart(...rows: Buffer[]): RecordBatch {
  const batch = new RecordBatch(rows.length);
  batch.layApart(rows);
  batch.whole = true;
  batch.count = rows.length;
  for (const [i, { length }] of rows.entries()) [batch.provenanceStart[i], batch.provenanceEnd[i]] = [0, length];
  return batch;
}

describe('a batch whose rows lie apart', () => {
  it('gives each row its own memory, and none to whoever takes them for one', () => {
    const batch = apart(Buffer.from('a'), Buffer.from('b'));
    expect([0, 1].map((i) => batch.bytesAt(i).toString())).toEqual(['a', 'b']);
    expect(() => batch.bytes).toThrow('read as one');
    batch.release();
    expect(batch.bytes).toHaveLength(0);
    expect(batch.bytesAt(0)).toHaveLength(0);
  });

  it('has a mark in each row, also at the same place of its memory: the second would go in circles otherwise', () => {
    const verdicts: Verdicts = [undefined, undefined, undefined];
    const cut = loopCut({ sourceCluster: 'east', targetCluster: 'west', marks: plainMarks, onDamagedMarks: () => undefined });
    cut(apart(mark('nord'), mark('west'), mark('nord')), verdicts);
    expect(verdicts).toEqual([undefined, 'loop', undefined]);
  });
});
