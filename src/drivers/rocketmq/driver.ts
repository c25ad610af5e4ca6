import { BatchPool } from '../../lib/batch-pool.ts';
import { FramePool } from '../../lib/frame-pool.ts';
import { ALL_CAPABILITIES } from '../../spi/capabilities.ts';
import type { Cluster } from '../../spi/cluster.ts';
import { rocketmqAdmin } from './admin.ts';
import { ConsumerGroups } from './groups/consumer-groups.ts';
import { Groups } from './groups.ts';
import { RocketmqLikeness } from './likeness.ts';
import { MessageDecoder } from './message/decode.ts';
import { Network } from './network.ts';
import type { RocketmqDeps, RocketmqOptions } from './options.ts';
import { Routes } from './routes.ts';
import { RocketmqSink } from './sink/sink.ts';
import { rocketmqSource } from './source.ts';

const DEFAULT_IN_FLIGHT_BYTES = 48 * 1024 * 1024;
const DEFAULT_POP_WINDOW_MILLIS = 60_000;

/** Opens a RocketMQ cluster over the remoting protocol. Nothing is connected before it is needed, so this never fails for an unreachable one. */
export function openRocketmq(name: string, options: RocketmqOptions, deps: RocketmqDeps): Cluster {
  const frames = new FramePool();
  const network = new Network(options, deps, frames);
  const routes = new Routes(network, deps.clock);
  const groups = new Groups(network, routes, deps.log);
  const admin = rocketmqAdmin({ network, routes, sleep: (millis) => deps.clock.sleep(millis) });
  // Its own connections: what waits for a large batch to leave would keep readers of the same broker waiting.
  const writing = new Network(options, deps, frames, true);
  const sink = new RocketmqSink({
    look: { network: writing, groups: new Groups(writing, routes, deps.log), frames, clock: deps.clock },
    routes,
    admin,
    deps,
    inFlightBytes: options.inFlightBytes ?? DEFAULT_IN_FLIGHT_BYTES,
  });
  const consumerGroups = new ConsumerGroups({
    network,
    groups,
    frames,
    routes,
    clock: deps.clock,
    log: deps.log,
    popWindowMillis: options.popWindowMillis ?? DEFAULT_POP_WINDOW_MILLIS,
  });
  return {
    name,
    type: 'rocketmq',
    capabilities: ALL_CAPABILITIES,
    admin,
    source: rocketmqSource({
      deps,
      network,
      routes,
      groups,
      frames,
      batches: new BatchPool(),
      decoder: new MessageDecoder(deps.marks),
    }),
    sink,
    groups: consumerGroups,
    likeness: (source) => new RocketmqLikeness(source),
    close: async () => {
      await sink.close();
      writing.close();
      network.close();
    },
  };
}
