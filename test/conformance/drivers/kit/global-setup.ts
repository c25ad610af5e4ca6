/** Starts the brokers that the suite needs, side by side, and stops what it has started at the end. The one of RocketMQ serves both its drivers: a proxy needs the timer wheel. */
import { startBrokers } from '../../../kit/brokers.ts';

export async function setup(): Promise<() => Promise<void>> {
  const brokers = await startBrokers(['rmq-timer', 'pulsar-west']);
  return brokers.stop;
}
