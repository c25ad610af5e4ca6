import net from 'node:net';
import tls from 'node:tls';
import { IsthmusError } from '../errors.ts';
import { FrameSplitter } from './frame-splitter.ts';

const READ_BUFFER_BYTES = 256 * 1024;

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
  /** A connection that this side destroys is reset: what it has not sent yet is dropped, instead of being delivered for as long as the network takes. Not with TLS. */
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

class FrameConnection implements Connection {
  readonly address: string;
  readonly #socket: net.Socket;
  #corked = false;
  readonly #resets: boolean;
  #reason: IsthmusError | undefined;

  constructor(address: string, socket: net.Socket, resets: boolean) {
    this.address = address;
    this.#socket = socket;
    this.#resets = resets;
  }

  get pendingBytes(): number {
    return this.#socket.writableLength;
  }

  get reason(): IsthmusError | undefined {
    return this.#reason;
  }

  write(bytes: Uint8Array, done?: () => void): void {
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(bytes, done);
  }

  destroy(error?: IsthmusError): void {
    this.#reason ??= error ?? new IsthmusError('CLOSED', `connection to ${this.address}: closed by this side`);
    if (this.#resets && !this.#socket.destroyed) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }
}

/** Connects and hands frames to `onFrame`. Rejects with CONNECT_FAILED. */
export function connect(options: ConnectionOptions): Promise<Connection> {
  const address = `${options.host}:${options.port}`;
  return new Promise((resolve, reject) => {
    // The splitter is fed from one reused read buffer: 'data' events would allocate 64 KiB for each read.
    const splitter = new FrameSplitter(options.maxFrameBytes, options.onFrame, options.allocate);
    const socket = openSocket(options, (count, buffer) => {
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
    const connection = new FrameConnection(address, socket, options.resets === true && options.tls === undefined);
    let connected = false;
    let failure: Error | undefined;
    const timer = setTimeout(
      () => socket.destroy(new Error(`no answer within ${options.connectTimeoutMillis} ms`)),
      options.connectTimeoutMillis,
    );
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
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
    socket.once('end', () => socket.destroy());
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

function openSocket(options: ConnectionOptions, onRead: (count: number, buffer: Uint8Array) => boolean): net.Socket {
  const onread = { buffer: Buffer.allocUnsafeSlow(READ_BUFFER_BYTES), callback: onRead };
  if (options.tls === undefined) return net.connect({ host: options.host, port: options.port, onread });
  const { ca, cert, key, serverName, allowUntrusted } = options.tls;
  return tls.connect({
    host: options.host,
    port: options.port,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(net.isIP(options.host) === 0 || serverName !== undefined ? { servername: serverName ?? options.host } : {}),
    rejectUnauthorized: allowUntrusted !== true,
    onread,
  } as tls.ConnectionOptions);
}
