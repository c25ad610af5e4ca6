import { IsthmusError, toIsthmusError } from '../../../errors.ts';
import { type Deferred, deferred } from '../../../lib/deferred.ts';
import { DEAD_LETTER_PREFIX, originProperties } from '../../../model/dead-letter.ts';
import { formatProvenance, type MarkCodec, PROVENANCE_PROPERTY } from '../../../model/provenance.ts';
import { PROPERTY_ROW, type RecordBatch, RecordFlag } from '../../../model/record-batch.ts';
import type { DeadLetter } from '../../../spi/sink.ts';
import { Backoff } from '../../../wire/backoff.ts';
import type { Rest } from '../admin/rest.ts';
import { ensureRetainedTopic, partitionsOf } from '../admin/topics.ts';
import type { BrokerConnection } from '../net/broker-connection.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import { openProducer, type Producer } from '../net/producer.ts';
import type { PulsarDeps } from '../options.ts';
import { fullTopicName, partitionTopic } from '../topic-name.ts';
import { entryChecksum } from '../wire/checksum.ts';
import type { MessageId } from '../wire/message-id.ts';
import { type EntryMetadata, encodeMetadata } from '../wire/message-metadata.ts';
import { serverError } from '../wire/server-error.ts';
import { otherSenderName, producerName } from './producer-name.ts';
import { SequenceIds } from './sequence-ids.ts';

const MAX_TRIES = 6;
const RECEIPT_TIMEOUT_MILLIS = 30_000;
/** Room for the frame's header and for what a broker adds; entries near the limit have wedged topics for good. */
const RESERVE_BYTES = 16 * 1024;

export interface DeadLetterParts {
  readonly pool: BrokerPool;
  readonly rest: Rest;
  readonly deps: PulsarDeps;
}

/**
 * Keeps a record that its target refused: body, keys, event time and properties as they were, and beside them why and from where. Of an entry that was to be passed on whole,
 * the body is the entry itself, as the source has it from the checksum on, and `ISTHMUS-DEAD-LETTER-FORM` says so.
 *
 * A body that no single message can hold becomes a chunked message, which Pulsar's clients put together again. Resolves when it is stored; after a doubt it is
 * stored again, so a dead letter may be there twice, never not at all. Rejects after some tries.
 */
export async function writeDeadLetter(letter: DeadLetter, parts: DeadLetterParts): Promise<void> {
  const backoff = new Backoff(200, 10_000, parts.deps.random);
  let name = producerName({ link: 'dead-letter', sourceCluster: letter.sourceCluster, lane: letter.lane });
  for (let tries = 1; ; tries++) {
    try {
      return await writeOnce(letter, name, parts);
    } catch (caught) {
      const error = toIsthmusError(caught);
      if (!error.retryable || tries === MAX_TRIES) throw error;
      // A deduplicating broker may hold the name's id for stored when it is not.
      if (error.code === 'UNKNOWN_OUTCOME') name = otherSenderName(name, parts.deps.random);
      parts.deps.log.warn('dead-letter-retried', { topic: letter.topic, code: error.code, error: error.message });
      await parts.deps.clock.sleep(backoff.next());
    }
  }
}

async function writeOnce(letter: DeadLetter, name: string, { pool, rest, deps }: DeadLetterParts): Promise<void> {
  const partitions =
    (await partitionsOf(rest, letter.topic)) ??
    (await ensureRetainedTopic(rest, deps.log, letter.topic, 1, letter.retentionMinutes));
  const topic = partitions === 0 ? fullTopicName(letter.topic) : partitionTopic(letter.topic, 0);
  const connection = await pool.locate(topic);
  const sender = new Sender(topic, deps);
  const producer = await openProducer(connection, { topic, name, epoch: 0, events: sender });
  try {
    await sendAll(letter, producer, sender, connection, deps);
  } finally {
    await producer.close().catch((error: unknown) => deps.log.debug('producer-close-failed', { topic, error: String(error) }));
  }
}

async function sendAll(
  letter: DeadLetter,
  producer: Producer,
  sender: Sender,
  connection: BrokerConnection,
  deps: PulsarDeps,
): Promise<void> {
  const { batch, i } = letter;
  const ids = new SequenceIds();
  ids.raise(producer.lastSequenceId);
  const body = batch.whole ? batch.bytesAt(i).subarray(batch.nativeStart[i], batch.nativeEnd[i]) : batch.body(i);
  const metadata: EntryMetadata = {
    producerName: producer.name,
    sequenceId: ids.takeOne(batch.positionAt(i)),
    publishTime: deps.clock.now(),
    properties: letterProperties(letter, deps.marks),
    uncompressedBytes: body.length,
    ...(batch.whole ? {} : traits(batch, i)),
  };
  const roomBytes = connection.info.maxMessageBytes - RESERVE_BYTES - encodeMetadata(metadata).length;
  if (roomBytes < RESERVE_BYTES)
    throw new IsthmusError('RECORD_REFUSED', `writing a dead letter to ${letter.topic}: its properties alone are too large`);
  if (body.length <= roomBytes) return await sender.send(producer, metadata, body);
  const count = Math.ceil(body.length / roomBytes);
  const uuid = `${producer.name}-${metadata.sequenceId}`;
  for (let index = 0; index < count; index++) {
    const chunk = { uuid, index, count, totalBytes: body.length };
    await sender.send(producer, { ...metadata, chunk }, body.subarray(index * roomBytes, (index + 1) * roomBytes));
  }
}

/** What a record has beside body and properties. Not its schema's version, which means nothing in this topic. */
function traits(batch: RecordBatch, i: number): Partial<EntryMetadata> {
  const flags = batch.flags[i] ?? 0;
  const bytes = (start = -1, end = -1): Uint8Array | undefined => (start < 0 ? undefined : batch.bytes.subarray(start, end));
  return {
    partitionKey: bytes(batch.keyStart[i], batch.keyEnd[i]),
    partitionKeyIsBase64: (flags & RecordFlag.keyIsBase64) !== 0,
    nullPartitionKey: (flags & RecordFlag.nullKey) !== 0,
    orderingKey: bytes(batch.orderingKeyStart[i], batch.orderingKeyEnd[i]),
    nullValue: (flags & RecordFlag.nullValue) !== 0,
    eventTime: (batch.eventTime[i] ?? 0) > 0 ? batch.eventTime[i] : undefined,
  };
}

/** The record's properties, and behind them where it comes from and why it is a dead letter. */
export function letterProperties(letter: DeadLetter, marks: MarkCodec): [string, string][] {
  return [...(letter.batch.whole ? [] : properties(letter.batch, letter.i)), ...origin(letter, marks)];
}

/** The record's properties as they came. */
function properties(batch: RecordBatch, i: number): [string, string][] {
  const found: [string, string][] = [];
  for (let row = batch.propertyFirst[i] ?? 0; row < (batch.propertyFirst[i + 1] ?? 0); row++) {
    const at = row * PROPERTY_ROW;
    const name = batch.text(batch.properties[at], batch.properties[at + 1]);
    const value = batch.text(batch.properties[at + 2], batch.properties[at + 3]);
    if (name !== undefined && value !== undefined) found.push([name, value]);
  }
  for (const [name, value] of batch.extras?.get(i) ?? []) found.push([name, value]);
  return found;
}

function origin(letter: DeadLetter, marks: MarkCodec): [string, string][] {
  const { batch, i, sourceCluster, lane } = letter;
  const position = batch.positionAt(i);
  const runs = [{ first: position, count: 1 }];
  // The mark keeps a mirror of the dead-letter topic itself from going round in circles.
  const mark =
    batch.marks?.get(i) ?? formatProvenance({ cluster: sourceCluster, ...lane, runs, time: batch.storeTime[i] ?? 0, passed: [] });
  const found: [string, string][] = [[PROVENANCE_PROPERTY, marks.seal(mark)], ...originProperties(letter, position)];
  if (batch.whole) found.push([`${DEAD_LETTER_PREFIX}FORM`, batch.native ?? '']);
  const schemaStart = batch.schemaStart[i] ?? -1;
  if (!batch.whole && schemaStart >= 0)
    found.push([`${DEAD_LETTER_PREFIX}SCHEMA-VERSION`, batch.bytes.toString('hex', schemaStart, batch.schemaEnd[i])]);
  return found;
}

/** Sends one entry at a time and waits for its receipt. */
class Sender {
  readonly #topic: string;
  readonly #deps: PulsarDeps;
  #waiting: Deferred<MessageId> | undefined;
  #closed: IsthmusError | undefined;

  constructor(topic: string, deps: PulsarDeps) {
    this.#topic = topic;
    this.#deps = deps;
  }

  async send(producer: Producer, metadata: EntryMetadata, payload: Buffer): Promise<void> {
    if (this.#closed !== undefined) throw this.#closed;
    const waiting = deferred<MessageId>();
    this.#waiting = waiting;
    const timeout = new IsthmusError(
      'REQUEST_TIMEOUT',
      `writing a dead letter to ${this.#topic}: no receipt within ${RECEIPT_TIMEOUT_MILLIS} ms`,
    );
    const cancel = this.#deps.clock.timer(RECEIPT_TIMEOUT_MILLIS, () => waiting.reject(timeout));
    const { sequenceId } = metadata;
    const encoded = encodeMetadata(metadata);
    const send = { sequenceId, highestSequenceId: sequenceId, messages: 1, chunk: metadata.chunk !== undefined, marker: false };
    // The batch's bytes are given back as soon as a refusal is dealt with, the socket may still read them then.
    const kept = Buffer.from(payload);
    producer.send(send, encoded, kept, entryChecksum(encoded, kept));
    try {
      const id = await waiting.promise;
      if (id.ledger < 0)
        throw new IsthmusError('UNKNOWN_OUTCOME', `writing a dead letter to ${this.#topic}: the broker took it for a duplicate`);
    } finally {
      cancel();
      this.#waiting = undefined;
    }
  }

  receipt({ id }: { readonly id: MessageId }): void {
    this.#waiting?.resolve(id);
  }

  sendError({ error, message }: { readonly error: number; readonly message: string }): void {
    this.#waiting?.reject(serverError(error, message, `writing a dead letter to ${this.#topic}`));
  }

  closed(error: IsthmusError): void {
    this.#closed = error;
    this.#waiting?.reject(error);
  }
}
