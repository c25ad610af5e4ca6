/** What is measured in each direction, on which clusters, and what is aimed at. */
import type { ClusterName } from '../../test/kit/cluster-eyes.ts';

export type DirectionName = 'rocketmq-to-pulsar' | 'pulsar-to-rocketmq' | 'pulsar-to-pulsar' | 'rocketmq-to-rocketmq';

export type Case = {
  readonly name: string;
  readonly count: number;
  /** Body bytes. */
  readonly size: number;
  /** Messages per entry at a Pulsar source. */
  readonly batch: number;
  /** The most of the rival's CPU per message that we aim at. */
  readonly cpuTarget: number;
};

export type Direction = {
  readonly name: DirectionName;
  readonly source: ClusterName;
  readonly target: ClusterName;
  readonly cases: readonly Case[];
};

/** Messages that are produced while Pulsar's own geo-replication, or Isthmus, replicates them. */
export const geoCount = 500_000;

/** At least so many times the rival's messages per second, in every case. */
export const throughputTarget = 3;

const small = { name: '128B', count: 1_000_000, size: 128, batch: 100, cpuTarget: 1 / 6 };
const large = { name: '1KiB', count: 500_000, size: 1024, batch: 33, cpuTarget: 1 / 6 };

export const directions: readonly Direction[] = [
  { name: 'rocketmq-to-pulsar', source: 'rmq-east', target: 'pulsar-west', cases: [small, large] },
  { name: 'pulsar-to-rocketmq', source: 'pulsar-west', target: 'rmq-east', cases: [small, large] },
  {
    name: 'pulsar-to-pulsar',
    source: 'pulsar-east',
    target: 'pulsar-west',
    // Entries pass through whole, so their number decides, not that of their messages: 40,000 and some 30,000. With fewer most of what is measured is the start of the process.
    cases: [
      { ...small, count: 4 * small.count, cpuTarget: 1 / 30 },
      { ...large, count: 2 * large.count, cpuTarget: 1 / 12 },
    ],
  },
  { name: 'rocketmq-to-rocketmq', source: 'rmq-east', target: 'rmq-west', cases: [small, large] },
];
