/** A driver on a cluster of its kind, as the conformance suite meets it. */
import type { Cluster } from '../../../../src/spi/cluster.ts';
import type { Sink } from '../../../../src/spi/sink.ts';
import type { Source } from '../../../../src/spi/source.ts';
import type { TestRecord } from '../../../kit/pulsar-writing.ts';

/** A message as an application sends it. */
export type AppMessage = {
  readonly body: Buffer;
  readonly key?: string;
  readonly properties: Readonly<Record<string, string>>;
};

/** What others than our driver see of a stored message. */
export type SeenMessage = {
  readonly lane: string;
  readonly bodySha256: string;
  readonly key: string | undefined;
  /** Among them those that a driver or its cluster has added. */
  readonly properties: Readonly<Record<string, string>>;
};

/** The cluster and the independent eyes on it, while a test file runs. */
export type Surroundings = {
  /** Makes a topic with the cluster's own tools, fit to be read and written by the driver. Resolves to what the driver calls its lanes, in order. */
  makeTopic(topic: string, lanes: number): Promise<readonly string[]>;
  /** Makes the group that readers of a topic will use, where the driver cannot. */
  makeGroup(topic: string, group: string): Promise<void>;
  /** Sends messages to the n-th lane as an application does, in order; resolves when the cluster shows them. */
  send(topic: string, lane: number, messages: readonly AppMessage[]): Promise<void>;
  /** All messages of a topic, lane by lane in their order, as the official client reads them; waits for `expect` of them. */
  see(topic: string, expect: number): Promise<readonly SeenMessage[]>;
  stop(): Promise<void>;
};

export type DriverUnderTest = {
  readonly name: string;
  /** Opens the cluster with connections of its own, as another process would. Whoever opens closes. */
  open(): Cluster;
  /** A cluster at an address where nobody listens; left out where there are no addresses. */
  readonly openNowhere?: () => Cluster;
  /** A name that no topic has yet. */
  newTopicName(): string;
  readonly refusedTopicName: string;
  /** A name of the cluster itself, which is never listed; undefined where there is none. */
  readonly systemTopic: string | undefined;
  /** A record that the cluster could not hold. */
  readonly unfit: TestRecord;
  start(): Promise<Surroundings>;
};

export type OpenCluster = Cluster & { readonly source: Source; readonly sink: Sink };

/** The cluster with both its halves. */
export function openBoth(driver: DriverUnderTest): OpenCluster {
  const cluster = driver.open();
  const { source, sink } = cluster;
  if (source === undefined || sink === undefined) throw new Error(`${driver.name} is half a driver`);
  return { ...cluster, source, sink };
}
