import net from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { IsthmusError } from '../../../src/errors.ts';
import { type Connection, type ConnectionOptions, connect } from '../../../src/wire/connection.ts';

function framed(body: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(Buffer.byteLength(body));
  return Buffer.concat([length, Buffer.from(body)]);
}

describe('a connection', () => {
  let server: net.Server;
  let peer: Promise<net.Socket>;
  let port: number;
  let frames: string[];
  let closed: Promise<IsthmusError>;

  beforeEach(async () => {
    const accepted = Promise.withResolvers<net.Socket>();
    peer = accepted.promise;
    server = net.createServer((socket) => accepted.resolve(socket.on('error', () => socket.destroy())));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    port = typeof address === 'object' && address !== null ? address.port : 0;
  });

  afterEach(async () => {
    server.close();
  });

  function open(options: Partial<ConnectionOptions> = {}): Promise<Connection> {
    frames = [];
    const ended = Promise.withResolvers<IsthmusError>();
    closed = ended.promise;
    return connect({
      host: '127.0.0.1',
      port,
      connectTimeoutMillis: 5_000,
      maxFrameBytes: 1_000,
      onFrame: (frame) => frames.push(frame.toString()),
      onClose: ended.resolve,
      ...options,
    });
  }

  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setImmediate(resolve));
  }

  it('hands over frames, whatever pieces they come in', async () => {
    const connection = await open();
    const socket = await peer;
    socket.setNoDelay(true);
    for (const byte of framed('one')) {
      socket.write(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.write(Buffer.concat([framed('two'), framed('three')]));
    await until(() => frames.length === 3);
    expect(frames).toEqual(['one', 'two', 'three']);
    connection.destroy();
  });

  it('hands over a frame that is larger than its read buffer', async () => {
    const connection = await open({ maxFrameBytes: 4_000_000 });
    const body = 'x'.repeat(3_000_000);
    (await peer).write(framed(body));
    await until(() => frames.length === 1);
    expect(frames[0]).toBe(body);
    connection.destroy();
  });

  it('takes the memory of frames from where it is told to', async () => {
    const asked: number[] = [];
    const connection = await open({
      allocate: (bytes) => {
        asked.push(bytes);
        return Buffer.alloc(bytes);
      },
    });
    (await peer).write(framed('four'));
    await until(() => frames.length === 1);
    expect(asked).toEqual([4]);
    connection.destroy();
  });

  it('writes in order and says when the bytes may change', async () => {
    const connection = await open();
    const seen: Buffer[] = [];
    (await peer).on('data', (chunk: Buffer) => seen.push(chunk));
    const done = new Promise<void>((resolve) => connection.write(Buffer.from('c'), resolve));
    connection.write(Buffer.from('d'));
    await done;
    await until(() => Buffer.concat(seen).length === 2);
    expect(Buffer.concat(seen).toString()).toBe('cd');
    connection.destroy();
  });

  it('writes what lies side by side in memory as one, and all in order', async () => {
    const connection = await open();
    const seen: Buffer[] = [];
    (await peer).on('data', (chunk: Buffer) => seen.push(chunk));
    const memory = Buffer.from('abcdefgh');
    for (const [start, end] of [
      [0, 2],
      [2, 3],
      [5, 8],
      [3, 5],
    ] as const)
      connection.write(memory.subarray(start, end));
    expect(connection.pendingBytes).toBe(8);
    const done = new Promise<void>((resolve) => connection.write(memory.subarray(5, 6), resolve));
    connection.write(memory.subarray(6, 7));
    await done;
    await until(() => Buffer.concat(seen).length === 10);
    expect(Buffer.concat(seen).toString()).toBe('abcfghdefg');
    connection.destroy();
  });

  it('ends with CONNECTION_LOST when the peer hangs up or resets', async () => {
    await open();
    (await peer).end();
    expect(await closed).toMatchObject({ code: 'CONNECTION_LOST', retryable: true });
  });

  it('ends with CONNECTION_LOST on a reset', async () => {
    await open();
    (await peer).resetAndDestroy();
    expect(await closed).toMatchObject({ code: 'CONNECTION_LOST' });
  });

  it('ends with CLOSED, or the given reason, when this side ends it', async () => {
    (await open()).destroy();
    expect(await closed).toMatchObject({ code: 'CLOSED' });
  });

  it('ends when the peer announces too large a frame', async () => {
    await open();
    (await peer).write(Buffer.from([0x7f, 0, 0, 0]));
    expect(await closed).toMatchObject({ code: 'FRAME_TOO_LARGE' });
  });

  it('ends when the reader of a frame throws', async () => {
    await open({
      onFrame: () => {
        throw new Error('not understood');
      },
    });
    (await peer).write(framed('x'));
    expect(await closed).toMatchObject({ code: 'PROTOCOL_VIOLATION', message: expect.stringContaining('not understood') });
  });

  it('rejects with CONNECT_FAILED where nobody listens', async () => {
    await new Promise((resolve) => server.close(resolve));
    await expect(open()).rejects.toMatchObject({ code: 'CONNECT_FAILED', retryable: true });
  });

  it('rejects with CONNECT_FAILED when the peer does not speak TLS', async () => {
    const connecting = open({ tls: { allowUntrusted: true } });
    (await peer).end('no TLS here\r\n');
    await expect(connecting).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
  });

  it('rejects with CONNECT_FAILED when the peer accepts and then says nothing of TLS', async () => {
    await expect(open({ tls: {}, connectTimeoutMillis: 50 })).rejects.toMatchObject({
      code: 'CONNECT_FAILED',
      message: expect.stringContaining('50 ms'),
    });
  });
});
