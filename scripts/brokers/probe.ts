/** One look at a server: does it serve its users yet? Each probe answers undefined when it does, else what is missing. */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokersError } from './errors.ts';
import type { Endpoints, PulsarEndpoints, RedisEndpoints, RocketmqEndpoints } from './table.ts';

export type Check = {
  readonly probe: () => Promise<string | undefined>;
  /** Called after each probe that failed while the server starts. */
  readonly hasten?: () => Promise<void>;
};

const host = '127.0.0.1';
const probeTimeoutMs = 3_000;
const readyLimitMs = 180_000;
const pauseBetweenProbesMs = 200;

/** The check of a server itself; the namesrv of a RocketMQ cluster has {@link namesrvCheck}. */
export function serverCheck(endpoints: Endpoints): Check {
  switch (endpoints.kind) {
    case 'rocketmq':
      return {
        probe: async () => await probeRocketmqBroker(endpoints),
        hasten: async () => await askToRegister(endpoints),
      };
    case 'pulsar':
      return { probe: async () => await probePulsar(endpoints) };
    case 'redis':
      return { probe: async () => await probeRedis(endpoints) };
  }
}

export function namesrvCheck(endpoints: RocketmqEndpoints): Check {
  return { probe: async () => await exchange(endpoints.ports.namesrv, undefined, () => true) };
}

/**
 * Probes until the server serves. `ended` answers with the end of its log if it has ended.
 * Throws a {@link BrokersError} if it has, and after 3 minutes.
 */
export async function untilReady(what: string, check: Check, ended: () => Promise<string | undefined>): Promise<void> {
  const deadline = performance.now() + readyLimitMs;
  for (;;) {
    const missing = await check.probe();
    // Asked after the probe: a stranger's server on our port must not count as ours.
    const lastWords = await ended();
    if (lastWords !== undefined) throw new BrokersError(`${what} has ended before it was ready. Its last words:\n${lastWords}`);
    if (missing === undefined) return;
    if (performance.now() > deadline) throw new BrokersError(`${what} is not ready after ${readyLimitMs / 1000} s: ${missing}`);
    await check.hasten?.();
    await sleep(pauseBetweenProbesMs);
  }
}

/** Whether something listens on the port. */
export async function isListening(port: number): Promise<boolean> {
  return (await exchange(port, undefined, () => true)) === undefined;
}

/** Ready when the namesrv hands out this broker and broker and proxy accept connections. */
async function probeRocketmqBroker(endpoints: RocketmqEndpoints): Promise<string | undefined> {
  const { broker, proxyGrpc, proxyRemoting, namesrv } = endpoints.ports;
  for (const port of [broker, proxyGrpc, proxyRemoting]) {
    const missing = await exchange(port, undefined, () => true);
    if (missing !== undefined) return missing;
  }
  let registered = false;
  const missing = await exchange(namesrv, remotingRequest(106, ''), (reply) => {
    const text = reply.toString('latin1');
    registered = text.includes(`"brokerName":"${endpoints.brokerName}"`) && text.includes(endpoints.broker);
    return isWholeFrame(reply);
  });
  return missing ?? (registered ? undefined : 'not registered with the namesrv yet');
}

/**
 * Makes a broker register with its namesrv now. The registration of a starting broker is lost while its client has not
 * found the namesrv available yet, and the next one comes 10 s later; setting the permission, here to its default, sends one.
 */
async function askToRegister(endpoints: RocketmqEndpoints): Promise<void> {
  // Whether it helped is what the next probe sees.
  await exchange(endpoints.ports.broker, remotingRequest(25, 'brokerPermission=6\n'), isWholeFrame);
}

/** A remoting frame with a JSON header: 106 is GET_BROKER_CLUSTER_INFO, 25 UPDATE_BROKER_CONFIG. */
function remotingRequest(code: number, body: string): Buffer {
  const header = Buffer.from(JSON.stringify({ code, language: 'JAVA', version: 0, opaque: 1, flag: 0 }));
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(4 + header.length + body.length, 0);
  lengths.writeUInt32BE(header.length, 4);
  return Buffer.concat([lengths, header, Buffer.from(body)]);
}

function isWholeFrame(reply: Buffer): boolean {
  return reply.length >= 4 && reply.length >= 4 + reply.readUInt32BE(0);
}

async function probePulsar(endpoints: PulsarEndpoints): Promise<string | undefined> {
  // The broker reports healthy before standalone has made the namespace that everybody uses.
  for (const path of ['/admin/v2/brokers/health', '/admin/v2/namespaces/public/default']) {
    try {
      const response = await fetch(endpoints.adminUrl + path, { signal: AbortSignal.timeout(probeTimeoutMs) });
      await response.arrayBuffer();
      if (!response.ok) return `${path} answers ${response.status}`;
    } catch (error) {
      return `${path}: ${reasonOf(error)}`;
    }
  }
  return undefined;
}

async function probeRedis(endpoints: RedisEndpoints): Promise<string | undefined> {
  return await exchange(endpoints.ports.redis, Buffer.from('PING\r\n'), (reply) => reply.includes('+PONG'));
}

/** Connects, sends and reads until `accept` is content. Undefined when it was, else why not. At most 3 s and 64 KiB. */
async function exchange(
  port: number,
  request: Buffer | undefined,
  accept: (reply: Buffer) => boolean,
): Promise<string | undefined> {
  return await new Promise((resolve) => {
    const socket = connect({ host, port });
    let reply = Buffer.alloc(0);
    const finish = (missing: string | undefined): void => {
      socket.destroy();
      resolve(missing);
    };
    socket.setTimeout(probeTimeoutMs, () => finish(`port ${port} does not answer`));
    socket.on('error', (error) => finish(`port ${port}: ${reasonOf(error)}`));
    socket.on('close', () => finish(`port ${port} closed the connection`));
    socket.on('connect', () => {
      if (request === undefined) finish(undefined);
      else socket.write(request);
    });
    socket.on('data', (chunk) => {
      reply = Buffer.concat([reply, chunk]);
      if (accept(reply)) finish(undefined);
      else if (reply.length > 65_536) finish(`port ${port} answers something else`);
    });
  });
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  return 'code' in cause && cause.code === 'ECONNREFUSED' ? 'nothing listens yet' : cause.message;
}
