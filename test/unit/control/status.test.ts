import { describe, expect, it } from 'vitest';
import { recordsBetween } from '../../../src/control/status.ts';
import { parsePosition } from '../../../src/model/position.ts';

describe('how many records a lane lacks', () => {
  it.each([
    ['125', '125', 0],
    ['125', '130', 5],
    ['130', '125', 0],
    ['812:45', '812:47', 2],
    ['812:45:1', '812:45:4', 3],
    // The newest record is the fourth of its entry, and the lane has all of that.
    ['812:46', '812:45:4', 0],
    ['900:0', '812:45:4', 0],
    ['812:44', '812:45:4', null],
    ['812:44', '813:1', null],
  ])('from %s to %s', (next, end, records) => {
    const [from, to] = [parsePosition(next), parsePosition(end)];
    if (from === undefined || to === undefined) throw new Error('no position');
    expect(recordsBetween(from, to)).toBe(records);
  });
});
