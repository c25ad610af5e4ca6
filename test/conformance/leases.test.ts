import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Lease, LeaseHeld } from '../../src/spi/lease.ts';
import { HandClock, type Place, storeKinds, type Timed } from './stores.ts';

const TTL = 10_000;

function epochOf(answer: Lease | LeaseHeld): number {
  if (!('epoch' in answer)) throw new Error(`held by ${answer.heldBy}, free in ${answer.freeInMillis} ms`);
  return answer.epoch;
}

describe.each(storeKinds)('leases: $name', (kind) => {
  let place: Place;
  let clock: HandClock;
  let store: Timed;
  let others: Timed[] = [];

  beforeAll(() => kind.start());
  afterAll(() => kind.stop());
  beforeEach(async () => {
    place = await kind.place();
    clock = new HandClock();
    store = await place.enter(clock);
  });
  afterEach(async () => {
    await store.close();
    for (const other of others) await other.close();
    others = [];
  });

  /** A second process; on a file, which has one process at a time, a second owner in the same one. */
  const second = async (): Promise<Timed> => {
    if (kind.name === 'file') return store;
    const other = await place.enter(clock);
    others.push(other);
    return other;
  };
  const acquire = (owner: string, name = 'lane', from = store): Promise<Lease | LeaseHeld> =>
    from.leases.acquire(name, owner, TTL);
  /** The first lease of all, which a store that may have been emptied gives late. */
  const settled = async (...processes: Timed[]): Promise<void> => {
    for (const each of [store, ...processes]) await each.leases.acquire('first', 'nobody', TTL);
    clock.millis += TTL;
    for (const each of [store, ...processes]) await each.leases.acquire('first', 'nobody', TTL);
  };

  it('gives no lease from a store that may just have been emptied before the time has passed', async () => {
    expect(await acquire('a')).toEqual({ heldBy: '', freeInMillis: TTL });
    clock.millis += TTL - 1;
    expect(await acquire('a')).toEqual({ heldBy: '', freeInMillis: 1 });
    clock.millis += 1;
    expect(epochOf(await acquire('a'))).toBeGreaterThan(0);
    // The store is known by then: a new name has had no holder.
    expect(epochOf(await acquire('a', 'new lane'))).toBeGreaterThan(0);
  });

  it('keeps everybody else out for as long as it is renewed, under one epoch', async () => {
    const other = await second();
    await settled(other);
    const epoch = epochOf(await acquire('a'));
    for (let i = 0; i < 5; i++) {
      expect(await acquire('b', 'lane', other)).toMatchObject({ heldBy: 'a' });
      clock.millis += TTL * 0.7;
      expect(epochOf(await acquire('a'))).toBe(epoch);
    }
    expect(await acquire('b', 'lane', other)).toEqual({ heldBy: 'a', freeInMillis: TTL });
  });

  it('goes to whoever has waited for the whole time, under a higher epoch, and never back by itself', async () => {
    const other = await second();
    await settled(other);
    const first = epochOf(await acquire('a'));
    clock.millis += TTL / 2;
    await acquire('b', 'lane', other);
    clock.millis += TTL - 1;
    expect(await acquire('b', 'lane', other)).toEqual({ heldBy: 'a', freeInMillis: 1 });
    clock.millis += 1;
    const next = epochOf(await acquire('b', 'lane', other));
    expect(next).toBeGreaterThan(first);
    expect(await acquire('a')).toMatchObject({ heldBy: 'b' });
    clock.millis += TTL;
    expect(epochOf(await acquire('a'))).toBeGreaterThan(next);
  });

  it('is free at once when it was given back, and only its holder gives it back', async () => {
    const other = await second();
    await settled(other);
    const first = epochOf(await acquire('a'));
    await other.leases.release('lane', 'b');
    expect(await acquire('b', 'lane', other)).toMatchObject({ heldBy: 'a' });
    await store.leases.release('lane', 'a');
    await store.leases.release('lane', 'a');
    expect(epochOf(await acquire('b', 'lane', other))).toBe(first + 1);
    expect(await acquire('a')).toMatchObject({ heldBy: 'b' });
  });

  it('is moved by no step of the time of day', async () => {
    const other = await second();
    await settled(other);
    await acquire('a');
    await acquire('b', 'lane', other);
    for (const step of [3_600_000, -7_200_000]) {
      clock.off += step;
      clock.millis += TTL / 4;
      expect(await acquire('b', 'lane', other)).toMatchObject({ heldBy: 'a' });
    }
    clock.millis += TTL / 2;
    expect(epochOf(await acquire('b', 'lane', other))).toBeGreaterThan(0);
  });

  it('waits for its own former holder as well, when that was late', async () => {
    await settled();
    const first = epochOf(await acquire('a'));
    clock.millis += TTL;
    expect(await acquire('a')).toEqual({ heldBy: 'a', freeInMillis: TTL });
    clock.millis += TTL;
    expect(epochOf(await acquire('a'))).toBe(first + 1);
  });

  it('keeps epochs over a new start of the process', async () => {
    await settled();
    const first = epochOf(await acquire('a'));
    await store.leases.release('lane', 'a');
    await store.close();
    store = await place.enter(clock);
    expect(epochOf(await acquire('b'))).toBe(first + 1);
  });

  it('makes the successor of a killed process wait, also when that has its name', async () => {
    await settled();
    const first = epochOf(await acquire('a'));
    await store.close();
    store = await place.enter(clock);
    expect(await acquire('a')).toEqual({ heldBy: 'a', freeInMillis: TTL });
    clock.millis += TTL;
    expect(epochOf(await acquire('a'))).toBe(first + 1);
  });

  // A file cannot be taken away from the process that has it open.
  it.skipIf(kind.name === 'file')('stays with its holder, and nobody else gets it early, when the store is emptied', async () => {
    const other = await second();
    await settled(other);
    const first = epochOf(await acquire('a'));
    await acquire('b', 'idle', other);
    await place.empty();
    clock.millis += TTL / 2;
    expect(await acquire('b', 'lane', other)).toEqual({ heldBy: '', freeInMillis: TTL });
    expect(epochOf(await acquire('a'))).toBe(first);
    clock.millis += TTL - 1;
    expect(await acquire('b', 'lane', other)).toMatchObject({ heldBy: 'a' });
    clock.millis += TTL;
    expect(epochOf(await acquire('b', 'lane', other))).toBeGreaterThan(first);
  });

  it('gives thousands at a time, to one owner each', async () => {
    const other = await second();
    await settled(other);
    const names = Array.from({ length: 2_500 }, (_, i) => `topic#broker-${i}:0`);
    const [mine, theirs] = await Promise.all([
      store.leases.acquireAll(names, 'a', TTL),
      other.leases.acquireAll(names.toReversed(), 'b', TTL),
    ]);
    const won = names.map((_, i) => [mine[i], theirs[names.length - 1 - i]].filter((each) => each && 'epoch' in each).length);
    expect(new Set(won)).toEqual(new Set([1]));
    await store.leases.releaseAll(names, 'a');
    await other.leases.releaseAll(names, 'b');
    expect((await store.leases.acquireAll(names, 'c', TTL)).every((each) => 'epoch' in each)).toBe(true);
  });

  it('takes names and owners of any kind apart', async () => {
    await settled();
    const names = ['a', 'a ', 'A', '注文#0', '__proto__', '"', '1 2 3'];
    for (const name of names) expect(epochOf(await acquire(`owner of\n${name} 7`, name))).toBeGreaterThan(0);
    for (const name of names) expect(await acquire('other', name)).toMatchObject({ heldBy: `owner of\n${name} 7` });
  });
});
