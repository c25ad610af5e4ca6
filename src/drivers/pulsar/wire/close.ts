import { COMMAND, commandFrame, readFields } from './command.ts';
import type { ProtoReader } from './protobuf.ts';
import { ProtoWriter } from './protobuf.ts';

/** CLOSE_PRODUCER (15) and CLOSE_CONSUMER (16): id 1, request_id 2, and from the broker assignedBrokerServiceUrl 3 and ...Tls 4. */
export function encodeCloseProducer(requestId: number, producerId: number): Buffer {
  return commandFrame(COMMAND.closeProducer, new ProtoWriter().int(1, producerId).int(2, requestId));
}

export function encodeCloseConsumer(requestId: number, consumerId: number): Buffer {
  return commandFrame(COMMAND.closeConsumer, new ProtoWriter().int(1, consumerId).int(2, requestId));
}

/** What a broker says when it closes a producer or consumer, for example because the topic moves. */
export interface Closed {
  readonly id: number;
}

export function decodeClose(body: ProtoReader): Closed {
  let id = -1;
  readFields(body, (field, reader) => {
    if (field !== 1) return false;
    id = reader.int();
    return true;
  });
  return { id };
}
