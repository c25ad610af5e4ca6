import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteBudget } from '../../../src/lib/byte-budget.ts';

describe('a byte budget of many holders', () => {
  it('never goes beyond its limit by more than one piece per holder', () => {
    const step = fc.record({ holder: fc.nat(3), bytes: fc.integer({ min: 1, max: 60 }), give: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const budget = new ByteBudget(100);
        const held: number[][] = [[], [], [], []];
        for (const { holder, bytes, give } of steps) {
          const mine = held[holder] ?? [];
          if (give) budget.give(mine.shift() ?? 0);
          else if (budget.tryTake(bytes, mine.length === 0)) mine.push(bytes);
          expect(budget.usedBytes).toBe(held.flat().reduce((sum, each) => sum + each, 0));
          expect(budget.usedBytes).toBeLessThanOrEqual(100 + 4 * 60);
        }
      }),
    );
  });
});
