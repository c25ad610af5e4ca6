import { IsthmusError } from '../errors.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Reads `host:port`, with the host of an IPv6 address in brackets. Throws CONFIG_INVALID. */
export function parseEndpoint(text: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65535) {
    throw new IsthmusError('CONFIG_INVALID', `reading the address "${text}": it must be host:port, for example broker-1:9876`);
  }
  return { host, port };
}
