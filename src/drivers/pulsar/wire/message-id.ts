import { ProtoReader, ProtoWriter } from './protobuf.ts';

/** MessageIdData: ledgerId 1, entryId 2, partition 3, batch_index 4. Ledger and entry are -1 for "before the first" and for a receipt of a duplicate. */
export interface MessageId {
  readonly ledger: number;
  readonly entry: number;
}

export const NO_ID: MessageId = { ledger: -1, entry: -1 };

/** One reader for all: each id is read to its end before the next. */
const inner: ProtoReader = new ProtoReader(Buffer.alloc(0));

export function encodeMessageId(id: MessageId): ProtoWriter {
  return new ProtoWriter(24).int(1, id.ledger).int(2, id.entry);
}

export function decodeMessageId(body: ProtoReader): MessageId {
  let ledger = -1;
  let entry = -1;
  for (let field = body.next(); field !== 0; field = body.next()) {
    if (field === 1) ledger = body.int();
    else if (field === 2) entry = body.int();
    else body.skip();
  }
  return { ledger, entry };
}

/** Decodes the id that is the field which `outer` stands at. */
export function readMessageId(outer: ProtoReader): MessageId {
  outer.enter(inner);
  return decodeMessageId(inner);
}
