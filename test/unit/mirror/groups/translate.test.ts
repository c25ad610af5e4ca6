import { describe, expect, it } from 'vitest';
import { Translator } from '../../../../src/mirror/groups/translate.ts';
import type { TopicView } from '../../../../src/mirror/groups/translation.ts';
import { offsetPosition as at, BEFORE_ALL, entryPosition, type Position } from '../../../../src/model/position.ts';
import type { IndexEntry } from '../../../../src/spi/state-store.ts';
import { MemoryStore } from '../../../../src/state/memory/store.ts';

const KEY = { link: 'east-west', mirror: 'orders' };

type Lanes = Readonly<Record<string, readonly IndexEntry[]>>;

async function translatorOf(lanes: Lanes): Promise<Translator> {
  return (await growing(lanes)).translator;
}

/** A translator whose index goes on growing. */
async function growing(
  lanes: Lanes,
): Promise<{ readonly translator: Translator; readonly grow: (more: Lanes) => Promise<void> }> {
  const store = new MemoryStore(() => 0.5);
  const grow = async (more: Lanes): Promise<void> => {
    for (const [lane, entries] of Object.entries(more))
      await store.appendIndex(KEY, [{ lane: { topic: 'orders', lane }, entries }]);
  };
  await grow(lanes);
  const translator = new Translator({
    readIndex: (lane, from, to, limit) => store.readIndex(KEY, lane, from, to, limit),
    scan: () => Promise.reject(new Error('not asked')),
  });
  return { translator, grow };
}

function view(lanes: TopicView['lanes'], partitions: number): TopicView {
  const extent = { begin: at(0), end: at(1_000) };
  return {
    sourceCluster: 'east',
    topic: 'orders',
    targetTopic: 'copy',
    lanes,
    extents: new Map(Array.from({ length: partitions }, (_, i) => [i, extent])),
    bothWays: false,
    observations: [],
  };
}

describe('the place of a group in the target', () => {
  const lane = (name: string, next: number, partitions: readonly number[], places: readonly number[]) => ({
    lane: name,
    partitions,
    checkpoint: {
      lane: { topic: 'orders', lane: name },
      next: at(next),
      targets: Object.fromEntries(partitions.map((p, i) => [`copy#${p}`, at(places[i] ?? -1)])),
      indexedFrom: BEFORE_ALL,
      time: 0,
    },
  });

  it('is that of the first record it has not done', async () => {
    const entries = [
      { runs: [{ first: at(0), count: 10 }], partition: 0, target: at(100) },
      { runs: [{ first: at(10), count: 10 }], partition: 0, target: at(200) },
    ];
    const translator = await translatorOf({ a: entries });
    const { places, ahead } = await translator.topic(view([lane('a', 20, [0], [209])], 1), [
      { lane: 'a', next: at(13), done: [{ from: at(15), to: at(18) }] },
    ]);
    expect(places).toEqual([
      {
        partition: 0,
        kind: 'exact',
        next: at(203),
        done: [{ from: at(205), to: at(208), records: 3 }],
        rereads: 0,
        counted: true,
      },
    ]);
    expect(ahead).toBe(0);
  });

  it('is the end of what was stored for a group that has done all of it', async () => {
    const translator = await translatorOf({ a: [{ runs: [{ first: at(0), count: 10 }], partition: 0, target: at(100) }] });
    const { places, ahead } = await translator.topic(view([lane('a', 10, [0], [109])], 1), [
      { lane: 'a', next: at(12), done: [] },
    ]);
    expect(places).toMatchObject([{ kind: 'exact', next: at(110), done: [] }]);
    expect(ahead).toBe(2);
  });

  it('tells of what is done one by one beyond the checkpoint, which is read again, too', async () => {
    const translator = await translatorOf({ a: [{ runs: [{ first: at(0), count: 10 }], partition: 0, target: at(100) }] });
    const translate = async (next: Position, to: Position) =>
      await translator.topic(view([lane('a', 10, [0], [109])], 1), [{ lane: 'a', next: at(3), done: [{ from: next, to }] }]);
    expect((await translate(at(5), at(10))).ahead).toBe(0);
    expect((await translate(at(8), at(13))).ahead).toBe(3);
    expect((await translate(at(20), at(25))).ahead).toBe(5);
  });

  it('does not say that nothing is ahead where that cannot be counted, as from one ledger to another', async () => {
    const translator = await translatorOf({});
    const begun = lane('0', 0, [0], [-1]);
    const entries = { ...begun, checkpoint: { ...begun.checkpoint, next: entryPosition(10, 3) } };
    const { ahead } = await translator.topic(view([entries], 1), [{ lane: '0', next: entryPosition(13, 2), done: [] }]);
    expect(ahead).toBeUndefined();
  });

  it('is unknown where records of the target come around over a third cluster alone, and does not look as if that passed', async () => {
    const translator = await translatorOf({ a: [{ runs: [{ first: at(0), count: 10 }], partition: 0, target: at(100) }] });
    const plain = lane('a', 10, [0], [109]);
    const around = { ...plain, checkpoint: { ...plain.checkpoint, cuts: 'around' as const } };
    const seen = { sourceEnds: new Map([['a', at(10)]]), targetEnds: new Map([[0, at(110)]]) };
    const placeOf = async (givenBack: ReadonlyMap<number, Position> | undefined, next: number) => {
      const lanes = [{ ...around, checkpoint: { ...around.checkpoint, next: at(next) } }];
      const ring = { ...view(lanes, 1), bothWays: true, observations: [{ ...seen, givenBack }] };
      return (await translator.topic(ring, [{ lane: 'a', next: at(4), done: [] }])).places;
    };
    expect(await placeOf(undefined, 10)).toMatchObject([{ kind: 'unknown', lagging: false }]);
    // With a direct way back it is known as soon as the checkpoints have come so far.
    expect(await placeOf(new Map([[0, at(110)]]), 9)).toMatchObject([{ kind: 'unknown', lagging: true }]);
    expect(await placeOf(new Map([[0, at(110)]]), 10)).toMatchObject([{ kind: 'exact', next: at(104) }]);
  });

  it('counts what a group has done since an earlier pass, though it is at the end of the lane each time', async () => {
    const { translator, grow } = await growing({ a: [{ runs: [{ first: at(0), count: 10 }], partition: 0, target: at(100) }] });
    // What the reverse mirror has given back lags: places lie low, and what is done after them has to be known.
    const givenBack = new Map([[0, at(105)]]);
    const placesAt = async (next: number) => {
      const observation = { sourceEnds: new Map([['a', at(10)]]), targetEnds: new Map([[0, at(105)]]), givenBack };
      const both = { ...view([lane('a', next, [0], [99 + next])], 1), bothWays: true, observations: [observation] };
      translator.begin();
      return (await translator.topic(both, [{ lane: 'a', next: at(next), done: [] }])).places;
    };
    expect(await placesAt(10)).toMatchObject([{ next: at(105), done: [{ from: at(105), to: at(110), records: 5 }] }]);
    await grow({ a: [{ runs: [{ first: at(10), count: 10 }], partition: 0, target: at(110) }] });
    expect(await placesAt(20)).toMatchObject([{ next: at(105), done: [{ from: at(105), to: at(120), records: 15 }] }]);
  });

  it('does not take a lane for empty for ever that was empty once', async () => {
    const { translator, grow } = await growing({});
    const placesAt = async (next: number) => {
      translator.begin();
      return (await translator.topic(view([lane('a', next, [0], [next - 1]), lane('b', 0, [0], [-1])], 1), [])).places;
    };
    expect(await placesAt(0)).toMatchObject([{ kind: 'unknown', reason: 'no lane writes to the partition' }]);
    await grow({ a: [{ runs: [{ first: at(0), count: 10 }], partition: 0, target: at(0) }] });
    expect(await placesAt(10)).toMatchObject([{ kind: 'unknown', reason: 'the group has no place in the lane a' }]);
  });
});
