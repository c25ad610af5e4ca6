import { COMMAND, commandFrame, encodeCommand } from '../../../../src/drivers/pulsar/wire/command.ts';
import { locateMetadata } from '../../../../src/drivers/pulsar/wire/message.ts';
import { scanMetadata } from '../../../../src/drivers/pulsar/wire/message-metadata.ts';
import { ProtoReader, ProtoWriter } from '../../../../src/drivers/pulsar/wire/protobuf.ts';
import { type FakeBroker, type Fields, fakeBroker, lookupAnswer } from './fake-broker.ts';

const LEDGER = 5;

/**
 * What becomes of a SEND. `late` is accepted, and stored before the next marker; `duplicate` is answered with a receipt without a place; a number is
 * that ServerError, if need be with a message.
 */
export type Fate =
  | 'stored'
  | 'stored without a receipt'
  | 'stored as duplicate'
  | 'lost'
  | 'late'
  | 'duplicate'
  | number
  | { readonly error: number; readonly message: string };

export type Sent = { readonly sequenceId: number; readonly entry: Buffer };

export type FakeTopic = FakeBroker & {
  /** Entries with their sequence ids, markers left out. */
  readonly stored: readonly Sent[];
  readonly sent: readonly Sent[];
  /** Decides over each SEND that is no marker; by default all are stored. */
  fate: (sequenceId: number, nth: number) => Fate;
  /** What a producer is told that was accepted under its name. */
  lastSequenceId: number;
  /** Readers get nothing from this place on, as behind an open transaction; `undefined`: all. */
  heldBackFrom: number | undefined;
};

/** A broker with one partition, that loses, delays and refuses as a test tells it to. */
export async function fakeTopic(): Promise<FakeTopic> {
  const broker = await fakeBroker();
  const stored: (Sent & { readonly marker: boolean })[] = [];
  const sent: Sent[] = [];
  let late: Sent[] = [];
  const topic: FakeTopic = Object.assign(broker, {
    stored: [],
    sent,
    fate: (): Fate => 'stored',
    lastSequenceId: -1,
    heldBackFrom: undefined,
  });
  // A live view, which Object.assign would freeze.
  Object.defineProperty(topic, 'stored', { get: () => stored.filter(({ marker }) => !marker) });

  broker.on(COMMAND.partitionedMetadata, (fields) =>
    commandFrame(COMMAND.partitionedMetadataResponse, new ProtoWriter().int(1, 1).int(2, number(fields, 2)).int(3, 0)),
  );
  broker.on(COMMAND.lookup, (fields) => lookupAnswer(fields.get(2), { kind: 1, url: broker.url }));
  broker.on(COMMAND.producer, (fields) =>
    commandFrame(
      COMMAND.producerSuccess,
      new ProtoWriter()
        .int(1, number(fields, 3))
        .string(2, String(fields.get(4)))
        .int(3, topic.lastSequenceId),
    ),
  );
  for (const type of [COMMAND.closeProducer, COMMAND.closeConsumer]) broker.on(type, (fields) => success(number(fields, 2)));
  broker.on(COMMAND.send, (fields, send, entry) => {
    const [producerId, sequenceId] = [number(fields, 1), number(fields, 2)];
    const receipt = (place: number): void =>
      send(
        commandFrame(COMMAND.sendReceipt, new ProtoWriter().int(1, producerId).int(2, sequenceId).message(3, messageId(place))),
      );
    if (fields.get(8) === 1) {
      for (const each of late.splice(0)) stored.push({ ...each, marker: false });
      receipt(stored.push({ sequenceId, entry, marker: true }) - 1);
      return undefined;
    }
    const one = { sequenceId, entry: Buffer.from(entry) };
    const nth = sent.push(one);
    const fate = topic.fate(sequenceId, nth);
    if (typeof fate !== 'string') {
      const { error, message } = typeof fate === 'number' ? { error: fate, message: 'because' } : fate;
      return commandFrame(
        COMMAND.sendError,
        new ProtoWriter().int(1, producerId).int(2, number(fields, 6)).int(3, error).string(4, message),
      );
    }
    if (fate === 'late') late = [...late, one];
    else if (fate === 'duplicate') receipt(-1);
    else if (fate !== 'lost') {
      stored.push({ ...one, marker: false });
      if (fate === 'stored') receipt(stored.length - 1);
      else if (fate === 'stored as duplicate') receipt(-1);
    }
    return undefined;
  });
  serveReaders(topic, stored);
  return topic;
}

function serveReaders(broker: FakeTopic, stored: readonly (Sent & { readonly marker: boolean })[]): void {
  const visible = (): typeof stored => stored.slice(0, broker.heldBackFrom);
  broker.on(COMMAND.subscribe, (fields) => success(number(fields, 5)));
  broker.on(COMMAND.getLastMessageId, (fields) => {
    const last = visible().findLastIndex(({ marker }) => !marker);
    // Cursors pass markers by themselves; as far as readers of the tests go, there is nothing else before them.
    const passed = messageId(visible().length - 1);
    return commandFrame(
      COMMAND.getLastMessageIdResponse,
      new ProtoWriter().message(1, messageId(last)).int(2, number(fields, 2)).message(3, passed),
    );
  });
  broker.on(COMMAND.flow, (fields) => {
    // Everything from the beginning: a reader leaves out by itself what lies before its place.
    const frames = visible().map(({ entry, marker }, place) =>
      marker ? Buffer.alloc(0) : messageFrame(number(fields, 1), place, entry),
    );
    return Buffer.concat(frames);
  });
}

function messageFrame(consumerId: number, place: number, entry: Buffer): Buffer {
  const command = encodeCommand(COMMAND.message, new ProtoWriter().int(1, consumerId).message(2, messageId(place)));
  const head = Buffer.alloc(8);
  head.writeUInt32BE(4 + command.length + entry.length, 0);
  head.writeUInt32BE(command.length, 4);
  return Buffer.concat([head, command, entry]);
}

function messageId(place: number): ProtoWriter {
  return new ProtoWriter().int(1, place < 0 ? -1 : LEDGER).int(2, place);
}

function success(requestId: number): Buffer {
  return commandFrame(COMMAND.success, new ProtoWriter().int(1, requestId));
}

function number(fields: Fields, field: number): number {
  return Number(fields.get(field));
}

/** The producer name on an entry. */
export function producerOf({ entry }: Sent): string {
  const { start, end } = locateMetadata(entry);
  return scanMetadata(new ProtoReader(entry, start, end), '').producerName;
}
