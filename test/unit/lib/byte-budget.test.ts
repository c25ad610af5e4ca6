import { describe, expect, it } from 'vitest';
import { ByteBudget } from '../../../src/lib/byte-budget.ts';

describe('a byte budget', () => {
  it('grants what fits, and the first piece of a holder always', () => {
    const budget = new ByteBudget(100);
    expect([budget.tryTake(60, false), budget.tryTake(60, false), budget.tryTake(60, true)]).toEqual([true, false, true]);
    expect(budget.usedBytes).toBe(120);
  });

  it('wakes who waits when bytes come back, in the order of waiting, once each', () => {
    const budget = new ByteBudget(100);
    budget.tryTake(100, false);
    const woken: string[] = [];
    for (const name of ['a', 'b']) budget.whenFree(() => woken.push(name));
    budget.give(50);
    budget.give(50);
    expect(woken).toEqual(['a', 'b']);
  });

  it('wakes nobody while it is overdrawn', () => {
    const budget = new ByteBudget(100);
    budget.tryTake(200, true);
    let woken = 0;
    budget.whenFree(() => woken++);
    budget.give(50);
    expect(woken).toBe(0);
    budget.give(60);
    expect(woken).toBe(1);
  });

  it('does not wake hundreds for room that the first of them did not find', () => {
    const budget = new ByteBudget(100);
    budget.tryTake(100, false);
    let woken = 0;
    const wait = (): void => {
      woken++;
      if (!budget.tryTake(50, false)) budget.whenFree(wait);
    };
    for (let i = 0; i < 300; i++) budget.whenFree(wait);
    budget.give(10);
    expect(woken).toBe(1);
    budget.give(90);
    // 100 bytes are free: two find room, and then there is none to be told of.
    expect(woken).toBe(3);
  });

  it('lets each of those who wait have its turn', () => {
    const budget = new ByteBudget(100);
    budget.tryTake(100, false);
    const turns: number[] = [];
    for (let i = 0; i < 4; i++) {
      const wait = (): void => {
        turns.push(i);
        budget.whenFree(wait);
      };
      budget.whenFree(wait);
    }
    for (let i = 0; i < 8; i++) budget.give(1);
    expect(turns).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
  });

  it('notices when more is given back than was taken', () => {
    expect(() => new ByteBudget(10).give(1)).toThrow('more was given back');
  });
});
