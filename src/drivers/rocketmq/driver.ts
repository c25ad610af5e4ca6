import { BatchPool } from '../../lib/batch-pool.ts';
import { FramePool } from '../../lib/frame-pool.ts';
import type { Cluster } from '../../spi/cluster.ts';
import { rocketmqAdmin } from './admin.ts';
import { MessageDecoder } from './decode.ts';
import { Groups } from './groups.ts';
import { Network } from './network.ts';
import type { RocketmqDeps, RocketmqOptions } from './options.ts';
import { Routes } from './routes.ts';
import { rocketmqSource } from './source.ts';

/** Opens a RocketMQ cluster over the remoting protocol. Nothing is connected before it is needed, so this never fails for an unreachable one. */
export function openRocketmq(name: string, options: RocketmqOptions, deps: RocketmqDeps): Cluster {
  const frames = new FramePool();
  const network = new Network(options, deps, frames);
  const routes = new Routes(network, deps.clock);
  const groups = new Groups(network, routes, deps.log);
  return {
    name,
    type: 'rocketmq',
    admin: rocketmqAdmin({ network, routes, sleep: (millis) => deps.clock.sleep(millis) }),
    source: rocketmqSource({ deps, network, routes, groups, frames, batches: new BatchPool(), decoder: new MessageDecoder() }),
    sink: undefined,
    close: async () => network.close(),
  };
}
