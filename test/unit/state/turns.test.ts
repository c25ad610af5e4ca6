import { describe, expect, it } from 'vitest';
import { IsthmusError } from '../../../src/errors.ts';
import { Turns } from '../../../src/state/redis/turns.ts';

/** Tasks that end when they are told to. */
function tasks(turns: Turns, count: number): { begun: number[]; ends: PromiseWithResolvers<void>[]; results: Promise<number>[] } {
  const begun: number[] = [];
  const ends = Array.from({ length: count }, () => Promise.withResolvers<void>());
  const results = ends.map((end, i) =>
    turns.run(async () => {
      begun.push(i);
      await end.promise;
      return i;
    }),
  );
  for (const result of results) result.catch(() => undefined);
  return { begun, ends, results };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('turns', () => {
  it('run so many at a time, the others in their order', async () => {
    const { begun, ends, results } = tasks(new Turns(2), 5);
    expect(begun).toEqual([0, 1]);
    ends[1]?.resolve();
    await settled();
    expect(begun).toEqual([0, 1, 2]);
    for (const end of ends) end.resolve();
    expect(await Promise.all(results)).toEqual([0, 1, 2, 3, 4]);
    expect(begun).toEqual([0, 1, 2, 3, 4]);
  });

  it('fail those that wait with one that found the store away, and go on with later ones', async () => {
    const turns = new Turns(2);
    const { begun, ends, results } = tasks(turns, 4);
    ends[0]?.reject(new IsthmusError('STATE_UNAVAILABLE', 'away'));
    const outcomes = await Promise.allSettled([results[0], results[2], results[3]]);
    expect(outcomes.map((each) => each.status === 'rejected' && each.reason.message)).toEqual(Array(3).fill('away'));
    expect(begun).toEqual([0, 1]);
    expect(await turns.run(async () => 7)).toBe(7);
    ends[1]?.resolve();
    expect(await results[1]).toBe(1);
    const later = tasks(turns, 3);
    expect(later.begun).toEqual([0, 1]);
  });

  it('go on after any other failure', async () => {
    const { ends, results } = tasks(new Turns(1), 2);
    ends[0]?.reject(new IsthmusError('STATE_DAMAGED', 'one window'));
    ends[1]?.resolve();
    await expect(results[0]).rejects.toMatchObject({ code: 'STATE_DAMAGED' });
    expect(await results[1]).toBe(1);
  });
});
