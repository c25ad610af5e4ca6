import { describe, expect, it } from 'vitest';
import { findEndlessNames, type NameFlow } from '../../../src/model/endless-names.ts';

const flow = (from: string, to: string, topics: string[], rename: string, exclude: string[] = []): NameFlow => ({
  link: `${from}-${to}`,
  mirror: 'm',
  from,
  to,
  rule: { topics, exclude, rename, renames: [] },
});

describe('mirrors that feed each other', () => {
  it.each([
    ['the same names both ways', [flow('a', 'b', ['*'], '{topic}'), flow('b', 'a', ['*'], '{topic}')]],
    ['a ring of three', [flow('a', 'b', ['*'], '{topic}'), flow('b', 'c', ['*'], '{topic}'), flow('c', 'a', ['*'], '{topic}')]],
    ['names that come back', [flow('a', 'b', ['orders'], 'copy'), flow('b', 'a', ['copy'], 'orders')]],
    ['copies that are left out', [flow('a', 'b', ['*'], '{topic}-a', ['*-b']), flow('b', 'a', ['*'], '{topic}-b', ['*-a'])]],
    ['one way only', [flow('a', 'b', ['*'], '{topic}-copy'), flow('a', 'c', ['*'], '{topic}-copy')]],
    [
      'full names both ways',
      [flow('r', 'p', ['*'], 'persistent://public/default/{topic}'), flow('p', 'r', ['persistent://public/default/*'], '{name}')],
    ],
  ])('end: %s', (_, flows) => {
    expect(findEndlessNames(flows)).toBeUndefined();
  });

  it.each([
    ['copies of copies', [flow('a', 'b', ['*'], '{topic}-copy'), flow('b', 'a', ['*'], '{topic}')]],
    [
      'over three clusters',
      [flow('a', 'b', ['*'], '{topic}'), flow('b', 'c', ['*'], 'x-{topic}'), flow('c', 'a', ['x*'], '{topic}')],
    ],
    [
      'through a namespace',
      [
        flow('p', 'q', ['persistent://*/*/*'], 'persistent://{tenant}/{namespace}-dr/{name}'),
        flow('q', 'p', ['persistent://*/*/*'], '{topic}'),
      ],
    ],
  ])('without end: %s', (_, flows) => {
    const found = findEndlessNames(flows);
    expect(flows).toContain(found?.flow);
    expect(found?.names).toHaveLength(4);
  });
});
