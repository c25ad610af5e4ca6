import { COMMAND, commandFrame, readFields } from './command.ts';
import type { MessageId } from './message-id.ts';
import { decodeMessageId } from './message-id.ts';
import type { ProtoReader } from './protobuf.ts';
import { ProtoWriter } from './protobuf.ts';

/** GET_LAST_MESSAGE_ID (29): consumer_id 1, request_id 2. */
export function encodeGetLastMessageId(requestId: number, consumerId: number): Buffer {
  return commandFrame(COMMAND.getLastMessageId, new ProtoWriter().int(1, consumerId).int(2, requestId));
}

/** GET_LAST_MESSAGE_ID_RESPONSE (30): last_message_id 1, request_id 2. */
export interface LastMessageId {
  readonly requestId: number;
  /** The newest entry that consumers get; -1:-1 when there is none. */
  readonly id: MessageId;
}

export function decodeLastMessageId(body: ProtoReader): LastMessageId {
  let requestId = -1;
  let id: MessageId = { ledger: -1, entry: -1 };
  readFields(body, (field, reader) => {
    if (field === 1) id = decodeMessageId(reader.message());
    else if (field === 2) requestId = reader.int();
    else return false;
    return true;
  });
  return { requestId, id };
}
