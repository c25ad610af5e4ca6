import { readFields } from './command.ts';
import type { ProtoReader } from './protobuf.ts';
import { ProtoWriter } from './protobuf.ts';

/** Compression codes of MessageMetadata. */
export const COMPRESSION = { none: 0, lz4: 1, zlib: 2, zstd: 3, snappy: 4 } as const;

/** marker_type: any value makes it a marker; 0 is the protocol's UNKNOWN_MARKER. */
const UNKNOWN_MARKER = 0;

/**
 * MessageMetadata, the fields that Isthmus writes: producer_name 1, sequence_id 2, publish_time 3, properties 4 (KeyValue: key 1, value 2), partition_key 6,
 * compression 8, uncompressed_size 9, num_messages_in_batch 11, event_time 12, schema_version 16, partition_key_b64_encoded 17, ordering_key 18, marker_type 20, highest_sequence_id 24, null_value 25, uuid 26,
 * num_chunks_from_msg 27, total_chunk_msg_size 28, chunk_id 29, null_partition_key 30.
 */
export interface EntryMetadata {
  readonly producerName: string;
  readonly sequenceId: number;
  /** Milliseconds since 1970. */
  readonly publishTime: number;
  readonly properties: readonly (readonly [name: string, value: string])[];
  readonly partitionKey?: Uint8Array | undefined;
  /** The key stands for bytes, written in base64. */
  readonly partitionKeyIsBase64?: boolean | undefined;
  /** The key of a pair of key and value is null, which is not the same as having none. */
  readonly nullPartitionKey?: boolean | undefined;
  readonly orderingKey?: Uint8Array | undefined;
  readonly schemaVersion?: Uint8Array | undefined;
  /** No value at all, which is not an empty one. */
  readonly nullValue?: boolean | undefined;
  readonly compression?: number | undefined;
  readonly uncompressedBytes?: number | undefined;
  /** Present makes the payload a batch, also of one message. On a batch the properties above are the entry's own: consumers do not see them. */
  readonly batch?: { readonly messages: number; readonly highestSequenceId: number } | undefined;
  readonly eventTime?: number | undefined;
  readonly marker?: boolean | undefined;
  readonly chunk?:
    | { readonly uuid: string; readonly index: number; readonly count: number; readonly totalBytes: number }
    | undefined;
}

/** The metadata with its four length bytes in front. */
export function encodeMetadata(metadata: EntryMetadata): Buffer {
  const writer = new ProtoWriter(512).string(1, metadata.producerName).int(2, metadata.sequenceId).int(3, metadata.publishTime);
  for (const [name, value] of metadata.properties) {
    writer.message(4, new ProtoWriter(name.length + value.length + 16).string(1, name).string(2, value));
  }
  if (metadata.partitionKey !== undefined) writer.bytes(6, metadata.partitionKey);
  if (metadata.compression !== undefined && metadata.compression !== COMPRESSION.none) writer.int(8, metadata.compression);
  if (metadata.uncompressedBytes !== undefined) writer.int(9, metadata.uncompressedBytes);
  if (metadata.batch !== undefined) writer.int(11, metadata.batch.messages);
  if (metadata.eventTime !== undefined) writer.int(12, metadata.eventTime);
  if (metadata.schemaVersion !== undefined) writer.bytes(16, metadata.schemaVersion);
  if (metadata.partitionKeyIsBase64 === true) writer.bool(17, true);
  if (metadata.orderingKey !== undefined) writer.bytes(18, metadata.orderingKey);
  if (metadata.marker === true) writer.int(20, UNKNOWN_MARKER);
  if (metadata.batch !== undefined) writer.int(24, metadata.batch.highestSequenceId);
  if (metadata.nullValue === true) writer.bool(25, true);
  if (metadata.chunk !== undefined) {
    writer
      .string(26, metadata.chunk.uuid)
      .int(27, metadata.chunk.count)
      .int(28, metadata.chunk.totalBytes)
      .int(29, metadata.chunk.index);
  }
  if (metadata.nullPartitionKey === true) writer.bool(30, true);
  const body = writer.finish();
  const framed = Buffer.allocUnsafe(4 + body.length);
  framed.writeUInt32BE(body.length, 0);
  body.copy(framed, 4);
  return framed;
}

/** What a scan needs of an entry's metadata. */
export interface ScannedMetadata {
  readonly producerName: string;
  readonly sequenceId: number;
  readonly highestSequenceId: number;
  readonly messages: number;
  /** Whether the payload is in batch format, also of one message. */
  readonly batched: boolean;
  /** The value of the first entry-level property of the name that was asked for. */
  readonly property: string | undefined;
}

export function scanMetadata(body: ProtoReader, propertyName: string): ScannedMetadata {
  const found = {
    producerName: '',
    sequenceId: -1,
    highestSequenceId: -1,
    messages: 1,
    batched: false,
    property: undefined as string | undefined,
  };
  readFields(body, (field, reader) => {
    if (field === 1) found.producerName = reader.string();
    else if (field === 2) found.sequenceId = reader.int();
    else if (field === 4) {
      // Read in any case: what follows a property that is not stepped over would be taken for fields.
      const value = propertyValue(reader.message(), propertyName);
      found.property ??= value;
    } else if (field === 11) [found.messages, found.batched] = [reader.int(), true];
    else if (field === 24) found.highestSequenceId = reader.int();
    else return false;
    return true;
  });
  return found;
}

function propertyValue(body: ProtoReader, name: string): string | undefined {
  let matches = false;
  let value = '';
  readFields(body, (field, reader) => {
    if (field === 1) matches = reader.string() === name;
    else if (field === 2) value = reader.string();
    else return false;
    return true;
  });
  return matches ? value : undefined;
}
