import { BatchPool } from '../../../lib/batch-pool.ts';
import type { FramePool } from '../../../lib/frame-pool.ts';
import type { LaneId } from '../../../model/lane.ts';
import { advancePosition, type Position } from '../../../model/position.ts';
import type { SchemaReader } from '../../../spi/schema.ts';
import type { LaneReader, ReadOptions, Source, StartAt } from '../../../spi/source.ts';
import type { Rest } from '../admin/rest.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import { schemaReader } from '../net/schemas.ts';
import type { PulsarDeps } from '../options.ts';
import { EntryHeader } from '../wire/entry-header.ts';
import { PulsarLaneReader } from './lane-reader.ts';
import { laneTopic } from './places.ts';
import { RecordDecoder } from './record-decoder.ts';
import type { SourceShared } from './shared.ts';
import { committedPlace, placeBack, startPlace } from './start.ts';

/** Reading from a Pulsar cluster; a position is ledger, entry and index in a batch. */
export class PulsarSource implements Source {
  readonly passesWhole = true;
  readonly #shared: SourceShared;

  constructor(pool: BrokerPool, rest: Rest, frames: FramePool, deps: PulsarDeps) {
    this.#shared = {
      pool,
      rest,
      deps,
      frames,
      batches: new BatchPool(),
      decoder: new RecordDecoder(),
      header: new EntryHeader(),
      lanes: new Map(),
    };
  }

  async openLane(lane: LaneId, from: Position, options: ReadOptions): Promise<LaneReader> {
    return new PulsarLaneReader(lane, from, options, this.#shared);
  }

  /** The place of the subscription, which is known to the brokers' tools as the mark-delete position. */
  async committed(lane: LaneId, group: string): Promise<Position | undefined> {
    return await committedPlace(this.#shared.rest, await this.#partition(lane), group);
  }

  async resolveStart(lane: LaneId, start: StartAt): Promise<Position> {
    return await startPlace(this.#shared.rest, await this.#partition(lane), start);
  }

  async back(lane: LaneId, place: Position, count: number): Promise<Position> {
    return await placeBack(this.#shared.rest, await this.#partition(lane), place, count);
  }

  next(position: Position): Position {
    return advancePosition(position, 1);
  }

  schemas(topic: string): SchemaReader {
    return schemaReader(this.#shared.pool, topic);
  }

  #partition(lane: LaneId): Promise<string> {
    return laneTopic(this.#shared.pool, lane.topic, lane.lane);
  }
}
