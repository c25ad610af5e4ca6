import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { takesTopic, targetTopicOf } from '../../../src/model/topic-name.ts';
import {
  exampleTopics,
  findCollision,
  findOwnCollision,
  findTopicOverlap,
  type NameRule,
  type TopicRule,
} from '../../../src/model/topic-overlap.ts';

const rule = (topics: string[], exclude: string[] = []): TopicRule => ({ topics, exclude });

describe('two topic rules', () => {
  it.each([
    [rule(['orders']), rule(['orders']), 'orders'],
    [rule(['orders-*']), rule(['*-eu']), 'orders-eu'],
    [rule(['orders']), rule(['o*']), 'orders'],
    [rule(['a', 'b-?']), rule(['b-1']), 'b-1'],
    [rule(['*']), rule(['?']), 'x'],
    [rule(['*']), rule(['*']), 'x'],
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

const named = (topics: string[], names: Partial<NameRule> = {}): NameRule => ({
  topics,
  exclude: [],
  rename: '{topic}',
  renames: [],
  ...names,
});

describe('the names that mirrors give', () => {
  const WHOLE = 'persistent://t/n/';

  it.each([
    ['a text beside a pattern', named(['audit'], { rename: 'orders-audit' }), named(['orders-*']), 'orders-audit'],
    ['a rule beside a pattern', named(['a-*'], { renames: [{ match: 'a-*', to: 'b-{1}' }] }), named(['b-x']), 'b-x'],
    ['a rule of one name', named(['a'], { renames: [{ match: '?', to: 'b-{1}' }] }), named(['b-*']), 'b-a'],
    [
      'a name without its namespace',
      named([`${WHOLE}a*`], { rename: '{name}' }),
      named(['persistent://u/m/a'], { rename: '{name}' }),
      'a',
    ],
  ])('meet: %s', (_, a, b, topic) => {
    expect(findCollision(a, b)).toEqual({ side: 'target', topic });
    expect(findCollision(b, a)).toEqual({ side: 'target', topic });
  });

  it.each([
    ['what is left out', named(['*'], { exclude: ['a*'] }), named(['ab'])],
    [
      'what an earlier rule takes',
      named(['a*'], { renames: [{ match: 'ab*', to: 'c-{topic}' }] }),
      named(['d'], { rename: 'ab' }),
    ],
    [
      'other rules',
      named(['a-*'], { renames: [{ match: '*', to: 'x-{1}' }] }),
      named(['b-*'], { renames: [{ match: '*', to: 'y-{1}' }] }),
    ],
    [
      'what is left out by its full name',
      named([`${WHOLE}*`], { rename: '{name}', exclude: [`${WHOLE}a*`] }),
      named(['persistent://u/m/a'], { rename: '{name}' }),
    ],
  ])('never meet: %s', (_, a, b) => {
    expect(findCollision(a, b)).toBeUndefined();
    expect(findCollision(b, a)).toBeUndefined();
  });

  const glob = fc.string({ unit: fc.constantFrom('a', 'b', '*'), minLength: 1, maxLength: 4 });
  const rules = fc.record({
    topics: fc.array(glob, { minLength: 1, maxLength: 2 }),
    exclude: fc.array(glob, { maxLength: 1 }),
    rename: fc.constantFrom('{topic}', 'a{name}', '{topic}b'),
    renames: fc.array(fc.record({ match: glob, to: fc.constantFrom('{1}', 'a{1}', '{topic}a', 'b{name}') }), { maxLength: 2 }),
  });
  const letters = ['', 'a', 'b'];
  const names = letters.flatMap((x) => letters.flatMap((y) => letters.flatMap((z) => ['a', 'b'].map((w) => x + y + z + w))));

  it('are never found apart when they meet', () => {
    fc.assert(
      fc.property(rules, rules, (a, b) => {
        fc.pre([...a.renames, ...b.renames].every(({ match, to }) => match.includes('*') || !to.includes('{1}')));
        const met = [...new Set(names)].some((one) =>
          names.some((other) => takesTopic(a, one) && takesTopic(b, other) && targetTopicOf(a, one) === targetTopicOf(b, other)),
        );
        expect(met && findCollision(a, b) === undefined).toBe(false);
      }),
      { numRuns: 1_000 },
    );
  });

  it('of one mirror meet where two of its rules give the same', () => {
    const renames = [
      { match: 'a-*', to: 'x-{1}' },
      { match: 'b-*', to: 'x-{1}' },
    ];
    expect(findOwnCollision(named(['a-*', 'b-*'], { renames }))).toMatch(/^x-/);
    expect(findOwnCollision(named(['a-*'], { renames: renames.slice(0, 1) }))).toBeUndefined();
    expect(findOwnCollision(named(['a-1', 'b-2'], { renames }))).toBeUndefined();
  });

  it('have an example for each glob', () => {
    expect(exampleTopics({ topics: ['a', 'b-*', '*'], exclude: ['x*'] })).toEqual(['a', 'b-', expect.stringMatching(/^[^x]/)]);
  });
});
