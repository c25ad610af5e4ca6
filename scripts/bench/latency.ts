/** How long a message takes from the source's store to a reader of the target's, at a steady rate. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Bed, queues } from './bed.ts';
import { startIsthmus } from './isthmus.ts';
import { quantile, rounded } from './statistics.ts';

export type Latency = {
  readonly p50_ms: number | null;
  readonly p99_ms: number | null;
  readonly max_ms: number | null;
  readonly messages_per_s: number;
  readonly samples: number;
};

export type LatencyOptions = { readonly messagesPerSecond: number; readonly warmUpSeconds: number; readonly seconds: number };

/**
 * Milliseconds from the source's timestamp (RocketMQ: of the broker's store; Pulsar: of the producer, just before it sends) to the moment when the official
 * Java client on the target has the message in hand. All clocks are this machine's. Timestamps are cut down to whole milliseconds, so a figure is up
 * to 1 ms too high; and it holds the way from the target's store to the reader, so it is an upper bound.
 */
export async function measureLatency(bed: Bed, options: LatencyOptions): Promise<Latency> {
  const { source, target } = bed;
  const name = `bench-latency-${Date.now()}`;
  const copy = `${name}-copy`;
  const warmUp = options.messagesPerSecond * options.warmUpSeconds;
  const count = options.messagesPerSecond * (options.warmUpSeconds + options.seconds);
  await source.createTopic(name, queues);
  await target.createTopic(copy, queues);
  const tail = await target.tail(copy, { count, timeoutMs: (options.warmUpSeconds + options.seconds + 60) * 1000 });
  const isthmus = await startIsthmus(bed, { topics: { [name]: copy }, windows: false });
  try {
    // Its start is not what is measured: the lanes are to stand at the end of their queues.
    await sleep(5_000);
    isthmus.assertRunning();
    bed.report(`${options.messagesPerSecond} messages/s for ${options.warmUpSeconds} + ${options.seconds} s`);
    await source.load(name, { count, rate: options.messagesPerSecond });
    const stored = new Map((await source.readRows(name, { expect: count })).map((row) => [row.id, row.storeTimestamp]));
    const arrived = await tail.arrived;
    isthmus.assertRunning();
    if (arrived.length !== count) throw new Error(`${arrived.length} of ${count} messages arrived`);
    const waits = arrived
      .filter(({ id }) => Number(id) >= warmUp)
      .map(({ id, micros }) => micros / 1000 - (stored.get(id) ?? Number.NaN));
    const [p50, p99, max] = [0.5, 0.99, 1].map((share) => rounded(quantile(waits, share), 2));
    return {
      p50_ms: p50 ?? null,
      p99_ms: p99 ?? null,
      max_ms: max ?? null,
      messages_per_s: options.messagesPerSecond,
      samples: waits.length,
    };
  } finally {
    await isthmus.stop();
    await target.deleteTopic(copy);
    await source.deleteTopic(name);
  }
}
