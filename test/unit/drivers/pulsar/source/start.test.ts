import { describe, expect, it } from 'vitest';
import { countBack } from '../../../../../src/drivers/pulsar/source/start.ts';
import { entryPosition, formatPosition, type Position } from '../../../../../src/model/position.ts';

describe('counting entries back', () => {
  const ledgers = [
    { ledger: 10, entries: 5 },
    { ledger: 12, entries: 3 },
    { ledger: 20, entries: 7 },
  ];
  const back = (place: Position, count: number): string => formatPosition(countBack(ledgers, place, count));

  it('goes from ledger to ledger, up to the beginning', () => {
    const from = entryPosition(20, 4, 9);
    expect([0, 4, 5, 7, 8, 12, 99].map((count) => back(from, count))).toEqual([
      '20:4',
      '20:0',
      '12:2',
      '12:0',
      '10:4',
      '10:0',
      '10:0',
    ]);
  });

  it('takes a place in a ledger that is gone for the end of the one before it', () => {
    expect(back(entryPosition(15, 2), 1)).toBe('12:2');
    expect(back(entryPosition(9, 2), 1)).toBe('10:0');
  });
});
