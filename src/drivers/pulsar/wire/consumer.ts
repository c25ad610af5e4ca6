import { COMMAND, commandFrame, readFields } from './command.ts';
import type { MessageId } from './message-id.ts';
import { encodeMessageId } from './message-id.ts';
import type { ProtoReader } from './protobuf.ts';
import { ProtoWriter } from './protobuf.ts';

/**
 * SUBSCRIBE (4) with a durable cursor: topic 1, subscription 2, subType 3 (2 = Failover), consumer_id 4, request_id 5, consumer_name 6, priority_level 7, durable 8,
 * initialPosition 13 (1 = Earliest), force_topic_creation 15.
 *
 * A new subscription begins at the earliest entry and is moved forward by an acknowledgment: begun at the latest, it would lose what was written before. Never on the parent
 * name of a partitioned topic: that would create a stray topic of this name beside the partitions, hence also `force_topic_creation: false`.
 */
export interface DurableSubscribe {
  readonly topic: string;
  readonly subscription: string;
  readonly consumerId: number;
  readonly consumerName: string;
  /** The lowest one of a subscription's consumers gets the messages. */
  readonly priority: number;
}

const SHARED = 1;
const FAILOVER = 2;
const EARLIEST = 1;
const INDIVIDUAL = 0;
const CUMULATIVE = 1;

export function encodeDurableSubscribe(requestId: number, subscribe: DurableSubscribe): Buffer {
  const body = new ProtoWriter()
    .string(1, subscribe.topic)
    .string(2, subscribe.subscription)
    .int(3, FAILOVER)
    .int(4, subscribe.consumerId)
    .int(5, requestId)
    .string(6, subscribe.consumerName)
    .int(7, subscribe.priority)
    .bool(8, true)
    .int(13, EARLIEST)
    .bool(15, false);
  return commandFrame(COMMAND.subscribe, body);
}

/** ACK (10) of all entries up to and including one: consumer_id 1, ack_type 2 (1 = Cumulative), message_id 3, request_id 8. */
export function encodeCumulativeAck(requestId: number, consumerId: number, id: MessageId): Buffer {
  const body = new ProtoWriter().int(1, consumerId).int(2, CUMULATIVE).message(3, encodeMessageId(id)).int(8, requestId);
  return commandFrame(COMMAND.ack, body);
}

/** SUBSCRIBE as a Shared consumer of a subscription that exists. */
export function encodeSharedSubscribe(requestId: number, subscribe: Omit<DurableSubscribe, 'priority'>): Buffer {
  const body = new ProtoWriter()
    .string(1, subscribe.topic)
    .string(2, subscribe.subscription)
    .int(3, SHARED)
    .int(4, subscribe.consumerId)
    .int(5, requestId)
    .string(6, subscribe.consumerName)
    .bool(8, true)
    .int(13, EARLIEST)
    .bool(15, false);
  return commandFrame(COMMAND.subscribe, body);
}

/**
 * ACK (10) of single entries: ack_type 0 = Individual. Without `ack_set`, which a broker with usual settings ignores together with its id.
 */
export function encodeIndividualAck(requestId: number, consumerId: number, ids: readonly MessageId[]): Buffer {
  const body = new ProtoWriter(32 * ids.length + 32).int(1, consumerId).int(2, INDIVIDUAL);
  for (const id of ids) body.message(3, encodeMessageId(id));
  return commandFrame(COMMAND.ack, body.int(8, requestId));
}

/** ACK_RESPONSE (38): consumer_id 1, error 4, message 5, request_id 6. It says that the acknowledgment was heard, not that it is durable. */
export interface AckResponse {
  readonly requestId: number;
  /** A ServerError, -1 for none. */
  readonly error: number;
  readonly message: string;
}

export function decodeAckResponse(body: ProtoReader): AckResponse {
  const response = { requestId: -1, error: -1, message: '' };
  readFields(body, (field, reader) => {
    if (field === 4) response.error = reader.int();
    else if (field === 5) response.message = reader.string();
    else if (field === 6) response.requestId = reader.int();
    else return false;
    return true;
  });
  return response;
}

/** SEEK (28): consumer_id 1, request_id 2, message_id 3, the entry that is read next. The broker closes the consumer before it answers. */
export function encodeSeek(requestId: number, consumerId: number, id: MessageId): Buffer {
  return commandFrame(COMMAND.seek, new ProtoWriter().int(1, consumerId).int(2, requestId).message(3, encodeMessageId(id)));
}

/** ACTIVE_CONSUMER_CHANGE (31): consumer_id 1, is_active 2. A hint, never a lock. */
export interface ActiveConsumerChange {
  readonly consumerId: number;
  readonly active: boolean;
}

export function decodeActiveConsumerChange(body: ProtoReader): ActiveConsumerChange {
  const change = { consumerId: -1, active: false };
  readFields(body, (field, reader) => {
    if (field === 1) change.consumerId = reader.int();
    else if (field === 2) change.active = reader.bool();
    else return false;
    return true;
  });
  return change;
}
