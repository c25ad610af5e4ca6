import { beforeEach, describe, expect, it } from 'vitest';
import { KeptTranslations } from '../../../../src/mirror/groups/kept-translations.ts';
import type { Observation, PlaceKind, TopicView, Translation } from '../../../../src/mirror/groups/translation.ts';
import { entryPosition, offsetPosition, type Position } from '../../../../src/model/position.ts';
import type { LaneProgress } from '../../../../src/model/progress.ts';

let kept: KeptTranslations;
let made: number;
let now: number;

beforeEach(() => {
  kept = new KeptTranslations();
  made = 0;
  now = 0;
});

interface Seen {
  readonly next?: Position;
  readonly time?: number;
  readonly end?: Position;
  readonly observations?: readonly Observation[];
}

/** As a pass makes it: every part is a new object. */
function viewOf({ next = offsetPosition(10), time = 1, end = entryPosition(5, 8), observations = [] }: Seen = {}): TopicView {
  const lane = { topic: 'orders', lane: 'broker-a:0' };
  return {
    sourceCluster: 'east',
    topic: 'orders',
    targetTopic: 'orders-copy',
    lanes: [
      {
        lane: 'broker-a:0',
        partitions: [0],
        checkpoint: { lane, next, targets: { 'orders-copy#0': entryPosition(5, 7) }, time },
      },
    ],
    extents: new Map([[0, { begin: entryPosition(5, 0), end }]]),
    bothWays: false,
    observations,
  };
}

function placeOf(offset: number): LaneProgress[] {
  return [{ lane: 'broker-a:0', next: offsetPosition(offset), done: [] }];
}

/** A pass, 5 s after the one before; gives whether the place was translated anew. */
async function pass(view = viewOf(), lanes = placeOf(3), kind: PlaceKind = 'exact'): Promise<boolean> {
  const before = made;
  now += 5_000;
  kept.begin(now);
  await kept.get('app', view, lanes, () => {
    made++;
    const next = entryPosition(5, made);
    const translation: Translation = { places: [{ partition: 0, kind, next, done: [], rereads: 0, counted: true }], ahead: 0 };
    return Promise.resolve(translation);
  });
  return made > before;
}

describe('translations that are kept', () => {
  it('are made once as long as neither the group nor what is known of the topic changes', async () => {
    expect([await pass(), await pass(), await pass(viewOf({ time: 2 })), await pass()]).toEqual([true, false, false, false]);
  });

  it('are made anew when the group has gone on, when it was moved back, and when a hole has come', async () => {
    expect([await pass(), await pass(undefined, placeOf(4)), await pass(undefined, placeOf(3))]).toEqual([true, true, true]);
    const hole = placeOf(3).map((each) => ({ ...each, done: [{ from: offsetPosition(5), to: offsetPosition(6) }] }));
    expect(await pass(undefined, hole)).toBe(true);
  });

  it('are made anew when a checkpoint, an end of the target or an observation has changed', async () => {
    expect(await pass()).toBe(true);
    expect(await pass(viewOf({ next: offsetPosition(11) }))).toBe(true);
    expect(await pass(viewOf({ end: entryPosition(5, 9) }))).toBe(true);
    const observed = (entry: number, offset: number): Observation => ({
      sourceEnds: new Map([['broker-a:0', offsetPosition(offset)]]),
      targetEnds: new Map([[0, entryPosition(5, entry)]]),
      givenBack: undefined,
    });
    expect(await pass(viewOf({ observations: [observed(7, 10)] }))).toBe(true);
    expect(await pass(viewOf({ observations: [observed(7, 10)] }))).toBe(false);
    expect(await pass(viewOf({ observations: [observed(8, 10)] }))).toBe(true);
    expect(await pass(viewOf({ observations: [observed(8, 11)] }))).toBe(true);
  });

  it('are not of places that are unknown, and of others for a minute: a repair is not seen here', async () => {
    expect([await pass(undefined, undefined, 'unknown'), await pass(undefined, undefined, 'exact')]).toEqual([true, true]);
    const later: boolean[] = [];
    for (let i = 0; i < 12; i++) later.push(await pass());
    expect(later.filter(Boolean)).toHaveLength(1);
  });

  it('are forgotten with a group that a pass has not met', async () => {
    expect(await pass()).toBe(true);
    kept.begin(now);
    expect(await pass()).toBe(true);
  });
});
