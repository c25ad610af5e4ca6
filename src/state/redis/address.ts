import { IsthmusError } from '../../errors.ts';

/** Where a Redis is, read from its URL. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly db: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** For people: the URL without its credentials. */
  readonly shown: string;
}

const DEFAULT_PORT = 6379;

/** Reads `redis://[user[:password]@]host[:port][/db]`, `rediss://` for TLS. Fails with CONFIG_INVALID, without repeating the URL: it may hold a password. */
export function parseRedisUrl(text: string): RedisAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const db = /^\/?(\d*)$/.exec(url?.pathname ?? '?')?.[1];
  if (
    url === undefined ||
    !['redis:', 'rediss:'].includes(url.protocol) ||
    url.hostname === '' ||
    db === undefined ||
    url.search !== ''
  ) {
    throw invalid();
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  return {
    host,
    port,
    tls: url.protocol === 'rediss:',
    db: Number(db),
    username: decoded(url.username),
    password: decoded(url.password),
    shown: `${url.protocol}//${url.hostname}:${port}/${Number(db)}`,
  };
}

function decoded(text: string): string | undefined {
  try {
    return text === '' ? undefined : decodeURIComponent(text);
  } catch {
    throw invalid();
  }
}

function invalid(): IsthmusError {
  const form = 'redis://[user[:password]@]host[:port][/db], or rediss:// for TLS; special characters in user and password as %XX';
  return new IsthmusError('CONFIG_INVALID', `reading the address of the state store: it is not of the form ${form}`);
}
