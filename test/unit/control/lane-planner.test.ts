import { beforeEach, describe, expect, it } from 'vitest';
import { LanePlanner } from '../../../src/control/lane-planner.ts';
import { openQueueCluster } from '../../../src/drivers/memory/cluster.ts';
import { MemoryNetwork, NO_FAULTS } from '../../../src/drivers/memory/network.ts';
import { QueueBroker } from '../../../src/drivers/memory/queue-broker.ts';
import type { MirrorSpec } from '../../../src/model/mirror-spec.ts';
import { MemoryStore } from '../../../src/state/memory/store.ts';
import { SeededRandom } from '../../simulation/random.ts';
import { VirtualTime } from '../../simulation/virtual-time.ts';
import { specOf } from './kit.ts';

const TARGET = 'orders-copy';

describe('a target broker that is away when a process starts', () => {
  const clock = new VirtualTime().clock();
  const random = new SeededRandom(1);
  let source: QueueBroker;
  let target: QueueBroker;
  let store: MemoryStore;

  beforeEach(() => {
    [source, target, store] = [new QueueBroker(clock), new QueueBroker(clock), new MemoryStore(random.next)];
    source.addQueues('orders', 'broker-x', 2);
    for (const broker of ['broker-a', 'broker-b']) target.addQueues(TARGET, broker, 2);
  });

  /** What a process that starts now makes of it: the partitions of each lane, by the names of their queues. */
  async function plan(routing: MirrorSpec['routing']): Promise<(string | undefined)[][]> {
    const network = new MemoryNetwork({ ...clock, sleep: async () => undefined }, random.next, () => NO_FAULTS);
    const [from, to] = [openQueueCluster('east', source, network), openQueueCluster('west', target, network)];
    const description = await from.admin.describeTopic('orders');
    if (to.sink === undefined || description === undefined) throw new Error('no topic to plan for');
    const planner = new LanePlanner({
      key: { link: 'l', mirror: 'm' },
      spec: specOf('m', { routing }),
      source: from,
      target: to,
      writes: to.sink,
      store,
      windows: store.windows(clock),
    });
    const plans = await planner.plan(description, TARGET);
    const names = await store.loadTargetLanes('west', TARGET);
    return plans.map(({ partitions }) => partitions.map((partition) => names[partition]));
  }

  it.each([
    ['key', { mode: 'key', by: { kind: 'default' }, partitions: undefined }],
    ['identity', { mode: 'identity' }],
  ] as const)('moves no record that is routed by %s', async (_, routing) => {
    const before = await plan(routing);
    target.setAway('broker-a', true);
    expect(await plan(routing)).toEqual(before);
    target.setAway('broker-a', false);
    expect(await plan(routing)).toEqual(before);
  });

  it('has its keys shared out over all queues again when nobody knew of it', async () => {
    const routing = { mode: 'key', by: { kind: 'default' }, partitions: undefined } as const;
    target.setAway('broker-a', true);
    expect(await plan(routing)).toEqual(Array.from({ length: 2 }, () => ['broker-b:0', 'broker-b:1']));
    target.setAway('broker-a', false);
    const all = ['broker-a:0', 'broker-a:1', 'broker-b:0', 'broker-b:1'];
    expect(await plan(routing)).toEqual([all, all]);
  });
});
