import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  advancePosition,
  comparePositions,
  countBefore,
  entryPosition,
  formatPosition,
  neighbourDistance,
  offsetPosition,
  type Position,
  parsePosition,
} from '../../../src/model/position.ts';

const part = fc.oneof(fc.nat(20), fc.maxSafeNat());
const position = fc.oneof(
  part.map(offsetPosition),
  fc.tuple(part, part).map(([ledger, entry]) => entryPosition(ledger, entry)),
  fc.tuple(part, part, fc.nat(1000)).map(([ledger, entry, index]) => entryPosition(ledger, entry, index)),
);

describe('positions', () => {
  it('are the same after writing and reading them', () => {
    fc.assert(
      fc.property(position, (p) => {
        expect(parsePosition(formatPosition(p))).toEqual(p);
      }),
    );
  });

  it.each([
    '',
    ':',
    '1:',
    ':1',
    '1:2:3:4',
    'a',
    '1e3',
    ' 1',
    '1 ',
    '0x10',
    '99999999999999999',
    '9007199254740993',
    '1\n',
    '--1',
  ])('refuse %j', (text) => expect(parsePosition(text)).toBeUndefined());

  it('are ordered by ledger, entry and index, a whole entry before its parts', () => {
    const ordered = [
      entryPosition(1, 2),
      entryPosition(1, 2, 0),
      entryPosition(1, 2, 1),
      entryPosition(1, 3),
      entryPosition(2, 0),
    ];
    expect(ordered.toReversed().toSorted(comparePositions)).toEqual(ordered);
  });

  it('advance by their last part, and the distance says by how much', () => {
    fc.assert(
      fc.property(position, fc.nat(1000), (p, n) => {
        fc.pre(Math.max(p.major, p.minor) + n <= Number.MAX_SAFE_INTEGER);
        const further = advancePosition(p, n);
        expect(neighbourDistance(p, further)).toBe(n);
        expect(comparePositions(further, p) > 0).toBe(n > 0);
      }),
    );
  });

  it('have no distance across entries', () => {
    expect(neighbourDistance(entryPosition(1, 2, 3), entryPosition(1, 3, 3))).toBeUndefined();
    expect(neighbourDistance(entryPosition(1, 2), entryPosition(2, 2))).toBeUndefined();
    expect(neighbourDistance(offsetPosition(1), entryPosition(1, 2))).toBeUndefined();
    expect(neighbourDistance(entryPosition(1, 2), entryPosition(1, 3, 0))).toBeUndefined();
    expect(neighbourDistance(entryPosition(1, 2, 0), entryPosition(1, 3))).toBeUndefined();
  });
});

const parsed = (text: string): Position => parsePosition(text) ?? offsetPosition(-1);

describe('how many neighbours lie before a place', () => {
  it.each([
    ['100', 5, '103', 3],
    ['100', 5, '90', 0],
    ['812:45', 3, '812:46:7', 2],
    ['812:45', 3, '812:46', 1],
    ['812:45', 3, '813:0', 3],
    ['812:45', 3, '811:99', 0],
    ['812:45:2', 4, '812:45:5', 3],
    ['812:45:2', 4, '812:46', 4],
    ['812:45:2', 4, '812:45', 0],
    ['812:45:2', 4, '900:0:0', 4],
  ])('of %s+%i before %s: %i', (first, count, end, expected) => {
    expect(countBefore(parsed(first), count, parsed(end))).toBe(expected);
    const each = Array.from({ length: count }, (_, i) => advancePosition(parsed(first), i));
    expect(each.filter((at) => comparePositions(at, parsed(end)) < 0)).toHaveLength(expected);
  });
});
