import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TargetPlaces } from '../../../src/mirror/target-places.ts';
import { BEFORE_ALL, entryPosition, offsetPosition } from '../../../src/model/position.ts';

/** Entries of two partitions in the order of their storage; each holds a few runs, in any order between entries, as rounds of one key each leave them. */
const entries = fc.array(
  fc.record({
    partition: fc.nat(1),
    runs: fc.array(fc.record({ first: fc.nat(100), count: fc.integer({ min: 1, max: 5 }) }), { minLength: 1, maxLength: 3 }),
  }),
  { maxLength: 30 },
);
const marks = fc.array(fc.nat(110), { minLength: 1, maxLength: 6 });

describe('TargetPlaces', () => {
  it('never passes an entry that holds a record at or after the watermark, and passes all before the first such one', () => {
    fc.assert(
      fc.property(entries, marks, (stored, nexts) => {
        const places = new TargetPlaces(new Map([0, 1].map((partition) => [partition, BEFORE_ALL])), [0, 1]);
        const logs: { target: number; end: number }[][] = [[], []];
        stored.forEach(({ partition, runs }, i) => {
          const ascending = runs.toSorted((a, b) => a.first + a.count - (b.first + b.count));
          const positions = ascending.map(({ first, count }) => ({ first: offsetPosition(first), count }));
          places.stored({ partition, runs: positions, target: entryPosition(1, i, 0) });
          logs[partition]?.push({ target: i, end: Math.max(...runs.map(({ first, count }) => first + count)) });
        });
        for (const next of nexts.toSorted((a, b) => a - b)) {
          const at = places.at(offsetPosition(next));
          logs.forEach((log, partition) => {
            const firstOpen = log.findIndex(({ end }) => end > next);
            const passed = log.slice(0, firstOpen < 0 ? log.length : firstOpen);
            expect(at.get(partition)?.minor).toBe(passed.at(-1)?.target ?? -1);
          });
        }
      }),
    );
  });

  it('passes an entry without records that are believed together with what lies before it', () => {
    const places = new TargetPlaces(new Map([[0, BEFORE_ALL]]), [0]);
    places.stored({ partition: 0, runs: [{ first: offsetPosition(0), count: 5 }], target: entryPosition(1, 0, 0) });
    places.stored({ partition: 0, runs: [], target: entryPosition(1, 1, 0) });
    expect(places.at(offsetPosition(4)).get(0)).toEqual(BEFORE_ALL);
    expect(places.at(offsetPosition(5)).get(0)).toEqual(entryPosition(1, 1, 0));
  });

  it('keeps the place of a partition that is written no more until all that was found there is passed', () => {
    const places = new TargetPlaces(new Map([0, 1].map((partition) => [partition, BEFORE_ALL])), [0]);
    places.stored({ partition: 1, runs: [{ first: offsetPosition(7), count: 1 }], target: entryPosition(1, 0, 0) });
    expect([...places.at(offsetPosition(7)).keys()]).toEqual([0, 1]);
    expect([...places.at(offsetPosition(8)).keys()]).toEqual([0]);
  });
});
