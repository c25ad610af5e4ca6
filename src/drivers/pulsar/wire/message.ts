import { IsthmusError } from '../../../errors.ts';
import type { MessageId } from './message-id.ts';
import { NO_ID, readMessageId } from './message-id.ts';
import type { ProtoReader } from './protobuf.ts';

/** MESSAGE (9): consumer_id 1, message_id 2; the frame goes on with the entry as stored. */
export interface Message {
  readonly consumerId: number;
  readonly id: MessageId;
}

export function decodeMessage(body: ProtoReader): Message {
  let consumerId = -1;
  let id = NO_ID;
  for (let field = body.next(); field !== 0; field = body.next()) {
    if (field === 1) consumerId = body.int();
    else if (field === 2) id = readMessageId(body);
    else body.skip();
  }
  return { consumerId, id };
}

export const BROKER_ENTRY_MAGIC = 0x0e02;
export const ENTRY_MAGIC = 0x0e01;

/**
 * Where the metadata lies in an entry: `[0x0e02][size][BrokerEntryMetadata]` (rare) `[0x0e01][crc32c]` (absent for old producers) `[metadataSize][MessageMetadata]`
 * `[payload]`. Throws PROTOCOL_VIOLATION.
 */
export function locateMetadata(entry: Buffer): { readonly start: number; readonly end: number } {
  let at = 0;
  const need = (bytes: number): void => {
    if (entry.length - at < bytes) throw new IsthmusError('PROTOCOL_VIOLATION', 'reading an entry: it ends inside its header');
  };
  need(2);
  if (entry.readUInt16BE(at) === BROKER_ENTRY_MAGIC) {
    need(6);
    at += 6 + entry.readUInt32BE(at + 2);
    need(2);
  }
  if (entry.readUInt16BE(at) === ENTRY_MAGIC) at += 6;
  need(4);
  const start = at + 4;
  const length = entry.readUInt32BE(at);
  at = start;
  need(length);
  return { start, end: start + length };
}
