import { describe, expect, it } from 'vitest';
import { randomSuffix } from '../../../src/lib/random.ts';

describe('a random suffix', () => {
  it('has six digits and letters, however small or large the number', () => {
    expect([0, 36 ** -6, 0.5, 1 - 2 ** -53].map((number) => randomSuffix(() => number))).toEqual([
      '000000',
      '000001',
      'i00000',
      'zzzzzz',
    ]);
  });
});
