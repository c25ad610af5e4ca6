import { describe, expect, it } from 'vitest';
import { RocketmqLikeness } from '../../../../src/drivers/rocketmq/likeness.ts';
import { RecordHash } from '../../../../src/mirror/audit/record-hash.ts';
import { offsetPosition } from '../../../../src/model/position.ts';
import { batchOf, type FakeRecord } from '../../mirror/audit/kit.ts';

type Content = Pick<FakeRecord, 'key' | 'properties'>;

function alike(source: 'rocketmq' | 'pulsar', original: Content, copy: Content): boolean {
  const hash = new RecordHash(new RocketmqLikeness(source));
  const [a, b] = [original, copy].map((content) => {
    hash.take(batchOf([{ position: offsetPosition(0), body: 'b', ...content }]), 0, 0, -1, -1);
    return `${hash.high}:${hash.low}`;
  });
  return a === b;
}

describe('a record of a Pulsar and its copy on RocketMQ', () => {
  it.each<[string, Content, Content]>([
    ['the key is the message group', { key: 'k' }, { key: 'k', properties: { __SHARDINGKEY: 'k' } }],
    [
      'a key that was the first of its KEYS is that again',
      { key: 'k1', properties: { KEYS: 'k1 k2' } },
      { key: 'k1', properties: { KEYS: 'k1 k2' } },
    ],
    [
      'a record without a key, but with KEYS, has their first as key',
      { properties: { KEYS: 'k1 k2' } },
      { key: 'k1', properties: { KEYS: 'k1 k2' } },
    ],
    [
      'a message group from before wins over the key',
      { key: 'other', properties: { __SHARDINGKEY: 'g' } },
      { key: 'g', properties: { __SHARDINGKEY: 'g' } },
    ],
    [
      'the sink adds an id, where it was made, and facts of the Pulsar',
      { properties: { a: '1' } },
      { properties: { a: '1', UNIQ_KEY: 'x', __BORNHOST: 'h', BORN_TIMESTAMP: '5', PULSAR_PRODUCER: 'p', PULSAR_SEQUENCE: '3' } },
    ],
    [
      'names that RocketMQ keeps for itself get a prefix',
      { properties: { CLUSTER: 'c' } },
      { properties: { PULSAR_CLUSTER: 'c' } },
    ],
    ['a time of delivery is a property', { properties: { PULSAR_DELIVER_AT: '9' } }, {}],
    ['the user flag is a field', { properties: { ROCKETMQ_FLAG: '7' } }, {}],
  ])('are alike: %s', (_, original, copy) => {
    expect(alike('pulsar', original, copy)).toBe(true);
  });

  it.each<[string, Content, Content]>([
    ['key', { key: 'k' }, { key: 'l', properties: { __SHARDINGKEY: 'l' } }],
    ['key that was lost', { key: 'k' }, {}],
    ['property', { properties: { a: '1' } }, { properties: { a: '2' } }],
    ['tag', { properties: { TAGS: 'a' } }, { properties: {} }],
  ])('differ by another %s', (_, original, copy) => {
    expect(alike('pulsar', original, copy)).toBe(false);
  });
});

describe('a message of a RocketMQ and its copy on another', () => {
  it('are alike with what the sink adds, and differ by everything else', () => {
    const original = { key: 'k', properties: { KEYS: 'k', a: '1' } };
    expect(
      alike('rocketmq', original, { key: 'k', properties: { ...original.properties, UNIQ_KEY: 'x', __BORNHOST: 'h' } }),
    ).toBe(true);
    expect(alike('rocketmq', original, { key: 'k', properties: { ...original.properties, PULSAR_PRODUCER: 'p' } })).toBe(false);
  });
});
