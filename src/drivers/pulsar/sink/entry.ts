import { IsthmusError } from '../../../errors.ts';
import { formatProvenance, INNER_MARKS_PROPERTY, type PositionRun, PROVENANCE_PROPERTY } from '../../../model/provenance.ts';
import type { Compression } from '../../../spi/sink.ts';
import type { Producer } from '../net/producer.ts';
import { entryChecksum, replacedHeadChecksum } from '../wire/checksum.ts';
import type { MessageId } from '../wire/message-id.ts';
import { encodeMetadata } from '../wire/message-metadata.ts';
import { renamedMetadata } from '../wire/passed-entry.ts';
import { compressionCode } from './compression.ts';

/** What an entry that is passed on may have beyond the broker's limit, which speaks of payloads: its first writer may have filled it up. From 9 KiB on topics get wedged. */
export const PASSED_EXTRA_BYTES: number = 4 * 1024;

/** Who holds an entry's bytes: a slab or a copy, shared by the entries of a round. */
export interface Held {
  /** The bytes are not needed any more. */
  release(): void;
  /** Nobody waits for the entry any more, but a socket may still read its bytes: they are not used again. */
  abandon(): void;
}

/** An entry on its way: what is needed to send it, to send it again byte by byte, and to know it in the target's tail. */
export interface Entry {
  readonly sequenceId: number;
  readonly highestSequenceId: number;
  /** Messages, as its header says. */
  readonly messages: number;
  /** Records that are stored with it. */
  readonly count: number;
  readonly runs: readonly PositionRun[];
  /** Store time of the first record, milliseconds since 1970. */
  readonly sourceStoreTime: number;
  readonly payload: Buffer;
  /** Whether it is in batch format: its records then have an index in the target. */
  readonly batched: boolean;
  /** Part of a chunked message. */
  readonly chunk: boolean;
  /** What its header is made from; `undefined` for an entry that is passed on, which has its frame from the beginning. */
  readonly batch: BatchHeader | undefined;
  readonly held: Held;
  /** Whether it is the last of its round. */
  readonly endsRound: boolean;
  frame: EntryFrame | undefined;
  /** What leaves when it is sent for the first time, where that is known beforehand. */
  readonly ready: ReadyFrame | undefined;
  /** Where it was stored, as soon as that is known. */
  target: MessageId | undefined;
  /** Monotonic milliseconds of the last time that it was sent. */
  sentAt: number;
  /** How often it was sent. */
  sends: number;
  /** How often the broker said that its checksum is wrong. */
  checksumErrors: number;
}

/** A whole frame, and the one producer that it is for. */
export interface ReadyFrame {
  readonly producer: Producer;
  readonly bytes: Buffer;
}

export interface EntryFrame {
  readonly producerName: string;
  /** Begins with its four length bytes. */
  readonly metadata: Buffer;
  readonly checksum: number;
}

/** The key of all records of an entry, in per-key batching. */
export interface EntryKey {
  readonly kind: 'partition' | 'ordering';
  readonly bytes: Buffer;
  /** The key stands for bytes, written in base64. */
  readonly isBase64: boolean;
}

/** What a batch of ours says of itself, beside what each `Entry` has. */
export interface BatchHeader {
  /** Milliseconds since 1970 at which the batch was sealed. */
  readonly publishTime: number;
  readonly uncompressedBytes: number;
  readonly compression: Compression;
  readonly key: EntryKey | undefined;
  /** The target's version of the records' schema; empty for none. */
  readonly schemaVersion: Buffer;
  /** Whether records in it have marks of their own. */
  readonly innerMarks: boolean;
}

/** Where entries come from, as their marks say it, and how marks are sealed. */
export interface Origin {
  readonly cluster: string;
  readonly topic: string;
  readonly lane: string;
  readonly seal: (mark: string) => string;
}

/** Sends an entry; its metadata and checksum are made once per producer name. */
export function sendEntry(entry: Entry, producer: Producer, origin: Origin): void {
  const { sequenceId, highestSequenceId, messages, chunk, ready } = entry;
  entry.sends++;
  if (ready !== undefined && ready.producer === producer && entry.sends === 1) return producer.sendFrame(ready.bytes);
  if (entry.frame?.producerName !== producer.name) entry.frame = frameEntry(entry, producer.name, origin);
  producer.send(
    { sequenceId, highestSequenceId, messages, chunk, marker: false },
    entry.frame.metadata,
    entry.payload,
    entry.frame.checksum,
  );
}

/** Whether the bytes in memory are still those that were sent. */
export function isIntact(entry: Entry): boolean {
  return entry.frame === undefined || entryChecksum(entry.frame.metadata, entry.payload) === entry.frame.checksum;
}

/**
 * Lets go of a stored entry's bytes. One that was sent more than once may wait in the first connection's queue still: other bytes in its place would be read there as
 * frames of whatever producers that connection has.
 */
export function letGo({ held, sends }: Pick<Entry, 'held' | 'sends'>): void {
  if (sends > 1) held.abandon();
  else held.release();
}

export function entryBytes(entry: Entry): number {
  return entry.payload.length + (entry.frame?.metadata.length ?? 0);
}

function frameEntry(entry: Entry, producerName: string, origin: Origin): EntryFrame {
  if (entry.batch !== undefined) {
    const metadata = batchMetadata(entry, entry.batch, producerName, origin);
    return { producerName, metadata, checksum: entryChecksum(metadata, entry.payload) };
  }
  if (entry.frame === undefined) throw new IsthmusError('INTERNAL', 'an entry to be passed on has no header');
  const metadata = renamedMetadata(entry.frame.metadata, producerName);
  const checksum = replacedHeadChecksum(entry.frame.checksum, entry.frame.metadata, metadata, entry.payload.length);
  return { producerName, metadata, checksum };
}

function batchMetadata(entry: Entry, batch: BatchHeader, producerName: string, origin: Origin): Buffer {
  const { cluster, topic, lane, seal } = origin;
  const mark = seal(formatProvenance({ cluster, topic, lane, runs: entry.runs, time: entry.sourceStoreTime, passed: [] }));
  const inner: readonly (readonly [string, string])[] = batch.innerMarks ? [[INNER_MARKS_PROPERTY, '1']] : [];
  const { key } = batch;
  return encodeMetadata({
    producerName,
    sequenceId: entry.sequenceId,
    publishTime: batch.publishTime,
    properties: [[PROVENANCE_PROPERTY, mark], ...inner],
    partitionKey: key?.kind === 'partition' ? key.bytes : undefined,
    partitionKeyIsBase64: key?.isBase64,
    orderingKey: key?.kind === 'ordering' ? key.bytes : undefined,
    schemaVersion: batch.schemaVersion.length === 0 ? undefined : batch.schemaVersion,
    compression: compressionCode(batch.compression),
    uncompressedBytes: batch.uncompressedBytes,
    // Also for a single record: consumers then do not see the entry's properties.
    batch: { messages: entry.messages, highestSequenceId: entry.highestSequenceId },
  });
}
