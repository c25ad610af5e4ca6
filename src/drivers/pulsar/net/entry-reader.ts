import { IsthmusError } from '../../../errors.ts';
import { deferred } from '../../../lib/deferred.ts';
import type { Clock } from '../../../spi/clock.ts';
import { encodeCloseConsumer } from '../wire/close.ts';
import { encodeGetLastMessageId, type LastMessageId } from '../wire/last-message-id.ts';
import { locateMetadata } from '../wire/message.ts';
import type { MessageId } from '../wire/message-id.ts';
import { type ScannedMetadata, scanMetadata } from '../wire/message-metadata.ts';
import { ProtoReader } from '../wire/protobuf.ts';
import { encodeFlow, encodeSubscribe } from '../wire/subscribe.ts';
import type { BrokerConnection } from './broker-connection.ts';

const PERMITS = 2000;
const STALL_MILLIS = 30_000;
const FIRST_PAUSE_MILLIS = 2;
const MAX_PAUSE_MILLIS = 250;
/** From here on it is worth telling what is waited for. */
const PATIENCE_MILLIS = 1_000;

export const BEFORE_FIRST: MessageId = { ledger: -1, entry: -1 };

export function compareIds(a: MessageId, b: MessageId): number {
  return a.ledger - b.ledger || a.entry - b.entry;
}

/** A subscription name for one scan; `random` gives [0, 1). */
export function scanName({ random }: { readonly random: () => number }): string {
  return `isthmus-scan-${Math.floor(random() * 2 ** 48).toString(36)}`;
}

export interface ReadEntriesOptions {
  /** A partition. */
  readonly topic: string;
  /** A name that nobody else uses at the same time. */
  readonly subscription: string;
  /** The first entry wanted, or the last one known when `exclusive`. */
  readonly from: MessageId;
  readonly exclusive: boolean;
  /** The entry-level property to be read. */
  readonly property: string;
  /** `entry` is valid during the call. */
  readonly visit: (id: MessageId, metadata: ScannedMetadata, entry: Buffer) => void;
}

/**
 * Reads the headers of a partition's entries from a place to its end at the time of the call, with a reader of its own. Resolves to the number of entries
 * visited. Ids may have holes: markers are never handed out.
 */
export async function readEntries(connection: BrokerConnection, options: ReadEntriesOptions, clock: Clock): Promise<number> {
  const done = deferred<void>();
  done.promise.catch(() => undefined);
  let last = BEFORE_FIRST;
  let visited = 0;
  let unanswered = 0;
  let heardAt = clock.monotonic();
  const onMessage = (id: MessageId, entry: Buffer): void => {
    heardAt = clock.monotonic();
    const { start, end } = locateMetadata(entry);
    const metadata = scanMetadata(new ProtoReader(entry, start, end), options.property);
    // `from` is inclusive on the wire, and an entry of a ledger that is gone is answered with the next one there is.
    const order = compareIds(id, options.from);
    if ((order > 0 || (order === 0 && !options.exclusive)) && compareIds(id, last) <= 0) {
      visited++;
      options.visit(id, metadata, entry);
    }
    if (compareIds(id, last) >= 0) return done.resolve();
    unanswered += Math.max(1, metadata.messages);
    if (unanswered < PERMITS / 2) return;
    connection.write(encodeFlow(consumerId, unanswered));
    unanswered = 0;
  };
  const consumerId = await subscribe(connection, options, {
    message(id, entry) {
      try {
        onMessage(id, entry);
      } catch (error) {
        done.reject(error);
      }
    },
    closed: (error) => done.reject(error),
  });
  const cancel = watch(
    clock,
    () => heardAt,
    () => done.reject(new IsthmusError('REQUEST_TIMEOUT', `reading ${options.topic}: nothing came for ${STALL_MILLIS} ms`)),
  );
  try {
    last = await lastMessageId(connection, consumerId, options.topic);
    const order = compareIds(last, options.from);
    if (last.ledger < 0 || order < 0 || (order === 0 && options.exclusive)) return 0;
    connection.write(encodeFlow(consumerId, PERMITS));
    await done.promise;
    return visited;
  } finally {
    cancel();
    unsubscribe(connection, consumerId);
  }
}

/** The first entry at or after `from` that consumers get. Rejects when none comes for 30 s: there has to be one. */
export async function readFirstMessageId(
  connection: BrokerConnection,
  { topic, subscription, from }: { readonly topic: string; readonly subscription: string; readonly from: MessageId },
  clock: Clock,
): Promise<MessageId> {
  const found = deferred<MessageId>();
  found.promise.catch(() => undefined);
  const consumerId = await subscribe(
    connection,
    { topic, subscription, from },
    {
      message: (id) => {
        // What lies before can only be a rest of an entry that was asked for in part.
        if (compareIds(id, from) >= 0) found.resolve(id);
      },
      closed: (error) => found.reject(error),
    },
  );
  const cancel = clock.timer(STALL_MILLIS, () =>
    found.reject(new IsthmusError('REQUEST_TIMEOUT', `reading ${topic}: nothing came for ${STALL_MILLIS} ms`)),
  );
  try {
    connection.write(encodeFlow(consumerId, 1));
    return await found.promise;
  } finally {
    cancel();
    unsubscribe(connection, consumerId);
  }
}

/** The newest entry of a partition that consumers get, -1:-1 when there is none. */
export async function readLastMessageId(connection: BrokerConnection, topic: string, subscription: string): Promise<MessageId> {
  // Without permits the broker sends no messages.
  const nothing = { message: () => undefined, closed: () => undefined };
  const consumerId = await subscribe(connection, { topic, subscription, from: BEFORE_FIRST }, nothing);
  try {
    return await lastMessageId(connection, consumerId, topic);
  } finally {
    unsubscribe(connection, consumerId);
  }
}

export interface UntilVisible {
  /** A partition. */
  readonly topic: string;
  /** A name that nobody else uses at the same time. */
  readonly subscription: string;
  /** A marker. */
  readonly place: MessageId;
  /** Whether it is still of use to wait. */
  readonly wanted: () => boolean;
  /** It takes long; called once. */
  readonly onWaiting: (error: IsthmusError) => void;
}

/**
 * Waits until readers get everything before a marker. A broker keeps back what is stored behind the first message of an open transaction, whoever wrote it: a look at the tail
 * would miss it, and it would be stored a second time. Readers see no markers, but their cursor passes them. Rejects with BROKER_BUSY when that is not so after 30 s.
 */
export async function untilVisible(connection: BrokerConnection, options: UntilVisible, clock: Clock): Promise<void> {
  const { topic, subscription, place, wanted, onWaiting } = options;
  const doing = `waiting until all of ${topic} before ${place.ledger}:${place.entry} can be read`;
  const nothing = { message: () => undefined, closed: () => undefined };
  const consumerId = await subscribe(connection, { topic, subscription, from: place }, nothing);
  const began = clock.monotonic();
  let told = false;
  try {
    connection.write(encodeFlow(consumerId, 1));
    for (let pause = FIRST_PAUSE_MILLIS; ; pause = Math.min(2 * pause, MAX_PAUSE_MILLIS)) {
      const { id, markDelete } = await askForEnd(connection, consumerId, topic);
      // Brokers that do not tell know no transactions.
      if (markDelete === undefined || compareIds(markDelete, place) >= 0 || compareIds(id, place) >= 0) return;
      if (!wanted()) throw new IsthmusError('CLOSED', `${doing}: nobody wants to know any more`);
      const waited = clock.monotonic() - began;
      const error = new IsthmusError('BROKER_BUSY', `${doing}: an open transaction of another producer holds it back`);
      if (waited > STALL_MILLIS) throw error;
      if (waited > PATIENCE_MILLIS && !told) {
        told = true;
        onWaiting(error);
      }
      await clock.sleep(pause);
    }
  } finally {
    unsubscribe(connection, consumerId);
  }
}

async function subscribe(
  connection: BrokerConnection,
  options: { readonly topic: string; readonly subscription: string; readonly from: MessageId },
  events: { message(id: MessageId, entry: Buffer): void; closed(error: IsthmusError): void },
): Promise<number> {
  const consumerId = connection.newId();
  const { topic, subscription, from } = options;
  connection.addReader(consumerId, events);
  try {
    await connection.request('success', `reading ${topic}`, (id) =>
      encodeSubscribe(id, { topic, subscription, consumerId, from }),
    );
  } catch (error) {
    connection.removeReader(consumerId);
    throw error;
  }
  return consumerId;
}

async function lastMessageId(connection: BrokerConnection, consumerId: number, topic: string): Promise<MessageId> {
  return (await askForEnd(connection, consumerId, topic)).id;
}

async function askForEnd(connection: BrokerConnection, consumerId: number, topic: string): Promise<LastMessageId> {
  return await connection.request('getLastMessageIdResponse', `asking for the end of ${topic}`, (id) =>
    encodeGetLastMessageId(id, consumerId),
  );
}

/** Closes without waiting: the reader's cursor is not durable and goes with it, or with the connection. */
function unsubscribe(connection: BrokerConnection, consumerId: number): void {
  connection.removeReader(consumerId);
  if (!connection.alive) return;
  connection.request('success', 'closing a reader', (id) => encodeCloseConsumer(id, consumerId)).catch(() => undefined);
}

function watch(clock: Clock, heardAt: () => number, stalled: () => void): () => void {
  let cancel = (): void => undefined;
  const arm = (): void => {
    const restMillis = heardAt() + STALL_MILLIS - clock.monotonic();
    if (restMillis <= 0) stalled();
    else cancel = clock.timer(restMillis + 1, arm);
  };
  arm();
  return () => cancel();
}
