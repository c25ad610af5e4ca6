import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import type { IsthmusError } from '../../../src/errors.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { type Connection, connect, type TlsOptions } from '../../../src/wire/connection.ts';

/** Far more than the buffers of two ends hold. */
const BYTES = 24_000_000;

interface Peer {
  readonly port: number;
  /** The first connection, which reads nothing until it is resumed. */
  readonly socket: Promise<net.Socket>;
  /** How the connection ended for the peer, once it has read all that came. */
  readonly ended: Promise<string>;
}

const cleanups: (() => void)[] = [];

afterEach(() => {
  for (const each of cleanups.splice(0)) each();
});

async function peer(make: (take: (socket: net.Socket) => void) => net.Server): Promise<Peer> {
  const socket = Promise.withResolvers<net.Socket>();
  const ended = Promise.withResolvers<string>();
  const server = make((taken) => {
    taken.pause();
    taken.once('error', (error: NodeJS.ErrnoException) => ended.resolve(error.code ?? error.message));
    taken.once('end', () => ended.resolve('end'));
    socket.resolve(taken);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(
    () => void socket.promise.then((taken) => taken.destroy()),
    () => server.close(),
  );
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    socket: socket.promise,
    ended: ended.promise,
  };
}

function plainPeer(): Promise<Peer> {
  return peer((take) => net.createServer({ allowHalfOpen: true }, take));
}

async function tlsPeer(): Promise<Peer & { readonly ca: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'isthmus-tls-'));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const make = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost';
  execFileSync('openssl', [...make.split(' '), '-keyout', key, '-out', cert], { stdio: 'ignore' });
  const ca = readFileSync(cert, 'utf8');
  return { ...(await peer((take) => tls.createServer({ key: readFileSync(key), cert: ca }, take))), ca };
}

async function open(port: number, resets: boolean, options?: TlsOptions): Promise<[Connection, Promise<IsthmusError>, string[]]> {
  const closed = Promise.withResolvers<IsthmusError>();
  const frames: string[] = [];
  const connection = await connect({
    host: '127.0.0.1',
    port,
    tls: options,
    resets,
    connectTimeoutMillis: 10_000,
    maxFrameBytes: 1_000,
    onFrame: (frame) => frames.push(frame.toString()),
    onClose: closed.resolve,
  });
  return [connection, closed.promise, frames];
}

/** Leaves bytes that the peer has not taken, and what the kernels hold of them. */
async function writeMuch(connection: Connection): Promise<void> {
  connection.write(Buffer.alloc(BYTES));
  await systemClock.sleep(200);
}

describe('a connection that resets', () => {
  it.each([
    ['', undefined, plainPeer],
    [' below TLS', { allowUntrusted: true }, tlsPeer],
  ] as const)('takes back%s what its peer has not taken, when this side gives it up', async (_, options, listen) => {
    const { port, socket, ended } = await listen();
    const [connection, closed, frames] = await open(port, true, options);
    const taken = await socket;
    taken.write(Buffer.from('\0\0\0\u0002hi'));
    while (frames.length === 0) await systemClock.sleep(5);
    expect(frames).toEqual(['hi']);
    await writeMuch(connection);
    connection.destroy();
    expect(await closed).toMatchObject({ code: 'CLOSED' });
    taken.resume();
    expect(await ended).toBe('ECONNRESET');
  });

  // A relay that is told so goes on handing over what this side had sent.
  it('does so when its peer says that it writes no more', async () => {
    const { port, socket, ended } = await plainPeer();
    const [connection, closed] = await open(port, true);
    await writeMuch(connection);
    (await socket).end();
    expect(await closed).toMatchObject({ code: 'CONNECTION_LOST', message: expect.stringContaining('closed by the peer') });
    (await socket).resume();
    expect(await ended).toBe('ECONNRESET');
  });

  it('says below TLS as well why it could not be made', async () => {
    await expect(open(1, true, { allowUntrusted: true })).rejects.toMatchObject({
      code: 'CONNECT_FAILED',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it('looks below TLS as well at whom its peer is', async () => {
    const { port, ca } = await tlsPeer();
    await expect(open(port, true, { ca })).rejects.toMatchObject({
      code: 'CONNECT_FAILED',
      message: expect.stringContaining('127.0.0.1'),
    });
  });
});

describe('a connection that does not reset', () => {
  it('delivers what the kernel has taken, also after its end', async () => {
    const { port, socket, ended } = await plainPeer();
    const [connection] = await open(port, false);
    await writeMuch(connection);
    connection.destroy();
    (await socket).resume();
    expect(await ended).toBe('end');
  });
});
