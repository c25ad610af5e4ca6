import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Watermark } from '../../../src/mirror/watermark.ts';
import { entryPosition, offsetPosition, type Position } from '../../../src/model/position.ts';

/** Stretches of a lane: how many records each has, which of them are dropped, and how large the hole behind it is. */
const stretches = fc.array(
  fc.record({
    drops: fc.array(fc.boolean(), { maxLength: 8 }),
    hole: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(5)),
  }),
  { minLength: 1, maxLength: 20 },
);

interface Record {
  readonly offset: number;
  readonly dropped: boolean;
}

/** The records of each stretch, with where it begins and ends. */
function lay(
  shape: readonly { readonly drops: readonly boolean[]; readonly hole: number }[],
): { first: number; end: number; records: Record[] }[] {
  let next = 0;
  return shape.map(({ drops, hole }) => {
    const first = next;
    const records = drops.map((dropped, i) => ({ offset: first + i, dropped }));
    next = first + drops.length + hole;
    return { first, end: first + drops.length, records };
  });
}

describe('Watermark', () => {
  it('is where a list of all records says, whatever the order in which they are stored', () => {
    fc.assert(
      fc.property(stretches, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (shape, chances) => {
        const chance = (): number => chances.next().value;
        const watermark = new Watermark(offsetPosition(0));
        const waiting = lay(shape);
        const announced: typeof waiting = [];
        const open: number[] = [];
        const stored = new Set<number>();
        while (waiting.length > 0 || open.length > 0) {
          const next = waiting[0];
          if (next !== undefined && (open.length === 0 || chance() < 0.5)) {
            waiting.shift();
            announced.push(next);
            const wanted = next.records.filter(({ dropped }) => !dropped).map(({ offset }) => offset);
            watermark.begin(offsetPosition(next.first), offsetPosition(next.end), next.first, wanted.length);
            open.push(...wanted);
          } else {
            const run = takeRun(open, Math.floor(chance() * open.length), 1 + Math.floor(chance() * 6));
            watermark.stored({ first: offsetPosition(run[0] ?? -1), count: run.length });
            for (const offset of run) stored.add(offset);
          }
          expect(watermark.next.major).toBe(reference(announced, stored));
        }
        expect(watermark.outstanding).toBe(0);
        expect(watermark.oldestStoreTime).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  /** Neighbours from `open`, beginning with its entry `at`. */
  function takeRun(open: number[], at: number, most: number): number[] {
    const run = open.splice(at, 1);
    while (run.length < most) {
      const next = open.indexOf((run.at(-1) ?? 0) + 1);
      if (next < 0) break;
      run.push(...open.splice(next, 1));
    }
    return run;
  }

  /** The end of the last stretch before which, and in which, nothing is missing. */
  function reference(announced: ReturnType<typeof lay>, stored: ReadonlySet<number>): number {
    let next = 0;
    for (const { end, records } of announced) {
      if (records.some(({ offset, dropped }) => !dropped && !stored.has(offset))) break;
      next = end;
    }
    return next;
  }

  it('counts records of entries and batches by their last part', () => {
    const watermark = new Watermark(entryPosition(1, 0, 0));
    const at = (entry: number, index: number): Position => entryPosition(1, entry, index);
    watermark.begin(at(0, 0), at(1, 0), 0, 3);
    watermark.begin(at(1, 0), at(2, 0), 0, 2);
    watermark.stored({ first: at(1, 0), count: 2 });
    watermark.stored({ first: at(0, 1), count: 2 });
    expect(watermark.next).toEqual(at(0, 0));
    watermark.stored({ first: at(0, 0), count: 1 });
    expect(watermark.next).toEqual(at(2, 0));
  });

  it('does not grow while dropped records pile up behind one that waits', () => {
    const watermark = new Watermark(offsetPosition(0));
    watermark.begin(offsetPosition(0), offsetPosition(1), 0, 1);
    for (let i = 1; i < 10_000; i++) watermark.begin(offsetPosition(i), offsetPosition(i + 1), 0, 0);
    expect(watermark.outstanding).toBe(1);
    watermark.stored({ first: offsetPosition(0), count: 1 });
    expect(watermark.next).toEqual(offsetPosition(10_000));
  });

  it.each([
    ['before it', 9, 1],
    ['behind it', 20, 1],
    ['beyond its end', 15, 6],
    ['in a hole', 25, 1],
    ['in a stretch that was passed', 5, 1],
  ])('refuses a record that was never announced, %s', (_, first, count) => {
    const watermark = new Watermark(offsetPosition(0));
    watermark.begin(offsetPosition(0), offsetPosition(8), 0, 0);
    watermark.begin(offsetPosition(10), offsetPosition(20), 0, 10);
    expect(() => watermark.stored({ first: offsetPosition(first), count })).toThrow('not announced');
  });

  it('refuses a record that is stored once more than it was announced', () => {
    const watermark = new Watermark(offsetPosition(0));
    watermark.begin(offsetPosition(0), offsetPosition(2), 0, 2);
    watermark.stored({ first: offsetPosition(0), count: 1 });
    expect(() => watermark.stored({ first: offsetPosition(0), count: 2 })).toThrow('twice');
  });

  it('refuses a source that goes back without saying so, while records wait and when none does', () => {
    const watermark = new Watermark(offsetPosition(10));
    expect(() => watermark.begin(offsetPosition(9), offsetPosition(12), 0, 3)).toThrow('went back');
    watermark.begin(offsetPosition(10), offsetPosition(20), 0, 10);
    expect(() => watermark.begin(offsetPosition(15), offsetPosition(25), 0, 10)).toThrow('went back');
  });

  it('stands at a record that will not be handed out when everything before it is stored', () => {
    const watermark = new Watermark(offsetPosition(0));
    watermark.begin(offsetPosition(0), offsetPosition(32), 0, 32);
    watermark.stored({ first: offsetPosition(0), count: 7 });
    expect(watermark.next).toEqual(offsetPosition(0));
    watermark.stopAt(offsetPosition(7));
    expect(watermark.next).toEqual(offsetPosition(7));
    expect(watermark.outstanding).toBe(0);
  });

  it('counts a run in the stretches that hold it, where these end in another ledger or inside an entry', () => {
    const watermark = new Watermark(entryPosition(10, 0));
    watermark.begin(entryPosition(10, 0), entryPosition(10, 3, 2), 0, 5);
    watermark.begin(entryPosition(10, 3, 2), entryPosition(12, 1), 0, 13);
    watermark.stored({ first: entryPosition(10, 3, 0), count: 5 });
    expect(watermark.next).toEqual(entryPosition(10, 0));
    watermark.stored({ first: entryPosition(10, 0), count: 3 });
    expect(watermark.next).toEqual(entryPosition(10, 3, 2));
    watermark.stored({ first: entryPosition(10, 4), count: 9 });
    watermark.stored({ first: entryPosition(12, 0), count: 1 });
    expect(watermark.next).toEqual(entryPosition(12, 1));
  });

  it('counts what was read from the first record on that is not safe: dropped ones, and offsets and entries that hold none', () => {
    const watermark = new Watermark(offsetPosition(0));
    watermark.begin(offsetPosition(0), offsetPosition(8), 0, 0, 8);
    expect(watermark.lead).toBe(0);
    watermark.begin(offsetPosition(10), offsetPosition(20), 0, 4, 10);
    watermark.begin(offsetPosition(20), offsetPosition(50), 0, 0, 30);
    watermark.begin(offsetPosition(50), offsetPosition(55), 0, 5);
    expect(watermark.lead).toBe(47);
    watermark.stored({ first: offsetPosition(10), count: 4 });
    expect(watermark.lead).toBe(5);
    const entries = new Watermark(entryPosition(10, 0));
    entries.begin(entryPosition(10, 0), entryPosition(10, 9), 0, 2, 2);
    entries.begin(entryPosition(12, 3), entryPosition(12, 4), 0, 100, 100);
    expect(entries.lead).toBe(109);
    entries.stopAt(entryPosition(12, 3));
    expect(entries.lead).toBe(0);
  });
});
