import { describe, expect, it } from 'vitest';
import { expectPredicted, type FollowingWay, followAll } from '../../kit/following.ts';
import { useStage } from '../../kit/stage.ts';

// A consumer of the official client stops at the source at a seeded moment, and one starts at the target: between them they get everything, and what both get is what was predicted.

const stage = useStage(['rmq-east', 'rmq-west', 'pulsar-east', 'pulsar-west']);

const WAYS: readonly FollowingWay[] = [
  {
    name: 'RocketMQ to Pulsar',
    from: 'rmq-east',
    to: 'pulsar-west',
    kinds: [
      ['push', 'Failover'],
      ['push', 'Shared'],
    ],
  },
  {
    name: 'Pulsar to RocketMQ',
    from: 'pulsar-west',
    to: 'rmq-east',
    kinds: [
      ['Failover', 'push'],
      ['Shared', 'push'],
    ],
  },
  { name: 'RocketMQ to RocketMQ', from: 'rmq-east', to: 'rmq-west', kinds: [['push', 'push']] },
  {
    name: 'Pulsar to Pulsar',
    from: 'pulsar-east',
    to: 'pulsar-west',
    kinds: [
      ['Failover', 'Failover'],
      ['Failover', 'Shared'],
      ['Shared', 'Failover'],
      ['Shared', 'Shared'],
    ],
  },
];

describe.each(WAYS)('a group that moves from $name', (way) => {
  it('gets everything once, but for what was predicted', async () => {
    const cases = await followAll(stage, way, { stem: 'follow', messages: 400, stopWithin: [50, 350] });
    expect(cases).toHaveLength(way.kinds.length);
    for (const { each, followed } of cases) expectPredicted(each, followed);
  });
});
