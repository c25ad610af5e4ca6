import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import { type Deferred, deferred } from '../../../lib/deferred.ts';
import type { FramePool } from '../../../lib/frame-pool.ts';
import type { Clock } from '../../../spi/clock.ts';
import type { Log } from '../../../spi/log.ts';
import { type Connection, connect, type TlsOptions } from '../../../wire/connection.ts';
import type { Endpoint } from '../../../wire/endpoint.ts';
import { decodeAuthChallenge, encodeAuthResponse } from '../wire/auth.ts';
import { decodeClose } from '../wire/close.ts';
import { COMMAND, FrameReader } from '../wire/command.ts';
import { type Connected, decodeConnected, encodeConnect } from '../wire/connect.ts';
import { type AckResponse, decodeAckResponse, decodeActiveConsumerChange } from '../wire/consumer.ts';
import { decodeLastMessageId, type LastMessageId } from '../wire/last-message-id.ts';
import { decodeLookupResponse, type LookupResponse } from '../wire/lookup.ts';
import { decodeMessage } from '../wire/message.ts';
import type { MessageId } from '../wire/message-id.ts';
import { decodePartitionedMetadataResponse, type PartitionedMetadataResponse } from '../wire/partitioned-metadata.ts';
import { PING, PONG } from '../wire/ping.ts';
import { decodeProducerSuccess, type ProducerSuccess } from '../wire/producer.ts';
import type { ProtoReader } from '../wire/protobuf.ts';
import { decodeError, decodeSuccess, type Success } from '../wire/reply.ts';
import { decodeGetOrCreateSchemaResponse, decodeGetSchemaResponse, type SchemaResponse } from '../wire/schema.ts';
import { decodeSendError, decodeSendReceipt, type SendError, type SendReceipt } from '../wire/send.ts';
import { serverError } from '../wire/server-error.ts';
import type { Credentials } from './credentials.ts';

const CONNECT_TIMEOUT_MILLIS = 10_000;
const REQUEST_TIMEOUT_MILLIS = 30_000;
/** The broker's own period: it closes a connection that was silent for two of them. */
const KEEP_ALIVE_MILLIS = 30_000;
const MAX_WAITING_REQUESTS = 1000;
/** Larger than any entry that a broker with usual settings holds; a peer that announces more is cut off. */
const MAX_FRAME_BYTES = 32 * 1024 * 1024;

interface Replies {
  success: Success;
  producerSuccess: ProducerSuccess;
  lookupResponse: LookupResponse;
  partitionedMetadataResponse: PartitionedMetadataResponse;
  getLastMessageIdResponse: LastMessageId;
  ackResponse: AckResponse;
  getSchemaResponse: SchemaResponse;
  getOrCreateSchemaResponse: SchemaResponse;
}

const DECODERS: { readonly [K in keyof Replies]: (body: ProtoReader) => Replies[K] } = {
  success: decodeSuccess,
  producerSuccess: decodeProducerSuccess,
  lookupResponse: decodeLookupResponse,
  partitionedMetadataResponse: decodePartitionedMetadataResponse,
  getLastMessageIdResponse: decodeLastMessageId,
  ackResponse: decodeAckResponse,
  getSchemaResponse: decodeGetSchemaResponse,
  getOrCreateSchemaResponse: decodeGetOrCreateSchemaResponse,
};

const REPLY_OF_TYPE: ReadonlyMap<number, keyof Replies> = new Map(
  (Object.keys(DECODERS) as (keyof Replies)[]).map((name) => [COMMAND[name], name]),
);

interface Waiting {
  readonly expected: keyof Replies;
  readonly doing: string;
  readonly resolve: (reply: Replies[keyof Replies]) => void;
  readonly reject: (error: IsthmusError) => void;
  readonly cancelTimer: () => void;
}

/** What a producer on this connection hears. */
export interface ProducerEvents {
  receipt(receipt: SendReceipt): void;
  sendError(error: SendError): void;
  /** The broker closed the producer, or the connection ended. Nothing follows. */
  closed(error: IsthmusError): void;
}

/** What a reader on this connection hears. */
export interface ReaderEvents {
  /** `entry` lies in memory of the connection's frame pool; whoever has copied it may give it back. */
  message(id: MessageId, entry: Buffer): void;
  /** Of a Failover subscription: whether this consumer is the one that gets messages. */
  activeChange?(active: boolean): void;
  closed(error: IsthmusError): void;
}

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsOptions | undefined;
  /** `host:port` of the broker behind a proxy. */
  readonly proxyToBroker: string | undefined;
}

export interface BrokerConnectionDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly credentials: Credentials;
  /** Memory for frames; fresh memory when left out. */
  readonly frames?: FramePool | undefined;
}

/** A connection to one broker: handshake, keep-alive, requests with their replies, and what comes for producers and readers. */
export class BrokerConnection {
  readonly endpoint: Endpoint;
  readonly #deps: BrokerConnectionDeps;
  readonly #waiting = new Map<number, Waiting>();
  readonly #producers = new Map<number, ProducerEvents>();
  readonly #readers = new Map<number, ReaderEvents>();
  readonly #handshake: Deferred<void> = deferred();
  readonly #incoming = new FrameReader();
  #connection: Connection | undefined;
  #info: Connected | undefined;
  #ended: IsthmusError | undefined;
  #lastId = 0;
  #heard = true;
  #cancelKeepAlive: () => void = () => undefined;

  private constructor(address: BrokerAddress, deps: BrokerConnectionDeps) {
    this.endpoint = address;
    this.#deps = deps;
    // It is awaited in `open`, but may be rejected before that.
    this.#handshake.promise.catch(() => undefined);
  }

  /** Connects and shakes hands. Rejects with CONNECT_FAILED, REQUEST_TIMEOUT, ACCESS_DENIED or what the broker says. `onClose` is called once if it resolves. */
  static async open(address: BrokerAddress, deps: BrokerConnectionDeps, onClose: () => void): Promise<BrokerConnection> {
    const broker = new BrokerConnection(address, deps);
    const authData = await deps.credentials.data();
    const { frames } = deps;
    const connection = await connect({
      host: address.host,
      port: address.port,
      tls: address.tls,
      connectTimeoutMillis: CONNECT_TIMEOUT_MILLIS,
      maxFrameBytes: MAX_FRAME_BYTES,
      allocate: frames === undefined ? undefined : (bytes) => frames.take(bytes),
      onFrame: (frame) => broker.#onFrame(frame),
      onClose: (error) => {
        broker.#end(error);
        if (broker.#info !== undefined) onClose();
      },
    });
    broker.#connection = connection;
    const cancel = deps.clock.timer(CONNECT_TIMEOUT_MILLIS, () => {
      connection.destroy(
        new IsthmusError(
          'REQUEST_TIMEOUT',
          `connecting to ${connection.address}: no answer to CONNECT within ${CONNECT_TIMEOUT_MILLIS} ms`,
        ),
      );
    });
    connection.write(encodeConnect({ authMethod: deps.credentials.method, authData, proxyToBroker: address.proxyToBroker }));
    try {
      await broker.#handshake.promise;
    } finally {
      cancel();
    }
    broker.#keepAlive();
    return broker;
  }

  get address(): string {
    return this.#connection?.address ?? '';
  }

  get alive(): boolean {
    return this.#ended === undefined;
  }

  /** What the broker said of itself. */
  get info(): Connected {
    if (this.#info === undefined) throw new IsthmusError('INTERNAL', 'a broker connection was used before its handshake');
    return this.#info;
  }

  /** A number that is new on this connection, for requests, producers and readers. */
  newId(): number {
    return ++this.#lastId;
  }

  /** Sends bytes that need no reply; they must stay untouched until the broker has answered for them. */
  write(bytes: Uint8Array): void {
    this.#connection?.write(bytes);
  }

  /** Sends a request and waits for its reply. `doing` begins the error's text. Rejects with what the broker says, REQUEST_TIMEOUT or CONNECTION_LOST. */
  request<K extends keyof Replies>(expected: K, doing: string, encode: (requestId: number) => Buffer): Promise<Replies[K]> {
    const settled = deferred<Replies[K]>();
    if (this.#ended !== undefined) settled.reject(this.#ended);
    else if (this.#waiting.size >= MAX_WAITING_REQUESTS) {
      settled.reject(
        new IsthmusError('BROKER_BUSY', `${doing}: ${this.address} has not answered ${MAX_WAITING_REQUESTS} requests`),
      );
    } else {
      const id = this.newId();
      const cancelTimer = this.#deps.clock.timer(REQUEST_TIMEOUT_MILLIS, () => {
        this.#waiting.delete(id);
        settled.reject(
          new IsthmusError('REQUEST_TIMEOUT', `${doing}: ${this.address} did not answer within ${REQUEST_TIMEOUT_MILLIS} ms`),
        );
      });
      // The reply's kind is compared with `expected` before this is called.
      this.#waiting.set(id, {
        expected,
        doing,
        resolve: (reply) => settled.resolve(reply as Replies[K]),
        reject: (error) => settled.reject(error),
        cancelTimer,
      });
      this.write(encode(id));
    }
    return settled.promise;
  }

  addProducer(id: number, events: ProducerEvents): void {
    this.#producers.set(id, events);
  }

  removeProducer(id: number): void {
    this.#producers.delete(id);
  }

  addReader(id: number, events: ReaderEvents): void {
    this.#readers.set(id, events);
  }

  removeReader(id: number): void {
    this.#readers.delete(id);
  }

  destroy(error?: IsthmusError): void {
    this.#connection?.destroy(error);
  }

  #onFrame(frame: Buffer): void {
    this.#heard = true;
    const incoming = this.#incoming;
    incoming.read(frame);
    const { type, body } = incoming;
    const reply = REPLY_OF_TYPE.get(type);
    if (reply !== undefined) return this.#settle(reply, DECODERS[reply](body));
    switch (type) {
      case COMMAND.sendReceipt: {
        const receipt = decodeSendReceipt(body);
        return this.#producers.get(receipt.producerId)?.receipt(receipt);
      }
      case COMMAND.message: {
        const message = decodeMessage(body);
        return this.#readers.get(message.consumerId)?.message(message.id, frame.subarray(incoming.restStart));
      }
      case COMMAND.sendError: {
        const error = decodeSendError(body);
        return this.#producers.get(error.producerId)?.sendError(error);
      }
      case COMMAND.error:
        return this.#onError(body);
      case COMMAND.connected:
        this.#info = decodeConnected(body);
        return this.#handshake.resolve();
      case COMMAND.closeProducer:
        return this.#onClosed(this.#producers, decodeClose(body).id, 'producer');
      case COMMAND.activeConsumerChange: {
        const { consumerId, active } = decodeActiveConsumerChange(body);
        return this.#readers.get(consumerId)?.activeChange?.(active);
      }
      case COMMAND.closeConsumer:
        return this.#onClosed(this.#readers, decodeClose(body).id, 'reader');
      case COMMAND.ping:
        return this.write(PONG);
      case COMMAND.authChallenge:
        void this.#answerChallenge(decodeAuthChallenge(body).method);
        return;
      // PONG has done its work by being heard; commands of newer brokers are none of ours.
      default:
    }
  }

  #settle(kind: keyof Replies, reply: Replies[keyof Replies]): void {
    const waiting = this.#waiting.get(reply.requestId);
    if (waiting === undefined) return;
    this.#forget(reply.requestId, waiting);
    if (waiting.expected === kind) waiting.resolve(reply);
    else
      waiting.reject(
        new IsthmusError(
          'PROTOCOL_VIOLATION',
          `${waiting.doing}: ${this.address} answered ${kind} instead of ${waiting.expected}`,
        ),
      );
  }

  #forget(requestId: number, waiting: Waiting): void {
    this.#waiting.delete(requestId);
    waiting.cancelTimer();
  }

  #onError(body: ProtoReader): void {
    const { requestId, error, message } = decodeError(body);
    const waiting = this.#waiting.get(requestId);
    if (waiting !== undefined) {
      this.#forget(requestId, waiting);
      waiting.reject(serverError(error, message, waiting.doing));
    } else if (requestId === -1 || this.#info === undefined) {
      // About the connection as a whole, for example a failed authentication or a broker that is not ready yet.
      this.destroy(serverError(error, message, `connecting to ${this.address}`));
    }
  }

  #onClosed(handlers: Map<number, ProducerEvents | ReaderEvents>, id: number, what: string): void {
    const events = handlers.get(id);
    // SENDs for a producer that the broker has closed are ignored without a word, so it must not be used again.
    handlers.delete(id);
    events?.closed(new IsthmusError('BROKER_BUSY', `using a ${what}: ${this.address} closed it, the topic may be moving`));
  }

  async #answerChallenge(method: string): Promise<void> {
    try {
      this.write(encodeAuthResponse(this.#deps.credentials.method, await this.#deps.credentials.data()));
    } catch (error) {
      this.#deps.log.warn('auth-refresh-failed', { broker: this.address, method, error: toIsthmusError(error).message });
      this.destroy(toIsthmusError(error));
    }
  }

  #keepAlive(): void {
    this.#cancelKeepAlive = this.#deps.clock.timer(KEEP_ALIVE_MILLIS, () => {
      if (!this.#heard) {
        return this.destroy(
          new IsthmusError(
            'CONNECTION_LOST',
            `connection to ${this.address}: nothing heard for ${KEEP_ALIVE_MILLIS} ms after a ping`,
          ),
        );
      }
      this.#heard = false;
      this.write(PING);
      this.#keepAlive();
    });
  }

  #end(error: IsthmusError): void {
    this.#ended = error;
    this.#cancelKeepAlive();
    this.#handshake.reject(error);
    for (const [id, waiting] of this.#waiting) {
      this.#forget(id, waiting);
      waiting.reject(error);
    }
    const handlers = [...this.#producers.values(), ...this.#readers.values()];
    this.#producers.clear();
    this.#readers.clear();
    for (const events of handlers) events.closed(error);
  }
}
