/** How long a message takes from the source's store to a reader of the target's, at a steady rate. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bed } from './bed.ts';
import { startIsthmus } from './isthmus.ts';
import { quantile } from './statistics.ts';
import { queues } from './throughput.ts';

export type Latency = {
  readonly p50: number | null;
  readonly p99: number | null;
  readonly max: number | null;
  readonly samples: number;
};

export type LatencyOptions = { readonly messagesPerSecond: number; readonly warmUpSeconds: number; readonly seconds: number };

/**
 * Milliseconds from the RocketMQ broker's store timestamp to the moment when a Pulsar reader of the official Java client
 * has the message in hand. Both clocks are this machine's. The store timestamp is cut down to whole milliseconds, so a figure
 * is up to 1 ms too high; and it holds the way from the target's store to the reader, so it is an upper bound.
 */
export async function measureLatency(bed: Bed, options: LatencyOptions): Promise<Latency> {
  const name = `bench-latency-${Date.now()}`;
  const topic = `persistent://public/default/${name}`;
  const warmUp = options.messagesPerSecond * options.warmUpSeconds;
  const count = options.messagesPerSecond * (options.warmUpSeconds + options.seconds);
  await bed.sourceEyes.createTopic(name, { queues });
  await bed.targetEyes.createTopic(topic, queues);
  const tail = await bed.targetEyes.tail(topic, { count, timeoutMs: (options.warmUpSeconds + options.seconds + 60) * 1000 });
  const isthmus = await startIsthmus(bed, { topics: name, rename: topic });
  try {
    // Its start is not what is measured: the lanes are to stand at the end of their queues.
    await sleep(5_000);
    isthmus.assertRunning();
    bed.report(`${options.messagesPerSecond} messages/s for ${options.warmUpSeconds} + ${options.seconds} s`);
    await bed.sourceEyes.load(name, { count, rate: options.messagesPerSecond });
    const stored = new Map((await bed.sourceEyes.readRows(name, { expect: count })).map((row) => [row.id, row.storeTimestamp]));
    const arrived = await tail.arrived;
    isthmus.assertRunning();
    if (arrived.length !== count) throw new Error(`${arrived.length} of ${count} messages arrived`);
    const waits = arrived
      .filter(({ id }) => Number(id) >= warmUp)
      .map(({ id, micros }) => micros / 1000 - (stored.get(id) ?? Number.NaN));
    return { p50: quantile(waits, 0.5), p99: quantile(waits, 0.99), max: quantile(waits, 1), samples: waits.length };
  } finally {
    await isthmus.stop();
    await bed.targetEyes.deleteTopic(topic);
    await bed.sourceEyes.deleteTopic(name);
  }
}
