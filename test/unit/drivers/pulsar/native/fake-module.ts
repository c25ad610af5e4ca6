/**
 * The interface of the npm package `pulsar-client` over one partition in memory, with its admin REST. The package itself downloads a binary when it is installed; this is the one place
 * where a real part cannot run, so what stands here is what its binding's sources and typings say, and no more.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { openPulsarNative } from '../../../../../src/drivers/pulsar/native/driver.ts';
import { positionOf } from '../../../../../src/drivers/pulsar/native/message-ids.ts';
import type { NativeMessage, NativeMessageId, NativeProducerMessage } from '../../../../../src/drivers/pulsar/native/module.ts';
import { ProtoWriter } from '../../../../../src/drivers/pulsar/wire/protobuf.ts';
import { systemClock } from '../../../../../src/lib/clock.ts';
import { deferred } from '../../../../../src/lib/deferred.ts';
import type { LaneId } from '../../../../../src/model/lane.ts';
import { entryPosition, type Position } from '../../../../../src/model/position.ts';
import { plainMarks } from '../../../../../src/model/provenance.ts';
import type { Cluster } from '../../../../../src/spi/cluster.ts';
import { makeLog } from '../../../../simulation/process.ts';

export const TOPIC = 'persistent://public/default/orders';
export const LANE: LaneId = { topic: TOPIC, lane: '0' };
const LEDGER = 7;

export function idBytes({ major, minor, index }: Position): Buffer {
  const writer = new ProtoWriter().int(1, major).int(2, minor);
  if (index >= 0) writer.int(4, index);
  return Buffer.from(writer.finish());
}

const idOf = (position: Position): NativeMessageId => ({ serialize: () => idBytes(position) });

interface Kept {
  readonly position: Position;
  readonly sent: NativeProducerMessage;
}

interface ReaderConfig {
  readonly startMessageId: NativeMessageId;
  readonly listener: (message: NativeMessage) => void;
}

export class FakePulsar {
  readonly stored: Kept[] = [];
  readonly seeks: Position[] = [];
  readonly acknowledged: Position[] = [];
  /** Whether a seek includes its place; brokers do, the client does not. */
  seekIncludes = false;
  /** Instead of storing: rejects with this, or answers with the id of a copy. */
  refuse: ((message: NativeProducerMessage) => string | undefined) | undefined;
  /** Answers to sends wait for this. */
  hold: Promise<void> = Promise.resolve();
  readonly producers: Record<string, unknown>[] = [];
  #server: Server | undefined;
  /** Where a consumer is put before the next `receive`, as by a tool. */
  jumpTo: number | undefined;

  store(position: Position, text: string, properties: Record<string, string> = {}): void {
    this.stored.push({ position, sent: { data: Buffer.from(text), properties } });
  }

  async open(): Promise<Cluster> {
    this.#server = createServer((request, response) => {
      const answer = request.url?.includes('/partitions') ? { partitions: 1 } : this.#stats();
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
    });
    await new Promise<void>((resolve) => this.#server?.listen(0, '127.0.0.1', resolve));
    const { port } = this.#server.address() as AddressInfo;
    const options = {
      serviceUrl: 'pulsar://127.0.0.1:1',
      adminUrl: `http://127.0.0.1:${port}`,
      auth: undefined,
      tls: undefined,
      listenerName: undefined,
      inFlightBytes: 2 ** 20,
    };
    const deps = { clock: systemClock, log: makeLog(() => undefined), random: Math.random, marks: plainMarks };
    const cluster = openPulsarNative('west', options, deps, async () => this.#module());
    const close = async (): Promise<void> => {
      await cluster.close();
      this.#server?.closeAllConnections();
      this.#server?.close();
    };
    return { ...cluster, close };
  }

  #stats(): object {
    const entries = 1 + Math.max(-1, ...this.stored.map(({ position }) => position.minor));
    return {
      ledgers: [{ ledgerId: LEDGER, entries }],
      currentLedgerEntries: entries,
      lastConfirmedEntry: `${LEDGER}:${entries - 1}`,
      cursors: {},
    };
  }

  #message({ position, sent }: Kept): NativeMessage {
    return {
      getProperties: () => sent.properties,
      getData: () => sent.data,
      getMessageId: () => idOf(position),
      getPublishTimestamp: () => 1_000,
      getEventTimestamp: () => sent.eventTimestamp ?? 0,
      getPartitionKey: () => sent.partitionKey ?? '',
      getOrderingKey: () => sent.orderingKey ?? '',
      getReplicatedFrom: () => '',
    };
  }

  #after(place: Position): number {
    const at = this.stored.findIndex(({ position }) => {
      const order = position.major - place.major || position.minor - place.minor;
      return this.seekIncludes ? order >= 0 : order > 0;
    });
    return at < 0 ? this.stored.length : at;
  }

  #consumer(): object {
    let at = 0;
    const closed = deferred<never>();
    closed.promise.catch(() => undefined);
    const receive = async (): Promise<NativeMessage> => {
      if (this.jumpTo !== undefined) [at, this.jumpTo] = [this.jumpTo, undefined];
      const kept = this.stored[at++];
      return kept === undefined ? await closed.promise : this.#message(kept);
    };
    return {
      receive,
      seek: async (id: NativeMessageId) => {
        this.seeks.push(positionOf(id));
        at = this.#after(positionOf(id));
      },
      acknowledgeCumulativeId: async (id: NativeMessageId) => void this.acknowledged.push(positionOf(id)),
      isConnected: () => true,
      close: async () => closed.reject(new Error('Failed to receive message: AlreadyClosed')),
    };
  }

  async #send(sent: NativeProducerMessage): Promise<NativeMessageId> {
    const refusal = this.refuse?.(sent);
    const position = entryPosition(LEDGER, this.stored.length);
    if (refusal === undefined) this.stored.push({ position, sent });
    await this.hold;
    if (refusal === 'copy') return idOf(entryPosition(-1, -1));
    if (refusal !== undefined) throw new Error(`Failed to send message: ${refusal}`);
    return idOf(position);
  }

  #reader({ startMessageId, listener }: ReaderConfig): object {
    const from = this.#after(positionOf(startMessageId));
    queueMicrotask(() => this.stored.slice(from).forEach((kept) => listener(this.#message(kept))));
    return { hasNext: () => false, close: async () => null };
  }

  #module(): object {
    const client = {
      createProducer: async (config: Record<string, unknown>) => {
        this.producers.push(config);
        return { send: (sent: NativeProducerMessage) => this.#send(sent), isConnected: () => true, close: async () => null };
      },
      subscribe: async () => this.#consumer(),
      createReader: async (config: ReaderConfig) => this.#reader(config),
      close: async () => null,
    };
    const Client = function makeClient(): object {
      return client;
    };
    const ids = { deserialize: (bytes: Buffer) => ({ serialize: () => bytes }), earliest: () => idOf(entryPosition(-1, -1)) };
    const MessageId = Object.assign(() => undefined, ids);
    const Authentication = function makeAuthentication(): object {
      return {};
    };
    return { Client, MessageId, AuthenticationToken: Authentication, AuthenticationTls: Authentication };
  }
}
