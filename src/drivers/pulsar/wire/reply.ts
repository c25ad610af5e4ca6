import { readFields } from './command.ts';
import type { ProtoReader } from './protobuf.ts';

/** SUCCESS (13): request_id 1. */
export interface Success {
  readonly requestId: number;
}

export function decodeSuccess(body: ProtoReader): Success {
  let requestId = -1;
  readFields(body, (field, reader) => {
    if (field !== 1) return false;
    requestId = reader.int();
    return true;
  });
  return { requestId };
}

/** ERROR (14): request_id 1 (-1 = about the whole connection), error 2, message 3. */
export interface ErrorReply {
  readonly requestId: number;
  readonly error: number;
  readonly message: string;
}

export function decodeError(body: ProtoReader): ErrorReply {
  const reply = { requestId: -1, error: 0, message: '' };
  readFields(body, (field, reader) => {
    if (field === 1) reply.requestId = reader.int();
    else if (field === 2) reply.error = reader.int();
    else if (field === 3) reply.message = reader.string();
    else return false;
    return true;
  });
  return reply;
}
