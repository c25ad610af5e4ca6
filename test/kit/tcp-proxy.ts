/** A TCP proxy that does to connections what a network between two regions does: delays, cuts, half-closes, stalls one way, loses answers. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Refusal } from './refusals.ts';

export type Side = 'client' | 'server';

export type TcpProxy = {
  readonly port: number;
  /** Ends all connections at once, in both directions. */
  cut(): void;
  /** While shut, new connections end as soon as they begin. */
  shut(shut: boolean): void;
  /** What comes from now on arrives so many milliseconds later, in both directions; 0 ends it. */
  delay(millis: number): void;
  /** Tells this side of every connection that the other one writes no more, while what it writes itself still passes. */
  halfClose(side: Side): void;
  /** While stalled, nothing of what this side sends arrives, and connections stay open; then all of it does. */
  stall(from: Side, stalled: boolean): void;
  /** From now on what the server answers is lost, until the connections are cut, which is the only end of it: what was asked for has been done all the same. */
  dropReplies(): void;
  /** While it refuses, what the option `refusal` answers does not reach the server. */
  refuse(refuses: boolean): void;
  /** The next time that a client sends this text, one bit of it arrives wrong. Texts that two reads tear apart pass unharmed. */
  damage(text: string): void;
  close(): Promise<void>;
};

export type ProxyOptions = {
  readonly target: { readonly host: string; readonly port: number };
  /** Ports to try; default: any free one. */
  readonly ports?: readonly number[];
  /** Replaces a text in what the server answers by another one of the same length, as where it names its own address. */
  readonly rewrite?: readonly [from: string, to: string];
  readonly refusal?: Refusal;
};

/** Above it a sender is told to wait. */
const maxQueuedBytes = 8 * 2 ** 20;

type Weather = {
  delayMillis: number;
  readonly stalled: Record<Side, boolean>;
  lostReplies: boolean;
  damaged: string | undefined;
  refuses: boolean;
};

/** One direction of a connection: keeps the order of what passes, whatever the weather. */
type Stream = { readonly pump: () => void; readonly stop: () => void; readonly take: (chunk: Buffer | undefined) => void };

export async function tcpProxy(options: ProxyOptions): Promise<TcpProxy> {
  const { target } = options;
  const pairs = new Set<readonly [client: Socket, server: Socket, streams: readonly Stream[]]>();
  const weather: Weather = {
    delayMillis: 0,
    stalled: { client: false, server: false },
    lostReplies: false,
    damaged: undefined,
    refuses: false,
  };
  let isShut = false;
  const listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    if (isShut) {
      client.destroy();
      return;
    }
    const server = connect({ ...target, allowHalfOpen: true, noDelay: true });
    const rewrite = rewriter(options.rewrite);
    const back = stream(server, client, 'server', weather, rewrite);
    const damage = damager(weather);
    const refuse = refuser(options.refusal, weather, back);
    const streams = [stream(client, server, 'client', weather, (chunk) => damage(refuse(chunk))), back];
    const pair = [client, server, streams] as const;
    pairs.add(pair);
    for (const each of [client, server]) {
      // The other side's end and error both end in 'close'.
      each.on('error', () => undefined);
      each.once('close', () => {
        pairs.delete(pair);
        for (const one of streams) one.stop();
        client.destroy();
        server.destroy();
      });
    }
  });
  const port = await listen(listener, options.ports ?? [0]);
  const pumpAll = (): void => {
    for (const [, , streams] of pairs) for (const each of streams) each.pump();
  };
  const cut = (): void => {
    for (const [client, server] of pairs) for (const each of [client, server]) each.destroy();
    weather.lostReplies = false;
  };
  return {
    port,
    cut,
    shut: (shut) => {
      isShut = shut;
    },
    delay: (millis) => {
      weather.delayMillis = millis;
    },
    halfClose: (side) => {
      for (const [client, server] of pairs) (side === 'client' ? client : server).end();
    },
    stall: (from, stalled) => {
      weather.stalled[from] = stalled;
      pumpAll();
    },
    refuse: (refuses) => {
      weather.refuses = refuses;
    },
    dropReplies: () => {
      weather.lostReplies = true;
    },
    damage: (text) => {
      weather.damaged = text;
    },
    close: async () => {
      cut();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

function stream(
  source: Socket,
  sink: Socket,
  from: Side,
  weather: Weather,
  rewrite: (chunk: Buffer) => Buffer = (chunk) => chunk,
): Stream {
  // An undefined chunk is the end.
  const queue: { readonly chunk: Buffer | undefined; readonly due: number }[] = [];
  let queuedBytes = 0;
  let timer: NodeJS.Timeout | undefined;
  const pump = (): void => {
    clearTimeout(timer);
    while (queue[0] !== undefined && !weather.stalled[from] && !sink.writableNeedDrain) {
      const wait = queue[0].due - performance.now();
      if (wait > 0) {
        timer = setTimeout(pump, wait);
        return;
      }
      const chunk = queue.shift()?.chunk;
      queuedBytes -= chunk?.length ?? 0;
      const lost = (from === 'server' && weather.lostReplies) || sink.writableEnded || sink.destroyed;
      if (chunk === undefined) sink.end();
      else if (!lost) sink.write(chunk);
    }
    if (queuedBytes < maxQueuedBytes && source.isPaused()) source.resume();
  };
  const take = (chunk: Buffer | undefined): void => {
    queue.push({ chunk, due: performance.now() + weather.delayMillis });
    queuedBytes += chunk?.length ?? 0;
    if (queuedBytes >= maxQueuedBytes) source.pause();
    pump();
  };
  source.on('data', (chunk: Buffer) => {
    const passed = rewrite(chunk);
    if (passed.length > 0) take(passed);
  });
  source.once('end', () => take(undefined));
  // Once for all: what comes while the sink is full calls for a pump as well, each of which would wait with a listener of its own.
  sink.on('drain', pump);
  return { pump, take, stop: () => clearTimeout(timer) };
}

function damager(weather: Weather): (chunk: Buffer) => Buffer {
  return (chunk) => {
    const at = weather.damaged === undefined ? -1 : chunk.indexOf(weather.damaged);
    if (at < 0) return chunk;
    weather.damaged = undefined;
    chunk[at] = (chunk[at] ?? 0) ^ 1;
    return chunk;
  };
}

/** Passes whole frames on, but for those that are refused, whose answers go back. */
function refuser(refusal: Refusal | undefined, weather: Weather, back: Stream): (chunk: Buffer) => Buffer {
  if (refusal === undefined) return (chunk) => chunk;
  let rest = Buffer.alloc(0);
  return (chunk) => {
    const all = Buffer.concat([rest, chunk]);
    const passed: Buffer[] = [];
    let at = 0;
    while (all.length - at >= 4 && all.length - at >= 4 + all.readUInt32BE(at)) {
      const frame = all.subarray(at, at + 4 + all.readUInt32BE(at));
      const answer = weather.refuses ? refusal(frame) : undefined;
      if (answer === undefined) passed.push(frame);
      else back.take(answer);
      at += frame.length;
    }
    rest = all.subarray(at);
    return Buffer.concat(passed);
  };
}

/** Texts that two reads tear apart are missed: for small answers alone. */
function rewriter(rule: ProxyOptions['rewrite']): (chunk: Buffer) => Buffer {
  if (rule === undefined) return (chunk) => chunk;
  const [from, to] = rule.map((text) => Buffer.from(text));
  if (from === undefined || to === undefined || from.length !== to.length) {
    throw new Error(`${rule.join(' and ')} have different lengths`);
  }
  return (chunk) => {
    for (let at = chunk.indexOf(from); at >= 0; at = chunk.indexOf(from, at + to.length)) to.copy(chunk, at);
    return chunk;
  };
}

async function listen(server: Server, ports: readonly number[]): Promise<number> {
  for (const wanted of ports) {
    const listening = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(wanted, '127.0.0.1', () => resolve(true));
    });
    server.removeAllListeners('error');
    const address = server.address();
    if (listening && address !== null && typeof address !== 'string') return address.port;
  }
  throw new Error('the proxy has no port');
}
