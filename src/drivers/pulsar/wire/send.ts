import { COMMAND, encodeCommand, readFields } from './command.ts';
import { ENTRY_MAGIC } from './message.ts';
import type { MessageId } from './message-id.ts';
import { decodeMessageId } from './message-id.ts';
import type { ProtoReader } from './protobuf.ts';
import { ProtoWriter } from './protobuf.ts';

/**
 * SEND (6): producer_id 1, sequence_id 2, num_messages 3, highest_sequence_id 6, is_chunk 7, marker 8; the frame goes on with the entry
 * `[0x0e01][crc32c][metadataSize][MessageMetadata][payload]`.
 */
export interface Send {
  readonly producerId: number;
  readonly sequenceId: number;
  readonly highestSequenceId: number;
  readonly messages: number;
  /** Part of a chunked message: the broker then leaves out the topic's own size limit. */
  readonly chunk: boolean;
  /** An entry that no consumer gets and that deduplication leaves alone. */
  readonly marker: boolean;
}

/** Everything of a SEND frame before the payload. `metadata` begins with its four length bytes; `checksum` covers it and the payload. */
export function encodeSendHead(send: Send, metadata: Buffer, checksum: number, payloadBytes: number): Buffer {
  const body = new ProtoWriter(48)
    .int(1, send.producerId)
    .int(2, send.sequenceId)
    .int(3, send.messages)
    .int(6, send.highestSequenceId);
  if (send.chunk) body.bool(7, true);
  if (send.marker) body.bool(8, true);
  const command = encodeCommand(COMMAND.send, body);
  const head = Buffer.allocUnsafe(8 + command.length + 6 + metadata.length);
  let at = head.writeUInt32BE(head.length - 4 + payloadBytes, 0);
  at = head.writeUInt32BE(command.length, at);
  at += command.copy(head, at);
  at = head.writeUInt16BE(ENTRY_MAGIC, at);
  at = head.writeUInt32BE(checksum, at);
  metadata.copy(head, at);
  return head;
}

/** SEND_RECEIPT (7): producer_id 1, sequence_id 2, message_id 3, highest_sequence_id 4. Receipts come in the order of the SENDs. */
export interface SendReceipt {
  readonly producerId: number;
  readonly sequenceId: number;
  /** -1:-1 says that the broker took it for a duplicate: no proof that it is stored. */
  readonly id: MessageId;
}

export function decodeSendReceipt(body: ProtoReader): SendReceipt {
  let producerId = -1;
  let sequenceId = -1;
  let id: MessageId = { ledger: -1, entry: -1 };
  readFields(body, (field, reader) => {
    if (field === 1) producerId = reader.int();
    else if (field === 2) sequenceId = reader.int();
    else if (field === 3) id = decodeMessageId(reader.message());
    else return false;
    return true;
  });
  return { producerId, sequenceId, id };
}

/** SEND_ERROR (8): producer_id 1, sequence_id 2 (the higher of both ids sent), error 3, message 4. Errors overtake receipts. */
export interface SendError {
  readonly producerId: number;
  readonly sequenceId: number;
  readonly error: number;
  readonly message: string;
}

export function decodeSendError(body: ProtoReader): SendError {
  const error = { producerId: -1, sequenceId: -1, error: 0, message: '' };
  readFields(body, (field, reader) => {
    if (field === 1) error.producerId = reader.int();
    else if (field === 2) error.sequenceId = reader.int();
    else if (field === 3) error.error = reader.int();
    else if (field === 4) error.message = reader.string();
    else return false;
    return true;
  });
  return error;
}
