import { COMMAND, commandFrame, readFields } from './command.ts';
import type { ProtoReader } from './protobuf.ts';
import { ProtoWriter } from './protobuf.ts';

/**
 * CONNECT (2): client_version 1, auth_data 3, protocol_version 4, auth_method_name 5, proxy_to_broker_url 6, feature_flags 10.
 * FeatureFlags says only what Isthmus implements: 1 supports_auth_refresh, 2 supports_broker_entry_metadata, 5 supports_get_partitioned_metadata_without_auto_creation.
 */
export interface Connect {
  readonly authMethod: string;
  readonly authData: Buffer;
  /** `host:port` of the broker that a proxy is to connect to. */
  readonly proxyToBroker: string | undefined;
}

/** 21: the newest version that Pulsar 4 knows; the broker answers with the lower of both. */
const PROTOCOL_VERSION = 21;
export const CLIENT_VERSION = 'isthmus';

export function encodeConnect(connect: Connect): Buffer {
  const body = new ProtoWriter()
    .string(1, CLIENT_VERSION)
    .bytes(3, connect.authData)
    .int(4, PROTOCOL_VERSION)
    .string(5, connect.authMethod);
  if (connect.proxyToBroker !== undefined) body.string(6, connect.proxyToBroker);
  return commandFrame(COMMAND.connect, body.message(10, new ProtoWriter(8).bool(1, true).bool(2, true).bool(5, true)));
}

/** CONNECTED (3): server_version 1, protocol_version 2, max_message_size 3. */
export interface Connected {
  readonly serverVersion: string;
  readonly protocolVersion: number;
  /** Bytes of metadata and payload that one SEND may carry. */
  readonly maxMessageBytes: number;
}

/** The broker's default, for brokers too old to say. */
const DEFAULT_MAX_MESSAGE_BYTES = 5 * 1024 * 1024;

export function decodeConnected(body: ProtoReader): Connected {
  let serverVersion = '';
  let protocolVersion = 0;
  let maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES;
  readFields(body, (field, reader) => {
    if (field === 1) serverVersion = reader.string();
    else if (field === 2) protocolVersion = reader.int();
    else if (field === 3) maxMessageBytes = reader.int();
    else return false;
    return true;
  });
  return { serverVersion, protocolVersion, maxMessageBytes };
}
