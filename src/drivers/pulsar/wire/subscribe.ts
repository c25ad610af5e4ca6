import { COMMAND, commandFrame } from './command.ts';
import type { MessageId } from './message-id.ts';
import { encodeMessageId } from './message-id.ts';
import { ProtoWriter } from './protobuf.ts';

/**
 * SUBSCRIBE (4) as a reader: topic 1, subscription 2, subType 3 (0 = Exclusive), consumer_id 4, request_id 5, durable 8, start_message_id 9, force_topic_creation 15.
 *
 * `durable: false`, because only then `start_message_id` is honoured; it is inclusive. Never on the parent name of a partitioned topic: that would create a
 * stray topic of this name beside the partitions, hence also `force_topic_creation: false`.
 */
export interface Subscribe {
  readonly topic: string;
  readonly subscription: string;
  readonly consumerId: number;
  /** The first entry to be sent; -1:-1 for the oldest. */
  readonly from: MessageId;
}

export function encodeSubscribe(requestId: number, subscribe: Subscribe): Buffer {
  const body = new ProtoWriter()
    .string(1, subscribe.topic)
    .string(2, subscribe.subscription)
    .int(3, 0)
    .int(4, subscribe.consumerId)
    .int(5, requestId)
    .bool(8, false)
    .message(9, encodeMessageId(subscribe.from))
    .bool(15, false);
  return commandFrame(COMMAND.subscribe, body);
}

/** FLOW (11): consumer_id 1, messagePermits 2. Permits count messages, not entries; the broker overshoots by up to a whole read of entries (about 5 MB). */
export function encodeFlow(consumerId: number, permits: number): Buffer {
  return commandFrame(COMMAND.flow, new ProtoWriter(16).int(1, consumerId).int(2, permits));
}
