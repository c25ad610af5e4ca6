import type { LaneId } from '../../model/lane.ts';
import { offsetPosition, type Position } from '../../model/position.ts';
import type { LaneReader, ReadOptions, Source, StartAt } from '../../spi/source.ts';
import { MemoryLaneReader } from './lane-reader.ts';
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
    const extent = await this.#network.request(`opening ${lane.lane}`, () => this.#broker.extent(lane.topic, lane.lane));
    return new MemoryLaneReader(this.#broker, this.#network, lane, from, options, extent);
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

  next(position: Position): Position {
    return offsetPosition(position.major + 1);
  }
}
