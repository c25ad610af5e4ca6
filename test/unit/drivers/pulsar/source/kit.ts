import { fillRecords, fillWhole, type QueuedEntry } from '../../../../../src/drivers/pulsar/source/batch-filler.ts';
import { RecordDecoder } from '../../../../../src/drivers/pulsar/source/record-decoder.ts';
import type { SourceShared } from '../../../../../src/drivers/pulsar/source/shared.ts';
import { entryChecksum } from '../../../../../src/drivers/pulsar/wire/checksum.ts';
import { EntryHeader } from '../../../../../src/drivers/pulsar/wire/entry-header.ts';
import { ENTRY_MAGIC } from '../../../../../src/drivers/pulsar/wire/message.ts';
import { type EntryMetadata, encodeMetadata } from '../../../../../src/drivers/pulsar/wire/message-metadata.ts';
import { ProtoWriter } from '../../../../../src/drivers/pulsar/wire/protobuf.ts';
import { BatchPool, type PooledBatch } from '../../../../../src/lib/batch-pool.ts';
import { FramePool } from '../../../../../src/lib/frame-pool.ts';
import { entryPosition, type Position } from '../../../../../src/model/position.ts';

/** What all lanes of a cluster share, as far as putting batches together needs it. */
export const fillable: Pick<SourceShared, 'frames' | 'batches' | 'decoder' | 'header'> = {
  frames: new FramePool(),
  batches: new BatchPool(),
  decoder: new RecordDecoder(),
  header: new EntryHeader(),
};

export const METADATA: EntryMetadata = { producerName: 'p', sequenceId: 1, publishTime: 1_763_750_000_000, properties: [] };

/** An entry as brokers store it. */
export function storedEntry(metadata: Partial<EntryMetadata>, payload: Buffer | string): Buffer {
  const framed = encodeMetadata({ ...METADATA, ...metadata });
  const body = Buffer.from(payload);
  const head = Buffer.alloc(6);
  head.writeUInt16BE(ENTRY_MAGIC, 0);
  head.writeUInt32BE(entryChecksum(framed, body), 2);
  return Buffer.concat([head, framed, body]);
}

/** A batch payload of records whose only property is `seq`. */
export function batchPayload(bodies: readonly string[]): Buffer {
  return Buffer.concat(
    bodies.map((body, i) => {
      const single = new ProtoWriter()
        .message(1, new ProtoWriter().string(1, 'seq').string(2, String(i)))
        .int(3, body.length)
        .finish();
      return framed(single, body);
    }),
  );
}

/** One record of a batch payload: the length of its metadata, its metadata, its body. */
export function framed(single: Uint8Array, body: string): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(single.length, 0);
  return Buffer.concat([size, single, Buffer.from(body)]);
}

export function batchEntry(bodies: readonly string[]): Buffer {
  return storedEntry({ batch: { messages: bodies.length, highestSequenceId: bodies.length } }, batchPayload(bodies));
}

/** As the lane reader queues what has come. */
export function queuedEntry(bytes: Buffer, ledger = 7, entry = 3): QueuedEntry {
  const { header } = fillable;
  header.read(bytes, 0, bytes.length);
  const inflatedBytes = header.compression === 0 ? 0 : header.uncompressedBytes;
  const records = header.batched ? header.messages : 1;
  return { ledger, entry, bytes, records, inflatedBytes, passable: true, chunked: header.chunked, rest: undefined };
}

export function recordsOf(bytes: Buffer, from: Position = entryPosition(0, 0)): PooledBatch {
  return fillRecords([queuedEntry(bytes)], from, fillable);
}

export function wholeOf(...entries: readonly Buffer[]): PooledBatch {
  return fillWhole(
    entries.map((bytes, i) => queuedEntry(bytes, 7, 3 + i)),
    fillable,
  );
}
