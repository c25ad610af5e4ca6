/** The writing half of the RocketMQ driver on a real cluster, as tests open it. Records and writers are those of pulsar-writing.ts. */
import { openRocketmq } from '../../src/drivers/rocketmq/driver.ts';
import type { RocketmqOptions } from '../../src/drivers/rocketmq/options.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { type MarkCodec, plainMarks } from '../../src/model/provenance.ts';
import type { Cluster } from '../../src/spi/cluster.ts';
import type { Sink } from '../../src/spi/sink.ts';
import { type LogLine, memoryLog } from './pulsar-writing.ts';

export type WritingCluster = Cluster & { readonly sink: Sink };

export function openWritingCluster(
  namesrv: string,
  options: Partial<RocketmqOptions> = {},
  lines: LogLine[] = [],
  marks: MarkCodec = plainMarks,
): WritingCluster {
  const base = { namesrv: [namesrv], auth: undefined, tls: undefined };
  const deps = { clock: systemClock, log: memoryLog(lines), random: Math.random, marks };
  const cluster = openRocketmq('target', { ...base, ...options }, deps);
  if (cluster.sink === undefined) throw new Error('the driver cannot write');
  return { ...cluster, sink: cluster.sink };
}
