import { formatProvenance, type PositionRun, PROVENANCE_PROPERTY } from '../../../model/provenance.ts';
import type { Compression } from '../../../spi/sink.ts';
import { entryChecksum, type Producer } from '../net/producer.ts';
import type { MessageId } from '../wire/message-id.ts';
import { encodeMetadata } from '../wire/message-metadata.ts';
import { compressionCode } from './compression.ts';

/** Who holds an entry's bytes: a slab or a copy, shared by the entries of a round. */
export interface Held {
  /** The bytes are not needed any more. */
  release(): void;
  /** Nobody waits for the entry any more, but a socket may still read its bytes: they are not used again. */
  abandon(): void;
}

/** A batch on its way: what is needed to send it, to send it again byte by byte, and to know it in the target's tail. */
export interface Entry {
  readonly sequenceId: number;
  readonly highestSequenceId: number;
  readonly count: number;
  readonly runs: readonly PositionRun[];
  /** Store time of the first record, milliseconds since 1970. */
  readonly sourceStoreTime: number;
  /** Milliseconds since 1970 at which the batch was sealed. */
  readonly publishTime: number;
  readonly payload: Buffer;
  readonly uncompressedBytes: number;
  readonly compression: Compression;
  /** The key of all its records, in per-key batching. */
  readonly key: Buffer | undefined;
  readonly held: Held;
  /** Whether it is the last of its round. */
  readonly endsRound: boolean;
  frame: EntryFrame | undefined;
  /** Where it was stored, as soon as that is known. */
  target: MessageId | undefined;
  /** Monotonic milliseconds of the last time that it was sent. */
  sentAt: number;
  /** How often the broker said that its checksum is wrong. */
  checksumErrors: number;
}

interface EntryFrame {
  readonly producerName: string;
  readonly metadata: Buffer;
  readonly checksum: number;
}

/** Where entries come from, as their marks say it. */
export interface Origin {
  readonly cluster: string;
  readonly topic: string;
  readonly lane: string;
}

/** Sends an entry; its metadata and checksum are made once per producer name. */
export function sendEntry(entry: Entry, producer: Producer, origin: Origin): void {
  if (entry.frame?.producerName !== producer.name) entry.frame = frameEntry(entry, producer.name, origin);
  const { sequenceId, highestSequenceId, count } = entry;
  producer.send(
    { sequenceId, highestSequenceId, messages: count, chunk: false, marker: false },
    entry.frame.metadata,
    entry.payload,
    entry.frame.checksum,
  );
}

/** Whether the bytes in memory are still those that were sent. */
export function isIntact(entry: Entry): boolean {
  return entry.frame === undefined || entryChecksum(entry.frame.metadata, entry.payload) === entry.frame.checksum;
}

export function entryBytes(entry: Entry): number {
  return entry.payload.length + (entry.frame?.metadata.length ?? 0);
}

function frameEntry(entry: Entry, producerName: string, origin: Origin): EntryFrame {
  const mark = formatProvenance({ ...origin, runs: entry.runs, time: entry.sourceStoreTime, passed: [] });
  const metadata = encodeMetadata({
    producerName,
    sequenceId: entry.sequenceId,
    publishTime: entry.publishTime,
    properties: [[PROVENANCE_PROPERTY, mark]],
    partitionKey: entry.key,
    compression: compressionCode(entry.compression),
    uncompressedBytes: entry.uncompressedBytes,
    // Also for a single record: consumers then do not see the entry's properties.
    batch: { messages: entry.count, highestSequenceId: entry.highestSequenceId },
  });
  return { producerName, metadata, checksum: entryChecksum(metadata, entry.payload) };
}
