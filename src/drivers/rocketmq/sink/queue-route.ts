import { IsthmusError } from '../../../errors.ts';
import type { QueueName } from '../routes.ts';
import type { TopicRoute } from '../wire/get-route.ts';

/** The address where a queue is written. Throws an error that says why it cannot be written now. */
export function writableMaster(route: TopicRoute, topic: string, { brokerName, queueId }: QueueName): string {
  const doing = `writing ${topic} ${brokerName}:${queueId}`;
  if (route.static) throw new IsthmusError('BROKER_REFUSED', `${doing}: static (logic queue) topics are not supported`);
  const broker = route.brokers.find((each) => each.brokerName === brokerName);
  if (broker === undefined)
    throw new IsthmusError('BROKER_BUSY', `${doing}: the name server knows no such broker now; it is down or has lost the topic`);
  if (broker.master === undefined) throw new IsthmusError('BROKER_BUSY', `${doing}: the broker has no master now`);
  // Brokers do not look at a topic's permission themselves: a send would be stored.
  if (!broker.writable) throw new IsthmusError('ACCESS_DENIED', `${doing}: the topic is read-only there`);
  if (queueId >= broker.writeQueues)
    throw new IsthmusError('TOPIC_NOT_FOUND', `${doing}: the topic takes messages in ${broker.writeQueues} queues there`);
  return broker.master;
}

/** The queues of a topic that take messages, in the order in which RocketMQ's clients count them. */
export function writableLanes(route: TopicRoute): string[] {
  return route.brokers.flatMap(({ brokerName, writeQueues }) =>
    Array.from({ length: writeQueues }, (_, queueId) => `${brokerName}:${queueId}`),
  );
}
