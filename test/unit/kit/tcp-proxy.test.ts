import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pulsarDiskFull, rocketmqDiskFull } from '../../kit/refusals.ts';
import { type TcpProxy, tcpProxy } from '../../kit/tcp-proxy.ts';

// The proxy makes the faults of other tests; here it is looked at itself, with a server that answers each line with "re:" in front.

let server: Server;
let proxy: TcpProxy;
let heard: string;
const clients: Socket[] = [];

beforeEach(async () => {
  heard = '';
  server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.setEncoding('utf8').on('data', (text: string) => {
      heard += text;
      socket.write(`re:${text}`);
    });
    socket.on('end', () => socket.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  proxy = await tcpProxy({ target: { host: '127.0.0.1', port: address.port }, rewrite: ['east', 'west'] });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await proxy.close();
  await new Promise((resolve) => server.close(resolve));
});

type Client = { readonly socket: Socket; text: string; ended: boolean };

async function open(): Promise<Client> {
  const socket = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true });
  const client: Client = { socket, text: '', ended: false };
  clients.push(socket);
  socket.setEncoding('utf8').on('data', (text: string) => void (client.text += text));
  socket.on('error', () => undefined);
  socket.once('end', () => void (client.ended = true));
  await once(socket, 'connect');
  return client;
}

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !holds(); i++) await sleep(10);
  expect(holds()).toBe(true);
}

describe('the proxy', () => {
  it('passes both ways in order, and rewrites answers', async () => {
    const client = await open();
    for (let i = 0; i < 100; i++) client.socket.write(`${i},`);
    client.socket.write('east.');
    await until(() => client.text.replaceAll('re:', '').endsWith('west.'));
    expect(heard).toBe(`${Array.from({ length: 100 }, (_, i) => `${i},`).join('')}east.`);
    client.socket.end();
    await until(() => client.ended);
  });

  it('delays without losing or turning anything round', async () => {
    const client = await open();
    proxy.delay(50);
    for (const letter of 'abcdef') client.socket.write(letter);
    expect(heard).toBe('');
    await until(() => client.text.replaceAll('re:', '') === 'abcdef');
  });

  it('stalls one way alone', async () => {
    const client = await open();
    proxy.stall('server', true);
    client.socket.write('a');
    await until(() => heard === 'a');
    await sleep(50);
    expect(client.text).toBe('');
    proxy.stall('server', false);
    await until(() => client.text === 're:a');
    proxy.stall('client', true);
    client.socket.write('b');
    await sleep(50);
    expect(heard).toBe('a');
    proxy.stall('client', false);
    await until(() => heard === 'ab');
  });

  it('loses answers to what was done, and passes them again after a cut', async () => {
    const first = await open();
    proxy.dropReplies();
    first.socket.write('a');
    await until(() => heard === 'a');
    await sleep(50);
    expect(first.text).toBe('');
    proxy.cut();
    await until(() => first.ended);
    const second = await open();
    second.socket.write('b');
    await until(() => second.text === 're:b');
  });

  it('closes one half while the other half still passes', async () => {
    const client = await open();
    client.socket.write('early');
    await until(() => client.text === 're:early');
    proxy.halfClose('client');
    await until(() => client.ended);
    client.socket.write('late');
    await until(() => heard === 'earlylate');
    expect(client.text).toBe('re:early');
  });

  it('lets a sender wait for a reader that does not read, and passes it all once it does', async () => {
    const warnings: string[] = [];
    const note = ({ name }: Error): void => void warnings.push(name);
    process.on('warning', note);
    const accepted = new Promise<Socket>((resolve) => server.removeAllListeners('connection').once('connection', resolve));
    const client = await open();
    const reader = await accepted;
    clients.push(reader);
    // More than the proxy holds back and the machine keeps for four sockets.
    const bytes = 96 * 2 ** 20;
    const chunk = Buffer.alloc(2 ** 16);
    for (let written = 0; written < bytes; written += chunk.length) client.socket.write(chunk);
    for (let [before, still] = [-1, 0]; still < 20; before = client.socket.writableLength) {
      await sleep(10);
      still = client.socket.writableLength === before ? still + 1 : 0;
    }
    expect(client.socket.writableLength).toBeGreaterThan(0);
    let received = 0;
    reader.on('data', ({ length }) => void (received += length));
    await until(() => received === bytes);
    process.off('warning', note);
    expect(warnings).toEqual([]);
  }, 30_000);

  it('ends new connections while it is shut', async () => {
    proxy.shut(true);
    const client = await open();
    await until(() => client.ended);
    expect(heard).toBe('');
    proxy.shut(false);
    const next = await open();
    next.socket.write('a');
    await until(() => next.text === 're:a');
  });
});

describe('the answers of brokers whose disks are full', () => {
  const frame = (header: Buffer, rest = ''): Buffer => {
    const lengths = Buffer.alloc(8);
    lengths.writeUInt32BE(4 + header.length + rest.length, 0);
    lengths.writeUInt32BE(header.length, 4);
    return Buffer.concat([lengths, header, Buffer.from(rest)]);
  };

  it('refuse the writes of RocketMQ alone, each by its number', () => {
    const request = (code: number): Buffer => frame(Buffer.from(JSON.stringify({ code, opaque: 77, flag: 0 })), 'body');
    expect(rocketmqDiskFull(request(11))).toBeUndefined();
    const answer = rocketmqDiskFull(request(310)) ?? Buffer.alloc(8);
    expect(answer.readUInt32BE(0)).toBe(answer.length - 4);
    expect(JSON.parse(answer.toString('utf8', 8))).toMatchObject({ code: 14, opaque: 77, flag: 1 });
    const binary = frame(Buffer.from([1, 54, 9, 1, 157, 0, 0, 0, 78, 0, 0, 0, 0]), 'body');
    binary[4] = 1;
    expect(JSON.parse((rocketmqDiskFull(binary) ?? answer).toString('utf8', 8))).toMatchObject({ code: 14, opaque: 78 });
  });

  it('refuse the writes of Pulsar alone, each by its producer and number', () => {
    expect(pulsarDiskFull(frame(Buffer.from([8, 18])))).toBeUndefined();
    // SEND of producer 5 with the sequence id 300.
    const answer = pulsarDiskFull(frame(Buffer.from([8, 6, 50, 5, 8, 5, 16, 0xac, 2]), 'payload')) ?? Buffer.alloc(8);
    expect(answer.readUInt32BE(0)).toBe(answer.length - 4);
    expect([...answer.subarray(8, 19)]).toEqual([8, 8, 66, answer.length - 12, 8, 5, 16, 0xac, 2, 24, 2]);
  });

  it('reach the client in place of the server, whatever the reads tear apart', async () => {
    await proxy.close();
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const target = { host: '127.0.0.1', port: address.port };
    proxy = await tcpProxy({
      target,
      refusal: (each) => (each.includes('no') ? Buffer.from('refused;') : undefined),
    });
    const client = await open();
    const send = (text: string): void =>
      void client.socket.write(Buffer.concat([Buffer.from([0, 0, 0, text.length]), Buffer.from(text)]));
    send('no1');
    await until(() => heard.endsWith('no1'));
    proxy.refuse(true);
    client.socket.write(Buffer.from([0, 0]));
    await sleep(20);
    client.socket.write(Buffer.from([0, 3, 0x6e, 0x6f, 0x32]));
    send('yes');
    await until(() => heard.endsWith('yes'));
    expect(heard).not.toContain('no2');
    await until(() => client.text.includes('refused;'));
  });
});
