import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { laneKey } from '../../src/model/lane.ts';
import { entryPosition, offsetPosition } from '../../src/model/position.ts';
import type { Checkpoint, IndexEntry, MirrorKey, StateStore } from '../../src/spi/state-store.ts';
import { SEGMENTS_PER_LANE } from '../../src/state/segments.ts';
import { checkIndexAgainstHistory } from './index-history.ts';
import { type Place, storeKinds } from './stores.ts';

const KEY: MirrorKey = { link: 'east-west', mirror: 'orders' };
const LANE = { topic: 'orders', lane: 'broker-a:3' };
const LARGEST = Number.MAX_SAFE_INTEGER;
const ODD_NAMES = [
  'a b',
  '%RETRY%g',
  'tenant/ns:t#1',
  '"quoted"\\',
  '[1,2]',
  '注文',
  '🚢',
  'a\u0000b',
  '__proto__',
  "x'; DROP TABLE registry; --",
  '*?',
];

function checkpoint(lane: string, next: number, targets: Checkpoint['targets'] = {}): Checkpoint {
  return { lane: { topic: 'orders', lane }, next: offsetPosition(next), targets, time: 1_760_000_000_000 };
}

/** One stored batch: `count` neighbours from `first` on, in entry `entry` of partition 0. */
function batch(first: number, count: number, entry: number): IndexEntry {
  return { runs: [{ first: offsetPosition(first), count }], partition: 0, target: entryPosition(812, entry, 0) };
}

function byLane(checkpoints: readonly Checkpoint[]): Checkpoint[] {
  return checkpoints.toSorted((a, b) => (a.lane.lane < b.lane.lane ? -1 : 1));
}

describe.each(storeKinds)('state store: $name', (kind) => {
  let place: Place;
  let store: StateStore;

  beforeAll(() => kind.start());
  afterAll(() => kind.stop());
  beforeEach(async () => {
    place = await kind.place();
    store = await place.open();
  });
  afterEach(() => store.close());

  const reopen = async (): Promise<void> => {
    await store.close();
    store = await place.open();
  };

  describe('generation', () => {
    it('stays the same over calls and over a reopening', async () => {
      const first = await store.generation();
      expect(first).toMatch(/^[0-9a-f]{24}$/);
      expect(await store.generation()).toBe(first);
      await reopen();
      expect(await store.generation()).toBe(first);
    });

    it('is another one after the store was emptied, with nothing left of what it held', async () => {
      const before = await store.generation();
      await store.saveRegistryEntry({ key: KEY, document: '{}' });
      await store.saveCheckpoints(KEY, [checkpoint('0', 1)]);
      if (place.closedFirst) await store.close();
      await place.empty();
      if (place.closedFirst) store = await place.open();
      expect(await store.generation()).not.toBe(before);
      expect(await store.loadRegistry()).toEqual([]);
      expect(await store.loadCheckpoints(KEY)).toEqual([]);
    });

    it('is one for all who ask at the same time', async () => {
      const ids = await Promise.all(Array.from({ length: 20 }, () => store.generation()));
      expect(new Set(ids).size).toBe(1);
    });
  });

  describe('registry', () => {
    it('keeps what was saved last under each name, over a reopening', async () => {
      const other = { link: 'east-west', mirror: 'payments' };
      await store.saveRegistryEntry({ key: KEY, document: '{"v":1}' });
      await store.saveRegistryEntry({ key: other, document: '{"v":2}' });
      await store.saveRegistryEntry({ key: KEY, document: '{"v":3,"name":"注文 \\u0000"}' });
      await reopen();
      expect((await store.loadRegistry()).toSorted((a, b) => (a.key.mirror < b.key.mirror ? -1 : 1))).toEqual([
        { key: KEY, document: '{"v":3,"name":"注文 \\u0000"}' },
        { key: other, document: '{"v":2}' },
      ]);
    });

    it('deletes one entry and minds no second deletion', async () => {
      await store.saveRegistryEntry({ key: KEY, document: '{}' });
      await store.deleteRegistryEntry(KEY);
      await store.deleteRegistryEntry(KEY);
      expect(await store.loadRegistry()).toEqual([]);
    });
  });

  describe('checkpoints', () => {
    it('keeps from where on the index is complete, and what was cut', async () => {
      const all: Checkpoint[] = [
        { ...checkpoint('broker-a:0', 10), indexedFrom: offsetPosition(-1), cuts: 'around', otherWays: true },
        { ...checkpoint('broker-a:1', 20), indexedFrom: entryPosition(5, 7, 2), cuts: 'direct' },
      ];
      await store.saveCheckpoints(KEY, all);
      expect(byLane(await store.loadCheckpoints(KEY))).toEqual(all);
    });

    it('replaces the checkpoints of the lanes given and leaves the others', async () => {
      const a = checkpoint('broker-a:0', 10, { 0: entryPosition(5, 7, 2) });
      const b = checkpoint('broker-a:1', 20, { 1: entryPosition(6, 1), 12: offsetPosition(33) });
      await store.saveCheckpoints(KEY, [a, b]);
      const newer = checkpoint('broker-a:0', 11, { 0: entryPosition(5, 8, 0) });
      await store.saveCheckpoints(KEY, [newer]);
      await store.saveCheckpoints(KEY, []);
      await reopen();
      expect(byLane(await store.loadCheckpoints(KEY))).toEqual([newer, b]);
    });

    it('keeps the largest numbers exact', async () => {
      const largest: Checkpoint = {
        lane: LANE,
        next: entryPosition(LARGEST, LARGEST, LARGEST),
        targets: { [LARGEST]: offsetPosition(LARGEST) },
        time: LARGEST,
      };
      await store.saveCheckpoints(KEY, [largest]);
      expect(await store.loadCheckpoints(KEY)).toEqual([largest]);
    });

    it('keeps 2,000 lanes of one call', async () => {
      const all = Array.from({ length: 2_000 }, (_, i) => checkpoint(`broker-a:${String(i).padStart(4, '0')}`, i));
      await store.saveCheckpoints(KEY, all);
      expect(byLane(await store.loadCheckpoints(KEY))).toEqual(all);
    });

    it('ends with the last of many saves made without waiting', async () => {
      const rounds = Array.from({ length: 100 }, (_, round) =>
        store.saveCheckpoints(KEY, [checkpoint('0', round), checkpoint('1', -round - 1 + 200)]),
      );
      await Promise.all(rounds);
      expect(byLane(await store.loadCheckpoints(KEY)).map((each) => each.next.major)).toEqual([99, 100]);
    });
  });

  describe('lane tables', () => {
    it('keeps the order of lanes per topic, empty when none was kept', async () => {
      expect(await store.loadLaneTable(KEY, 'orders')).toEqual([]);
      await store.saveLaneTable(KEY, 'orders', ['broker-b:1', 'broker-a:0']);
      await store.saveLaneTable(KEY, 'orders', ['broker-b:1', 'broker-a:0', 'broker-c:9']);
      await store.saveLaneTable(KEY, 'other', []);
      await reopen();
      expect(await store.loadLaneTable(KEY, 'orders')).toEqual(['broker-b:1', 'broker-a:0', 'broker-c:9']);
      expect(await store.loadLaneTable(KEY, 'other')).toEqual([]);
    });

    type Save = (lanes: string[], former?: string[]) => Promise<boolean>;
    const kinds: readonly (readonly [string, () => Save, () => Promise<string[]>])[] = [
      [
        'a lane table',
        () => (lanes, former) => store.saveLaneTable(KEY, 'orders', lanes, former),
        () => store.loadLaneTable(KEY, 'orders'),
      ],
      [
        'the lanes of a target',
        () => (lanes, former) => store.saveTargetLanes('rmq-west', 'orders', lanes, former),
        () => store.loadTargetLanes('rmq-west', 'orders'),
      ],
    ];

    it.each(kinds)('replaces %s only where it is what the caller believes', async (_, saving, load) => {
      const save = saving();
      expect(await save(['0'], ['1'])).toBe(false);
      expect(await load()).toEqual([]);
      expect(await save([], [])).toBe(true);
      expect(await save(['0'], [])).toBe(true);
      expect(await save(['9'], [])).toBe(false);
      expect(await save(['0', '1'], ['0'])).toBe(true);
      expect(await save(['0', '2'], ['0'])).toBe(false);
      expect(await load()).toEqual(['0', '1']);
      expect(await save(['7'])).toBe(true);
      expect(await load()).toEqual(['7']);
    });

    it.each(kinds)('lets one of many callers extend %s', async (_, saving, load) => {
      const save = saving();
      const outcomes = await Promise.all(Array.from({ length: 20 }, (__, i) => save([String(i)], [])));
      expect(outcomes.filter(Boolean)).toHaveLength(1);
      expect(await load()).toEqual([String(outcomes.indexOf(true))]);
    });

    it('keeps the lanes of a target per cluster and topic, whichever mirror is forgotten', async () => {
      await store.saveTargetLanes('west', 'a', ['0'], []);
      await store.saveTargetLanes('west', 'b', ['1'], []);
      await store.saveTargetLanes('east', 'a', ['2'], []);
      await store.forgetMirror(KEY);
      await reopen();
      expect(await store.loadTargetLanes('west', 'a')).toEqual(['0']);
      expect(await store.loadTargetLanes('west', 'b')).toEqual(['1']);
      expect(await store.loadTargetLanes('east', 'a')).toEqual(['2']);
    });
  });

  describe('position index', () => {
    const read = (from: number, to: number, limit = 100, lane = LANE): Promise<IndexEntry[]> =>
      store.readIndex(KEY, lane, offsetPosition(from), offsetPosition(to), limit);

    it('gives the entries that hold a range, and the last one before it', async () => {
      const entries = [batch(100, 10, 1), batch(110, 5, 2), batch(200, 1, 3), batch(300, 50, 4)];
      await store.appendIndex(KEY, [{ lane: LANE, entries: entries.slice(0, 2) }]);
      await store.appendIndex(KEY, [{ lane: LANE, entries: entries.slice(2) }]);
      await reopen();
      expect(await read(0, 99)).toEqual([]);
      expect(await read(0, 100)).toEqual([entries[0]]);
      expect(await read(105, 105)).toEqual([entries[0]]);
      expect(await read(109, 110)).toEqual([entries[0], entries[1]]);
      expect(await read(150, 160)).toEqual([entries[1]]);
      expect(await read(201, 300)).toEqual([entries[2], entries[3]]);
      expect(await read(1_000, LARGEST)).toEqual([entries[3]]);
      expect(await read(0, LARGEST)).toEqual(entries);
      expect(await read(0, LARGEST, 2)).toEqual(entries.slice(0, 2));
    });

    it('finds a record in a batch that began long before, written in any order', async () => {
      // Routing by key: the batch of one partition gathers records while many batches of others begin and are stored.
      const scattered: IndexEntry = {
        runs: [5, 700, 2_000].map((first) => ({ first: offsetPosition(first), count: 1 })),
        partition: 7,
        target: entryPosition(9, 1, 0),
      };
      const others = Array.from({ length: 600 }, (_, i) => batch(6 + i * 3, 2, i));
      await store.appendIndex(KEY, [{ lane: LANE, entries: others }]);
      await store.appendIndex(KEY, [{ lane: LANE, entries: [scattered] }]);
      expect(await read(2_000, 2_000)).toEqual([scattered, others[599]]);
      expect(await read(1_900, 1_900)).toEqual([scattered, others[599]]);
      expect(await read(2_001, 2_001)).toEqual([others[599]]);
      expect((await read(700, 700)).filter((entry) => entry.partition === 7)).toEqual([scattered]);
    });

    it('has nothing twice after the same entries were written again', async () => {
      const entries = Array.from({ length: 300 }, (_, i) => batch(i * 10, 10, i));
      await store.appendIndex(KEY, [{ lane: LANE, entries }]);
      await store.appendIndex(KEY, [{ lane: LANE, entries: entries.slice(100) }]);
      await store.appendIndex(KEY, [{ lane: LANE, entries: entries.slice(0, 20) }]);
      expect(await read(0, LARGEST, 1_000)).toEqual(entries);
    });

    it('gives as many entries as asked for where each fills a segment and was written several times', async () => {
      const entries = Array.from({ length: 10 }, (_, i): IndexEntry => {
        const runs = Array.from({ length: 400 }, (__, k) => ({ first: offsetPosition(1 + i * 1_000 + k * 2), count: 1 }));
        return { runs, partition: 0, target: entryPosition(1, i, 0) };
      });
      for (let round = 0; round < 3; round++) await store.appendIndex(KEY, [{ lane: LANE, entries }]);
      expect(await read(0, LARGEST, 5)).toEqual(entries.slice(0, 5));
    });

    it('drops the lowest positions of a lane beyond the limit, and of that lane alone', async () => {
      const other = { topic: 'orders', lane: 'other' };
      await store.appendIndex(KEY, [{ lane: other, entries: [batch(1, 1, 1)] }]);
      // Each lies before all that is there, so each begins a segment.
      const count = SEGMENTS_PER_LANE + 2_000;
      const entries = Array.from({ length: count }, (_, i) => batch(10 * (count - i), 1, i));
      await store.appendIndex(
        KEY,
        entries.map((each) => ({ lane: LANE, entries: [each] })),
      );
      const kept = await read(0, LARGEST, count);
      expect(kept.length).toBeGreaterThanOrEqual(SEGMENTS_PER_LANE);
      expect(kept.length).toBeLessThan(SEGMENTS_PER_LANE + 1_000);
      expect(kept.slice(-SEGMENTS_PER_LANE)).toEqual(entries.slice(0, SEGMENTS_PER_LANE).toReversed());
      expect(await read(5, 5)).toEqual([]);
      expect(await read(0, LARGEST, 10, other)).toEqual([batch(1, 1, 1)]);
    });

    it('keeps the largest numbers and all forms of positions exact', async () => {
      const entries: IndexEntry[] = [
        { runs: [{ first: offsetPosition(0), count: 1 }], partition: 0, target: entryPosition(0, 0) },
        { runs: [{ first: entryPosition(LARGEST - 1, 5), count: 3 }], partition: LARGEST, target: offsetPosition(LARGEST) },
        {
          runs: [{ first: entryPosition(LARGEST, LARGEST, LARGEST), count: LARGEST }],
          partition: 1,
          target: entryPosition(LARGEST, 0, 0),
        },
      ];
      await store.appendIndex(KEY, [{ lane: LANE, entries }]);
      expect(await store.readIndex(KEY, LANE, offsetPosition(0), entryPosition(LARGEST, LARGEST, LARGEST), 10)).toEqual(entries);
      expect(await store.readIndex(KEY, LANE, entryPosition(LARGEST - 1, 6), entryPosition(LARGEST - 1, 6), 10)).toEqual([
        entries[1],
      ]);
    });

    it('takes many lanes in one call and keeps them apart', async () => {
      const lanes = Array.from({ length: 200 }, (_, i) => ({ topic: 'orders', lane: String(i) }));
      await store.appendIndex(KEY, []);
      await store.appendIndex(
        KEY,
        lanes.map((lane, i) => ({ lane, entries: [batch(i, 5, i)] })),
      );
      for (const i of [0, 1, 19, 199]) {
        expect(await read(0, LARGEST, 10, { topic: 'orders', lane: String(i) })).toEqual([batch(i, 5, i)]);
      }
      expect(await read(0, LARGEST, 10, { topic: 'orders', lane: '2000' })).toEqual([]);
    });

    it('answers like a plain list after random histories of appends', async () => {
      await expect(checkIndexAgainstHistory(store)).resolves.toBeUndefined();
    });
  });

  it('keeps names with any characters apart in every method', async () => {
    const keys = ODD_NAMES.flatMap((name) => [
      { link: name, mirror: 'm' },
      { link: 'l', mirror: name },
    ]);
    for (const [i, key] of keys.entries()) {
      const lane = { topic: key.link, lane: key.mirror };
      await store.saveRegistryEntry({ key, document: String(i) });
      await store.saveCheckpoints(key, [{ ...checkpoint('', i), lane }]);
      await store.saveLaneTable(key, key.link, [key.mirror, String(i)]);
      await store.appendIndex(key, [{ lane, entries: [batch(i, 1, i)] }]);
    }
    await reopen();
    const registry = new Map((await store.loadRegistry()).map((entry) => [JSON.stringify(entry.key), entry.document]));
    expect(registry.size).toBe(keys.length);
    for (const [i, key] of keys.entries()) {
      const lane = { topic: key.link, lane: key.mirror };
      expect(registry.get(JSON.stringify(key))).toBe(String(i));
      expect(await store.loadCheckpoints(key)).toEqual([{ ...checkpoint('', i), lane }]);
      expect(await store.loadLaneTable(key, key.link)).toEqual([key.mirror, String(i)]);
      expect(await store.readIndex(key, lane, offsetPosition(0), offsetPosition(LARGEST), 10)).toEqual([batch(i, 1, i)]);
    }
  });

  it('forgets checkpoints, lane tables and index of one mirror, and nothing else', async () => {
    const other = { link: 'east-west', mirror: 'orders-2' };
    for (const key of [KEY, other]) {
      await store.saveRegistryEntry({ key, document: '{}' });
      await store.saveCheckpoints(key, [checkpoint('0', 1)]);
      await store.saveLaneTable(key, 'orders', ['0']);
      await store.appendIndex(key, [{ lane: LANE, entries: [batch(1, 1, 1)] }]);
    }
    await store.forgetMirror(KEY);
    expect(await store.loadCheckpoints(KEY)).toEqual([]);
    expect(await store.loadLaneTable(KEY, 'orders')).toEqual([]);
    expect(await store.readIndex(KEY, LANE, offsetPosition(0), offsetPosition(9), 9)).toEqual([]);
    expect(await store.loadRegistry()).toHaveLength(2);
    expect(await store.loadCheckpoints(other)).toHaveLength(1);
    expect(await store.loadLaneTable(other, 'orders')).toEqual(['0']);
    expect(await store.readIndex(other, LANE, offsetPosition(0), offsetPosition(9), 9)).toHaveLength(1);
  });

  it('forgets the checkpoint and the index of one lane, and nothing else', async () => {
    // Names of which one begins the other.
    const lanes = [LANE, { topic: 'orders', lane: 'broker-a:33' }, { topic: 'orders-2', lane: 'broker-a:3' }];
    const other = { link: 'east-west', mirror: 'orders-2' };
    for (const key of [KEY, other]) {
      await store.saveCheckpoints(
        key,
        lanes.map((lane) => ({ lane, next: offsetPosition(2), targets: {}, time: 1 })),
      );
      for (const lane of lanes) await store.appendIndex(key, [{ lane, entries: [batch(1, 1, 1)] }]);
    }
    await store.saveLaneTable(KEY, 'orders', ['broker-a:3']);
    await store.forgetLane(KEY, LANE);
    await store.forgetLane(KEY, { topic: 'unknown', lane: '0' });
    const indexed = (key: MirrorKey): Promise<number[]> =>
      Promise.all(lanes.map(async (lane) => (await store.readIndex(key, lane, offsetPosition(0), offsetPosition(9), 9)).length));
    expect(await indexed(KEY)).toEqual([0, 1, 1]);
    expect(await indexed(other)).toEqual([1, 1, 1]);
    expect((await store.loadCheckpoints(KEY)).map(({ lane }) => laneKey(lane)).toSorted()).toEqual(
      lanes.slice(1).map(laneKey).toSorted(),
    );
    expect(await store.loadCheckpoints(other)).toHaveLength(3);
    expect(await store.loadLaneTable(KEY, 'orders')).toEqual(['broker-a:3']);
    await store.appendIndex(KEY, [{ lane: LANE, entries: [batch(1, 1, 5)] }]);
    expect(await indexed(KEY)).toEqual([1, 1, 1]);
  });

  it('says CLOSED after close, and minds no second close', async () => {
    await store.close();
    await store.close();
    await expect(store.generation()).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(store.saveCheckpoints(KEY, [checkpoint('0', 1)])).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
