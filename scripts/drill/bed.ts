/** Where a drill plays: the brokers of the kit, which it may kill, or clusters that a configuration names, which it must not. */

import { loadConfig } from '../../src/config/load.ts';
import type { ClusterConfig } from '../../src/config/types.ts';
import { type ClusterName, clusterConfig } from '../../test/kit/cluster-eyes.ts';
import { type ClusterProxy, clusterProxy } from '../../test/kit/cluster-proxy.ts';
import { chooseProvider } from '../brokers/cli.ts';
import type { Provider } from '../brokers/provider.ts';
import { isPulsarName, pulsarEndpoints, type RedisName, redisEndpoints, rocketmqEndpoints } from '../brokers/table.ts';
import { DemoError } from '../demo/errors.ts';
import type { Where } from './sides.ts';

/** What may be done to servers of the kit. */
export type Kit = {
  readonly provider: Provider;
  readonly source: ClusterName;
  readonly target: ClusterName;
  readonly redis: RedisName;
  /** In front of the source, for the replicator alone; there where a drill asked for it. */
  readonly proxy: ClusterProxy | undefined;
};

export type Bed = {
  readonly source: Where;
  readonly target: Where;
  /** The state store's address; undefined: a file of the drill's own. */
  readonly stateUrl: string | undefined;
  /** Undefined: clusters of somebody's own. */
  readonly kit: Kit | undefined;
  readonly close: () => Promise<void>;
};

export type KitOptions = {
  readonly from: ClusterName;
  readonly to: ClusterName;
  readonly offset: number;
  readonly proxied: boolean;
  readonly report: (line: string) => void;
};

/** Starts what does not run yet. Closing stops that again and removes its data; what ran before goes on. */
export async function kitBed({ from, to, offset, proxied, report }: KitOptions): Promise<Bed> {
  const provider = chooseProvider({ offset, report });
  // A link runs in its target's region, so that its state outlives the source's.
  const redis: RedisName = to.endsWith('-west') ? 'redis-west' : 'redis-east';
  const names = [from, to, redis] as const;
  const before = await provider.status(names);
  const ours = before.filter(({ state }) => state === 'stopped').map(({ name }) => name);
  const close = async (): Promise<void> => {
    if (ours.length > 0) await provider.down(ours, true);
  };
  try {
    await provider.up(names);
    const proxy = proxied ? await clusterProxy(from, offset) : undefined;
    return {
      source: kitWhere(from, offset, proxy),
      target: kitWhere(to, offset),
      stateUrl: `${redisEndpoints(redis, offset).url}/0`,
      kit: { provider, source: from, target: to, redis, proxy },
      close: async () => {
        await proxy?.close();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function kitWhere(name: ClusterName, offset: number, proxy?: ClusterProxy): Where {
  const config = proxy?.config ?? clusterConfig(name, offset);
  if (isPulsarName(name)) {
    const { serviceUrl, adminUrl } = pulsarEndpoints(name, offset);
    return { kind: 'pulsar', name, config, serviceUrl, adminUrl };
  }
  return { kind: 'rocketmq', name, config, namesrv: rocketmqEndpoints(name, offset).namesrv };
}

/** The clusters at the ends of a link of a configuration file. Throws what keeps a drill from using them. */
export function configuredBed(file: string, linkName: string | undefined): Bed {
  const { links, clusters } = loadConfig(file, process.env);
  const link = linkName === undefined ? links[0] : links.find(({ name }) => name === linkName);
  if (link === undefined)
    throw new DemoError(`${file} has no link ${linkName ?? ''}; it has ${links.map(({ name }) => name).join(', ') || 'none'}`);
  const end = (name: string): Where => configuredWhere(name, clusters[name]);
  return {
    source: end(link.from),
    target: end(link.to),
    stateUrl: undefined,
    kit: undefined,
    close: async () => await Promise.resolve(),
  };
}

function configuredWhere(name: string, config: ClusterConfig | undefined): Where {
  if (config === undefined) throw new DemoError(`there is no cluster ${name}`);
  if (('driver' in config && config.driver !== 'wire') || config.tls !== undefined || config.auth !== undefined)
    throw new DemoError(
      `${name}: the applications of a drill speak without TLS and without credentials, over the default driver`,
    );
  const { region } = config;
  if (config.type === 'rocketmq' && 'namesrv' in config)
    return {
      kind: 'rocketmq',
      name,
      config: { type: 'rocketmq', region, namesrv: config.namesrv },
      namesrv: config.namesrv.join(';'),
    };
  if (config.type !== 'pulsar') throw new DemoError(`${name} is reached only through a proxy, which gives no positions`);
  const { serviceUrl, adminUrl } = config;
  return { kind: 'pulsar', name, config: { type: 'pulsar', region, serviceUrl, adminUrl }, serviceUrl, adminUrl };
}
