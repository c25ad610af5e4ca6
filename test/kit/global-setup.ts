/** Starts the brokers that the integration files share, once for all of them, and stops what it has started when they are done. */
import { type ServerName, startBrokers } from './brokers.ts';

const shared: readonly ServerName[] = ['rmq-east', 'rmq-west', 'pulsar-east', 'pulsar-west', 'redis-east'];

export async function setup(): Promise<() => Promise<void>> {
  const brokers = await startBrokers(shared);
  return brokers.stop;
}
