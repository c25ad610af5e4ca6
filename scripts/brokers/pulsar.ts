/** Pulsar: the official distribution's standalone (broker, bookie and RocksDB metadata in one JVM), made small. */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
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
    files: () => ({
      'standalone.conf': standaloneConf(endpoints, directory, readFileSync(`${home}/conf/standalone.conf`, 'utf8')),
      ...pulsarFiles(endpoints),
    }),
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

/** Files beside the configuration. */
export function pulsarFiles(endpoints: PulsarEndpoints): Readonly<Record<string, string>> {
  if (endpoints.tls === undefined) return {};
  return { 'tls-certificate.pem': readFileSync(bedCertificate, 'utf8'), 'tls-key.pem': readFileSync(bedKey, 'utf8') };
}

/** Signed by itself, for 127.0.0.1. The key guards nothing: it lies in the repository. */
export const bedCertificate: string = join(import.meta.dirname, 'tls/certificate.pem');
const bedKey = join(import.meta.dirname, 'tls/key.pem');
const tokenSecret = 'a secret of the test bed, which guards nothing';
/** What whoever shows no token is, so that most tests need none. */
const nobody = 'nobody';

/** A token that a server with tokens takes for this role. Roles may do nothing until they are given rights. */
export function bedToken(role: string): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: role })}`;
  return `${signed}.${createHmac('sha256', tokenSecret).update(signed).digest('base64url')}`;
}

/** What differs from the distribution's standalone.conf; `directory` is where the server finds its files. */
export function standaloneProperties(
  endpoints: PulsarEndpoints,
  directory: string,
  bindAddress: string,
): Readonly<Record<string, string>> {
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
    ...fullProperties(endpoints, directory),
  };
}

/** What is off by default, or slower than a test can wait for. */
function fullProperties({ ports }: PulsarEndpoints, directory: string): Readonly<Record<string, string>> {
  if (ports.serviceTls === undefined) return {};
  return {
    transactionCoordinatorEnabled: 'true',
    backlogQuotaCheckIntervalInSeconds: '1',
    brokerEntryMetadataInterceptors: ['AppendBrokerTimestampMetadataInterceptor', 'AppendIndexMetadataInterceptor']
      .map((name) => `org.apache.pulsar.common.intercept.${name}`)
      .join(','),
    exposingBrokerEntryMetadataToClientEnabled: 'true',
    brokerServicePortTls: String(ports.serviceTls),
    webServicePortTls: String(ports.adminTls),
    tlsCertificateFilePath: `${directory}/tls-certificate.pem`,
    tlsKeyFilePath: `${directory}/tls-key.pem`,
    tlsTrustCertsFilePath: `${directory}/tls-certificate.pem`,
    authenticationEnabled: 'true',
    authenticationProviders: 'org.apache.pulsar.broker.authentication.AuthenticationProviderToken',
    tokenSecretKey: `data:;base64,${Buffer.from(tokenSecret).toString('base64')}`,
    anonymousUserRole: nobody,
    authorizationEnabled: 'true',
    superUserRoles: nobody,
  };
}

/** The distribution's own file with the bed's values in place; a key it does not have yet is added at the end. */
function standaloneConf(endpoints: PulsarEndpoints, directory: string, original: string): string {
  const wanted = new Map(Object.entries(standaloneProperties(endpoints, directory, '127.0.0.1')));
  const lines = original.split('\n').map((line) => {
    const key = line.slice(0, line.indexOf('=')).trim();
    const value = wanted.get(key);
    if (value === undefined) return line;
    wanted.delete(key);
    return `${key}=${value}`;
  });
  return [...lines, ...[...wanted].map(([key, value]) => `${key}=${value}`), ''].join('\n');
}
