import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { takesTopic } from '../../../src/model/topic-name.ts';
import { findTopicOverlap, type TopicRule } from '../../../src/model/topic-overlap.ts';

const rule = (topics: string[], exclude: string[] = []): TopicRule => ({ topics, exclude });

describe('two topic rules', () => {
  it.each([
    [rule(['orders']), rule(['orders']), 'orders'],
    [rule(['orders-*']), rule(['*-eu']), 'orders-eu'],
    [rule(['orders']), rule(['o*']), 'orders'],
    [rule(['a', 'b-?']), rule(['b-1']), 'b-1'],
    [rule(['*']), rule(['?']), 'x'],
    [rule(['a*c']), rule(['ab*'], ['abc', 'ab?c']), 'abaac'],
  ])('%j and %j meet in %s', (a, b, topic) => {
    expect(findTopicOverlap(a, b)).toBe(topic);
    expect(findTopicOverlap(b, a)).toBe(topic);
  });

  it.each([
    [rule(['orders']), rule(['order'])],
    [rule(['orders-*']), rule(['payments-*'])],
    [rule(['*'], ['orders-*']), rule(['orders-*'])],
    [rule(['*'], ['*']), rule(['*'])],
    [rule(['?']), rule(['??'])],
    [rule(['Orders']), rule(['orders'])],
    [rule(['a*'], ['*b', '*c']), rule(['*b', '*c'])],
  ])('%j and %j never meet', (a, b) => {
    expect(findTopicOverlap(a, b)).toBeUndefined();
    expect(findTopicOverlap(b, a)).toBeUndefined();
  });

  const glob = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), minLength: 1, maxLength: 5 });
  const rules = fc.record({ topics: fc.array(glob, { minLength: 1, maxLength: 2 }), exclude: fc.array(glob, { maxLength: 2 }) });
  const names = ['', 'a', 'b', 'c'].flatMap((x) =>
    ['', 'a', 'b', 'c'].flatMap((y) => ['a', 'b', 'c'].flatMap((z) => [x + y + z, x + y + z + x, x + y + z + y + x])),
  );

  it('meet exactly when some name is taken by both', () => {
    fc.assert(
      fc.property(rules, rules, (a, b) => {
        const found = findTopicOverlap(a, b, 'cd');
        const both = (name: string): boolean => takesTopic(a, name) && takesTopic(b, name);
        expect(found === undefined ? names.filter(both) : [found].filter((name) => !both(name))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it('are left undecided, in bounded time, when the globs are made to be hard', () => {
    const hard = rule(
      [`${'*a?'.repeat(30)}b`],
      Array.from({ length: 8 }, (_, i) => `*${'a?'.repeat(i + 3)}`),
    );
    const name = findTopicOverlap(hard, rule([`*${'?a*'.repeat(20)}c*`]));
    expect(name === undefined || (takesTopic(hard, name) && name.includes('c'))).toBe(true);
  });
});
