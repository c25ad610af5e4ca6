import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WindowIds } from '../../src/lib/window-ids.ts';
import { entryPosition, offsetPosition, type Position } from '../../src/model/position.ts';
import { RecordBatch } from '../../src/model/record-batch.ts';
import { type DedupWindow, Verdict, type WindowLimits } from '../../src/spi/dedup-window.ts';
import { HandClock, type Place, storeKinds, type Timed } from './stores.ts';
import { checkWindowAgainstHistory } from './window-history.ts';

const LIMITS: WindowLimits = { windowMillis: 3_600_000, maxIds: 100_000, claimMillis: 60_000 };
const { fresh, ours, repeated, claimed, stored } = Verdict;
const ORIGIN = 'origin;rmq-east;orders;broker-a:0';

/** Keys read at neighbouring offsets, from `place` on. */
function keys(texts: readonly string[], place = 0): WindowIds {
  const ids = new WindowIds();
  const batch = new RecordBatch(Math.max(1, texts.length));
  for (const [i, text] of texts.entries()) {
    batch.major[i] = place + i;
    const bytes = Buffer.from(text);
    ids.addKey(bytes, 0, bytes.length, batch, i);
  }
  return ids;
}

function run(first: Position, count: number, space = ORIGIN): WindowIds {
  const ids = new WindowIds();
  ids.addRun(space, first, count);
  return ids;
}

function offsets(first: number, count: number): WindowIds {
  return run(offsetPosition(first), count);
}

describe.each(storeKinds)('dedup windows: $name', (kind) => {
  let place: Place;
  let clock: HandClock;
  let store: Timed;

  beforeAll(() => kind.start());
  afterAll(() => kind.stop());
  beforeEach(async () => {
    place = await kind.place();
    clock = new HandClock();
    store = await place.enter(clock);
  });
  afterEach(() => store.close());

  const open = (owner = 'a', topic = 'orders', limits = LIMITS): DedupWindow =>
    store.windows.open('pulsar-west', topic, owner, limits);
  const claim = async (ids: WindowIds, window = open()): Promise<number[]> => {
    await window.claim(ids);
    return [...ids.verdicts];
  };

  const same: readonly (readonly [string, (from: number, count: number) => WindowIds])[] = [
    ['runs of offsets', offsets],
    ['runs of entries', (from, count) => run(entryPosition(812, from), count)],
    ['runs of batch indexes', (from, count) => run(entryPosition(812, 45, from), count)],
    [
      'unique keys of RocketMQ',
      (from, count) =>
        keys(
          named(from, count, (i) => `7F00000100002A139A55${i.toString(16).toUpperCase().padStart(12, '0')}`),
          from,
        ),
    ],
    ['short keys', (from, count) => keys(named(from, count, String), from)],
    [
      'long keys',
      (from, count) =>
        keys(
          named(from, count, (i) => `order ${i} of a customer with a long name`),
          from,
        ),
    ],
  ];

  it.each(same)('claims, confirms and knows %s', async (_, make) => {
    const first = make(100, 700);
    expect(await claim(first)).toEqual(Array(700).fill(fresh));
    expect(await claim(make(100, 700))).toEqual(Array(700).fill(ours));
    expect(await claim(make(100, 700), open('b'))).toEqual(Array(700).fill(claimed));
    await open().confirm(first);
    const wider = await claim(make(90, 720), open('b'));
    expect(wider).toEqual([...Array(10).fill(fresh), ...Array(700).fill(stored), ...Array(10).fill(fresh)]);
    expect(await claim(make(90, 720))).toEqual([
      ...Array(10).fill(claimed),
      ...Array(700).fill(stored),
      ...Array(10).fill(claimed),
    ]);
  });

  it.each(same)('gives released %s back, and only those of the one who releases', async (_, make) => {
    await claim(make(0, 300));
    await open('b').release(make(0, 300));
    expect(await claim(make(0, 300), open('b'))).toEqual(Array(300).fill(claimed));
    await open().release(make(100, 100));
    const others = await claim(make(0, 300), open('b'));
    expect(others).toEqual([...Array(100).fill(claimed), ...Array(100).fill(fresh), ...Array(100).fill(claimed)]);
  });

  it.each(same)('confirms %s that nobody has claimed, as found in the target', async (_, make) => {
    await open().confirm(make(500, 40));
    expect(await claim(make(500, 40), open('b'))).toEqual(Array(40).fill(stored));
    expect(await claim(make(540, 2), open('b'))).toEqual([fresh, fresh]);
  });

  it('tells a second copy in the same lane from a second try of the same record', async () => {
    expect(await claim(keys(['x', 'y', 'x'], 10))).toEqual([fresh, fresh, repeated]);
    expect(await claim(keys(['x', 'y', 'x'], 10))).toEqual([ours, ours, repeated]);
    expect(await claim(keys(['y'], 13))).toEqual([repeated]);
    await open().confirm(keys(['x', 'y']));
    expect(await claim(keys(['x', 'y', 'x'], 10))).toEqual([stored, stored, stored]);
  });

  it('tells them apart for positions of an origin as well, in one call and over several', async () => {
    const batch = new RecordBatch(8);
    batch.major.set([70, 71, 72, 73, 74, 75, 76, 77]);
    const twice = (): WindowIds => {
      const ids = new WindowIds();
      for (const [row, offset] of [5, 6, 7, 5, 6, 9].entries()) ids.addPosition(ORIGIN, offset, -1, -1, batch, row);
      return ids;
    };
    expect(await claim(twice())).toEqual([fresh, fresh, fresh, repeated, repeated, fresh]);
    expect(await claim(twice())).toEqual([ours, ours, ours, repeated, repeated, ours]);
    expect(await claim(twice(), open('b'))).toEqual(Array(6).fill(claimed));
  });

  it('neither confirms nor releases what was not given to the caller', async () => {
    await claim(keys(['theirs']), open('b'));
    const mixed = keys(['mine', 'theirs', 'mine'], 20);
    expect(await claim(mixed)).toEqual([fresh, claimed, repeated]);
    await open().release(mixed);
    expect(await claim(keys(['mine', 'theirs']), open('c'))).toEqual([fresh, claimed]);
    await open('c').confirm(keys(['mine']));
    await open().confirm(mixed);
    expect(await claim(keys(['theirs']), open('c'))).toEqual([claimed]);
  });

  it('confirms what the caller leaves marked as given, of a run as of keys', async () => {
    for (const ids of [offsets(0, 600), keys(named(0, 600, String))]) {
      await claim(ids);
      ids.verdicts.fill(stored, 10, 590);
      await open().confirm(ids);
      ids.verdicts.fill(fresh);
      const after = await claim(ids, open('b'));
      expect(after).toEqual([...Array(10).fill(stored), ...Array(580).fill(claimed), ...Array(10).fill(stored)]);
    }
  });

  it('keeps ids of different kinds, spaces and topics apart', async () => {
    const hex = '0123456789ABCDEF0123456789ABCDEF';
    const uuid = '01234567-89ab-cdef-0123-456789abcdef';
    const raw = Buffer.from(hex, 'hex').toString('latin1');
    const all = [
      keys([hex]),
      keys([hex.toLowerCase(), hex.toLowerCase().slice(0, 31), `0${hex.slice(1)}`.slice(0, 30)]),
      keys([uuid, uuid.toUpperCase(), uuid.replace('a', 'A'), uuid.replace('8', '-'), uuid.replace('9', '-')]),
      keys(['12345678901234567', '123456789012345670', '012345678901234567']),
      keys([raw]),
      keys(['', '\0', '\0\0', 'a', 'a\0']),
      keys(['5']),
      offsets(5, 1),
      run(entryPosition(5, 0), 1),
      run(entryPosition(5, 5), 1),
      run(entryPosition(5, 5, 0), 1),
      run(entryPosition(5, 5, 5), 1),
      run(offsetPosition(5), 1, 'origin;rmq-east;orders;broker-a:1'),
    ];
    for (const ids of all) expect(new Set(await claim(ids))).toEqual(new Set([fresh]));
    for (const ids of all) await open().confirm(ids);
    for (const ids of all) expect(new Set(await claim(ids))).toEqual(new Set([stored]));
    expect(await claim(keys([hex]), open('a', 'other'))).toEqual([fresh]);
  });

  it('keeps large and scattered positions exact', async () => {
    const large = Number.MAX_SAFE_INTEGER - 600;
    const scattered = Array.from({ length: 900 }, (_, i) => i * i * 3 + (i % 7));
    const ids = new WindowIds();
    ids.addRun(ORIGIN, entryPosition(2 ** 45, 2 ** 40, 0), 3);
    ids.addRun(ORIGIN, offsetPosition(large), 500);
    for (const offset of scattered) ids.addRun(ORIGIN, offsetPosition(offset), 1);
    await claim(ids);
    await open().confirm(ids);
    expect(await claim(offsets(large - 2, 504))).toEqual([fresh, fresh, ...Array(500).fill(stored), fresh, fresh]);
    expect(await claim(run(entryPosition(2 ** 45, 2 ** 40, 0), 5))).toEqual([stored, stored, stored, fresh, fresh]);
    const known = new Set(scattered);
    const verdicts = await claim(offsets(0, 40_000), open('b'));
    expect(verdicts.flatMap((verdict, offset) => ((verdict === stored) === known.has(offset) ? [] : [offset]))).toEqual([]);
  });

  it('keeps every fifth position of a stretch, and what fills the gaps', async () => {
    const fifths = (shift: number): WindowIds => {
      const ids = new WindowIds();
      for (let offset = shift; offset < 600; offset += 5) ids.addRun(ORIGIN, offsetPosition(offset), 1);
      return ids;
    };
    for (const [round, shift] of [3, 0, 4, 1].entries()) {
      await open().confirm(fifths(shift));
      const known = [3, 0, 4, 1].slice(0, round + 1);
      const verdicts = await claim(offsets(0, 600));
      expect(verdicts.flatMap((verdict, i) => ((verdict === stored) === known.includes(i % 5) ? [] : [i]))).toEqual([]);
      await open().release(offsets(0, 600));
    }
    await open().confirm(fifths(2));
    expect(new Set(await claim(offsets(0, 600)))).toEqual(new Set([stored]));
  });

  it('keeps both ends of a claim of which the middle was released or confirmed', async () => {
    for (const [act, middle] of [
      ['release', fresh],
      ['confirm', stored],
    ] as const) {
      await claim(offsets(1_000, 250));
      await open()[act](offsets(1_100, 50));
      expect(await claim(offsets(1_000, 250))).toEqual([
        ...Array(100).fill(ours),
        ...Array(50).fill(middle),
        ...Array(100).fill(ours),
      ]);
      expect(await claim(offsets(1_000, 250), open('b'))).not.toContain(fresh);
    }
  });

  it('splits what is too much for one command, and finds copies across the parts', async () => {
    const names = named(0, 5_000, (i) => `k${i % 4_990}`);
    const ids = keys(names);
    expect(await claim(ids)).toEqual([...Array(4_990).fill(fresh), ...Array(10).fill(repeated)]);
    await open().confirm(ids);
    expect(await claim(keys(names))).toEqual(Array(5_000).fill(stored));
  });

  it('answers and keeps an empty batch', async () => {
    const ids = new WindowIds();
    const report = await open().claim(ids);
    expect(await open().confirm(ids)).toMatchObject({ lossEpoch: report.lossEpoch });
    expect(await open().release(ids)).toMatchObject({ lossEpoch: report.lossEpoch });
  });

  it('knows ids over a new start, under the same epoch', async () => {
    const window = open();
    const before = await window.report();
    const both = [offsets(0, 10), keys(['k'])];
    for (const ids of both) await claim(ids);
    for (const ids of both) await window.confirm(ids);
    await store.close();
    store = await place.enter(clock);
    expect(await claim(offsets(0, 11), open('b'))).toEqual([...Array(10).fill(stored), fresh]);
    expect(await claim(keys(['k', 'l']), open('b'))).toEqual([stored, fresh]);
    expect((await open().report()).lossEpoch).toBe(before.lossEpoch);
  });

  it('says so when it was emptied', async () => {
    const before = await open().report();
    await open().confirm(offsets(0, 10));
    if (place.closedFirst) await store.close();
    await place.empty();
    if (place.closedFirst) store = await place.enter(clock);
    const after = await open().claim(offsets(0, 1));
    expect(after.lossEpoch).not.toBe(before.lossEpoch);
    expect(after.completeMillis).toBeLessThan(LIMITS.windowMillis);
  });

  it('forgets a window, and that one alone', async () => {
    for (const topic of ['orders', 'orders-2']) await open('a', topic).confirm(offsets(0, 10));
    await store.windows.forget('pulsar-west', 'orders');
    await store.windows.forget('pulsar-west', 'unknown');
    expect(await claim(offsets(0, 1))).toEqual([fresh]);
    expect(await claim(offsets(0, 1), open('a', 'orders-2'))).toEqual([stored]);
  });

  it('keeps no more ids than it may, and the newest longest', async () => {
    const small = open('a', 'orders', { ...LIMITS, maxIds: 1_000 });
    for (let batch = 0; batch < 60; batch++) await small.confirm(keys(named(batch * 100, 100, String)));
    const verdicts = await claim(keys(named(0, 6_000, String)), small);
    const first = verdicts.indexOf(stored);
    expect(first).toBeGreaterThanOrEqual(5_000);
    expect(first).toBeLessThanOrEqual(5_400);
    expect(new Set(verdicts.slice(first))).toEqual(new Set([stored]));
  });

  it('answers like plain sets after random histories', async () => {
    expect(await checkWindowAgainstHistory(store.windows, clock, kind.name !== 'redis')).toBeGreaterThan(1_000);
  });

  // Redis goes by its own clock; that ages pass there is looked at with short ones, in a suite of its own.
  describe.skipIf(kind.name === 'redis')('as time passes', () => {
    it('knows an id for the whole window, and for a quarter longer at most', async () => {
      for (const ids of [offsets(0, 300), keys(['k'])]) {
        await open().confirm(ids);
        clock.millis += LIMITS.windowMillis - 1;
        expect(new Set(await claim(ids))).toEqual(new Set([stored]));
        clock.millis += LIMITS.windowMillis / 4 + 1;
        expect(new Set(await claim(ids))).toEqual(new Set([fresh]));
        await open().release(ids);
      }
    });

    it('ends a claim by itself, not before its time and not after twice that', async () => {
      for (const later of [0, LIMITS.claimMillis / 2]) {
        clock.millis += later;
        for (const ids of [offsets(0, 300), keys(['k'])]) {
          await claim(ids);
          clock.millis += LIMITS.claimMillis - 1;
          expect(new Set(await claim(ids, open('b')))).toEqual(new Set([claimed]));
          clock.millis += LIMITS.claimMillis + 1;
          expect(new Set(await claim(ids, open('b')))).toEqual(new Set([fresh]));
          await open('b').release(ids);
        }
      }
    });

    it('keeps a claim that is asked for again and again', async () => {
      for (let i = 0; i < 6; i++) {
        for (const ids of [offsets(0, 300), keys(['k'])]) {
          expect(new Set(await claim(ids))).toEqual(new Set([i === 0 ? fresh : ours]));
          expect(new Set(await claim(ids, open('b')))).toEqual(new Set([claimed]));
        }
        clock.millis += LIMITS.claimMillis * 0.7;
      }
    });

    it('keeps nothing longer because the clock went back', async () => {
      await open().confirm(offsets(0, 3));
      await claim(offsets(10, 3));
      clock.off -= 3_600_000;
      expect(await claim(offsets(10, 3), open('b'))).toEqual([claimed, claimed, claimed]);
      clock.millis += 2 * LIMITS.claimMillis;
      expect(await claim(offsets(10, 3), open('b'))).toEqual([fresh, fresh, fresh]);
      clock.millis += LIMITS.windowMillis * 1.25;
      expect(await claim(offsets(0, 3))).toEqual([fresh, fresh, fresh]);
    });
  });
});

function named(from: number, count: number, name: (i: number) => string): string[] {
  return Array.from({ length: count }, (_, i) => name(from + i));
}
