import { FramePool } from '../../lib/frame-pool.ts';
import { ALL_CAPABILITIES } from '../../spi/capabilities.ts';
import type { Cluster } from '../../spi/cluster.ts';
import { PulsarAdmin } from './admin/admin.ts';
import { checkCluster } from './admin/check.ts';
import { Rest } from './admin/rest.ts';
import { PulsarGroups } from './groups/groups.ts';
import { BrokerPool } from './net/broker-pool.ts';
import { credentialsOf } from './net/credentials.ts';
import type { PulsarDeps, PulsarOptions } from './options.ts';
import { PulsarSink } from './sink/sink.ts';
import { PulsarSource } from './source/source.ts';

export type { PulsarDeps, PulsarOptions } from './options.ts';

/** Opens a Pulsar cluster. Nothing is connected before the first use. Throws CONFIG_INVALID for addresses that are none. */
export function openPulsar(name: string, options: PulsarOptions, deps: PulsarDeps): Cluster {
  const credentials = credentialsOf(options.auth);
  const { serviceUrl, adminUrl, tls, listenerName } = options;
  const frames = new FramePool();
  const pool = new BrokerPool({ serviceUrl, tls, listenerName }, { clock: deps.clock, log: deps.log, credentials, frames });
  const rest = new Rest({ adminUrl, tls, credentials }, deps.clock);
  const sink = new PulsarSink(pool, rest, options.inFlightBytes, deps);
  return {
    name,
    type: 'pulsar',
    capabilities: ALL_CAPABILITIES,
    admin: new PulsarAdmin(rest, (topics) => checkCluster(topics, rest, pool, deps), deps),
    source: new PulsarSource(pool, rest, frames, deps),
    sink,
    groups: new PulsarGroups({ rest, pool, clock: deps.clock }),
    async close() {
      await sink.close();
      pool.close();
      rest.close();
    },
  };
}
