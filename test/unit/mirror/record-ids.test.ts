import { describe, expect, it } from 'vitest';
import { layOut } from '../../../src/drivers/memory/batch.ts';
import { WindowIds } from '../../../src/lib/window-ids.ts';
import { idsBy } from '../../../src/mirror/window/record-ids.ts';
import type { DedupId } from '../../../src/model/mirror-spec.ts';
import { formatPosition, type Position, parsePosition } from '../../../src/model/position.ts';
import type { RecordBatch } from '../../../src/model/record-batch.ts';

const LANE = { topic: 't', lane: '0' };
const at = (text: string): Position => parsePosition(text) ?? { major: -1, minor: -1, index: -1 };

/** A batch of rows at these positions; `marks` where they came from before, `records` in whole entries. */
function batchAt(positions: readonly string[], marks: readonly (string | undefined)[] = [], records?: number): RecordBatch {
  const rows = positions.map((text) => ({
    position: at(text),
    storeTime: 0,
    body: Buffer.from(text),
    properties: { id: `of ${text}` },
  }));
  const batch = layOut(rows, { whole: records !== undefined, free: () => undefined });
  if (records !== undefined) batch.records.fill(records);
  marks.forEach((mark, i) => {
    if (mark !== undefined) (batch.marks ??= new Map()).set(i, mark);
  });
  return batch;
}

/** The ids of a batch, one text for each, with the places that they were read at. */
function idsOf(batch: RecordBatch, rule: DedupId = { kind: 'origin' }): string[] {
  const ids = new WindowIds();
  const add = idsBy(rule, 'a', LANE);
  for (let i = 0; i < batch.count; i++) add(ids, batch, i);
  return Array.from({ length: ids.blockCount }, (_, i) => {
    const { space, first, count, place } = ids.block(i);
    return `${space ?? 'key'} ${formatPosition(first)}+${count} at ${formatPosition(place)}`;
  });
}

describe('the ids of records by their origin', () => {
  it('are places in the lane for records of the source itself', () => {
    expect(idsOf(batchAt(['7', '8', '9']))).toEqual(['origin a t 0 7+3 at 7']);
  });

  it('are the same for an entry that comes whole and one that is taken apart', () => {
    const apart = idsOf(batchAt(['812:45:0', '812:45:1', '812:45:2']));
    expect(apart).toEqual(['origin a t 0 812:45:0+3 at 812:45:0']);
    expect(idsOf(batchAt(['812:45'], [], 3))).toEqual(apart);
    expect(idsOf(batchAt(['812:46']))).toEqual(idsOf(batchAt(['812:46'], [], 1)));
  });

  it('are places at the origin for what came from elsewhere, however it was passed on there', () => {
    const record = '1;n;u;q:0;7;5;s>a';
    expect(idsOf(batchAt(['30'], [record]))).toEqual(['origin n u q:0 7+1 at 30']);
    expect(idsOf(batchAt(['30'], ['1;n;u;0;812:45;5;a']))).toEqual(['origin n u 0 812:45:0+1 at 30']);
    expect(idsOf(batchAt(['9:1'], ['1;n;u;q:0;7+2,20+2;5;a'], 4))).toEqual([
      'origin n u q:0 7+2 at 9:1:0',
      'origin n u q:0 20+2 at 9:1:2',
    ]);
    expect(idsOf(batchAt(['9:1'], ['1;n;u;0;812:45;5;a'], 4))).toEqual(['origin n u 0 812:45:0+4 at 9:1:0']);
    expect(idsOf(batchAt(['9:1'], ['1;n;u;0;812:45+2;5;a'], 2))).toEqual([
      'origin n u 0 812:45:0+1 at 9:1:0',
      'origin n u 0 812:46:0+1 at 9:1:1',
    ]);
  });
});

describe('the ids of records by another rule', () => {
  it('are the values of a property, and the origin where a record has none', () => {
    const batch = batchAt(['7', '8']);
    expect(idsOf(batch, { kind: 'property', name: 'id' })).toEqual(['key 0+2 at 7']);
    expect(idsOf(batch, { kind: 'property', name: 'other' })).toEqual(['origin a t 0 7+2 at 7']);
  });

  it("are the producer's own, by its name and sequence, and only of its own partition", () => {
    const batch = batchAt(['812:45:0', '812:45:1', '812:46']);
    batch.producerStart.fill(0, 0, 2);
    batch.producerEnd.fill(3, 0, 2);
    batch.sequence.set([41, 42]);
    expect(idsOf(batch, { kind: 'producer' })).toEqual([
      'producer a t 0 812 41+2 at 812:45:0',
      'origin a t 0 812:46:0+1 at 812:46:0',
    ]);
  });
});
