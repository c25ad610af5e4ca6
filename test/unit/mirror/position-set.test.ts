import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PositionSet } from '../../../src/mirror/position-set.ts';
import { BEFORE_ALL, entryPosition, offsetPosition } from '../../../src/model/position.ts';

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

  it('tells behind which place its newest positions lie, and never one that has more behind it', () => {
    fc.assert(
      fc.property(fc.array(run, { maxLength: 20 }), fc.nat(80), (runs, count) => {
        const set = new PositionSet();
        for (const { first, count: positions } of runs) set.add({ first: offsetPosition(first), count: positions });
        const all = new Set(
          runs.flatMap(({ first, count: positions }) => Array.from({ length: positions }, (_, i) => first + i)),
        );
        const place = set.placeOfNewest(count);
        const behind = [...all].filter((offset) => place !== undefined && offset >= place.major);
        expect([place === undefined, behind.length]).toEqual(all.size <= count ? [true, 0] : [false, count]);
        expect(set.begin?.major).toBe(all.size === 0 ? undefined : Math.min(...all));
      }),
    );
    const mixed = new PositionSet();
    mixed.add({ first: entryPosition(7, 2), count: 1 });
    mixed.add({ first: entryPosition(7, 3, 0), count: 5 });
    expect([mixed.placeOfNewest(3), mixed.placeOfNewest(5), mixed.placeOfNewest(6)]).toEqual([
      entryPosition(7, 3, 2),
      entryPosition(7, 3),
      undefined,
    ]);
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

describe('a set of records and whole entries', () => {
  const set = new PositionSet();
  set.add({ first: entryPosition(7, 2), count: 2 });
  set.add({ first: entryPosition(7, 5, 0), count: 4 });
  set.add({ first: entryPosition(7, 6, 2), count: 3 });

  it('has all records of an entry that it has whole', () => {
    expect([1, 2, 3, 4].map((entry) => set.has(entryPosition(7, entry, 3)))).toEqual([false, true, true, false]);
  });

  it('has an entry of which it has all records, and refuses to answer for one that it has in part', () => {
    expect([1, 2, 3, 4].map((entry) => set.hasEntry(entryPosition(7, entry), 4))).toEqual([false, true, true, false]);
    expect(set.hasEntry(entryPosition(7, 5), 4)).toBe(true);
    expect(() => set.hasEntry(entryPosition(7, 5), 5)).toThrow('stored in part');
    expect(() => set.hasEntry(entryPosition(7, 6), 5)).toThrow('7:6 is stored in part');
    expect(set.hasEntry(entryPosition(7, 7), 5)).toBe(false);
  });

  it('may be asked for whole entries from behind the last one of which it has single records', () => {
    expect(set.wholeFrom).toEqual(entryPosition(7, 7));
    expect(new PositionSet().wholeFrom).toEqual(BEFORE_ALL);
  });
});
