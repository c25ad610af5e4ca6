import net from 'node:net';
import tls from 'node:tls';
import { IsthmusError } from '../errors.ts';
import { FrameSplitter } from './frame-splitter.ts';

const READ_BUFFER_BYTES = 256 * 1024;
const KEEP_ALIVE_MILLIS = 30_000;

export interface TlsOptions {
  /** PEM texts. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Name that the certificate must carry, when it is not the host's. */
  readonly serverName?: string | undefined;
  /** True takes any certificate; for tests. */
  readonly allowUntrusted?: boolean | undefined;
}

export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  readonly tls?: TlsOptions | undefined;
  readonly connectTimeoutMillis: number;
  readonly maxFrameBytes: number;
  /** Memory for the frames, of exactly the asked size; fresh memory when left out. */
  readonly allocate?: ((bytes: number) => Buffer) | undefined;
  /** A connection that ends is reset by this side: what it has not sent yet is dropped, instead of being delivered for as long as the network takes. */
  readonly resets?: boolean | undefined;
  /** Gets each frame without its length field. What it throws ends the connection. */
  readonly onFrame: (frame: Buffer) => void;
  /** Called exactly once after a successful connect. */
  readonly onClose: (error: IsthmusError) => void;
}

/** A TCP or TLS connection that speaks length-prefixed frames. */
export interface Connection {
  readonly address: string;
  /** Queues bytes; several writes of one tick leave as one system call. The bytes must stay untouched until `done` is called. */
  write(bytes: Uint8Array, done?: () => void): void;
  /** Bytes queued but not yet handed to the kernel. */
  readonly pendingBytes: number;
  /** Ends the connection at once; `onClose` gets CLOSED, or `error`. */
  destroy(error?: IsthmusError): void;
}

interface Pending {
  bytes: Uint8Array;
  readonly done: (() => void) | undefined;
}

class FrameConnection implements Connection {
  readonly address: string;
  readonly #socket: net.Socket;
  readonly #end: () => void;
  /** Written in this tick. */
  #pending: Pending[] = [];
  #reason: IsthmusError | undefined;

  constructor(address: string, { socket, end }: OpenSocket) {
    this.address = address;
    this.#socket = socket;
    this.#end = end;
  }

  get pendingBytes(): number {
    return this.#pending.reduce((sum, { bytes }) => sum + bytes.length, this.#socket.writableLength);
  }

  get reason(): IsthmusError | undefined {
    return this.#reason;
  }

  write(bytes: Uint8Array, done?: () => void): void {
    const last = this.#pending.at(-1);
    if (last === undefined) process.nextTick(this.#flush);
    else if (last.done === undefined && done === undefined && follows(last.bytes, bytes)) {
      last.bytes = Buffer.from(bytes.buffer, last.bytes.byteOffset, last.bytes.length + bytes.length);
      return;
    }
    this.#pending.push({ bytes, done });
  }

  readonly #flush = (): void => {
    const pending = this.#pending;
    this.#pending = [];
    const several = pending.length > 1;
    if (several) this.#socket.cork();
    for (const { bytes, done } of pending) this.#socket.write(bytes, done);
    if (several) this.#socket.uncork();
  };

  destroy(error?: IsthmusError): void {
    this.#reason ??= error ?? new IsthmusError('CLOSED', `connection to ${this.address}: closed by this side`);
    this.#end();
  }
}

/** Whether bytes lie right behind others in memory: entries of a slab leave as one piece then, which costs a stream as much as a single one. */
function follows(before: Uint8Array, { buffer, byteOffset }: Uint8Array): boolean {
  return before.buffer === buffer && before.byteOffset + before.length === byteOffset;
}

/** Connects and hands frames to `onFrame`. Rejects with CONNECT_FAILED. */
export function connect(options: ConnectionOptions): Promise<Connection> {
  const address = `${options.host}:${options.port}`;
  return new Promise((resolve, reject) => {
    // The splitter is fed from one reused read buffer: 'data' events would allocate 64 KiB for each read.
    const splitter = new FrameSplitter(options.maxFrameBytes, options.onFrame, options.allocate);
    const opened = openSocket(options, (count, buffer) => {
      try {
        splitter.push(buffer, count);
      } catch (error) {
        connection.destroy(
          error instanceof IsthmusError
            ? error
            : new IsthmusError('PROTOCOL_VIOLATION', `reading from ${address}: ${String(error)}`, { cause: error }),
        );
        return false;
      }
      return true;
    });
    const { socket } = opened;
    const connection = new FrameConnection(address, opened);
    let connected = false;
    let failure: Error | undefined;
    const timer = setTimeout(
      () => socket.destroy(new Error(`no answer within ${options.connectTimeoutMillis} ms`)),
      options.connectTimeoutMillis,
    );
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MILLIS);
    socket.once(options.tls === undefined ? 'connect' : 'secureConnect', () => {
      clearTimeout(timer);
      if (isOwnEnd(socket)) {
        socket.destroy(new Error('nobody listens there, and the connection was made to its own end'));
        return;
      }
      connected = true;
      resolve(connection);
    });
    socket.on('error', (error) => {
      failure = error;
    });
    // A peer, or a relay, that writes no more may still take what this side has not sent.
    socket.once('end', opened.end);
    socket.once('close', () => {
      clearTimeout(timer);
      if (connected)
        options.onClose(
          connection.reason ??
            new IsthmusError('CONNECTION_LOST', `connection to ${address}: ${failure?.message ?? 'closed by the peer'}`, {
              cause: failure,
            }),
        );
      else
        reject(
          new IsthmusError('CONNECT_FAILED', `connecting to ${address}: ${failure?.message ?? 'closed by the peer'}`, {
            cause: failure,
          }),
        );
    });
  });
}

/**
 * Whether a connection is one to itself. On one machine, the port taken for an outgoing connection can happen to be the one that is called: with nobody listening
 * there it then succeeds, and keeps the server that is waited for from ever listening again.
 */
function isOwnEnd(socket: net.Socket): boolean {
  return socket.localPort === socket.remotePort && socket.localAddress === socket.remoteAddress;
}

interface OpenSocket {
  readonly socket: net.Socket;
  /** Ends it at once; what has not left is dropped where it resets. */
  readonly end: () => void;
}

type OnRead = (count: number, buffer: Uint8Array) => boolean;

function openSocket(options: ConnectionOptions, onRead: OnRead): OpenSocket {
  const { host, port, resets } = options;
  if (options.tls !== undefined) return openTls(options, options.tls, onRead);
  const socket = net.connect({ host, port, onread: readInto(onRead) });
  return { socket, end: () => endOf(socket, resets) };
}

/** The socket below that of TLS is the one that can be reset. On top of a socket of ours TLS has no reused read buffer, which matters to those who read much, and they do not reset. */
function openTls(
  options: ConnectionOptions,
  { ca, cert, key, serverName, allowUntrusted }: TlsOptions,
  onRead: OnRead,
): OpenSocket {
  const { host, port, resets } = options;
  const below =
    resets === true
      ? net.connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MILLIS })
      : undefined;
  const socket = tls.connect({
    host,
    port,
    ...(below === undefined ? { onread: readInto(onRead) } : { socket: below }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(net.isIP(host) === 0 || serverName !== undefined ? { servername: serverName ?? host } : {}),
    rejectUnauthorized: allowUntrusted !== true,
  } as tls.ConnectionOptions);
  if (below !== undefined) {
    socket.on('data', (chunk: Buffer) => onRead(chunk.length, chunk));
    // What goes wrong below, such as a refused connection, is told by TLS only as an end.
    below.on('error', (error) => socket.destroy(error));
  }
  return { socket, end: () => endOf(below ?? socket, resets) };
}

function readInto(callback: OnRead): { readonly buffer: Uint8Array; readonly callback: OnRead } {
  return { buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES), callback };
}

function endOf(socket: net.Socket, resets: boolean | undefined): void {
  if (resets === true && !socket.destroyed) socket.resetAndDestroy();
  else socket.destroy();
}
