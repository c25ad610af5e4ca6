import { describe, expect, it } from 'vitest';
import { compareGroups, type GroupProgress } from '../../../src/model/progress.ts';

const of = (topic: string, group: string): GroupProgress => ({
  group,
  topic,
  sharing: undefined,
  members: undefined,
  lanes: [],
});

describe('the order of groups', () => {
  it('is by topic and then by name, in the order of their characters and of no language', () => {
    const sorted = [of('b', 'x'), of('a', 'é'), of('a', 'z'), of('a', 'Z'), of('a', 'z')].sort(compareGroups);
    expect(sorted.map(({ topic, group }) => `${topic}/${group}`)).toEqual(['a/Z', 'a/z', 'a/z', 'a/é', 'b/x']);
  });
});
