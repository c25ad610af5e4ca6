import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BrokerPool } from '../../../../../src/drivers/pulsar/net/broker-pool.ts';
import { credentialsOf } from '../../../../../src/drivers/pulsar/net/credentials.ts';
import { openProducer } from '../../../../../src/drivers/pulsar/net/producer.ts';
import type { PulsarAuthOptions } from '../../../../../src/drivers/pulsar/options.ts';
import { COMMAND, commandFrame } from '../../../../../src/drivers/pulsar/wire/command.ts';
import { encodeLookup } from '../../../../../src/drivers/pulsar/wire/lookup.ts';
import { PING } from '../../../../../src/drivers/pulsar/wire/ping.ts';
import { ProtoWriter } from '../../../../../src/drivers/pulsar/wire/protobuf.ts';
import type { IsthmusError } from '../../../../../src/errors.ts';
import { memoryLog } from '../../../../kit/pulsar-writing.ts';
import { type FakeBroker, failureOf, fakeBroker, lookupAnswer, type ManualClock, manualClock } from '../fake-broker.ts';
import { golden } from '../wire/golden.ts';

const REDIRECT = 0;
const CONNECT = 1;
const FAILED = 2;

let brokers: FakeBroker[];
let pools: BrokerPool[];
let clock: ManualClock;

beforeEach(async () => {
  brokers = [await fakeBroker(), await fakeBroker()];
  pools = [];
  clock = manualClock();
});

afterEach(async () => {
  for (const pool of pools) pool.close();
  await Promise.all(brokers.map(async (each) => await each.close()));
});

function broker(n = 0): FakeBroker {
  const found = brokers[n];
  if (found === undefined) throw new Error(`no broker ${n}`);
  return found;
}

function open(serviceUrl = broker().url, auth?: PulsarAuthOptions, listenerName?: string): BrokerPool {
  const pool = new BrokerPool(
    { serviceUrl, tls: undefined, listenerName },
    { clock, log: memoryLog([]), credentials: credentialsOf(auth) },
  );
  pools.push(pool);
  return pool;
}

function typesOf({ received }: FakeBroker): number[] {
  return received.map(({ type }) => type);
}

describe('a look-up', () => {
  it('asks for the listener and ends at the broker that is named', async () => {
    broker().on(COMMAND.lookup, (fields) => lookupAnswer(fields.get(2), { kind: CONNECT, url: broker(1).url }));
    const connection = await open(broker().url, undefined, 'external').locate('t');
    expect(connection.endpoint.port).toBe(broker(1).port);
    expect(broker().received[1]?.fields.get(7)).toBe('external');
  });

  it('follows redirects, with the authority that they give', async () => {
    broker().on(COMMAND.lookup, (fields) =>
      lookupAnswer(fields.get(2), { kind: REDIRECT, url: broker(1).url, authoritative: true }),
    );
    broker(1).on(COMMAND.lookup, (fields) => lookupAnswer(fields.get(2), { kind: CONNECT, url: broker(1).url }));
    const connection = await open().locate('t');
    expect(connection.endpoint.port).toBe(broker(1).port);
    expect(broker().received.at(-1)?.fields.get(3)).toBe(0);
    expect(broker(1).received.at(-1)?.fields.get(3)).toBe(1);
  });

  it('gives up going in circles', async () => {
    for (const [n, other] of [
      [0, 1],
      [1, 0],
    ] as const) {
      broker(n).on(COMMAND.lookup, (fields) => lookupAnswer(fields.get(2), { kind: REDIRECT, url: broker(other).url }));
    }
    await expect(open().locate('t')).rejects.toMatchObject({
      code: 'BROKER_BUSY',
      message: expect.stringContaining('redirects'),
    });
    expect(typesOf(broker()).length + typesOf(broker(1)).length).toBeLessThan(30);
  });

  it('goes through the service URL where there is a proxy, on a connection for that broker alone', async () => {
    broker().on(COMMAND.lookup, (fields) =>
      lookupAnswer(fields.get(2), { kind: CONNECT, url: 'pulsar://hidden:6650', proxied: true }),
    );
    const pool = open();
    const connection = await pool.locate('t');
    expect(connection.endpoint.port).toBe(broker().port);
    expect(connection).not.toBe(await pool.service());
    expect(
      broker()
        .received.filter(({ type }) => type === COMMAND.connect)
        .map(({ fields }) => fields.get(6)),
    ).toEqual([undefined, 'hidden:6650']);
    expect(await pool.locate('other')).toBe(connection);
  });

  it('says what the broker says', async () => {
    broker().on(COMMAND.lookup, (fields) => lookupAnswer(fields.get(2), { kind: FAILED, error: 4 }));
    await expect(open().locate('t')).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
      message: 'looking up t: AuthorizationError: because',
    });
  });

  it('refuses a broker without TLS in a cluster with it, and the other way round', async () => {
    broker().on(COMMAND.lookup, (fields) => lookupAnswer(fields.get(2), { kind: CONNECT, url: 'pulsar+ssl://b:6651' }));
    await expect(open().locate('t')).rejects.toMatchObject({ code: 'PROTOCOL_VIOLATION' });
  });
});

describe('connections', () => {
  it('try one service host after the other, and stay with the one that works', async () => {
    const pool = open(`pulsar://127.0.0.1:1,127.0.0.1:${broker(1).port}`);
    const [first, second] = [await pool.service(), await pool.service()];
    expect(first.endpoint.port).toBe(broker(1).port);
    expect(second).toBe(first);
  });

  it('are shared by everybody, and made anew after their end', async () => {
    const pool = open();
    const [a, b] = await Promise.all([pool.service(), pool.service()]);
    expect(a).toBe(b);
    expect(broker().connections).toBe(1);
    const waiting = a.request('success', 'waiting', () => PING);
    broker().cut();
    await expect(waiting).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
    expect(await pool.service()).not.toBe(a);
  });

  it('fail with what the broker says to CONNECT', async () => {
    broker().on(COMMAND.connect, () => golden('error'));
    await expect(open().service()).rejects.toMatchObject({
      code: 'BROKER_BUSY',
      message: expect.stringContaining('ServiceNotReady: later'),
    });
  });

  it('fail when CONNECT stays without an answer', async () => {
    broker().on(COMMAND.connect, () => undefined);
    const opening = open().service();
    const failure = failureOf(opening);
    await vi.waitFor(() => expect(typesOf(broker())).toEqual([COMMAND.connect]));
    clock.advance(10_000);
    expect(await failure).toMatchObject({ code: 'REQUEST_TIMEOUT' });
  });

  it('answer pings, send pings, and end when nothing is heard', async () => {
    const pool = open();
    const connection = await pool.service();
    broker().sendAll(PING);
    await vi.waitFor(() => expect(typesOf(broker())).toContain(COMMAND.pong));
    clock.advance(30_000);
    await vi.waitFor(() => expect(typesOf(broker())).toContain(COMMAND.ping));
    broker().sendAll(golden('pong'));
    // A frame of any kind says that the broker lives.
    await vi.waitFor(() => {
      clock.advance(0);
      expect(connection.alive).toBe(true);
    });
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(60_000);
    await vi.waitFor(() => expect(connection.alive).toBe(false));
  });

  it('end requests that get no answer, and ignore the answer that comes too late', async () => {
    const connection = await open().service();
    let late = 0;
    const asking = connection.request('success', 'asking', (id) => {
      late = id;
      return PING;
    });
    const failure = failureOf(asking);
    clock.advance(30_000);
    expect(await failure).toMatchObject({ code: 'REQUEST_TIMEOUT', message: expect.stringContaining('asking') });
    broker().sendAll(commandFrame(COMMAND.success, new ProtoWriter().int(1, late)));
    broker().on(COMMAND.lookup, (fields) => lookupAnswer(fields.get(2), { kind: CONNECT, url: broker().url }));
    await connection.request('lookupResponse', 'again', (id) =>
      encodeLookup(id, { topic: 't', authoritative: false, listenerName: undefined }),
    );
    expect(connection.alive).toBe(true);
  });

  it('refuse an answer of the wrong kind, and more requests than they can keep', async () => {
    const connection = await open().service();
    broker().on(COMMAND.lookup, (fields) => commandFrame(COMMAND.success, new ProtoWriter().int(1, Number(fields.get(2)))));
    await expect(open().locate('t')).rejects.toMatchObject({ code: 'PROTOCOL_VIOLATION' });
    const asked = Array.from({ length: 1001 }, async () => await connection.request('success', 'asking', () => PING));
    const last = asked.at(-1);
    await expect(last).rejects.toMatchObject({ code: 'BROKER_BUSY' });
    connection.destroy();
    const codes = (await Promise.allSettled(asked)).map((each) =>
      each.status === 'rejected' ? (each.reason as IsthmusError).code : 'resolved',
    );
    expect(new Set(codes)).toEqual(new Set(['CLOSED', 'BROKER_BUSY']));
  });

  it.each([
    ['a frame that is no command', '00000004ffffffff'],
    ['a length beyond all reason', 'ffffffff'],
    ['a command cut short', '000000070000000308073a'],
  ])('end at %s', async (_, bytes) => {
    const connection = await open().service();
    const waiting = connection.request('success', 'waiting', () => PING);
    const failure = failureOf(waiting);
    broker().sendAll(Buffer.from(bytes, 'hex'));
    expect(await failure).toMatchObject({ code: expect.stringMatching(/PROTOCOL_VIOLATION|FRAME_TOO_LARGE/) });
    expect(connection.alive).toBe(false);
  });
});

describe('credentials', () => {
  it('from a file are read again when the broker asks for fresh ones', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'isthmus-token-'));
    const path = join(directory, 'token');
    await writeFile(path, 'first\n');
    await open(broker().url, { kind: 'token-file', path }).service();
    expect(broker().received[0]?.fields.get(3)).toBe('first');
    expect(broker().received[0]?.fields.get(5)).toBe('token');
    await writeFile(path, 'second\n');
    broker().sendAll(golden('authChallenge'));
    await vi.waitFor(() =>
      expect(
        broker()
          .received.find(({ type }) => type === COMMAND.authResponse)
          ?.fields.get(2),
      ).toContain('second'),
    );
    rmSync(directory, { recursive: true });
  });

  it('that cannot be read end the opening, without a word of what they are', async () => {
    const auth = { kind: 'token-file', path: '/nowhere/token' } as const;
    await expect(open(broker().url, auth).service()).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
      message: expect.stringContaining('/nowhere/token'),
    });
  });

  it('of TLS are the certificate alone', async () => {
    await open(broker().url, { kind: 'tls' }).service();
    expect(broker().received[0]?.fields.get(5)).toBe('tls');
  });
});

describe('a producer', () => {
  const silent = { receipt: () => undefined, sendError: () => undefined, closed: () => undefined };

  it('whose opening timed out is closed, or the broker would refuse its name to the next try', async () => {
    const connection = await open().service();
    const opening = openProducer(connection, { topic: 't', name: 'n', epoch: 0, events: silent });
    const failure = failureOf(opening);
    await vi.waitFor(() => expect(typesOf(broker())).toContain(COMMAND.producer));
    clock.advance(30_000);
    expect(await failure).toMatchObject({ code: 'REQUEST_TIMEOUT' });
    await vi.waitFor(() => expect(typesOf(broker())).toContain(COMMAND.closeProducer));
  });

  it('hears that it was closed, once, while others on the connection go on', async () => {
    const ids: number[] = [];
    broker().on(COMMAND.producer, (fields) => {
      ids.push(Number(fields.get(2)));
      return commandFrame(
        COMMAND.producerSuccess,
        new ProtoWriter()
          .int(1, Number(fields.get(3)))
          .string(2, 'n')
          .int(3, -1),
      );
    });
    const connection = await open().service();
    const closed: string[] = [];
    for (const name of ['a', 'b']) {
      await openProducer(connection, {
        topic: 't',
        name,
        epoch: 0,
        events: { ...silent, closed: (error) => void closed.push(`${name} ${error.code}`) },
      });
    }
    const close = commandFrame(COMMAND.closeProducer, new ProtoWriter().int(1, ids[0] ?? 0).int(2, -1));
    broker().sendAll(Buffer.concat([close, close]));
    await vi.waitFor(() => expect(closed).toEqual(['a BROKER_BUSY']));
    broker().cut();
    await vi.waitFor(() => expect(closed).toEqual(['a BROKER_BUSY', 'b CONNECTION_LOST']));
  });
});
