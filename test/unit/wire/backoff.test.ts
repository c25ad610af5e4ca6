import { describe, expect, it } from 'vitest';
import { Backoff } from '../../../src/wire/backoff.ts';

const waits = (backoff: Backoff, count: number): number[] => Array.from({ length: count }, () => backoff.next());

describe('a backoff', () => {
  it('doubles up to its limit and stays there', () => {
    expect(waits(new Backoff(100, 1_000, () => 1), 6)).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  });

  it('waits at least half of each step', () => {
    expect(waits(new Backoff(100, 1_000, () => 0), 3)).toEqual([50, 100, 200]);
  });

  it('begins anew after a reset', () => {
    const backoff = new Backoff(100, 1_000, () => 1);
    waits(backoff, 5);
    backoff.reset();
    expect(backoff.next()).toBe(100);
  });

  it('never overflows, however often it is asked', () => {
    expect(Math.max(...waits(new Backoff(1, 60_000, () => 1), 5_000))).toBe(60_000);
  });
});
