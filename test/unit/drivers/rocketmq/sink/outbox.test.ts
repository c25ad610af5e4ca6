import { describe, expect, it } from 'vitest';
import { RecordEncoder } from '../../../../../src/drivers/rocketmq/sink/encode/record-encoder.ts';
import { slicePieces } from '../../../../../src/drivers/rocketmq/sink/look/tail-search.ts';
import { Outbox, piecesBytes, piecesCount, piecesRuns } from '../../../../../src/drivers/rocketmq/sink/outbox.ts';
import { ByteBudget } from '../../../../../src/lib/byte-budget.ts';
import { SlabPool } from '../../../../../src/lib/slab.ts';
import { plainMarks } from '../../../../../src/model/provenance.ts';
import { batchOf, numbered, type TestRecord } from '../../../../kit/pulsar-writing.ts';

const BORN = 1_763_750_000_000;

function outbox(budgetBytes = 64 * 2 ** 20, maxMessageBytes = 4 * 2 ** 20): Outbox {
  const encoder = new RecordEncoder(plainMarks, 'east', { topic: 'orders', lane: '0' });
  const made = new Outbox(new SlabPool(new ByteBudget(budgetBytes)), encoder, 'T1');
  made.maxMessageBytes = maxMessageBytes;
  return made;
}

/** Appends all that has room; gives how many. */
function fill(box: Outbox, records: readonly TestRecord[]): number {
  const batch = batchOf(records);
  let i = 0;
  while (i < records.length && box.append(batch, i) === 'taken') i++;
  return i;
}

const born = (offset: number, eventTime: number): TestRecord => ({ offset, body: 'x', eventTime });

describe('the records on their way out', () => {
  it('leave as many together as a batch may hold, in order, and are told with where they come from', () => {
    const box = outbox();
    expect(fill(box, numbered(0, 5_000, 16, 10))).toBe(5_000);
    box.seal();
    const first = box.next();
    expect(piecesCount(first)).toBeLessThanOrEqual(4_096);
    expect(piecesCount(first)).toBeGreaterThan(2_000);
    expect(piecesRuns(first)).toEqual([{ first: { major: 0, minor: -1, index: -1 }, count: piecesCount(first) }]);
    box.stored(first);
    const second = box.next();
    expect(piecesRuns(second)).toEqual([
      { first: { major: piecesCount(first), minor: -1, index: -1 }, count: 5_000 - piecesCount(first) },
    ]);
    box.stored(second);
    expect(box.waiting).toBe(0);
    expect(box.next()).toEqual([]);
  });

  it('leave in batches that the broker can store with all that it adds', () => {
    const box = outbox(undefined, 64 * 1024);
    fill(box, numbered(0, 3_000, 16, 1));
    box.seal();
    for (let pieces = box.next(); pieces.length > 0; pieces = box.next()) {
      const bytes = piecesBytes(pieces).reduce((sum, each) => sum + each.length, 0);
      expect(bytes + piecesCount(pieces) * 100).toBeLessThanOrEqual(64 * 1024);
      box.stored(pieces);
    }
  });

  it('leave under one born time, if theirs are not far apart', () => {
    const box = outbox();
    fill(box, [born(0, BORN)]);
    box.seal();
    fill(box, [born(1, BORN + 9_000)]);
    box.seal();
    fill(box, [born(2, BORN + 60_000)]);
    box.seal();
    expect(box.next().map(({ chunk }) => chunk.bornTime)).toEqual([BORN, BORN]);
    box.stored(box.next());
    expect(box.next().map(({ chunk }) => chunk.bornTime)).toEqual([BORN + 60_000]);
  });

  it('stay within the bound, one slab beyond it at most', () => {
    const box = outbox(300 * 1024);
    const taken = fill(box, numbered(0, 5_000, 16, 1_000));
    expect(taken).toBeGreaterThan(100);
    expect(taken).toBeLessThan(300);
    expect(box.hasRoom()).toBe(false);
    box.stored(box.next());
    expect(box.hasRoom()).toBe(true);
  });

  it('can be stored in part: what is left keeps its place', () => {
    const box = outbox();
    fill(box, numbered(0, 10));
    box.seal();
    fill(box, numbered(10, 20));
    box.seal();
    const all = box.next();
    box.stored(slicePieces(all, 0, 13));
    expect(piecesRuns(box.next())).toEqual([{ first: { major: 13, minor: -1, index: -1 }, count: 7 }]);
    expect(piecesRuns(slicePieces(all, 8, 4))).toEqual([{ first: { major: 8, minor: -1, index: -1 }, count: 4 }]);
    expect(slicePieces(all, 20, 5)).toEqual([]);
  });
});
