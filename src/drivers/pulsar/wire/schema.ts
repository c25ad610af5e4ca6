import { COMMAND, commandFrame, readFields } from './command.ts';
import type { ProtoReader } from './protobuf.ts';
import { ProtoWriter } from './protobuf.ts';

/** What a registry says: a schema or a version, or why not. A Schema (name 1, schema_data 3, type 4, properties 5) is handed on as it came, from one registry to another. */
export interface SchemaResponse {
  readonly requestId: number;
  /** A ServerError, `undefined` when all went well. */
  readonly error: number | undefined;
  readonly message: string;
  readonly schema: Buffer | undefined;
  readonly version: Buffer;
}

/** GET_SCHEMA (34): request_id 1, topic 2, schema_version 3. */
export function encodeGetSchema(requestId: number, topic: string, version: Uint8Array): Buffer {
  return commandFrame(COMMAND.getSchema, new ProtoWriter().int(1, requestId).string(2, topic).bytes(3, version));
}

/** GET_SCHEMA_RESPONSE (35): request_id 1, error_code 2, error_message 3, schema 4, schema_version 5. */
export function decodeGetSchemaResponse(body: ProtoReader): SchemaResponse {
  return decodeResponse(body, 4, 5);
}

/** GET_OR_CREATE_SCHEMA (39): request_id 1, topic 2, schema 3. */
export function encodeGetOrCreateSchema(requestId: number, topic: string, schema: Uint8Array): Buffer {
  return commandFrame(COMMAND.getOrCreateSchema, new ProtoWriter().int(1, requestId).string(2, topic).bytes(3, schema));
}

/** GET_OR_CREATE_SCHEMA_RESPONSE (40): request_id 1, error_code 2, error_message 3, schema_version 4. */
export function decodeGetOrCreateSchemaResponse(body: ProtoReader): SchemaResponse {
  return decodeResponse(body, undefined, 4);
}

function decodeResponse(body: ProtoReader, schemaField: number | undefined, versionField: number): SchemaResponse {
  let requestId = -1;
  let error: number | undefined;
  let message = '';
  let schema: Buffer | undefined;
  let version: Buffer = Buffer.alloc(0);
  readFields(body, (field, reader) => {
    if (field === 1) requestId = reader.int();
    else if (field === 2) error = reader.int();
    else if (field === 3) message = reader.string();
    // Copies: the answer's frame is used again.
    else if (field === schemaField) schema = Buffer.from(reader.bytes());
    else if (field === versionField) version = Buffer.from(reader.bytes());
    else return false;
    return true;
  });
  return { requestId, error, message, schema, version };
}
