/** Pulsar: the official distribution's standalone (broker, bookie and RocksDB metadata in one JVM), made small. */
import { readFileSync } from 'node:fs';
import { serverCheck } from './probe.ts';
import { frugalJvm, type Place, type ServerSpec } from './server.ts';
import type { PulsarEndpoints } from './table.ts';

export function pulsarServer(endpoints: PulsarEndpoints, place: Place): ServerSpec {
  const { directory, home } = place;
  return {
    name: endpoints.name,
    directory,
    tools: ['java', 'bash'],
    artifact: 'pulsar',
    files: () => ({ 'standalone.conf': standaloneConf(endpoints, readFileSync(`${home}/conf/standalone.conf`, 'utf8')) }),
    processes: [
      {
        id: 'server',
        // The script ends in exec, so the process is the JVM itself.
        command: 'bash',
        args: [`${home}/bin/pulsar`, ...standaloneArgs(endpoints, directory)],
        env: {
          ...pulsarJvmEnv,
          PULSAR_STANDALONE_CONF: `${directory}/standalone.conf`,
          PULSAR_LOG_DIR: `${directory}/logs`,
          PULSAR_LOG_APPENDER: 'Console',
        },
        check: serverCheck(endpoints),
      },
    ],
    extraLogs: [],
  };
}

export const pulsarJvmEnv: Readonly<Record<string, string>> = {
  PULSAR_MEM: '-Xms256m -Xmx512m -XX:MaxDirectMemorySize=512m',
  PULSAR_GC: frugalJvm.join(' '),
  PULSAR_GC_LOG: ' ',
};

export function standaloneArgs(endpoints: PulsarEndpoints, directory: string): readonly string[] {
  return [
    'standalone',
    '--no-functions-worker',
    '--no-stream-storage',
    '--metadata-dir',
    `${directory}/metadata`,
    '--bookkeeper-dir',
    `${directory}/bookkeeper`,
    '--bookkeeper-port',
    String(endpoints.ports.bookie),
  ];
}

/** What differs from the distribution's standalone.conf. */
export function standaloneProperties(endpoints: PulsarEndpoints, bindAddress: string): Readonly<Record<string, string>> {
  return {
    clusterName: endpoints.name,
    brokerServicePort: String(endpoints.ports.service),
    webServicePort: String(endpoints.ports.admin),
    bindAddress,
    advertisedAddress: '127.0.0.1',
    // Without it standalone takes any free port for its bookie, whatever --bookkeeper-port says.
    allowEphemeralPorts: 'true',
    // A topic that appears by a slip would hide the slip; one that is removed while idle would hide its messages.
    allowAutoTopicCreation: 'false',
    brokerDeleteInactiveTopicsEnabled: 'false',
    webSocketServiceEnabled: 'false',
    // Their defaults are shares of the direct memory and together take half of it.
    dbStorage_writeCacheMaxSizeMb: '64',
    dbStorage_readAheadCacheMaxSizeMb: '32',
    dbStorage_rocksDB_blockCacheSize: String(16 * 1024 * 1024),
    managedLedgerCacheSizeMB: '64',
  };
}

/** The distribution's own file with the bed's values in place; a key it does not have yet is added at the end. */
function standaloneConf(endpoints: PulsarEndpoints, original: string): string {
  const wanted = new Map(Object.entries(standaloneProperties(endpoints, '127.0.0.1')));
  const lines = original.split('\n').map((line) => {
    const key = line.slice(0, line.indexOf('=')).trim();
    const value = wanted.get(key);
    if (value === undefined) return line;
    wanted.delete(key);
    return `${key}=${value}`;
  });
  return [...lines, ...[...wanted].map(([key, value]) => `${key}=${value}`), ''].join('\n');
}
