import { describe, expect, it } from 'vitest';
import { fullTopicName, isPartitionName, partitionTopic, topicNameProblem } from '../../../../src/drivers/pulsar/topic-name.ts';

describe('a topic name', () => {
  it.each([
    ['orders', 'persistent://public/default/orders'],
    ['sales/eu/orders', 'persistent://sales/eu/orders'],
    ['persistent://sales/eu/orders', 'persistent://sales/eu/orders'],
  ])('%s is %s in full', (topic, full) => {
    expect(topicNameProblem(topic)).toBeUndefined();
    expect(fullTopicName(topic)).toBe(full);
    expect(partitionTopic(topic, 3)).toBe(`${full}-partition-3`);
  });

  it.each([
    'non-persistent://public/default/x',
    'persistent://public/x',
    'persistent://public/default/a/b',
    'a/b',
    'http://public/default/x',
    'persistent://pu blic/default/x',
    'persistent://public/default/',
    'persistent:///default/x',
    'x#y',
    'x y',
    'a?b',
    '__change_events',
    'orders-partition-3',
    '',
  ])('"%s" is refused with a reason', (topic) => {
    expect(topicNameProblem(topic)).toMatch(/\w/);
  });

  it('of a partition is known as one', () => {
    expect(isPartitionName('persistent://a/b/c-partition-12')).toBe(true);
    expect(isPartitionName('persistent://a/b/c-partition-x')).toBe(false);
  });
});
