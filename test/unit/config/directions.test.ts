import { describe, expect, it } from 'vitest';
import { parseMirrorSpec } from '../../../src/config/mirror-schema.ts';
import type { ClusterType } from '../../../src/config/topic-patterns.ts';
import { targetTopicOf } from '../../../src/model/topic-name.ts';

const [R, P] = ['rocketmq', 'pulsar'] as const;
const WHOLE = 'persistent://public/default/';

function read(source: ClusterType, target: ClusterType, body: object): ReturnType<typeof parseMirrorSpec> {
  return parseMirrorSpec('m', body, { source, target, state: 'file' });
}

function told(source: ClusterType, target: ClusterType, body: object): string[] {
  const result = read(source, target, body);
  return 'spec' in result ? [] : result.problems.map(({ path, message }) => `${path} ${message}`);
}

/** The name that a mirror gives to a topic; the problems where it is none. */
function renamed(source: ClusterType, target: ClusterType, body: object, topic: string): unknown {
  const result = read(source, target, body);
  return 'spec' in result ? targetTopicOf(result.spec, topic) : result.problems;
}

describe('names of Pulsar topics', () => {
  it.each([
    ['orders-*', `${WHOLE}orders-*`],
    ['t/n/orders', 'persistent://t/n/orders'],
    ['persistent://*/eu-*/x?', 'persistent://*/eu-*/x?'],
  ])('%s is kept as %s', (glob, whole) => {
    const rename = 'persistent://{tenant}/{namespace}/{name}';
    expect(read(P, P, { topics: [glob], exclude: [glob], rename })).toMatchObject({
      spec: { topics: [whole], exclude: [whole] },
    });
  });

  it.each([
    ['non-persistent://public/default/a', 'must be persistent topics: what a non-persistent one loses cannot be mirrored'],
    ['persistent://public/default', 'can match no Pulsar topic'],
    ['persistent://orders-*', 'can match no Pulsar topic'],
    ['a/b', 'can match no Pulsar topic'],
    ['a/b/c/d', 'can match no Pulsar topic'],
    ['a b/c/d', 'can match no Pulsar topic'],
    ['or ders', 'must hold no spaces and control characters'],
    ['orders-partition-3', 'names one partition of a topic'],
  ])('%s is refused', (glob, message) => {
    expect(told(P, P, { topics: [glob] })).toEqual([`topics[0] ${message}, not ${JSON.stringify(glob)}`]);
  });

  it.each(['a-sub-RETRY', 'persistent://t/n/a-sub-DLQ', '*-DLQ'])('%s belongs to a subscription', (glob) => {
    expect(told(P, P, { topics: [glob] })).toEqual([
      'topics[0] is a topic of a consumer group, which is left to its own cluster',
    ]);
    expect(told(P, P, { topics: [glob], retryTopics: true })).toEqual([]);
  });
});

describe('the name at the target', () => {
  it.each([
    [R, R, {}, 'orders', 'orders'],
    [R, P, {}, 'orders', `${WHOLE}orders`],
    [P, R, {}, `${WHOLE}orders`, 'orders'],
    [P, P, {}, 'persistent://t/n/orders', 'persistent://t/n/orders'],
    [R, R, { rename: 'eu-{name}' }, 'orders', 'eu-orders'],
    [P, R, { rename: '{tenant}_{namespace}_{name}' }, 'persistent://t/n/orders', 't_n_orders'],
    [P, P, { rename: 'persistent://{tenant}/{namespace}-dr/{name}' }, 'persistent://t/n/orders', 'persistent://t/n-dr/orders'],
    [P, P, { rename: '{topic}-copy' }, 'persistent://t/n/orders', 'persistent://t/n/orders-copy'],
  ] as const)('from %s to %s with %j: %s becomes %s', (source, target, body, topic, name) => {
    expect(renamed(source, target, { topics: [topic], ...body }, topic)).toBe(name);
  });

  it('is that of the first rule that matches, else the default', () => {
    const body = {
      topics: ['orders-*', 'pay?-*', 'users'],
      rename: [
        { match: 'orders-*-*', to: 'de-{2}-of-{1}' },
        { match: 'orders-*', to: 'eu-orders-{1}' },
        { match: 'pay?-*', to: 'x{1}-{name}' },
      ],
    };
    const names = ['orders-a', 'orders-a-b-c', 'pay1-x', 'users'].map((topic) => renamed(R, R, body, topic));
    expect(names).toEqual(['eu-orders-a', 'de-b-c-of-a', 'x1-pay1-x', 'users']);
  });

  it.each([
    [R, R, '{tenant}-{name}', 'must hold no {tenant}'],
    [R, R, 'a.b', 'must give RocketMQ topics names of letters, digits, -, _, % and |'],
    [R, R, 'a*', 'must give RocketMQ topics names of letters, digits, -, _, % and |'],
    [R, R, 'x'.repeat(128), 'must give names of at most 127 characters'],
    [R, R, '{1}', 'must hold no {1}'],
    [R, R, '{target}', 'must hold no {target}'],
    [P, R, '{topic}', 'must not hold {topic}: full Pulsar names have colons and slashes, which RocketMQ refuses'],
    [P, P, `${WHOLE}{topic}`, 'must end in a topic name without a slash'],
    [P, P, '{name}', 'must be a full Pulsar name, persistent://tenant/namespace/topic'],
  ] as const)('from %s to %s is not %s', (source, target, rename, message) => {
    expect(told(source, target, { topics: ['a'], rename })[0]).toContain(`rename ${message}`);
  });

  it.each([
    ['persistent://*/default/a*', '{name}', false],
    ['persistent://t/*/a*', '{name}', false],
    ['persistent://t/*/a*', '{namespace}-{name}', true],
    ['t/n/*', '{name}', true],
    ['persistent://*/*/a', '{tenant}-{namespace}', false],
  ])('of topics like %s may be made by %s: %j', (glob, rename, fine) => {
    const problems = told(P, R, { topics: [glob], rename });
    expect(problems).toEqual(fine ? [] : ['rename would give several topics one name, and mix their order']);
  });

  it('of topics in several namespaces must tell these apart', () => {
    expect(told(P, R, { topics: ['a/b/x*', 'a/c/x*'] })).toEqual([
      'rename would give several topics one name, and mix their order',
    ]);
    expect(told(P, R, { topics: ['a/b/x*', 'a/b/y*'] })).toEqual([]);
  });

  it.each([
    [[{ match: 'a-*', to: 'x' }], 'rename[0].to would give several topics one name, and mix their order'],
    [[{ match: 'a-*-*', to: 'x-{1}' }], 'rename[0].to would give several topics one name, and mix their order'],
    [[{ match: 'a-*', to: 'x-{2}' }], 'rename[0].to must hold no {2}, not "x-{2}"'],
    [[{ match: '', to: 'x' }], 'rename[0].match must have 1 to 255 characters, not ""'],
    [
      [{ match: '*a*b*c*d*e*f*g*h*i*j', to: '{topic}' }],
      'rename[0].match must have at most 9 wildcards, not "*a*b*c*d*e*f*g*h*i*j"',
    ],
    [[{ match: 'a' }], 'rename[0].to is missing; it must be a text'],
    [[], 'rename must have at least 1 entry'],
    [7, 'rename must be a text, or a list of rules with match and to, not 7'],
  ])('is not made by %j', (rename, problem) => {
    expect(told(R, R, { topics: ['a-*'], rename })).toEqual([problem]);
  });

  it('that two rules could give to different topics is refused', () => {
    const rename = [
      { match: 'orders-*', to: 'all-{1}' },
      { match: 'users-*', to: 'all-{1}' },
    ];
    const [problem] = told(R, R, { topics: ['orders-*', 'users-*'], rename });
    expect(problem).toMatch(
      /^rename could give the name "all-.*" to two topics, by different rules: their order would be mixed$/,
    );
    expect(told(R, R, { topics: ['orders-*', 'users-*'], rename: rename.slice(0, 1) })).toEqual([]);
    // A topic that has the name already would meet the renamed one.
    expect(told(R, R, { topics: ['*'], rename: rename.slice(0, 1) })).toHaveLength(1);
    expect(told(R, R, { topics: ['*'], exclude: ['all-*'], rename: rename.slice(0, 1) })).toEqual([]);
  });
});

describe('fields that say nothing in a direction', () => {
  it.each([
    [R, R, { compression: 'lz4' }, 'compression has no effect on a RocketMQ target'],
    [P, R, { batching: 'per-key' }, 'batching has no effect on a RocketMQ target'],
    [P, R, { retention: '72h' }, 'retention has no effect on a RocketMQ target'],
    [P, P, { filter: { tags: ['a'] } }, 'filter.tags speaks of RocketMQ messages'],
    [P, R, { routing: { mode: 'key', by: 'keys' } }, 'routing.by speaks of RocketMQ messages'],
  ] as const)('from %s to %s: %j is refused', (source, target, body, problem) => {
    expect(told(source, target, { topics: ['a'], ...body })).toEqual([problem]);
  });

  it('are fine with what they would be anyway', () => {
    expect(told(P, R, { topics: ['a'], compression: 'none', batching: 'auto', retention: 'keep' })).toEqual([]);
  });

  it('a RocketMQ target keeps records as long as its brokers do', () => {
    expect(read(R, R, { topics: ['a'] })).toMatchObject({ spec: { retentionMinutes: undefined } });
    expect(read(P, P, { topics: ['a'] })).toMatchObject({ spec: { retentionMinutes: 72 * 60 } });
  });
});

describe('a transform', () => {
  it.each([
    [{ set: { ISTHMUS: 'x' } }, 'transform.set.ISTHMUS must not be a property of our own'],
    [{ rename: { a: 'ISTHMUS-x' } }, 'transform.rename.a must not be a property of our own, not "ISTHMUS-x"'],
    [
      { set: { a: 'x\u0001y' } },
      'transform.set.a must hold no control characters 1 and 2, which RocketMQ puts between properties, not "x\\u0001y"',
    ],
    [{ drop: [''] }, 'transform.drop[0] must not be empty'],
    [{ add: {} }, 'transform.add is not a known key'],
  ])('like %j is refused', (transform, problem) => {
    expect(told(R, P, { topics: ['a'], transform })).toEqual([problem]);
  });
});
