import { IsthmusError } from '../../../errors.ts';
import { encodeCloseProducer } from '../wire/close.ts';
import { encodeProducer } from '../wire/producer.ts';
import { encodeSendHead, type Send } from '../wire/send.ts';
import type { BrokerConnection, ProducerEvents } from './broker-connection.ts';

export interface ProducerOptions {
  /** A partition or an unpartitioned topic; never the parent name of a partitioned one, which would create a stray topic beside the partitions. */
  readonly topic: string;
  readonly name: string;
  /** Grows with each re-creation of the same producer. */
  readonly epoch: number;
  readonly events: ProducerEvents;
}

/** A producer that a broker has accepted. */
export interface Producer {
  readonly name: string;
  /** What frames call it on its connection. */
  readonly id: number;
  /** The highest sequence id that the broker has accepted under this name, -1 when it does not deduplicate. No proof that it is stored. */
  readonly lastSequenceId: number;
  /** `metadata` begins with its length; `checksum` covers it and the payload. Both byte ranges must stay untouched until the receipt. */
  send(send: Omit<Send, 'producerId'>, metadata: Buffer, payload: Uint8Array, checksum: number): void;
  /** Sends a frame that is whole already, with this producer's id in it. The bytes must stay untouched until the receipt. */
  sendFrame(frame: Uint8Array): void;
  /** Resolves when the name is free for others. */
  close(): Promise<void>;
}

/** Opens a producer; rejects with what the broker says, OTHER_WRITER when the name is in use on another living connection. */
export async function openProducer(connection: BrokerConnection, options: ProducerOptions): Promise<Producer> {
  // Always a new id: PRODUCER with an id that is live on the connection succeeds without doing anything.
  const id = connection.newId();
  const { topic, name, epoch } = options;
  const close = async (): Promise<void> => {
    connection.removeProducer(id);
    if (!connection.alive) return;
    await connection.request('success', `closing producer ${name}`, (requestId) => encodeCloseProducer(requestId, id));
  };
  connection.addProducer(id, options.events);
  let lastSequenceId: number;
  try {
    const doing = `opening producer ${name} on ${topic}`;
    const success = await connection.request('producerSuccess', doing, (requestId) =>
      encodeProducer(requestId, { topic, producerId: id, name, epoch }),
    );
    if (!success.ready) throw new IsthmusError('OTHER_WRITER', `${doing}: another producer has the topic for itself`);
    lastSequenceId = success.lastSequenceId;
  } catch (error) {
    connection.removeProducer(id);
    // After a timeout the broker may still open it, and would then refuse the name to the next try.
    if (error instanceof IsthmusError && (error.code === 'REQUEST_TIMEOUT' || error.code === 'OTHER_WRITER'))
      close().catch(() => undefined);
    throw error;
  }
  return {
    name,
    id,
    lastSequenceId,
    sendFrame: (frame) => connection.write(frame),
    send(send, metadata, payload, checksum) {
      connection.write(encodeSendHead({ producerId: id, ...send }, metadata, checksum, payload.length));
      if (payload.length > 0) connection.write(payload);
    },
    close,
  };
}
