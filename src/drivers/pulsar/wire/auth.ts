import { COMMAND, commandFrame, readFields } from './command.ts';
import { CLIENT_VERSION } from './connect.ts';
import type { ProtoReader } from './protobuf.ts';
import { ProtoWriter } from './protobuf.ts';

/** AUTH_CHALLENGE (36): challenge 2 = AuthData{auth_method_name 1, auth_data 2}. The broker sends it when a token is about to expire. */
export interface AuthChallenge {
  readonly method: string;
}

export function decodeAuthChallenge(body: ProtoReader): AuthChallenge {
  let method = '';
  readFields(body, (field, reader) => {
    if (field !== 2) return false;
    readFields(reader.message(), (inner, data) => {
      if (inner !== 1) return false;
      method = data.string();
      return true;
    });
    return true;
  });
  return { method };
}

/** AUTH_RESPONSE (37): client_version 1, response 2 = AuthData{auth_method_name 1, auth_data 2}, protocol_version 3. */
export function encodeAuthResponse(method: string, data: Buffer): Buffer {
  const body = new ProtoWriter()
    .string(1, CLIENT_VERSION)
    .message(2, new ProtoWriter().string(1, method).bytes(2, data))
    .int(3, 21);
  return commandFrame(COMMAND.authResponse, body);
}
