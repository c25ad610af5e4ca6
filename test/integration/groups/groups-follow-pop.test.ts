import { describe, it } from 'vitest';
import { expectPopFollows, type FollowingWay } from '../../kit/following.ts';
import { useStage } from '../../kit/stage.ts';

// Like groups-follow.test.ts, with consumers over gRPC: what they were handed and have not acknowledged comes to the target, and nothing else does.

const stage = useStage(['rmq-east', 'rmq-timer', 'pulsar-west']);

const WAYS: readonly FollowingWay[] = [
  {
    name: 'Pulsar to RocketMQ',
    from: 'pulsar-west',
    to: 'rmq-timer',
    kinds: [
      ['Failover', 'POP'],
      ['Shared', 'POP'],
    ],
  },
  {
    name: 'RocketMQ to Pulsar',
    from: 'rmq-timer',
    to: 'pulsar-west',
    kinds: [
      ['POP', 'Failover'],
      ['POP', 'Shared'],
    ],
  },
  { name: 'push consumers to POP consumers', from: 'rmq-east', to: 'rmq-timer', kinds: [['push', 'POP']] },
  { name: 'POP consumers to push consumers', from: 'rmq-timer', to: 'rmq-east', kinds: [['POP', 'push']] },
];

describe.each(WAYS)('a group that moves from $name', (way) => {
  it('gets everything once, but for what was predicted', async () => {
    await expectPopFollows(stage, way);
  });
});
