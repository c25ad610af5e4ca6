import { describe, expect, it } from 'vitest';
import { untilAborted, within } from '../../../src/lib/abort.ts';
import { deferred } from '../../../src/lib/deferred.ts';
import { VirtualTime } from '../../simulation/virtual-time.ts';

describe('untilAborted', () => {
  it('passes on what the promise becomes', async () => {
    const { signal } = new AbortController();
    expect(await untilAborted(Promise.resolve(7), signal)).toBe(7);
    await expect(untilAborted(Promise.reject(new Error('no')), signal)).rejects.toThrow('no');
  });

  it('rejects with the reason as soon as the signal aborts, and hands over what comes late', async () => {
    const abort = new AbortController();
    const opening = deferred<string>();
    const late: string[] = [];
    const waiting = untilAborted(opening.promise, abort.signal, (value) => late.push(value));
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    opening.resolve('a connection');
    await opening.promise;
    expect(late).toEqual(['a connection']);
  });

  it('rejects at once when the signal was aborted before, and still hands over what comes', async () => {
    const late: number[] = [];
    await expect(
      untilAborted(Promise.resolve(1), AbortSignal.abort(new Error('before')), (value) => late.push(value)),
    ).rejects.toThrow('before');
    expect(late).toEqual([1]);
  });

  it('does not let a late failure become an unhandled rejection', async () => {
    const abort = new AbortController();
    const opening = deferred<string>();
    const waiting = untilAborted(opening.promise, abort.signal);
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    opening.reject(new Error('late'));
    await expect(opening.promise).rejects.toThrow('late');
  });
});

describe('within', () => {
  it('is true when the promise was in time, and passes on its failure', async () => {
    const clock = new VirtualTime().clock();
    expect(await within(Promise.resolve(), clock, 1_000)).toBe(true);
    await expect(within(Promise.reject(new Error('no')), clock, 1_000)).rejects.toThrow('no');
  });

  it('is false when the time is up, and looks away from what comes later', async () => {
    const time = new VirtualTime();
    const hanging = deferred<void>();
    const waiting = within(hanging.promise, time.clock(), 1_000);
    await time.pass(1_000);
    expect(await waiting).toBe(false);
    hanging.reject(new Error('late'));
    await expect(hanging.promise).rejects.toThrow('late');
  });
});
