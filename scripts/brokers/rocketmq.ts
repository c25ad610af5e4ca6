/** RocketMQ: a namesrv, and broker and proxy in one JVM (the proxy's local mode), from Maven artifacts. */
import { namesrvCheck, serverCheck } from './probe.ts';
import { frugalJvm, type Place, type ProcessSpec, properties, type ServerSpec } from './server.ts';
import type { RocketmqEndpoints } from './table.ts';
import { javaCommand } from './tools.ts';

export const namesrvMain = 'org.apache.rocketmq.namesrv.NamesrvStartup';
export const brokerMain = 'org.apache.rocketmq.proxy.ProxyStartup';

export function rocketmqServer(endpoints: RocketmqEndpoints, place: Place): ServerSpec {
  const { directory, home } = place;
  const classPath = ['-cp', `${home}/*`];
  const namesrv: ProcessSpec = {
    id: 'namesrv',
    command: javaCommand(),
    args: [...namesrvJvm(directory), ...classPath, namesrvMain, ...namesrvArgs(directory)],
    env: {},
    check: namesrvCheck(endpoints),
  };
  const broker: ProcessSpec = {
    id: 'server',
    command: javaCommand(),
    args: [...brokerJvm(directory), ...classPath, brokerMain, ...brokerArgs(directory, endpoints)],
    env: {},
    check: serverCheck(endpoints),
  };
  return {
    name: endpoints.name,
    directory,
    tools: ['java'],
    artifact: 'rocketmq',
    files: () => rocketmqFiles(endpoints, directory, '127.0.0.1'),
    processes: endpoints.ownsNamesrv ? [namesrv, broker] : [broker],
    extraLogs: ['logs/rocketmqlogs/broker.log', 'logs/rocketmqlogs/store.log', 'logs/rocketmqlogs/proxy.log'],
  };
}

export function namesrvJvm(directory: string): readonly string[] {
  // RocketMQ writes its logs below user.home and exits with -2 without rocketmq.home.dir.
  return ['-Xms32m', '-Xmx128m', ...frugalJvm, `-Drocketmq.home.dir=${directory}`, `-Duser.home=${directory}`];
}

export function brokerJvm(directory: string): readonly string[] {
  return [
    '-Xms256m',
    '-Xmx512m',
    '-XX:MaxDirectMemorySize=512m',
    ...frugalJvm,
    `-Drocketmq.home.dir=${directory}`,
    `-Duser.home=${directory}`,
    // Otherwise a well filled disk stops every write with code 14, whoever filled it.
    '-Drocketmq.broker.diskSpaceWarningLevelRatio=0.99',
    '-Drocketmq.broker.diskSpaceCleanForciblyRatio=0.99',
  ];
}

export function namesrvArgs(directory: string): readonly string[] {
  return ['-c', `${directory}/namesrv.conf`];
}

export function brokerArgs(directory: string, endpoints: RocketmqEndpoints): readonly string[] {
  return ['-pm', 'local', '-bc', `${directory}/broker.conf`, '-pc', `${directory}/proxy.json`, '-n', endpoints.namesrv];
}

/** Configuration files by name. `directory` and `bindAddress` are as the processes see them (a container's are its own). */
export function rocketmqFiles(
  endpoints: RocketmqEndpoints,
  directory: string,
  bindAddress: string,
): Readonly<Record<string, string>> {
  const { ports } = endpoints;
  return {
    'namesrv.conf': properties({ listenPort: ports.namesrv, bindAddress, kvConfigPath: `${directory}/kv.json` }),
    'broker.conf': properties(brokerProperties(endpoints, directory, bindAddress)),
    'proxy.json': JSON.stringify({
      rocketMQClusterName: endpoints.cluster,
      proxyMode: 'LOCAL',
      grpcServerPort: ports.proxyGrpc,
      remotingListenPort: ports.proxyRemoting,
    }),
  };
}

function brokerProperties(
  endpoints: RocketmqEndpoints,
  directory: string,
  bindAddress: string,
): Readonly<Record<string, string | number | boolean>> {
  return {
    brokerClusterName: endpoints.cluster,
    brokerName: endpoints.brokerName,
    brokerId: 0,
    namesrvAddr: endpoints.namesrv,
    listenPort: endpoints.ports.broker,
    bindAddress,
    // What the namesrv hands to clients and to slaves; the default is the address of the first network card.
    brokerIP1: '127.0.0.1',
    brokerIP2: '127.0.0.1',
    storePathRootDir: `${directory}/store`,
    storePathCommitLog: `${directory}/store/commitlog`,
    // Small files, so that a bed is quick to make and cheap to throw away: 128 MiB of log (the default is 1 GiB; a 4 MiB
    // batch must fit), 100,000 entries of 20 bytes per queue file, and an index of 400,000 keys.
    mappedFileSizeCommitLog: 134_217_728,
    mappedFileSizeConsumeQueue: 2_000_000,
    maxHashSlotNum: 100_000,
    maxIndexNum: 400_000,
    mappedFileSizeTimerLog: 1_048_576,
    flushDiskType: 'ASYNC_FLUSH',
    brokerRole: 'ASYNC_MASTER',
    fileReservedTime: 72,
    // 95 is the highest value that the broker takes.
    diskMaxUsedSpaceRatio: 95,
    autoCreateTopicEnable: false,
    autoCreateSubscriptionGroup: true,
    enablePropertyFilter: true,
    // The timer wheel burns about a third of a core on an idle broker.
    timerWheelEnable: endpoints.timerWheel,
  };
}
