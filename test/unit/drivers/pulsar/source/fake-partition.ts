import http from 'node:http';
import { COMMAND, commandFrame, encodeCommand } from '../../../../../src/drivers/pulsar/wire/command.ts';
import { ProtoWriter } from '../../../../../src/drivers/pulsar/wire/protobuf.ts';
import { type FakeBroker, type Fields, fakeBroker, lookupAnswer } from '../fake-broker.ts';

const LEDGER = 5;
/** The highest entry id that the fake broker can be asked for: what it reads of inner messages is text. */
export const MOST_ENTRIES = 120;
const ROUND = 100;

export type FakeEntry = {
  readonly bytes: Buffer;
  readonly messages: number;
  /** Stored, and never sent. */
  readonly marker?: boolean;
};

export type FakePartition = {
  readonly url: string;
  readonly adminUrl: string;
  /** Up to where the durable subscription is done, -1 at the beginning. */
  markDelete: number;
  append(...entries: readonly FakeEntry[]): void;
  /** Closes the consumer, as when a topic moves. */
  kick(): void;
  /** Ends all connections. */
  cut(): void;
  /** Somebody else has moved the subscription. */
  skipTo(markDelete: number): void;
  activeChange(active: boolean): void;
  /** Whether a new consumer is told at once that another one has the subscription. */
  busy: boolean;
  /** What the admin REST answers. */
  adminStatus: 403 | 404;
  readonly seeks: readonly number[];
  readonly acknowledged: readonly number[];
  close(): Promise<void>;
};

type Consumer = {
  readonly id: number;
  readonly durable: boolean;
  permits: number;
  at: number;
  readonly send: (bytes: Buffer) => void;
};

/** One partition with one durable subscription, read by permits as brokers read: in rounds, and past them. Its admin REST knows nothing, or tells nothing. */
export async function fakePartition(): Promise<FakePartition> {
  const broker = await fakeBroker();
  const admin = http.createServer((_, answer) => answer.writeHead(fake.adminStatus).end());
  await new Promise<void>((resolve) => admin.listen(0, '127.0.0.1', resolve));
  const address = admin.address();
  const entries: FakeEntry[] = [];
  const consumers = new Map<number, Consumer>();
  const seeks: number[] = [];
  const acknowledged: number[] = [];
  const pumpAll = (): void => {
    for (const consumer of consumers.values()) pump(consumer, entries);
  };
  const durable = (): Consumer[] => [...consumers.values()].filter((each) => each.durable);
  const fake: FakePartition = {
    url: broker.url,
    adminUrl: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    markDelete: -1,
    busy: false,
    adminStatus: 404,
    seeks,
    acknowledged,
    append: (...more) => {
      entries.push(...more);
      pumpAll();
    },
    kick: () => {
      for (const { id, send } of durable()) {
        consumers.delete(id);
        send(commandFrame(COMMAND.closeConsumer, new ProtoWriter().int(1, id).int(2, -1)));
      }
    },
    cut: () => {
      consumers.clear();
      broker.cut();
    },
    skipTo: (markDelete) => {
      fake.markDelete = markDelete;
      for (const consumer of durable()) consumer.at = Math.max(consumer.at, markDelete + 1);
    },
    activeChange: (active) => {
      for (const { id, send } of durable()) send(activeFrame(id, active));
    },
    close: async () => {
      await broker.close();
      await new Promise((resolve) => admin.close(resolve));
    },
  };
  serve(broker, fake, entries, consumers, { seeks, acknowledged });
  return fake;
}

function serve(
  broker: FakeBroker,
  fake: FakePartition,
  entries: readonly FakeEntry[],
  consumers: Map<number, Consumer>,
  heard: { readonly seeks: number[]; readonly acknowledged: number[] },
): void {
  broker.on(COMMAND.partitionedMetadata, (fields) =>
    commandFrame(COMMAND.partitionedMetadataResponse, new ProtoWriter().int(1, 1).int(2, number(fields, 2)).int(3, 0)),
  );
  broker.on(COMMAND.lookup, (fields) => lookupAnswer(fields.get(2), { kind: 1, url: broker.url }));
  broker.on(COMMAND.subscribe, (fields, send) => {
    const id = number(fields, 4);
    const isDurable = fields.get(8) === 1;
    const at = isDurable ? fake.markDelete + 1 : Math.max(0, entryOf(fields.get(9)));
    consumers.set(id, { id, durable: isDurable, permits: 0, at, send });
    if (isDurable && fake.busy) send(activeFrame(id, false));
    return success(number(fields, 5));
  });
  broker.on(COMMAND.flow, (fields) => {
    const consumer = consumers.get(number(fields, 1));
    if (consumer === undefined) return undefined;
    consumer.permits += number(fields, 2);
    pump(consumer, entries);
    return undefined;
  });
  broker.on(COMMAND.ack, (fields) => {
    const entry = entryOf(fields.get(3));
    heard.acknowledged.push(entry);
    fake.markDelete = Math.max(fake.markDelete, entry);
    return commandFrame(COMMAND.ackResponse, new ProtoWriter().int(1, number(fields, 1)).int(6, number(fields, 8)));
  });
  broker.on(COMMAND.seek, (fields, send) => {
    const entry = entryOf(fields.get(3));
    heard.seeks.push(entry);
    fake.markDelete = entry - 1;
    consumers.delete(number(fields, 1));
    send(commandFrame(COMMAND.closeConsumer, new ProtoWriter().int(1, number(fields, 1)).int(2, -1)));
    return success(number(fields, 2));
  });
  broker.on(COMMAND.closeConsumer, (fields) => {
    consumers.delete(number(fields, 1));
    return success(number(fields, 2));
  });
  broker.on(COMMAND.getLastMessageId, (fields) => {
    const last = entries.findLastIndex(({ marker }) => marker !== true);
    return commandFrame(
      COMMAND.getLastMessageIdResponse,
      new ProtoWriter().message(1, messageId(last)).int(2, number(fields, 2)).message(3, messageId(fake.markDelete, LEDGER)),
    );
  });
}

function pump(consumer: Consumer, entries: readonly FakeEntry[]): void {
  while (consumer.permits > 0 && consumer.at < entries.length) {
    const round = entries.slice(consumer.at, consumer.at + Math.min(consumer.permits, ROUND));
    for (const { bytes, messages, marker } of round) {
      const place = consumer.at++;
      if (marker === true) continue;
      consumer.permits -= messages;
      consumer.send(messageFrame(consumer.id, place, bytes));
    }
  }
}

function messageFrame(consumerId: number, place: number, entry: Buffer): Buffer {
  const command = encodeCommand(COMMAND.message, new ProtoWriter().int(1, consumerId).message(2, messageId(place)));
  const head = Buffer.alloc(8);
  head.writeUInt32BE(4 + command.length + entry.length, 0);
  head.writeUInt32BE(command.length, 4);
  return Buffer.concat([head, command, entry]);
}

function activeFrame(consumerId: number, active: boolean): Buffer {
  return commandFrame(COMMAND.activeConsumerChange, new ProtoWriter().int(1, consumerId).int(2, active ? 1 : 0));
}

function messageId(place: number, ledger = place < 0 ? -1 : LEDGER): ProtoWriter {
  return new ProtoWriter().int(1, ledger).int(2, place);
}

/** The entry of a message id as text: tag, ledger, tag, entry. One that is not a single byte is -1. */
function entryOf(field: number | string | undefined): number {
  const text = String(field);
  return text.length === 4 ? text.charCodeAt(3) : -1;
}

function success(requestId: number): Buffer {
  return commandFrame(COMMAND.success, new ProtoWriter().int(1, requestId));
}

function number(fields: Fields, field: number): number {
  return Number(fields.get(field));
}
