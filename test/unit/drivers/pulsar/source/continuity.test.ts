import { describe, expect, it } from 'vitest';
import type { StorageState } from '../../../../../src/drivers/pulsar/admin/cursors.ts';
import { BEGINNING, entriesBefore, judgeOpening } from '../../../../../src/drivers/pulsar/source/continuity.ts';
import { entryPosition } from '../../../../../src/model/position.ts';

function state(
  ledgers: readonly (readonly [number, number])[],
  cursor?: readonly [number, number],
  newest?: number,
): StorageState {
  return {
    ledgers: ledgers.map(([ledger, entries]) => ({ ledger, entries })),
    newest: newest ?? ledgers.at(-1)?.[0] ?? -1,
    cursors: new Map(cursor === undefined ? [] : [['g', { ledger: cursor[0], entry: cursor[1] }]]),
  };
}

describe('whether something is gone before a lane is read', () => {
  it.each([
    ['nothing, in a ledger that is there', entryPosition(5, 3), state([[5, 10]], [5, 2]), 'fine'],
    ['nothing, at the end of a ledger', entryPosition(5, 10), state([[5, 10]], [5, 9]), 'fine'],
    [
      'nothing, at the end of a ledger with others behind it',
      entryPosition(5, 10),
      state(
        [
          [5, 10],
          [8, 4],
        ],
        [8, 2],
      ),
      'fine',
    ],
    ['nothing, where the subscription is ahead in a ledger that is there', entryPosition(5, 3), state([[5, 10]], [5, 9]), 'fine'],
    [
      'nothing, where the ledger is gone and the subscription had not passed it',
      entryPosition(5, 10),
      state([[8, 4]], [5, 9]),
      'fine',
    ],
    ['nothing, before everything', BEGINNING, state([[5, 10]], [5, 9]), 'fine'],
    ['nothing, in a topic that is empty and new', entryPosition(5, 0), state([], [5, -1], 5), 'fine'],
    ['nothing that is known', entryPosition(5, 0), state([]), 'fine'],
    ['perhaps, where the subscription begins the next ledger', entryPosition(5, 3), state([[8, 4]], [8, -1]), 'unsure'],
    [
      'what the subscription was moved over',
      entryPosition(5, 3),
      state([[8, 4]], [8, 2]),
      { to: entryPosition(8, 0), reason: 'expired', back: false },
    ],
    [
      'the end of the ledger that the subscription was moved over',
      entryPosition(5, 3),
      state([[8, 4]], [5, 9]),
      { to: entryPosition(8, 0), reason: 'expired', back: false },
    ],
    [
      'what was there without a subscription',
      entryPosition(5, 3),
      state([[8, 4]]),
      { to: entryPosition(8, 0), reason: 'recreated', back: false },
    ],
    [
      'a ledger from another life of the cluster',
      entryPosition(50, 3),
      state([[8, 4]], [8, 1]),
      { to: entryPosition(8, 0), reason: 'recreated', back: true },
    ],
    [
      'the same in a topic that is empty',
      entryPosition(50, 3),
      state([], undefined, 8),
      { to: BEGINNING, reason: 'recreated', back: true },
    ],
    [
      'the tail of a ledger',
      entryPosition(8, 9),
      state([[8, 4]], [8, 1]),
      { to: entryPosition(8, 4), reason: 'truncated', back: true },
    ],
  ])('is told: %s', (_, from, storage, expected) => {
    expect(judgeOpening(from, 'g', storage)).toEqual(expected);
  });
});

describe('the place so many entries before', () => {
  const ledgers = state([
    [3, 10],
    [5, 4],
    [8, 6],
  ]).ledgers;

  it.each([
    [{ ledger: 8, entry: 5 }, 0, { ledger: 8, entry: 4 }],
    [{ ledger: 8, entry: 5 }, 3, { ledger: 8, entry: 1 }],
    [{ ledger: 8, entry: 5 }, 5, { ledger: 5, entry: 3 }],
    [{ ledger: 8, entry: 5 }, 9, { ledger: 3, entry: 9 }],
    [{ ledger: 8, entry: 0 }, 0, { ledger: 5, entry: 3 }],
    [{ ledger: 8, entry: 5 }, 100, { ledger: -1, entry: -1 }],
    // The oldest ledger: brokers take -1 for the place before it.
    [{ ledger: 3, entry: 0 }, 0, { ledger: 3, entry: -1 }],
  ])('of %o, %d', (entry, count, expected) => {
    expect(entriesBefore({ ledgers }, entry, count)).toEqual(expected);
  });
});
