import { readFields } from './command.ts';
import type { ProtoReader } from './protobuf.ts';
import { ProtoWriter } from './protobuf.ts';

/** MessageIdData: ledgerId 1, entryId 2, partition 3, batch_index 4. Ledger and entry are -1 for "before the first" and for a receipt of a duplicate. */
export interface MessageId {
  readonly ledger: number;
  readonly entry: number;
}

export function encodeMessageId(id: MessageId): ProtoWriter {
  return new ProtoWriter(24).int(1, id.ledger).int(2, id.entry);
}

export function decodeMessageId(body: ProtoReader): MessageId {
  const id = { ledger: -1, entry: -1 };
  readFields(body, (field, reader) => {
    if (field === 1) id.ledger = reader.int();
    else if (field === 2) id.entry = reader.int();
    else return false;
    return true;
  });
  return id;
}
