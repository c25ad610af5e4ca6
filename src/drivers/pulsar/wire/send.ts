import { COMMAND, readFields } from './command.ts';
import { ENTRY_MAGIC } from './message.ts';
import type { MessageId } from './message-id.ts';
import { NO_ID, readMessageId } from './message-id.ts';
import type { ProtoReader } from './protobuf.ts';
import { varintLength, writeVarint } from './protobuf.ts';

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

const TYPE_BYTES = 2;
const CHECKSUM_BYTES = 6;
const SIZE_BYTES = 4;
const TAG = {
  type: 0x08,
  send: 0x32,
  producerId: 0x08,
  sequenceId: 0x10,
  messages: 0x18,
  highestSequenceId: 0x30,
  chunk: 0x38,
  marker: 0x40,
};

/** `sendHeadBytes` is never more. */
export const MAX_SEND_HEAD_BYTES = 80;

/** Bytes of a SEND frame before its metadata. */
export function sendHeadBytes(send: Send): number {
  const command = commandBytes(send);
  return 2 * SIZE_BYTES + TYPE_BYTES + 1 + varintLength(command) + command + CHECKSUM_BYTES;
}

/**
 * Writes the part of a SEND frame before its metadata at `at`; gives the place after it. `entryBytes`: metadata, with its four length bytes, and payload, which
 * `checksum` covers.
 */
export function writeSendHead(target: Buffer, at: number, send: Send, checksum: number, entryBytes: number): number {
  const command = commandBytes(send);
  const base = TYPE_BYTES + 1 + varintLength(command) + command;
  let to = target.writeUInt32BE(SIZE_BYTES + base + CHECKSUM_BYTES + entryBytes, at);
  to = target.writeUInt32BE(base, to);
  target[to++] = TAG.type;
  target[to++] = COMMAND.send;
  target[to++] = TAG.send;
  to = writeVarint(target, to, command);
  target[to++] = TAG.producerId;
  to = writeVarint(target, to, send.producerId);
  target[to++] = TAG.sequenceId;
  to = writeVarint(target, to, send.sequenceId);
  target[to++] = TAG.messages;
  to = writeVarint(target, to, send.messages);
  target[to++] = TAG.highestSequenceId;
  to = writeVarint(target, to, send.highestSequenceId);
  if (send.chunk) to = writeTrue(target, to, TAG.chunk);
  if (send.marker) to = writeTrue(target, to, TAG.marker);
  to = target.writeUInt16BE(ENTRY_MAGIC, to);
  return target.writeUInt32BE(checksum, to);
}

/** Everything of a SEND frame before the payload. `metadata` begins with its four length bytes; `checksum` covers it and the payload. */
export function encodeSendHead(send: Send, metadata: Buffer, checksum: number, payloadBytes: number): Buffer {
  const head = Buffer.allocUnsafe(sendHeadBytes(send) + metadata.length);
  metadata.copy(head, writeSendHead(head, 0, send, checksum, metadata.length + payloadBytes));
  return head;
}

function commandBytes({ producerId, sequenceId, messages, highestSequenceId, chunk, marker }: Send): number {
  const numbers = varintLength(producerId) + varintLength(sequenceId) + varintLength(messages) + varintLength(highestSequenceId);
  return 4 + numbers + (chunk ? 2 : 0) + (marker ? 2 : 0);
}

function writeTrue(target: Buffer, at: number, tag: number): number {
  target[at] = tag;
  target[at + 1] = 1;
  return at + 2;
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
  let id = NO_ID;
  for (let field = body.next(); field !== 0; field = body.next()) {
    if (field === 1) producerId = body.int();
    else if (field === 2) sequenceId = body.int();
    else if (field === 3) id = readMessageId(body);
    else body.skip();
  }
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
