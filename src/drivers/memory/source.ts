import type { LaneId } from '../../model/lane.ts';
import { advancePosition, comparePositions, offsetPosition, type Position } from '../../model/position.ts';
import type { LaneReader, ReadOptions, Source, StartAt } from '../../spi/source.ts';
import type { EntryBroker } from './entry-broker.ts';
import { MemoryLaneReader } from './lane-reader.ts';
import { EntryView, QueueView } from './lane-view.ts';
import type { MemoryNetwork } from './network.ts';
import type { QueueBroker } from './queue-broker.ts';

/** Reads the queues of a fake cluster. */
export class MemorySource implements Source {
  readonly passesWhole = false;
  readonly #broker: QueueBroker;
  readonly #network: MemoryNetwork;

  constructor(broker: QueueBroker, network: MemoryNetwork) {
    this.#broker = broker;
    this.#network = network;
  }

  async openLane(lane: LaneId, from: Position, options: ReadOptions): Promise<LaneReader> {
    const { view, extent } = await this.#network.request(`opening ${lane.lane}`, () => {
      const opened = new QueueView(this.#broker, lane);
      return { view: opened, extent: opened.extent() };
    });
    return new MemoryLaneReader(view, this.#network, from, options, extent);
  }

  committed(lane: LaneId, group: string): Promise<Position | undefined> {
    return this.#network.request('asking for a group offset', () => {
      const offset = this.#broker.committed(lane.topic, lane.lane, group);
      return offset === undefined ? undefined : offsetPosition(offset);
    });
  }

  resolveStart({ topic, lane }: LaneId, start: StartAt): Promise<Position> {
    return this.#network.request('resolving a start', () => {
      const { begin, end } = this.#broker.extent(topic, lane);
      if (start.kind === 'earliest') return offsetPosition(begin);
      if (start.kind === 'latest') return offsetPosition(end);
      const found = this.#broker
        .history(topic, lane)
        .find((message) => message.offset >= begin && message.storeTime >= start.time);
      return offsetPosition(found?.offset ?? end);
    });
  }

  back({ topic, lane }: LaneId, { major }: Position, count: number): Promise<Position> {
    return this.#network.request('counting back', () =>
      offsetPosition(Math.max(this.#broker.extent(topic, lane).begin, major - count)),
    );
  }

  next(position: Position): Position {
    return offsetPosition(position.major + 1);
  }
}

/** Reads the partitions of a fake cluster of entries, whole ones where it is asked to. */
export class MemoryEntrySource implements Source {
  readonly passesWhole = true;
  readonly #broker: EntryBroker;
  readonly #network: MemoryNetwork;

  constructor(broker: EntryBroker, network: MemoryNetwork) {
    this.#broker = broker;
    this.#network = network;
  }

  async openLane(lane: LaneId, from: Position, options: ReadOptions): Promise<LaneReader> {
    const view = new EntryView(this.#broker, lane, options.wholeFrom, this.#network.random);
    const extent = await this.#network.request(`opening ${lane.lane}`, () => view.extent());
    return new MemoryLaneReader(view, this.#network, from, options, extent);
  }

  committed({ topic, lane }: LaneId, group: string): Promise<Position | undefined> {
    return this.#network.request('asking for a cursor', () => this.#broker.committed(topic, Number(lane), group));
  }

  resolveStart({ topic, lane }: LaneId, start: StartAt): Promise<Position> {
    return this.#network.request('resolving a start', () => {
      const { begin, end } = this.#broker.extent(topic, Number(lane));
      if (start.kind === 'earliest') return begin;
      if (start.kind === 'latest') return end;
      return this.#broker.entries(topic, Number(lane)).find(({ storeTime }) => storeTime >= start.time)?.position ?? end;
    });
  }

  back({ topic, lane }: LaneId, place: Position, count: number): Promise<Position> {
    return this.#network.request('counting back', () => {
      const before = this.#broker.entries(topic, Number(lane)).filter(({ position }) => comparePositions(position, place) < 0);
      return before.at(-count)?.position ?? this.#broker.extent(topic, Number(lane)).begin;
    });
  }

  next(position: Position): Position {
    return advancePosition(position, 1);
  }
}
