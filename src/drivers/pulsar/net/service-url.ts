import { IsthmusError } from '../../../errors.ts';
import { type Endpoint, parseEndpoint } from '../../../wire/endpoint.ts';

export interface ServiceUrl {
  readonly tls: boolean;
  readonly endpoints: readonly Endpoint[];
}

const DEFAULT_PORT = '6650';
const DEFAULT_TLS_PORT = '6651';

/** Reads `pulsar://host:6650,host2` or `pulsar+ssl://...`. Throws CONFIG_INVALID. */
export function parseServiceUrl(text: string): ServiceUrl {
  const match = /^pulsar(\+ssl)?:\/\/([^/?#]+)\/?$/.exec(text);
  const hosts = match?.[2];
  if (hosts === undefined) {
    throw new IsthmusError(
      'CONFIG_INVALID',
      `reading the service URL "${text}": it must be pulsar://host:6650 or pulsar+ssl://host:6651`,
    );
  }
  const tls = match?.[1] !== undefined;
  return { tls, endpoints: hosts.split(',').map((host) => parseEndpoint(withPort(host.trim(), tls))) };
}

function withPort(host: string, tls: boolean): string {
  const hasPort = host.startsWith('[') ? host.includes(']:') : host.includes(':');
  return hasPort ? host : `${host}:${tls ? DEFAULT_TLS_PORT : DEFAULT_PORT}`;
}
