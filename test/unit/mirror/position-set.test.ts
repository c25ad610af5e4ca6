import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PositionSet } from '../../../src/mirror/position-set.ts';
import { entryPosition, offsetPosition } from '../../../src/model/position.ts';

const RANGE = 60;
const run = fc.record({ first: fc.nat(RANGE), count: fc.integer({ min: 1, max: 8 }) });
const step = fc.oneof(
  { weight: 5, arbitrary: run.map((added) => ({ kind: 'add' as const, ...added })) },
  { weight: 1, arbitrary: fc.nat(RANGE).map((first) => ({ kind: 'forgetFrom' as const, first })) },
);

describe('PositionSet', () => {
  it('holds what a plain set holds', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const set = new PositionSet();
        let plain = new Set<number>();
        for (const each of steps) {
          if (each.kind === 'add') {
            set.add({ first: offsetPosition(each.first), count: each.count });
            for (let i = 0; i < each.count; i++) plain.add(each.first + i);
          } else {
            set.forgetFrom(offsetPosition(each.first));
            plain = new Set([...plain].filter((offset) => offset < each.first));
          }
          for (let offset = 0; offset < RANGE + 10; offset++) expect(set.has(offsetPosition(offset))).toBe(plain.has(offset));
          expect(set.empty).toBe(plain.size === 0);
          expect(set.end?.major).toBe(plain.size === 0 ? undefined : Math.max(...plain) + 1);
        }
      }),
    );
  });

  it('answers the same for what lies ahead when it forgets what lies behind', () => {
    fc.assert(
      fc.property(fc.array(run, { maxLength: 20 }), fc.nat(RANGE), (runs, asked) => {
        const [whole, forgetting] = [new PositionSet(), new PositionSet()];
        for (const { first, count } of runs)
          for (const set of [whole, forgetting]) set.add({ first: offsetPosition(first), count });
        forgetting.forgetBefore(offsetPosition(asked));
        for (let offset = asked; offset < RANGE + 10; offset++) {
          expect(forgetting.has(offsetPosition(offset))).toBe(whole.has(offsetPosition(offset)));
        }
      }),
    );
  });

  it('keeps nothing when the lane has come past the last position', () => {
    const set = new PositionSet();
    set.add({ first: offsetPosition(5), count: 5 });
    set.forgetBefore(offsetPosition(9));
    expect(set.empty).toBe(false);
    set.forgetBefore(offsetPosition(10));
    expect(set.empty).toBe(true);
  });

  it('takes a whole entry for all that is in it', () => {
    const set = new PositionSet();
    set.add({ first: entryPosition(1, 5), count: 1 });
    expect(
      [entryPosition(1, 4, 9), entryPosition(1, 5, 0), entryPosition(1, 5, 9), entryPosition(1, 6, 0)].map((at) => set.has(at)),
    ).toEqual([false, true, true, false]);
  });
});
