import { COMMAND, commandFrame, readFields } from './command.ts';
import type { ProtoReader } from './protobuf.ts';
import { ProtoWriter } from './protobuf.ts';

/** PARTITIONED_METADATA (21): topic 1, request_id 2, metadata_auto_creation_enabled 6, always false: asking must not create the topic. */
export function encodePartitionedMetadata(requestId: number, topic: string): Buffer {
  return commandFrame(COMMAND.partitionedMetadata, new ProtoWriter().string(1, topic).int(2, requestId).bool(6, false));
}

/** PARTITIONED_METADATA_RESPONSE (22): partitions 1 (0 = not partitioned), request_id 2, response 3 (0 Success, 1 Failed), error 4, message 5. */
export interface PartitionedMetadataResponse {
  readonly requestId: number;
  readonly partitions: number;
  readonly failed: boolean;
  readonly error: number;
  readonly message: string;
}

export function decodePartitionedMetadataResponse(body: ProtoReader): PartitionedMetadataResponse {
  const response = { requestId: -1, partitions: 0, failed: false, error: 0, message: '' };
  readFields(body, (field, reader) => {
    if (field === 1) response.partitions = reader.int();
    else if (field === 2) response.requestId = reader.int();
    else if (field === 3) response.failed = reader.int() === 1;
    else if (field === 4) response.error = reader.int();
    else if (field === 5) response.message = reader.string();
    else return false;
    return true;
  });
  return response;
}
