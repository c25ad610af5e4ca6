import fc from 'fast-check';
import { expect } from 'vitest';
import { entryPosition, offsetPosition } from '../../src/model/position.ts';
import type { IndexEntry, MirrorKey, StateStore } from '../../src/spi/state-store.ts';

/** Entries begin in [0, RANGE], close enough that they overlap in many ways. */
const RANGE = 5_000;

interface Query {
  readonly from: number;
  readonly width: number;
  readonly limit: number;
}

const entry = fc
  .record({
    gaps: fc.array(fc.record({ gap: fc.nat(40), count: fc.integer({ min: 1, max: 30 }) }), { minLength: 1, maxLength: 12 }),
    start: fc.nat(RANGE),
    partition: fc.nat(3),
    target: fc.nat(1_000_000),
  })
  .map(({ gaps, start, partition, target }): IndexEntry => {
    let at = start;
    const runs = gaps.map(({ gap, count }) => {
      const first = offsetPosition(at + gap);
      at += gap + count;
      return { first, count };
    });
    return { runs, partition, target: entryPosition(Math.floor(target / 1000), target % 1000, 0) };
  });

/** Calls in the order of writing: mostly ascending as a lane writes, some late, some said again. */
const calls = fc.array(
  fc.record({
    entries: fc.array(entry, { minLength: 1, maxLength: 60, size: 'max' }),
    sorted: fc.boolean(),
    again: fc.boolean(),
  }),
  { minLength: 1, maxLength: 25, size: 'max' },
);
const queries = fc.array(
  fc.record({
    from: fc.nat(RANGE),
    width: fc.oneof(fc.constant(0), fc.nat(300)),
    limit: fc.oneof(fc.constant(100_000), fc.integer({ min: 1, max: 5 })),
  }),
  { minLength: 10, maxLength: 20 },
);

/** Writes random histories and compares each answer with that of a list that is searched from end to end. */
export async function checkIndexAgainstHistory(store: StateStore): Promise<void> {
  let runs = 0;
  const property = fc.asyncProperty(calls, queries, async (history, asked) => {
    const key: MirrorKey = { link: 'history', mirror: String(runs++) };
    const lane = { topic: 't', lane: '0' };
    const written: IndexEntry[] = [];
    for (const call of history) {
      const entries = call.sorted ? call.entries.toSorted((a, b) => firstOf(a) - firstOf(b)) : call.entries;
      written.push(...entries);
      await store.appendIndex(key, [{ lane, entries }]);
      if (call.again) await store.appendIndex(key, [{ lane, entries }]);
    }
    for (const query of asked) {
      const { from, width, limit } = query;
      const answer = await store.readIndex(key, lane, offsetPosition(from), offsetPosition(from + width), limit);
      compare(answer, written, query);
    }
    await store.forgetMirror(key);
  });
  await fc.assert(property, { numRuns: 100, endOnFailure: true });
}

function compare(answer: readonly IndexEntry[], written: readonly IndexEntry[], { from, width, limit }: Query): void {
  const firsts = answer.map(firstOf);
  expect(firsts).toEqual(firsts.toSorted((a, b) => a - b));
  const held = written.filter((each) => firstOf(each) <= from + width && lastOf(each) >= from);
  const before = written.map(firstOf).filter((first) => first <= from);
  const floor = before.length === 0 ? -1 : Math.max(...before);
  // Several entries may begin at the floor's place; any of them is the last one that begins there.
  const expected = [...new Set(held.map(text))];
  const seen = answer.map(text);
  const extra = answer.filter((each) => !expected.includes(text(each)));
  expect(new Set(seen).size).toBe(seen.length);
  expect(extra.every((each) => firstOf(each) === floor)).toBe(true);
  expect(extra.length).toBeLessThanOrEqual(1);
  if (answer.length === limit) {
    const last = Math.max(...firsts);
    const missing = held.filter((each) => !seen.includes(text(each)));
    expect(missing.every((each) => firstOf(each) >= last)).toBe(true);
  } else {
    expect(expected.filter((each) => !seen.includes(each))).toEqual([]);
    if (floor >= 0) expect(firsts).toContain(floor);
  }
}

function firstOf(each: IndexEntry): number {
  return Math.min(...each.runs.map((run) => run.first.major));
}

function lastOf(each: IndexEntry): number {
  return Math.max(...each.runs.map((run) => run.first.major + run.count - 1));
}

function text(each: IndexEntry): string {
  return JSON.stringify(each);
}
