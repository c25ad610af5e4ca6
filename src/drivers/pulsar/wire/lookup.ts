import { COMMAND, commandFrame, readFields } from './command.ts';
import type { ProtoReader } from './protobuf.ts';
import { ProtoWriter } from './protobuf.ts';

/** LOOKUP (23): topic 1, request_id 2, authoritative 3, advertised_listener_name 7. */
export interface Lookup {
  readonly topic: string;
  readonly authoritative: boolean;
  readonly listenerName: string | undefined;
}

export function encodeLookup(requestId: number, lookup: Lookup): Buffer {
  const body = new ProtoWriter().string(1, lookup.topic).int(2, requestId).bool(3, lookup.authoritative);
  if (lookup.listenerName !== undefined) body.string(7, lookup.listenerName);
  return commandFrame(COMMAND.lookup, body);
}

/**
 * LOOKUP_RESPONSE (24): brokerServiceUrl 1, brokerServiceUrlTls 2, response 3 (0 Redirect, 1 Connect, 2 Failed), request_id 4, authoritative 5, error 6,
 * message 7, proxy_through_service_url 8.
 */
export interface LookupResponse {
  readonly requestId: number;
  readonly kind: 'redirect' | 'connect' | 'failed';
  readonly url: string;
  readonly urlTls: string;
  readonly authoritative: boolean;
  readonly proxied: boolean;
  readonly error: number;
  readonly message: string;
}

const KINDS = ['redirect', 'connect', 'failed'] as const;

export function decodeLookupResponse(body: ProtoReader): LookupResponse {
  const response = {
    requestId: -1,
    kind: 'failed' as LookupResponse['kind'],
    url: '',
    urlTls: '',
    authoritative: false,
    proxied: false,
    error: 0,
    message: '',
  };
  readFields(body, (field, reader) => {
    if (field === 1) response.url = reader.string();
    else if (field === 2) response.urlTls = reader.string();
    else if (field === 3) response.kind = KINDS[reader.int()] ?? 'failed';
    else if (field === 4) response.requestId = reader.int();
    else if (field === 5) response.authoritative = reader.bool();
    else if (field === 6) response.error = reader.int();
    else if (field === 7) response.message = reader.string();
    else if (field === 8) response.proxied = reader.bool();
    else return false;
    return true;
  });
  return response;
}
