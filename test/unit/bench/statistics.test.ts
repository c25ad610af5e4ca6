import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { median, quantile, ratio } from '../../../scripts/bench/statistics.ts';

describe('the figures of a benchmark', () => {
  it('have the middle run as their median, so that one odd run changes nothing', () => {
    expect(median([5, 1_000, 4])).toBe(5);
    expect(median([4, 6])).toBe(5);
  });

  it('are missing when one run is void, because the others would be picked by luck', () => {
    expect(median([5, null, 4])).toBeNull();
    expect(median([])).toBeNull();
    expect(ratio(1, null)).toBeNull();
    expect(ratio(null, 1)).toBeNull();
  });

  it('have a quantile that is one of the values, with the asked share at or below it and less than that below it', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), fc.double({ min: 0.01, max: 1, noNaN: true }), (values, p) => {
        const found = quantile(values, p) ?? Number.NaN;
        expect(values).toContain(found);
        expect(values.filter((value) => value <= found).length / values.length).toBeGreaterThanOrEqual(p - 1e-9);
        expect(values.filter((value) => value < found).length / values.length).toBeLessThan(p);
      }),
    );
  });
});
