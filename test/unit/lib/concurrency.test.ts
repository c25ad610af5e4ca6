import { describe, expect, it } from 'vitest';
import { forEachLimited } from '../../../src/lib/concurrency.ts';
import { type Deferred, deferred } from '../../../src/lib/deferred.ts';
import { settle } from '../../simulation/virtual-time.ts';

describe('forEachLimited', () => {
  it('works on at most so many items at a time, and on the next one as soon as one is done', async () => {
    const begun = new Map<number, Deferred<void>>();
    const all = forEachLimited([1, 2, 3, 4], 2, (item) => {
      const done = deferred<void>();
      begun.set(item, done);
      return done.promise;
    });
    await settle();
    expect([...begun.keys()]).toEqual([1, 2]);
    begun.get(2)?.resolve();
    await settle();
    expect([...begun.keys()]).toEqual([1, 2, 3]);
    for (const item of [1, 3]) begun.get(item)?.resolve();
    await settle();
    begun.get(4)?.resolve();
    await all;
  });

  it('rejects with the first failure when all that was begun has ended', async () => {
    const slow = deferred<void>();
    let ended = false;
    const all = forEachLimited(['slow', 'bad'], 2, async (item) => {
      if (item === 'bad') throw new Error('bad');
      await slow.promise;
      ended = true;
    });
    slow.resolve();
    await expect(all).rejects.toThrow('bad');
    expect(ended).toBe(true);
  });
});
