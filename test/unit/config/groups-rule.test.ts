import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import { GOOD, lines, problemsOf } from './kit.ts';

/** The good configuration with `groups` at its link. */
function withGroups(groups: string): string {
  return GOOD.replace(/^(\s*)mirrors:/m, `$1groups: ${groups}\n$1mirrors:`);
}

describe('the groups of a link', () => {
  it('do not follow where nothing is said of them', () => {
    expect(parseConfig(GOOD, 'c', {}).links[0]?.groups).toBeUndefined();
  });

  it('follow with usual settings where the key is there, even empty', () => {
    expect(parseConfig(withGroups('{}'), 'c', {}).links[0]?.groups).toEqual({
      include: ['*'],
      exclude: [],
      rename: '{group}',
      everyMillis: 5_000,
      apply: 'idle',
    });
  });

  it('may be chosen and renamed', () => {
    const text = withGroups('{ include: ["app-*"], exclude: ["app-test"], rename: "{group}-dr", every: 1m, apply: never }');
    expect(parseConfig(text, 'c', {}).links[0]?.groups).toEqual({
      include: ['app-*'],
      exclude: ['app-test'],
      rename: '{group}-dr',
      everyMillis: 60_000,
      apply: 'never',
    });
  });

  it.each([
    ['{ every: 500ms }', 'links.east-west.groups.every must be a duration from 1s to 1h, not "500ms"'],
    ['{ every: 2h }', 'links.east-west.groups.every must be a duration from 1s to 1h, not "2h"'],
    ['{ rename: all }', 'links.east-west.groups.rename must have {group} in it, not "all"'],
    [
      '{ rename: "{group}-{topic}" }',
      'links.east-west.groups.rename must have no other name in braces than {group}, not "{group}-{topic}"',
    ],
    ['{ include: [] }', 'links.east-west.groups.include must have at least 1 entry'],
  ])('with %s are refused', (groups, problem) => {
    expect(lines(problemsOf(withGroups(groups)))).toEqual([problem]);
  });
});
