import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  deadLetterTopicOf,
  globCaptures,
  matchesGlob,
  pulsarParts,
  renameTopic,
  takesTopic,
  targetTopicOf,
} from '../../../src/model/topic-name.ts';

/** The same by a regular expression, which is right and, for hostile globs, slow. */
function matchesSlowly(glob: string, name: string): boolean {
  const source = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's').test(name);
}

const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '-'), maxLength: 12 });
const glob = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*', '?'), maxLength: 8 });

describe('topic globs', () => {
  it('match what a regular expression of the same meaning matches', () => {
    fc.assert(
      fc.property(glob, text, (g, name) => {
        expect(matchesGlob(g, name)).toBe(matchesSlowly(g, name));
      }),
      { numRuns: 2000 },
    );
  });

  it('take a topic that an include matches and no exclude does', () => {
    const rule = { topics: ['orders-*', 'pay'], exclude: ['*-test', 'orders-?'] };
    expect(['orders-eu', 'pay', 'pays', 'orders-test', 'orders-1'].filter((topic) => takesTopic(rule, topic))).toEqual([
      'orders-eu',
      'pay',
    ]);
  });

  it('end on a glob made to be slow', () => {
    const name = 'a'.repeat(20_000);
    expect(matchesGlob(`${'*a'.repeat(50)}*b`, name)).toBe(false);
  });

  it('name the target, with every placeholder filled and no special meaning in the name', () => {
    expect(renameTopic('persistent://t/n/{topic}-of-{topic}', "a$&'b")).toBe("persistent://t/n/a$&'b-of-a$&'b");
  });

  it.each([
    ['orders-*', 'orders-eu', ['eu']],
    ['*-*', 'a-b-c', ['a', 'b-c']],
    ['?*?', 'abcd', ['a', 'bc', 'd']],
    ['a*', 'a', ['']],
    ['**', 'ab', ['', 'ab']],
    ['orders', 'orders', []],
    ['orders-*', 'pay', undefined],
  ])('%s takes of %s what its wildcards say', (glob, name, captures) => {
    expect(globCaptures(glob, name)).toEqual(captures);
  });

  it('take a full Pulsar name apart, and no other', () => {
    expect(pulsarParts('persistent://t/n/a')).toEqual({ tenant: 't', namespace: 'n', name: 'a' });
    expect(['a', 't/n/a', 'persistent://t/n', 'persistent://t/n/a/b'].map(pulsarParts)).toEqual(Array(4).fill(undefined));
  });

  it('fill placeholders in one go, and leave what they do not know', () => {
    expect(renameTopic('{name}/{constructor}/{1}{2}', 'persistent://t/n/{topic}', ['{name}'])).toBe(
      '{topic}/{constructor}/{name}{2}',
    );
  });

  it('name the dead-letter topic after the target', () => {
    const rules = { rename: '{topic}', renames: [{ match: 'a-*', to: 'b-{1}' }], deadLetterTopic: '{target}-dead' };
    expect(['a-1', 'c'].map((topic) => [targetTopicOf(rules, topic), deadLetterTopicOf(rules, topic)])).toEqual([
      ['b-1', 'b-1-dead'],
      ['c', 'c-dead'],
    ]);
  });
});
