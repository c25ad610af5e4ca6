import { IsthmusError, toIsthmusError } from '../../errors.ts';
import type { Clock } from '../../spi/clock.ts';
import { type Connection, connect, type TlsOptions } from '../../wire/connection.ts';
import type { Endpoint } from '../../wire/endpoint.ts';
import { ResponseCode } from './wire/codes.ts';
import { type Command, decodeCommand, encodeJson, FLAG_ANSWER, FLAG_ONEWAY } from './wire/command.ts';

/** RocketMQ's own limit for a frame is 16 MiB on both ends; a broker may be configured to send more. */
const MAX_FRAME_BYTES = 32 * 1024 * 1024;
const CONNECT_TIMEOUT_MILLIS = 5_000;
/** Far above what all lanes of a process can have under way at one broker. */
const MAX_IN_FLIGHT = 16_384;
const SWEEP_MILLIS = 500;
const MAX_OPAQUE = 0x7fffffff;

/** Makes the frame of a request with this number, in one piece or several; they must stay untouched until it is answered. */
export type Encode = (opaque: number) => Buffer | readonly Buffer[];
/** Gets the answer, or why there is none. */
export type OnAnswer = (answer: Command | undefined, error: IsthmusError | undefined) => void;

interface Pending {
  readonly onAnswer: OnAnswer;
  readonly sentAt: number;
  readonly deadline: number;
}

export interface RemotingOptions {
  readonly endpoint: Endpoint;
  readonly tls: TlsOptions | undefined;
  readonly clock: Clock;
  readonly resets: boolean;
  readonly allocate: (bytes: number) => Buffer;
  readonly onClose: () => void;
}

/** A connection to one broker or name server: requests and answers are paired by number, and every request ends in time. */
export class RemotingConnection {
  readonly #clock: Clock;
  readonly #onClose: () => void;
  readonly #pending = new Map<number, Pending>();
  #connection: Connection | undefined;
  #lastOpaque = 0;
  #lastHeardAt: number;
  #stopSweep: (() => void) | undefined;
  #closed: IsthmusError | undefined;

  private constructor(options: RemotingOptions) {
    this.#clock = options.clock;
    this.#onClose = options.onClose;
    this.#lastHeardAt = options.clock.monotonic();
  }

  /** Rejects with CONNECT_FAILED. */
  static async open(options: RemotingOptions): Promise<RemotingConnection> {
    const remoting = new RemotingConnection(options);
    remoting.#connection = await connect({
      ...options.endpoint,
      tls: options.tls,
      connectTimeoutMillis: CONNECT_TIMEOUT_MILLIS,
      maxFrameBytes: MAX_FRAME_BYTES,
      resets: options.resets,
      allocate: options.allocate,
      onFrame: (frame) => remoting.#onFrame(frame),
      onClose: (error) => remoting.#onClosed(error),
    });
    return remoting;
  }

  /** Sends a request. `onAnswer` is called exactly once, never before this returns. */
  call(encode: Encode, timeoutMillis: number, onAnswer: OnAnswer): void {
    const refused =
      this.#closed ??
      (this.#pending.size < MAX_IN_FLIGHT
        ? undefined
        : new IsthmusError('BROKER_BUSY', `asking ${this.#address}: ${MAX_IN_FLIGHT} requests are under way`));
    if (refused !== undefined) {
      queueMicrotask(() => onAnswer(undefined, refused));
      return;
    }
    const opaque = this.#nextOpaque();
    const now = this.#clock.monotonic();
    this.#pending.set(opaque, { onAnswer, sentAt: now, deadline: now + timeoutMillis });
    this.#stopSweep ??= this.#clock.timer(SWEEP_MILLIS, () => this.#sweep());
    const frame = encode(opaque);
    if (frame instanceof Uint8Array) this.#connection?.write(frame);
    else for (const piece of frame) this.#connection?.write(piece);
  }

  /** The same as a promise. Rejects with transport errors only; the answer may be a refusal. */
  ask(encode: Encode, timeoutMillis: number): Promise<Command> {
    return new Promise((resolve, reject) => {
      this.call(encode, timeoutMillis, (answer, error) => {
        if (answer !== undefined) resolve(answer);
        else reject(error ?? new IsthmusError('INTERNAL', `asking ${this.#address}: neither an answer nor an error`));
      });
    });
  }

  /** Ends it; whoever waits for an answer gets CLOSED, or `reason`. */
  close(reason?: IsthmusError): void {
    this.#connection?.destroy(reason);
  }

  /** Whether it has ended, so that nothing that is sent now leaves. */
  get closed(): boolean {
    return this.#closed !== undefined;
  }

  get #address(): string {
    return this.#connection?.address ?? 'a broker';
  }

  #nextOpaque(): number {
    do this.#lastOpaque = this.#lastOpaque === MAX_OPAQUE ? 1 : this.#lastOpaque + 1;
    while (this.#pending.has(this.#lastOpaque));
    return this.#lastOpaque;
  }

  #onFrame(frame: Buffer): void {
    this.#lastHeardAt = this.#clock.monotonic();
    const command = decodeCommand(frame);
    if ((command.flag & FLAG_ANSWER) === 0) {
      this.#onRequest(command);
      return;
    }
    const pending = this.#pending.get(command.opaque);
    // An answer that comes after its timeout has nobody left to take it.
    if (pending === undefined) return;
    this.#pending.delete(command.opaque);
    pending.onAnswer(command, undefined);
  }

  /** Brokers notify consumers that have sent heartbeats; we send none, so nothing here is for us. */
  #onRequest(command: Command): void {
    if ((command.flag & FLAG_ONEWAY) !== 0) return;
    this.#connection?.write(
      encodeJson({ code: ResponseCode.REQUEST_CODE_NOT_SUPPORTED, fields: [] }, command.opaque, FLAG_ANSWER),
    );
  }

  /** One timer for all requests: a timer for each would cost more than the request. */
  #sweep(): void {
    this.#stopSweep = undefined;
    const now = this.#clock.monotonic();
    let silent = false;
    for (const [opaque, pending] of this.#pending) {
      if (pending.deadline > now) continue;
      this.#pending.delete(opaque);
      silent ||= this.#lastHeardAt < pending.sentAt;
      const waited = Math.round(now - pending.sentAt);
      pending.onAnswer(undefined, new IsthmusError('REQUEST_TIMEOUT', `asking ${this.#address}: no answer after ${waited} ms`));
    }
    // A peer that vanished without a FIN is found here: nothing at all was heard since the request left.
    if (silent) this.#connection?.destroy(new IsthmusError('CONNECTION_LOST', `connection to ${this.#address}: it went silent`));
    if (this.#pending.size > 0) this.#stopSweep ??= this.#clock.timer(SWEEP_MILLIS, () => this.#sweep());
  }

  #onClosed(error: unknown): void {
    const reason = toIsthmusError(error);
    this.#closed = reason;
    this.#stopSweep?.();
    this.#onClose();
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of waiting) pending.onAnswer(undefined, reason);
  }
}
