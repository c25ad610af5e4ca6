import type { IsthmusError } from '../../../errors.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import { encodeCloseConsumer } from '../wire/close.ts';
import { encodeIndividualAck, encodeSharedSubscribe } from '../wire/consumer.ts';
import type { MessageId } from '../wire/message-id.ts';
import { serverError } from '../wire/server-error.ts';

/** Ids in one ACK. */
const IDS_AT_A_TIME = 1_000;

/**
 * Acknowledges single entries for an idle subscription, as a consumer that takes no messages: a broker believes acknowledgments of entries that it has never handed to their consumer. Ids
 * have to be ascending and in the partition, because the broker drops all that follow one that is not (it says nothing of it, so read back).
 */
export async function acknowledgeFor(
  pool: BrokerPool,
  partition: string,
  subscription: string,
  ids: readonly MessageId[],
): Promise<void> {
  const connection = await pool.locate(partition);
  const consumerId = connection.newId();
  let lost: IsthmusError | undefined;
  connection.addReader(consumerId, {
    message: () => undefined,
    closed: (error) => {
      lost = error;
    },
  });
  const doing = `acknowledging entries of ${partition} for ${subscription}`;
  try {
    await connection.request('success', doing, (id) =>
      encodeSharedSubscribe(id, { topic: partition, subscription, consumerId, consumerName: `isthmus-${consumerId}` }),
    );
    for (let at = 0; at < ids.length; at += IDS_AT_A_TIME) {
      if (lost !== undefined) throw lost;
      const answer = await connection.request('ackResponse', doing, (id) =>
        encodeIndividualAck(id, consumerId, ids.slice(at, at + IDS_AT_A_TIME)),
      );
      if (answer.error >= 0) throw serverError(answer.error, answer.message, doing);
    }
  } finally {
    connection.removeReader(consumerId);
    // Waited for: as long as it is there, a consumer of another type is refused.
    if (lost === undefined && connection.alive) {
      await connection.request('success', 'closing a consumer', (id) => encodeCloseConsumer(id, consumerId));
    }
  }
}
