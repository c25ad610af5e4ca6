import { COMMAND, commandFrame, readFields } from './command.ts';
import type { MessageId } from './message-id.ts';
import { decodeMessageId } from './message-id.ts';
import type { ProtoReader } from './protobuf.ts';
import { ProtoWriter } from './protobuf.ts';

/** GET_LAST_MESSAGE_ID (29): consumer_id 1, request_id 2. */
export function encodeGetLastMessageId(requestId: number, consumerId: number): Buffer {
  return commandFrame(COMMAND.getLastMessageId, new ProtoWriter().int(1, consumerId).int(2, requestId));
}

/** GET_LAST_MESSAGE_ID_RESPONSE (30): last_message_id 1, request_id 2, consumer_mark_delete_position 3. */
export interface LastMessageId {
  readonly requestId: number;
  /** The newest entry that consumers get; -1:-1 when there is none. */
  readonly id: MessageId;
  /** The index of its last record, -1 when it is no batch. */
  readonly batchIndex: number;
  /** Everything up to this place is done for the subscription, or for the cursor of a reader; absent before brokers knew it. */
  readonly markDelete: MessageId | undefined;
}

const BATCH_INDEX_FIELD = 4;

export function decodeLastMessageId(body: ProtoReader): LastMessageId {
  let requestId = -1;
  let batchIndex = -1;
  let markDelete: MessageId | undefined;
  const id = { ledger: -1, entry: -1 };
  readFields(body, (field, reader) => {
    if (field === 1) {
      readFields(reader.message(), (part, inner) => {
        if (part === 1) id.ledger = inner.int();
        else if (part === 2) id.entry = inner.int();
        else if (part === BATCH_INDEX_FIELD) batchIndex = inner.int();
        else return false;
        return true;
      });
    } else if (field === 2) requestId = reader.int();
    else if (field === 3) markDelete = decodeMessageId(reader.message());
    else return false;
    return true;
  });
  return { requestId, id, batchIndex, markDelete };
}
