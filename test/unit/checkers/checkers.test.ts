import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { doubled } from '../../checkers/doubled.ts';
import { looped } from '../../checkers/looped.ts';
import { lost, strangers } from '../../checkers/lost.ts';
import { reordered, sharedKeys } from '../../checkers/reordered.ts';
import type { Row } from '../../checkers/row.ts';
import { isFaithful, judge, judgeCopies } from '../../checkers/verdict.ts';

const row = (id: string | null, key: string | null = 'k', lane = '0', place = 0): Row => ({ id, key, lane, place });

/** Rows of one lane in the order of `ids`, all of one key. */
const inOrder = (ids: readonly string[], lane = '0', key: string | null = 'k'): Row[] =>
  ids.map((id, place) => row(id, key, lane, place));

describe('lost', () => {
  it('names each source message that is not on the target', () => {
    expect(lost(inOrder(['a', 'b', 'c']), inOrder(['c', 'a'])).map((r) => r.id)).toEqual(['b']);
  });

  it('counts a source message without an id as lost, because nothing shows that it arrived', () => {
    expect(lost([row(null)], [row(null)])).toHaveLength(1);
  });

  it('finds target messages that the source never had', () => {
    expect(strangers(inOrder(['a']), inOrder(['a', 'x'])).map((r) => r.id)).toEqual(['x']);
  });
});

describe('doubled', () => {
  it('names every copy after the first, in whatever lane it is', () => {
    const target = [...inOrder(['a', 'b', 'a'], '0'), ...inOrder(['b', 'a'], '1')];
    expect(doubled(target).map((r) => `${r.lane}/${r.place}`)).toEqual(['0/2', '1/0', '1/1']);
  });
});

describe('reordered', () => {
  it('names two messages of a key whose places are exchanged', () => {
    const disorders = reordered(inOrder(['a', 'b', 'c']), inOrder(['b', 'a', 'c']), 'key');
    expect(disorders.map(({ earlier, later }) => `${earlier.id}${later.id}`)).toEqual(['ab']);
  });

  it('takes two lanes for one key as disorder, because lanes have no order between them', () => {
    const target = [row('a', 'k', '0', 0), row('b', 'k', '1', 5)];
    expect(reordered(inOrder(['a', 'b']), target, 'key')).toHaveLength(1);
  });

  it('allows different keys to overtake each other, unless the whole lane has to keep its order', () => {
    const source = [row('a', 'k1', '0', 0), row('b', 'k2', '0', 1)];
    const target = [row('b', 'k2', '0', 0), row('a', 'k1', '0', 1)];
    expect(reordered(source, target, 'key')).toHaveLength(0);
    expect(reordered(source, target, 'lane')).toHaveLength(1);
  });

  it('asks for no order between source lanes, even of one key', () => {
    const source = [row('a', 'k', '0', 0), row('b', 'k', '1', 1)];
    const target = [row('b', 'k', '0', 0), row('a', 'k', '0', 1)];
    expect(reordered(source, target, 'key')).toHaveLength(0);
  });

  it('passes over messages without a key where only keys have an order', () => {
    expect(reordered(inOrder(['a', 'b'], '0', null), inOrder(['b', 'a'], '0', null), 'key')).toHaveLength(0);
  });

  it('judges by the first copy, so that a resent tail is doubled and not reordered', () => {
    expect(reordered(inOrder(['a', 'b', 'c']), inOrder(['a', 'b', 'a', 'b', 'c']), 'key')).toHaveLength(0);
  });

  it('judges by the first copy in the lane, in whatever order the rows are handed over', () => {
    const target = [row('a', 'k', '0', 9), row('a', 'k', '0', 0), row('b', 'k', '0', 1)];
    expect(reordered(inOrder(['a', 'b']), target, 'key')).toHaveLength(0);
  });

  it('sees disorder around a message that was lost', () => {
    expect(reordered(inOrder(['a', 'b', 'c']), inOrder(['c', 'a']), 'key')).toHaveLength(1);
  });

  it('reads source and target rows by their places and not by their order in the list', () => {
    const source = inOrder(['a', 'b', 'c']).reverse();
    expect(reordered(source, inOrder(['a', 'b', 'c']).reverse(), 'key')).toHaveLength(0);
  });
});

describe('sharedKeys', () => {
  it('names a key that two consumers got', () => {
    const rows = [
      { ...row('a', 'k1'), consumer: 0 },
      { ...row('b', 'k2'), consumer: 1 },
      { ...row('c', 'k1'), consumer: 1 },
    ];
    expect(sharedKeys(rows)).toEqual(['k1']);
  });
});

describe('judge', () => {
  const faults = ['drop', 'copy', 'exchange', 'invent'] as const;

  it('is content with a faithful mirror and finds any one planted fault', () => {
    const lanes = fc.integer({ min: 1, max: 4 });
    const perLane = fc.integer({ min: 2, max: 20 });
    fc.assert(
      fc.property(lanes, perLane, fc.nat(), fc.constantFrom(...faults), (laneCount, count, seed, fault) => {
        const source = Array.from({ length: laneCount }, (_, lane) => inOrder(ids(lane, count), String(lane), `k${lane}`)).flat();
        expect(isFaithful(judge(source, source))).toBe(true);
        const verdict = judge(source, plant(source, fault, seed, count));
        const found = { drop: verdict.lost, copy: verdict.doubled, exchange: verdict.reordered, invent: verdict.strangers };
        expect(found[fault]).toBeGreaterThan(0);
        expect(isFaithful(verdict)).toBe(false);
      }),
    );
  });

  function ids(lane: number, count: number): string[] {
    return Array.from({ length: count }, (_, place) => `${lane}-${place}`);
  }

  /** The same rows with one fault, at a place that the seed picks. */
  function plant(rows: readonly Row[], fault: (typeof faults)[number], seed: number, count: number): Row[] {
    const at = seed % rows.length;
    const partner = at % count === count - 1 ? at - 1 : at + 1;
    const picked = rows[at] ?? row(null);
    switch (fault) {
      case 'drop':
        return rows.filter((_, i) => i !== at);
      case 'copy':
        return [...rows, { ...picked, place: 1_000 }];
      case 'exchange':
        return rows.map((r, i) => (i === at || i === partner ? { ...r, place: rows[i === at ? partner : at]?.place ?? 0 } : r));
      case 'invent':
        return [...rows, row('nobody', 'k', '0', 1_000)];
    }
  }

  it('shows examples that a person can look up', () => {
    expect(judge(inOrder(['a', 'b']), inOrder(['b'])).examples).toEqual(['lost: id a key k at 0/0']);
  });
});

describe('looped', () => {
  it('names what a cluster has written itself and then got back, and nothing that came from elsewhere', () => {
    const rows = inOrder(['own1', 'other', 'own2', 'other', 'own1']);
    expect(looped(rows, (id) => id.startsWith('own')).map((r) => r.place)).toEqual([4]);
  });
});

describe('a verdict over copies', () => {
  const source = inOrder(['a', 'b', 'a', 'b', 'c']);

  it('is faithful when the target has the copies that the source has, in their order', () => {
    expect(isFaithful(judgeCopies(source, inOrder(['a', 'b', 'a', 'b', 'c'])))).toBe(true);
    expect(judgeCopies(source, inOrder(['a', 'b', 'a', 'b', 'c']))).toMatchObject({ source: 5, target: 5 });
  });

  it.each([
    ['a copy that is missing', ['a', 'b', 'b', 'c'], { lost: 1, doubled: 0 }],
    ['a copy too many', ['a', 'b', 'a', 'b', 'c', 'a'], { lost: 0, doubled: 1 }],
    ['a copy too many of a message that was written once', ['a', 'b', 'a', 'b', 'c', 'c'], { lost: 0, doubled: 1 }],
    ['a message that nobody wrote', ['a', 'b', 'a', 'b', 'c', 'x'], { doubled: 0, strangers: 1 }],
    ['another order', ['a', 'b', 'b', 'a', 'c'], { lost: 0, doubled: 0, reordered: 1 }],
  ])('names %s', (_, target, expected) => {
    const verdict = judgeCopies(source, inOrder(target));
    expect(verdict).toMatchObject(expected);
    expect(isFaithful(verdict)).toBe(false);
  });
});
