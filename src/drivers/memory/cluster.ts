import { toIsthmusError } from '../../errors.ts';
import type { TopicDescription } from '../../model/lane.ts';
import { offsetPosition } from '../../model/position.ts';
import { type MarkCodec, plainMarks } from '../../model/provenance.ts';
import { ALL_CAPABILITIES } from '../../spi/capabilities.ts';
import type { CheckItem, Cluster, ClusterAdmin, MadeTopic } from '../../spi/cluster.ts';
import type { LaneExtent } from '../../spi/source.ts';
import type { EntryBroker } from './entry-broker.ts';
import { MemoryGroups } from './groups.ts';
import type { MemoryNetwork } from './network.ts';
import type { QueueBroker } from './queue-broker.ts';
import { MemoryQueueSink, MemorySink } from './sink.ts';
import { MemoryEntrySource, MemorySource } from './source.ts';

/** A process's view of a fake cluster of queues. */
export function openQueueCluster(
  name: string,
  broker: QueueBroker,
  network: MemoryNetwork,
  marks: MarkCodec = plainMarks,
): Cluster {
  const extents = async (topic: string): Promise<ReadonlyMap<string, LaneExtent>> =>
    await network.request('asking for extents', () => {
      const lanes = broker.describe(topic)?.lanes ?? [];
      return new Map(
        lanes.map(({ lane }) => {
          const { begin, end } = broker.extent(topic, lane);
          return [lane, { begin: offsetPosition(begin), end: offsetPosition(end) }];
        }),
      );
    });
  const ensureTopic = async (topic: string, partitions: number): Promise<MadeTopic> =>
    await network.request('making a topic', () => {
      const created = !broker.topics.includes(topic);
      // Lanes of a broker that is away count as there: for them nothing has to be asked.
      if (broker.lanes(topic).length < Math.max(1, partitions)) {
        broker.growTo(topic, 'broker-a', partitions);
        for (const lane of broker.lanes(topic)) broker.extent(topic, lane);
      }
      return { ...describe(broker, topic), created };
    });
  const admin = { ...commonAdmin(broker, network), extents, ensureTopic };
  return {
    name,
    type: 'rocketmq',
    capabilities: ALL_CAPABILITIES,
    admin,
    source: new MemorySource(broker, network),
    sink: new MemoryQueueSink(broker, network, marks),
    groups: new MemoryGroups(broker, network),
    close: async () => undefined,
  };
}

/** A process's view of a fake cluster of entries. */
export function openEntryCluster(
  name: string,
  broker: EntryBroker,
  network: MemoryNetwork,
  marks: MarkCodec = plainMarks,
): Cluster {
  const extents = async (topic: string): Promise<ReadonlyMap<string, LaneExtent>> =>
    await network.request('asking for extents', () => {
      const lanes = broker.describe(topic)?.lanes ?? [];
      return new Map(lanes.map(({ lane }, partition) => [lane, broker.extent(topic, partition)]));
    });
  const ensureTopic = async (topic: string, partitions: number): Promise<MadeTopic> =>
    await network.request('making a topic', () => {
      const created = broker.describe(topic) === undefined;
      broker.ensureTopic(topic, partitions);
      return { ...describe(broker, topic), created };
    });
  const admin = { ...commonAdmin(broker, network), extents, ensureTopic };
  return {
    name,
    type: 'pulsar',
    capabilities: ALL_CAPABILITIES,
    admin,
    source: new MemoryEntrySource(broker, network),
    sink: new MemorySink(broker, network, marks),
    groups: new MemoryGroups(broker, network),
    close: async () => undefined,
  };
}

function describe(broker: { describe(topic: string): TopicDescription | undefined }, topic: string): TopicDescription {
  return broker.describe(topic) ?? { topic, lanes: [], settings: {} };
}

function commonAdmin(
  broker: { readonly topics: readonly string[]; describe(topic: string): TopicDescription | undefined },
  network: MemoryNetwork,
): Pick<ClusterAdmin, 'check' | 'listTopics' | 'describeTopic' | 'isDeleted'> {
  return {
    async check(): Promise<CheckItem[]> {
      try {
        await network.request('connecting', () => undefined);
        return [{ what: 'connection', ok: true, detail: 'it is in memory' }];
      } catch (error) {
        return [{ what: 'connection', ok: false, detail: toIsthmusError(error).message }];
      }
    },
    listTopics: async () => await network.request('listing topics', () => [...broker.topics]),
    describeTopic: async (topic) => await network.request('describing a topic', () => broker.describe(topic)),
    isDeleted: async (topic) => await network.request('looking for a topic', () => !broker.topics.includes(topic)),
  };
}
