import net from 'node:net';
import { COMMAND, commandFrame } from '../../../../src/drivers/pulsar/wire/command.ts';
import { ProtoWriter } from '../../../../src/drivers/pulsar/wire/protobuf.ts';
import type { Clock } from '../../../../src/spi/clock.ts';
import { FrameSplitter } from '../../../../src/wire/frame-splitter.ts';
import { decodeFrame, type IncomingCommand } from './frames.ts';

/** A peer that speaks the protocol as a test tells it to: for what a real broker does only in clusters, in trouble or with malice. */
export type FakeBroker = {
  readonly url: string;
  readonly port: number;
  /** What came, in order, `CONNECT` included. */
  readonly received: readonly Received[];
  /** Answers a command; `undefined` says nothing. CONNECT is answered unless it is taken here. */
  on(type: number, answer: Answer): void;
  /** Writes to every open connection. */
  sendAll(bytes: Buffer): void;
  /** Ends every connection. */
  cut(): void;
  readonly connections: number;
  close(): Promise<void>;
};

/** `rest` is what follows the command: the entry of a SEND. */
export type Answer = (fields: Fields, send: (bytes: Buffer) => void, rest: Buffer) => Buffer | undefined;

export type Fields = ReadonlyMap<number, number | string>;

export type Received = { readonly type: number; readonly fields: Fields };

export const CONNECTED: Buffer = commandFrame(
  COMMAND.connected,
  new ProtoWriter().string(1, 'fake').int(2, 21).int(3, 1_000_000),
);

export async function fakeBroker(): Promise<FakeBroker> {
  const received: Received[] = [];
  const answers = new Map<number, Answer>([[COMMAND.connect, () => CONNECTED]]);
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    const splitter = new FrameSplitter(2 ** 24, (frame) => {
      const command = decodeFrame(frame);
      const fields = fieldsOf(command);
      received.push({ type: command.type, fields });
      const answer = answers.get(command.type)?.(fields, (bytes) => void socket.write(bytes), command.rest);
      if (answer !== undefined) socket.write(answer);
    });
    socket.on('data', (chunk) => splitter.push(chunk));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `pulsar://127.0.0.1:${port}`,
    port,
    received,
    on: (type, answer) => void answers.set(type, answer),
    sendAll: (bytes) => {
      for (const socket of sockets) socket.write(bytes);
    },
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    get connections() {
      return sockets.size;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Numbers and texts of a command by field number; inner messages come as texts, which tests that need them may look at. */
function fieldsOf({ body }: IncomingCommand): Map<number, number | string> {
  const fields = new Map<number, number | string>();
  for (let field = body.next(); field !== 0; field = body.next()) {
    try {
      fields.set(field, body.int());
    } catch {
      // Not a number: the reader has not moved.
      fields.set(field, body.string());
    }
  }
  return fields;
}

export function lookupAnswer(
  requestId: number | string | undefined,
  answer: { kind: number; url?: string; authoritative?: boolean; proxied?: boolean; error?: number },
): Buffer {
  const body = new ProtoWriter();
  if (answer.url !== undefined) body.string(1, answer.url).string(2, '');
  body
    .int(3, answer.kind)
    .int(4, Number(requestId))
    .bool(5, answer.authoritative ?? false);
  if (answer.error !== undefined) body.int(6, answer.error).string(7, 'because');
  return commandFrame(COMMAND.lookupResponse, body.bool(8, answer.proxied ?? false));
}

export type ManualClock = Clock & { advance(millis: number): void };

/** A clock that a test moves. */
export function manualClock(): ManualClock {
  let now = 1_000_000;
  let timers: { at: number; run: () => void }[] = [];
  const timer = (millis: number, run: () => void): (() => void) => {
    const entry = { at: now + millis, run };
    timers.push(entry);
    return () => {
      timers = timers.filter((each) => each !== entry);
    };
  };
  return {
    now: () => now,
    monotonic: () => now,
    sleep: async (millis) => await new Promise((resolve) => void timer(millis, resolve)),
    timer,
    advance: (millis) => {
      const end = now + millis;
      for (;;) {
        const next = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        timers = timers.filter((each) => each !== next);
        now = next.at;
        next.run();
      }
      now = end;
    },
  };
}

/** What a promise fails with, `undefined` when it does not; watched from now on, so that it may fail before anybody awaits it. */
export function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}
