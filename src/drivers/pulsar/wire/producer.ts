import { COMMAND, commandFrame, readFields } from './command.ts';
import type { ProtoReader } from './protobuf.ts';
import { ProtoWriter } from './protobuf.ts';

/**
 * PRODUCER (5): topic 1, producer_id 2, request_id 3, producer_name 4, epoch 8, user_provided_producer_name 9, producer_access_mode 10 (0 = Shared).
 *
 * Shared, not ExclusiveWithFencing: a fenced producer gets no CLOSE_PRODUCER, and its next SEND closes its whole connection with all other producers on it.
 * The unique name is the fence.
 */
export interface OpenProducer {
  readonly topic: string;
  readonly producerId: number;
  readonly name: string;
  readonly epoch: number;
}

export function encodeProducer(requestId: number, producer: OpenProducer): Buffer {
  const body = new ProtoWriter()
    .string(1, producer.topic)
    .int(2, producer.producerId)
    .int(3, requestId)
    .string(4, producer.name)
    .int(8, producer.epoch)
    .bool(9, true)
    .int(10, 0);
  return commandFrame(COMMAND.producer, body);
}

/** PRODUCER_SUCCESS (17): request_id 1, producer_name 2, last_sequence_id 3, producer_ready 6 (absent = true). */
export interface ProducerSuccess {
  readonly requestId: number;
  /** The highest id that the broker has *accepted* under this name when it deduplicates: no proof that it is stored. */
  readonly lastSequenceId: number;
  readonly ready: boolean;
}

export function decodeProducerSuccess(body: ProtoReader): ProducerSuccess {
  const success = { requestId: -1, lastSequenceId: -1, ready: true };
  readFields(body, (field, reader) => {
    if (field === 1) success.requestId = reader.int();
    else if (field === 3) success.lastSequenceId = reader.int();
    else if (field === 6) success.ready = reader.bool();
    else return false;
    return true;
  });
  return success;
}
