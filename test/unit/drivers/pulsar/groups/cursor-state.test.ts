import { describe, expect, it } from 'vitest';
import {
  compareCursor,
  entriesWithin,
  entryBefore,
  readPartitionState,
} from '../../../../../src/drivers/pulsar/groups/cursor-state.ts';
import { BEFORE_ALL, entryPosition } from '../../../../../src/model/position.ts';

const LEDGERS = [
  { ledger: 5, entries: 10 },
  { ledger: 8, entries: 3 },
];

describe('entries that lie wholly in a range', () => {
  it.each([
    [entryPosition(5, 2), entryPosition(5, 4), ['5:2', '5:3']],
    [entryPosition(5, 9), entryPosition(8, 1), ['5:9', '8:0']],
    [entryPosition(5, 8, 3), entryPosition(8, 0, 2), ['5:9']],
  ])('are all but those of which a part is missing: %j to %j', (from, to, expected) => {
    expect(entriesWithin(LEDGERS, { from, to }, 100).map(({ ledger, entry }) => `${ledger}:${entry}`)).toEqual(expected);
  });

  it('are none where the range ends inside its first entry, however it is written: acknowledged, the rest of the entry would be lost', () => {
    for (const from of [entryPosition(5, 2), entryPosition(5, 2, 0), entryPosition(5, 2, 4)])
      expect(entriesWithin(LEDGERS, { from, to: entryPosition(5, 2, 70) }, 100)).toEqual([]);
  });

  it('are no more than asked for', () => {
    expect(entriesWithin(LEDGERS, { from: BEFORE_ALL, to: entryPosition(9, 0) }, 4)).toHaveLength(4);
  });
});

describe('a cursor compared with a place', () => {
  it('does not mind borders of ledgers', () => {
    expect(compareCursor(LEDGERS, { ledger: 5, entry: 9 }, entryPosition(8, 0))).toBe(0);
    expect(compareCursor(LEDGERS, { ledger: 5, entry: 8 }, entryPosition(8, 0))).toBeLessThan(0);
    expect(compareCursor(LEDGERS, { ledger: 8, entry: 0 }, entryPosition(5, 10))).toBeGreaterThan(0);
    expect(compareCursor(LEDGERS, { ledger: 3, entry: 7 }, entryPosition(5, 0))).toBe(0);
  });

  it('has the entry that a place lies in still to read', () => {
    expect(entryBefore(LEDGERS, entryPosition(5, 4, 6))).toEqual({ ledger: 5, entry: 3 });
    expect(entryBefore(LEDGERS, entryPosition(5, 0))).toBeUndefined();
  });
});

describe('internal statistics', () => {
  it('give places and holes of subscriptions, without what belongs to Pulsar', () => {
    const stats = {
      ledgers: [{ ledgerId: 5, entries: 10 }],
      cursors: {
        'app%2Fone': {
          markDeletePosition: '5:1',
          totalNonContiguousDeletedMessagesRange: 2,
          individuallyDeletedMessages: '[(5:2..5:4],(5:6..6:0]]',
        },
        'pulsar.dedup': { markDeletePosition: '5:9' },
      },
    };
    const { cursors } = readPartitionState(stats);
    expect([...cursors]).toEqual([
      [
        'app/one',
        {
          markDelete: { ledger: 5, entry: 1 },
          done: [
            { from: entryPosition(5, 3), to: entryPosition(5, 5) },
            { from: entryPosition(5, 7), to: entryPosition(6, 1) },
          ],
        },
      ],
    ]);
  });
});
