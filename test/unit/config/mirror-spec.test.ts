import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatMirrorSpec, type MirrorContext, parseMirrorSpec } from '../../../src/config/mirror-schema.ts';
import type { Problem } from '../../../src/config/problems.ts';
import { PLAIN_RULES } from '../../../src/model/mirror-spec.ts';
import { deadLetterTopicOf, renameTopic } from '../../../src/model/topic-name.ts';

const CONTEXT: MirrorContext = { source: 'rocketmq', target: 'pulsar', state: 'file' };

function problems(body: unknown, name = 'orders', context = CONTEXT): readonly Problem[] {
  const result = parseMirrorSpec(name, body, context);
  return 'spec' in result ? [] : result.problems;
}

const told = (body: unknown): string[] => problems(body).map(({ path, message }) => `${path} ${message}`);

describe('a mirror', () => {
  it('is read with all its fields', () => {
    const body = {
      topics: ['orders-*', 'refunds'],
      exclude: ['orders-x'],
      rename: 'persistent://a.b/c=d/x-{topic}-y',
      start: '2026-11-01T01:00:00.5+01:00',
      routing: { mode: 'key', by: 'property:customer id', partitions: 8 },
      filter: {
        tags: ['paid'],
        properties: { region: ['eu', 'us'] },
        except: { kind: ['test'] },
        present: ['id'],
        absent: ['debug'],
      },
      transform: { drop: ['x-*'], rename: { a: 'b' }, set: { c: 'd' } },
      retryTopics: true,
      onRecreated: 'stop',
      onBadRecord: 'dead-letter',
      deadLetterTopic: 'persistent://a/b/dead',
      batching: 'per-key',
      compression: 'zstd',
    };
    expect(parseMirrorSpec('orders', { ...body, retention: '7d' }, CONTEXT)).toEqual({
      spec: {
        ...PLAIN_RULES,
        ...body,
        retentionMinutes: 7 * 24 * 60,
        name: 'orders',
        start: Date.UTC(2026, 10, 1, 0, 0, 0, 500),
        routing: { mode: 'key', by: { kind: 'property', name: 'customer id' }, partitions: 8 },
      },
    });
  });

  it.each(['0h', '-1h', '72', '1y', '99999999d'])('refuses the retention %s', (retention) => {
    expect(told({ topics: ['a'], retention })).toEqual([
      `retention must be keep, or a time in minutes, hours or days, not "${retention}"`,
    ]);
  });

  it('takes its dead-letter topic from its target', () => {
    const result = parseMirrorSpec('orders', { topics: ['a'], rename: 'persistent://t/n/{topic}' }, CONTEXT);
    expect('spec' in result && deadLetterTopicOf(result.spec, 'a')).toBe('persistent://t/n/a-dead-letter');
  });

  it('has the window that is written, whatever the state', () => {
    const read = (dedup: unknown): unknown => {
      const result = parseMirrorSpec('orders', { topics: ['a'], dedup }, { ...CONTEXT, state: 'redis' });
      return 'spec' in result ? result.spec.dedup : result.problems.map(({ path, message }) => `${path} ${message}`);
    };
    expect(read('off')).toBeUndefined();
    expect(read({ window: '90m', id: 'property:orderId', onStateLoss: 'continue' })).toEqual({
      windowMillis: 90 * 60_000,
      maxIds: 10_000_000,
      id: { kind: 'property', name: 'orderId' },
      onStateLoss: 'continue',
    });
    expect(read('on')).toEqual(['dedup must be off, or a mapping with window, maxIds, id and onStateLoss, not "on"']);
    expect(read({ window: '1y' })).toEqual([
      'dedup.window must be a time in seconds, minutes, hours or days, at most 365d, not "1y"',
    ]);
    expect(read({ id: 'body', maxIds: 0 })).toEqual([
      'dedup.maxIds must be at least 1, not 0',
      'dedup.id must be origin, producer or property:<name>, not "body"',
    ]);
    expect(read({ windw: '1h' })).toEqual(['dedup.windw is not a known key']);
  });

  it('written again is read as the same', () => {
    const bodies = fc.record(
      {
        topics: fc.array(fc.constantFrom('a', 'b-*', 'c?'), { minLength: 1, maxLength: 3 }),
        exclude: fc.array(fc.constantFrom('b-1', '*'), { maxLength: 2 }),
        rename: fc.constantFrom('persistent://t/n/{topic}', 'persistent://t/n/x-{name}', [
          { match: 'b-*', to: 'persistent://t/n/bees-{1}' },
          { match: 'c?', to: 'persistent://t/n/seas-{topic}' },
        ]),
        dedup: fc.constantFrom('off', {}, { window: '90s', id: 'producer' }, { id: 'property:p', onStateLoss: 'continue' }),
        transform: fc.constantFrom({}, { drop: ['a*'], set: { b: '' } }, { rename: { c: 'd' } }),
        retryTopics: fc.boolean(),
        onRecreated: fc.constantFrom('follow', 'stop'),
        retention: fc.constantFrom('keep', '90m', '72h'),
        start: fc.oneof(
          fc.constantFrom('earliest', 'latest'),
          fc.date({ min: new Date(0), max: new Date('2200-01-01'), noInvalidDate: true }).map((date) => date.toISOString()),
        ),
        routing: fc.oneof(
          fc.constant({ mode: 'identity' }),
          fc.record(
            {
              mode: fc.constant('key'),
              by: fc.constantFrom('default', 'keys', 'sharding-key', 'property:p'),
              partitions: fc.integer({ min: 1, max: 9 }),
            },
            { requiredKeys: ['mode'] },
          ),
        ),
        filter: fc.record(
          { tags: fc.array(fc.constantFrom('t', 'u')), properties: fc.constant({ p: ['v'] }) },
          { requiredKeys: [] },
        ),
        onBadRecord: fc.constantFrom('stop-lane', 'dead-letter'),
        batching: fc.constantFrom('auto', 'mixed', 'per-key'),
        compression: fc.constantFrom('none', 'lz4'),
      },
      { requiredKeys: ['topics'] },
    );
    fc.assert(
      fc.property(bodies, (body) => {
        const first = parseMirrorSpec('orders', body, CONTEXT);
        const again = 'spec' in first ? parseMirrorSpec('orders', formatMirrorSpec(first.spec), CONTEXT) : undefined;
        expect(again).toEqual(first);
      }),
    );
  });

  it.each([
    ['orders.*', 'can match no RocketMQ topic: those have only letters, digits, -, _, % and |, not "orders.*"'],
    ['a b', 'can match no RocketMQ topic: those have only letters, digits, -, _, % and |, not "a b"'],
    ['', 'must not be empty'],
    ['x'.repeat(128), `must have at most 127 characters, as RocketMQ topics do, not "${'x'.repeat(79)}...`],
  ])('does not take the topic %j', (topic, message) => {
    expect(told({ topics: ['ok', topic] })).toEqual([`topics[1] ${message}`]);
    expect(told({ topics: ['ok'], exclude: [topic] })).toEqual([`exclude[0] ${message}`]);
  });

  it.each(['ns%orders', 'a|b', 'A_b-9', '%*'])('takes the topic %s', (topic) => {
    expect(told({ topics: [topic] })).toEqual([]);
  });

  it.each([
    ['{topic}', 'must be a full Pulsar name, persistent://tenant/namespace/topic'],
    ['public/default/{topic}', 'must be a full Pulsar name, persistent://tenant/namespace/topic'],
    ['non-persistent://public/default/{topic}', 'must be a persistent topic: a non-persistent one would lose records'],
    ['persistent://public/{topic}/x', 'must have a tenant and a namespace of letters, digits and - = : . _'],
    ['persistent:///default/{topic}', 'must have a tenant and a namespace of letters, digits and - = : . _'],
    ['persistent://public/default/', 'must end in a topic name without a slash'],
    ['persistent://public/default/a/{topic}', 'must end in a topic name without a slash'],
    ['persistent://public/default/a b', 'must have no spaces, quotes, * ? # or \\ in its topic name'],
    [
      'persistent://public/default/{topic}-partition-0',
      'must not end in -partition-N: that is how Pulsar names the partitions of a topic',
    ],
    ['persistent://public/default/{topic}{topic}', 'must hold {topic} at most once'],
    ['persistent://public/default/{Topic}', 'must hold no {Topic}'],
    ['persistent://public/default/{topic', 'must hold no {topic'],
    ['', 'must have 1 to 512 characters'],
  ])('does not rename to %s', (rename, message) => {
    expect(told({ topics: ['a'], rename })).toEqual([`rename ${message}, not ${JSON.stringify(rename)}`]);
    expect(told({ topics: ['a'], deadLetterTopic: rename })).toEqual([
      `deadLetterTopic ${message}, not ${JSON.stringify(rename)}`,
    ]);
  });

  it.each([[['a', 'b']], [['a*']], [['a?']]])('does not give the topics %j one name', (topics) => {
    expect(told({ topics, rename: 'persistent://t/n/one' })).toEqual([
      'rename would give several topics one name, and mix their order',
    ]);
  });

  it('gives one topic any name', () => {
    expect(told({ topics: ['a'], rename: 'persistent://t/n/one' })).toEqual([]);
    expect(renameTopic('persistent://t/n/one', 'a')).toBe('persistent://t/n/one');
  });

  it('takes topics of consumer groups only when it is told to', () => {
    expect(problems({ topics: ['%RETRY%group'] })).toEqual([
      {
        path: 'topics[0]',
        message: 'is a topic of a consumer group, which is left to its own cluster',
        hint: 'set retryTopics: true to mirror it all the same',
      },
    ]);
    const rename = [{ match: '%RETRY%*', to: 'persistent://t/n/retry-{1}' }];
    expect(told({ topics: ['%RETRY%group'], rename, retryTopics: true })).toEqual([]);
  });

  it('does not use its target as its dead-letter topic', () => {
    const rename = 'persistent://t/n/{topic}';
    expect(told({ topics: ['a'], rename, deadLetterTopic: rename })).toHaveLength(1);
    expect(told({ topics: ['a'], deadLetterTopic: 'persistent://public/default/{topic}' })).toHaveLength(1);
    expect(told({ topics: ['a'], deadLetterTopic: '{target}' })).toHaveLength(1);
  });

  it.each(['2h ago', '2026-11-01', '2026-11-01T00:00:00', 'now', '', '2026-13-01T00:00:00Z', '1969-01-01T00:00:00Z'])(
    'does not start at %j',
    (start) => {
      expect(told({ topics: ['a'], start })).toEqual([
        `start must be earliest, latest or a moment with its zone, not ${JSON.stringify(start)}`,
      ]);
    },
  );

  it.each([
    [{ mode: 'round-robin' }, 'routing.mode must be identity or key, not "round-robin"'],
    [{}, 'routing.mode is missing; it must be identity or key'],
    [{ mode: 'identity', partitions: 3 }, 'routing.partitions is not a known key'],
    [{ mode: 'key', partitions: 0 }, 'routing.partitions must be at least 1, not 0'],
    [{ mode: 'key', partitions: -1 }, 'routing.partitions must be at least 1, not -1'],
    [{ mode: 'key', partitions: 1.5 }, 'routing.partitions must be a whole number, not 1.5'],
    [{ mode: 'key', partitions: '8' }, 'routing.partitions must be a number, not "8"'],
    [{ mode: 'key', by: 'property:' }, 'routing.by must be default, sharding-key, keys or property:<name>, not "property:"'],
    ['key', 'routing must be a mapping with keys, not "key"'],
  ])('does not route by %j', (routing, problem) => {
    expect(told({ topics: ['a'], routing })).toEqual([problem]);
  });

  it.each([
    [{ tags: ['a||b'] }, 'filter.tags[0]'],
    [{ tags: [''] }, 'filter.tags[0]'],
    [{ properties: { p: [] } }, 'filter.properties.p'],
    [{ properties: { p: 'v' } }, 'filter.properties.p'],
    [{ properties: ['p'] }, 'filter.properties'],
    [{ tag: ['a'] }, 'filter.tag'],
    [{ except: { p: [] } }, 'filter.except.p'],
    [{ present: [''] }, 'filter.present[0]'],
  ])('does not filter by %j', (filter, path) => {
    expect(problems({ topics: ['a'], filter }).map((problem) => problem.path)).toEqual([path]);
  });

  it('tells a field that belongs elsewhere from one that does not exist', () => {
    expect(problems({ topics: ['a'], groups: {}, exlude: [], colour: 1 })).toEqual([
      { path: 'groups', message: 'is not a known key', hint: 'it belongs to the link, beside "mirrors"' },
      { path: 'exlude', message: 'is not a known key', hint: 'did you mean "exclude"?' },
      { path: 'colour', message: 'is not a known key', hint: expect.stringContaining('known here: topics, exclude, rename') },
    ]);
  });

  it.each([null, undefined, 1, 'x', [], true])('is no %j', (body) => {
    expect(problems(body).length).toBeGreaterThan(0);
  });

  it('has a name of its kind', () => {
    expect(problems({ topics: ['a'] }, 'Orders EU')).toEqual([
      { path: 'name', message: expect.stringContaining('not "Orders EU"'), hint: 'for example "orders-eu"' },
    ]);
  });

  it('never ends in anything but a spec or problems, whatever it is given', () => {
    fc.assert(
      fc.property(fc.anything(), fc.jsonValue(), (topics, rest) => {
        const result = parseMirrorSpec('orders', { topics, filter: rest, routing: rest, rename: rest }, CONTEXT);
        expect('spec' in result || result.problems.length > 0).toBe(true);
      }),
    );
  });
});
