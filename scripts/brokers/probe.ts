/** One look at a server: does it serve its users yet? Each probe answers undefined when it does, else what is missing. */
import { connect } from 'node:net';
import type { PulsarEndpoints, RedisEndpoints, RocketmqEndpoints } from './table.ts';

export type Probe = () => Promise<string | undefined>;

const host = '127.0.0.1';
const probeTimeoutMs = 3_000;

/** Whether something listens on the port. */
export async function isListening(port: number): Promise<boolean> {
  return (await exchange(port, undefined, () => true)) === undefined;
}

export async function probeNamesrv(endpoints: RocketmqEndpoints): Promise<string | undefined> {
  return await exchange(endpoints.ports.namesrv, undefined, () => true);
}

/** Ready when the namesrv hands out this broker and broker and proxy accept connections. */
export async function probeRocketmqBroker(endpoints: RocketmqEndpoints): Promise<string | undefined> {
  const { broker, proxyGrpc, proxyRemoting, namesrv } = endpoints.ports;
  for (const port of [broker, proxyGrpc, proxyRemoting]) {
    const missing = await exchange(port, undefined, () => true);
    if (missing !== undefined) return missing;
  }
  const registered = (reply: Buffer): boolean => {
    const text = reply.toString('latin1');
    return text.includes(`"brokerName":"${endpoints.brokerName}"`) && text.includes(endpoints.broker);
  };
  const missing = await exchange(namesrv, clusterInfoRequest(), registered);
  return missing === undefined ? undefined : 'not registered with the namesrv yet';
}

/** Remoting request GET_BROKER_CLUSTER_INFO (106) with a JSON header and no body. */
function clusterInfoRequest(): Buffer {
  const header = Buffer.from(JSON.stringify({ code: 106, language: 'JAVA', version: 0, opaque: 1, flag: 0 }));
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(4 + header.length, 0);
  lengths.writeUInt32BE(header.length, 4);
  return Buffer.concat([lengths, header]);
}

export async function probePulsar(endpoints: PulsarEndpoints): Promise<string | undefined> {
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

export async function probeRedis(endpoints: RedisEndpoints): Promise<string | undefined> {
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
