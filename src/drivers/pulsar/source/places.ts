import { IsthmusError } from '../../../errors.ts';
import { entryPosition, type Position } from '../../../model/position.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import { fullTopicName, partitionTopic } from '../topic-name.ts';
import type { MessageId } from '../wire/message-id.ts';

/** The broker's name of a lane: a partition, or the topic itself where it has none. Rejects with TOPIC_NOT_FOUND. Creates nothing. */
export async function laneTopic(pool: Pick<BrokerPool, 'partitions'>, topic: string, lane: string): Promise<string> {
  const partition = Number(lane);
  const partitions = await pool.partitions(topic);
  if (partitions === 0 && partition === 0) return fullTopicName(topic);
  if (!Number.isInteger(partition) || partition < 0 || partition >= partitions)
    throw new IsthmusError('TOPIC_NOT_FOUND', `reading ${topic}: it has ${partitions} partitions, "${lane}" is none of them`);
  return partitionTopic(topic, partition);
}

/** The entry that a position lies in, or before which it lies. */
export function entryOf(position: Position): MessageId {
  return { ledger: position.major, entry: Math.max(0, position.minor) };
}

/** The place right after an entry. */
export function after(ledger: number, entry: number): Position {
  return entryPosition(ledger, entry + 1);
}

/**
 * What is to be acknowledged so that reading goes on in the entry of `next`: the entry before it. Before the first entry of a ledger that is -1, which brokers
 * take as the place before it.
 */
export function doneBefore(next: Position): MessageId {
  return { ledger: next.major, entry: Math.max(0, next.minor) - 1 };
}
