/** A whole cluster behind a proxy: for the replicator, while the eyes look at it directly. */
import { isPulsarName, pulsarEndpoints, rocketmqEndpoints } from './brokers.ts';
import { type ClusterName, clusterConfig } from './cluster-eyes.ts';
import { pulsarDiskFull, rocketmqDiskFull } from './refusals.ts';
import { type TcpProxy, tcpProxy } from './tcp-proxy.ts';

export type ClusterProxy = Omit<TcpProxy, 'port'> & {
  /** The section of the configuration file that leads through the proxy. */
  readonly config: Readonly<Record<string, unknown>>;
};

const host = '127.0.0.1';
const portsTried = 40;

/**
 * What carries records goes through the proxy: the broker's port of RocketMQ, and the service port of Pulsar, whose standalone has its clients come back through
 * the address where they asked. Not the admin REST.
 */
export async function clusterProxy(name: ClusterName, offset: number): Promise<ClusterProxy> {
  if (isPulsarName(name)) {
    const target = { host, port: pulsarEndpoints(name, offset).ports.service };
    const proxy = await tcpProxy({ target, refusal: pulsarDiskFull });
    return { ...proxy, config: { ...clusterConfig(name, offset), serviceUrl: `pulsar://${host}:${proxy.port}` } };
  }
  const { ports, broker } = rocketmqEndpoints(name, offset);
  // A port with as many digits as the broker's: the address stands in the namesrv's answers, whose lengths must stay.
  const near = Array.from({ length: portsTried }, (_, i) => ports.broker + 10 + i);
  const proxy = await tcpProxy({ target: { host, port: ports.broker }, ports: near, refusal: rocketmqDiskFull });
  const namesrv = await tcpProxy({ target: { host, port: ports.namesrv }, rewrite: [broker, `${host}:${proxy.port}`] });
  return {
    ...proxy,
    config: { ...clusterConfig(name, offset), namesrv: [`${host}:${namesrv.port}`] },
    close: async () => {
      await proxy.close();
      await namesrv.close();
    },
  };
}
