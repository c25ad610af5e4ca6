import { IsthmusError } from '../../../errors.ts';
import { BatchPool } from '../../../lib/batch-pool.ts';
import type { FramePool } from '../../../lib/frame-pool.ts';
import type { LaneId } from '../../../model/lane.ts';
import { advancePosition, entryPosition, type Position } from '../../../model/position.ts';
import type { SchemaReader } from '../../../spi/schema.ts';
import type { LaneReader, ReadOptions, Source, StartAt } from '../../../spi/source.ts';
import { findTime, ledgersAndCursors } from '../admin/cursors.ts';
import type { Rest } from '../admin/rest.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import { schemaReader } from '../net/schemas.ts';
import type { PulsarDeps } from '../options.ts';
import { EntryHeader } from '../wire/entry-header.ts';
import { BEGINNING } from './continuity.ts';
import { PulsarLaneReader } from './lane-reader.ts';
import { after, laneTopic } from './places.ts';
import { RecordDecoder } from './record-decoder.ts';
import type { SourceShared } from './shared.ts';

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
    const { cursors } = await this.#stats(lane);
    const markDelete = cursors.get(group);
    return markDelete === undefined ? undefined : after(markDelete.ledger, markDelete.entry);
  }

  async resolveStart(lane: LaneId, start: StartAt): Promise<Position> {
    if (start.kind === 'time') {
      const topic = await laneTopic(this.#shared.pool, lane.topic, lane.lane);
      const found = await findTime(this.#shared.rest, topic, start.time);
      if (found !== undefined) return entryPosition(found.ledger, found.entry);
    }
    const { ledgers } = await this.#stats(lane);
    const [oldest, newest] = [ledgers[0], ledgers.at(-1)];
    // What comes into an empty topic comes after its beginning, wherever that will be: an empty ledger is thrown away.
    if (oldest === undefined || newest === undefined) return BEGINNING;
    if (start.kind === 'time')
      throw new IsthmusError('BROKER_BUSY', `looking for ${start.time} in ${lane.topic} ${lane.lane}: the broker gave no place`);
    return start.kind === 'earliest' ? entryPosition(oldest.ledger, 0) : entryPosition(newest.ledger, newest.entries);
  }

  next(position: Position): Position {
    return advancePosition(position, 1);
  }

  schemas(topic: string): SchemaReader {
    return schemaReader(this.#shared.pool, topic);
  }

  async #stats(lane: LaneId): ReturnType<typeof ledgersAndCursors> {
    return await ledgersAndCursors(this.#shared.rest, await laneTopic(this.#shared.pool, lane.topic, lane.lane));
  }
}
