import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HandedOut } from '../../../../../src/drivers/rocketmq/groups/handed-out.ts';

const WINDOW = 1_000;

describe('what a POP group has surely done', () => {
  it('is nothing that anybody knows until the window is over, and then what was handed out that long ago', () => {
    const handedOut = new HandedOut(WINDOW);
    expect(handedOut.note('a', 10, 0)).toEqual({ waitMillis: 1_000 });
    expect(handedOut.note('a', 30, 400)).toEqual({ waitMillis: 600 });
    expect(handedOut.note('a', 50, 1_000)).toEqual({ offset: 10 });
    expect(handedOut.note('a', 50, 1_399)).toEqual({ offset: 10 });
    expect(handedOut.note('a', 50, 1_400)).toEqual({ offset: 30 });
    expect(handedOut.note('a', 50, 9_000)).toEqual({ offset: 50 });
  });

  it('is told for each group and queue by itself', () => {
    const handedOut = new HandedOut(WINDOW);
    handedOut.note('a', 10, 0);
    expect(handedOut.note('b', 20, 1_000)).toEqual({ waitMillis: 1_000 });
    expect(handedOut.note('a', 10, 1_000)).toEqual({ offset: 10 });
  });

  it('does not begin anew for a group that is moved back, and does not count what it was given there before', () => {
    const handedOut = new HandedOut(WINDOW);
    handedOut.note('a', 10, 0);
    handedOut.note('a', 50, 900);
    // Messages from 10 to 29 were handed out at 900 at the latest.
    expect(handedOut.note('a', 30, 1_000)).toEqual({ offset: 10 });
    expect(handedOut.note('a', 30, 1_900)).toEqual({ offset: 30 });
    expect(handedOut.note('a', 5, 1_950)).toEqual({ offset: 5 });
  });

  it('never is more than what was handed out a window ago, and at the end all of it', () => {
    const step = fc.record({
      wait: fc.integer({ min: 0, max: 400 }),
      move: fc.oneof({ weight: 9, arbitrary: fc.nat(20) }, { weight: 1, arbitrary: fc.integer({ min: -60, max: -1 }) }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 600 }), (steps) => {
        const handedOut = new HandedOut(WINDOW);
        const history: { readonly at: number; readonly offset: number }[] = [];
        let [now, offset] = [0, 100];
        for (const { wait, move } of steps) {
          now += wait;
          offset = Math.max(0, offset + move);
          history.push({ at: now, offset });
          const said = handedOut.note('a', offset, now);
          if (!('offset' in said)) continue;
          // A message at a lower offset was last handed out while the group stood before it: a window ago, or earlier.
          const begin = history.findLastIndex(({ at }) => at <= now - WINDOW);
          expect(begin).toBeGreaterThanOrEqual(0);
          expect(said.offset).toBeLessThanOrEqual(Math.min(...history.slice(begin).map((each) => each.offset)));
        }
        expect(handedOut.note('a', offset, now)).toBeDefined();
        expect(handedOut.note('a', offset, now + WINDOW)).toEqual({ offset });
      }),
    );
  });

  it('forgets queues that nobody asks about any more', () => {
    const handedOut = new HandedOut(WINDOW);
    for (let i = 0; i <= 10_000; i++) handedOut.note(`gone ${i}`, 7, 0);
    for (let i = 0; i <= 12_000; i++) handedOut.note(`new ${i}`, 7, 50_000);
    expect(handedOut.note('gone 3', 7, 50_000)).toEqual({ waitMillis: WINDOW });
    expect(handedOut.note('new 3', 7, 51_000)).toEqual({ offset: 7 });
  });
});
