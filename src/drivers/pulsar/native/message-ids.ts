import { entryPosition, type Position } from '../../../model/position.ts';
import { readFields } from '../wire/command.ts';
import { encodeMessageId, type MessageId } from '../wire/message-id.ts';
import { ProtoReader } from '../wire/protobuf.ts';
import type { NativeMessageId, PulsarModule } from './module.ts';

/** The place that a message id of the client speaks of: single messages have no index; of a chunked one it is the last piece. */
export function positionOf(id: NativeMessageId): Position {
  const found = { ledger: -1, entry: -1, index: -1 };
  readFields(new ProtoReader(id.serialize()), (field, reader) => {
    if (field === 1) found.ledger = reader.int();
    else if (field === 2) found.entry = reader.int();
    else if (field === 4) found.index = reader.int();
    else return false;
    return true;
  });
  return entryPosition(found.ledger, found.entry, found.index);
}

/** An entry as the client wants to have it. */
export function nativeId({ MessageId: ids }: PulsarModule, id: MessageId): NativeMessageId {
  return ids.deserialize(Buffer.from(encodeMessageId(id).finish()));
}
