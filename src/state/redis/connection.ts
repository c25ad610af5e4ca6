import { Redis, type RedisOptions } from 'ioredis';
import { IsthmusError } from '../../errors.ts';
import type { StateDeps } from '../deps.ts';
import { damaged } from '../documents.ts';
import type { RedisAddress } from './address.ts';

/** A call that has no answer by then is given up. */
const CALL_MILLIS = 3_000;
/** Without any byte from Redis for this long while calls wait, the connection counts as dead and is replaced. */
const SILENCE_MILLIS = 2_500;
const CONNECT_MILLIS = 3_000;
/** Redis gets this long to say goodbye; a frozen one would hold up our own end. */
const GOODBYE_MILLIS = 200;
/** Opening waits this long for the first connection; after that the store opens unavailable. */
const FIRST_CONNECTION_MILLIS = 3_000;
const RETRY_MIN_MILLIS = 100;
const RETRY_MAX_MILLIS = 3_000;
/** Calls that may wait for their answers at a time: hundreds of lanes ask for their ids at once. */
const MAX_CALLS = 1_024;

/** One connection to Redis that comes back by itself. */
export interface RedisConnection {
  /** Runs one call. Fails with STATE_UNAVAILABLE (at once while there is no connection, else after 3 s), STATE_DAMAGED or CLOSED. */
  call<T>(doing: string, run: (redis: Redis) => Promise<T>): Promise<T>;
  /**
   * What the server calls its present run: another text than before says that it was restarted, or that another one stands in its place. Empty where it does not tell. Asked
   * once per connection; fails as `call` does.
   */
  serverRun(): Promise<string>;
  close(): Promise<void>;
}

/** Resolves when connected, or after 3 s without a connection. It never rejects: the store may come later. */
export async function openConnection(address: RedisAddress, deps: StateDeps): Promise<RedisConnection> {
  const redis = new Redis(optionsOf(address, deps));
  const link = new Link(redis, address.shown, deps);
  await link.opened();
  return link;
}

function optionsOf(address: RedisAddress, deps: StateDeps): Omit<RedisOptions, 'replyMapping'> {
  return {
    host: address.host,
    port: address.port,
    db: address.db,
    ...(address.username === undefined ? {} : { username: address.username }),
    ...(address.password === undefined ? {} : { password: address.password }),
    ...(address.tls ? { tls: { servername: address.host } } : {}),
    connectionName: 'isthmus',
    disableClientInfo: true,
    // Nothing here needs more, and it is what every Redis and every proxy before one speaks.
    protocol: 2,
    // Nothing waits for a connection: a caller that is told at once tries again with newer checkpoints.
    enableOfflineQueue: false,
    // Commands that lost their connection are given up with it. Sent again later they could undo newer ones.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: CALL_MILLIS,
    socketTimeout: SILENCE_MILLIS,
    connectTimeout: CONNECT_MILLIS,
    disconnectTimeout: GOODBYE_MILLIS,
    retryStrategy: (times) => {
      const step = Math.min(RETRY_MAX_MILLIS, RETRY_MIN_MILLIS * 2 ** Math.min(times - 1, 10));
      return step * (0.5 + deps.random() / 2);
    },
  };
}

class Link implements RedisConnection {
  readonly #redis: Redis;
  readonly #shown: string;
  readonly #deps: StateDeps;
  readonly #first = Promise.withResolvers<void>();
  /** Why there is no usable connection, `undefined` while there is one. */
  #trouble: string | undefined = 'not connected yet';
  /** What went wrong on the connection that is being made. */
  #failure: string | undefined;
  #reported = false;
  #calls = 0;
  #serverRun: Promise<string> | undefined;
  #closed = false;

  constructor(redis: Redis, shown: string, deps: StateDeps) {
    this.#redis = redis;
    this.#shown = shown;
    this.#deps = deps;
    redis.on('connect', () => (this.#failure = undefined));
    redis.on('error', (error: Error) => (this.#failure = hinted(error.message)));
    redis.on('ready', () => this.#ready());
    redis.on('close', () => this.#lost());
  }

  async opened(): Promise<void> {
    const given = new AbortController();
    await Promise.race([this.#first.promise, this.#deps.clock.sleep(FIRST_CONNECTION_MILLIS, given.signal)]);
    given.abort();
  }

  async call<T>(doing: string, run: (redis: Redis) => Promise<T>): Promise<T> {
    if (this.#closed) throw new IsthmusError('CLOSED', `${doing} in ${this.#shown}: it was closed`);
    if (this.#trouble !== undefined) throw this.#unavailable(doing, this.#trouble);
    if (this.#calls >= MAX_CALLS) throw this.#unavailable(doing, `${MAX_CALLS} calls wait for an answer already`);
    this.#calls++;
    try {
      return await run(this.#redis);
    } catch (error) {
      throw this.#meaning(doing, error);
    } finally {
      this.#calls--;
    }
  }

  serverRun(): Promise<string> {
    if (this.#serverRun !== undefined) return this.#serverRun;
    const asked = this.call('asking for the run', async (redis) => {
      const told = await redis.info('server').catch((error: unknown) => {
        // A user who may not ask.
        if (error instanceof Error && error.message.startsWith('NOPERM')) return '';
        throw error;
      });
      return /^run_id:(\w+)/m.exec(told)?.[1] ?? '';
    });
    this.#serverRun = asked;
    asked.catch(() => {
      if (this.#serverRun === asked) this.#serverRun = undefined;
    });
    return asked;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // Not QUIT: what has no answer by now is of no use any more.
    this.#redis.disconnect();
  }

  #ready(): void {
    // A connection whose SELECT was refused becomes ready all the same, on database 0: nothing may be written there.
    if (this.#failure !== undefined) {
      this.#redis.disconnect(true);
      return;
    }
    this.#trouble = undefined;
    this.#reported = false;
    this.#first.resolve();
    this.#deps.log.info('state-connected', { store: this.#shown });
  }

  #lost(): void {
    this.#serverRun = undefined;
    this.#trouble = this.#failure ?? 'the connection was lost';
    if (this.#closed || this.#reported) return;
    this.#reported = true;
    this.#deps.log.warn('state-unavailable', { store: this.#shown, reason: this.#trouble });
  }

  #unavailable(doing: string, reason: string): IsthmusError {
    return new IsthmusError('STATE_UNAVAILABLE', `${doing} in ${this.#shown}: ${reason}`);
  }

  /** Errors of ioredis carry the command with its arguments, AUTH with the password: only their text goes on. */
  #meaning(doing: string, error: unknown): IsthmusError {
    if (error instanceof IsthmusError) return error;
    const reason = error instanceof Error ? error.message : String(error);
    if (this.#closed) return new IsthmusError('CLOSED', `${doing} in ${this.#shown}: it was closed`);
    if (reason.startsWith('WRONGTYPE')) return damaged(`${this.#shown} (${doing}: ${reason})`);
    return this.#unavailable(doing, hinted(this.#trouble ?? reason));
  }
}

function hinted(reason: string): string {
  if (/^(WRONGPASS|NOAUTH|ERR invalid password)/.test(reason)) return `${reason} (check user and password in \`state\`)`;
  if (reason.includes('DB index is out of range')) return `${reason} (check the database number in \`state\`)`;
  if (reason.startsWith('READONLY')) return `${reason} (name the primary in \`state\`)`;
  return reason;
}
