import { IsthmusError } from '../../errors.ts';
import type { LaneId } from '../../model/lane.ts';
import { offsetPosition, type Position } from '../../model/position.ts';
import type { LaneReader, ReadOptions, Source, StartAt } from '../../spi/source.ts';
import { RocketmqLaneReader } from './lane-reader.ts';
import type { LaneShared } from './lane-shared.ts';
import { accepted } from './refusal.ts';
import { brokerOf, parseLane } from './routes.ts';
import type { Request } from './wire/command.ts';
import { getMaxOffset, getMinOffset, readOffset, searchOffset } from './wire/queue-offset.ts';

/** Reading from a RocketMQ cluster; a position is a queue offset. */
export function rocketmqSource(shared: LaneShared): Source {
  /** Asks the broker of a lane for an offset. Rejects while it cannot be reached. */
  async function askOffset(lane: LaneId, request: (queueId: number) => Request): Promise<number> {
    const queue = parseLane(lane.lane);
    const doing = `looking up an offset of ${lane.topic} ${lane.lane}`;
    const { reader } = brokerOf(await shared.routes.get(lane.topic), lane.topic, queue);
    if (reader === undefined) throw new IsthmusError('BROKER_BUSY', `${doing}: no server of the broker is up`);
    try {
      return readOffset(accepted(await shared.network.call(reader, request(queue.queueId)), doing));
    } catch (error) {
      shared.routes.markStale(lane.topic);
      throw error;
    }
  }

  const minOffset = (lane: LaneId): Promise<number> => askOffset(lane, (queueId) => getMinOffset(lane.topic, queueId));
  const maxOffset = (lane: LaneId): Promise<number> => askOffset(lane, (queueId) => getMaxOffset(lane.topic, queueId));

  async function startOffset(lane: LaneId, start: StartAt): Promise<number> {
    if (start.kind === 'earliest') return minOffset(lane);
    if (start.kind === 'latest') return maxOffset(lane);
    const found = await askOffset(lane, (queueId) => searchOffset(lane.topic, queueId, start.time));
    // The search also looks at what has expired.
    return Math.max(found, await minOffset(lane));
  }

  return {
    passesWhole: false,
    async openLane(lane: LaneId, from: Position, options: ReadOptions): Promise<LaneReader> {
      return new RocketmqLaneReader(lane, parseLane(lane.lane), from, options, shared);
    },
    async committed(lane: LaneId, group: string): Promise<Position | undefined> {
      const offset = await shared.groups.committed(lane, parseLane(lane.lane), group);
      return offset === undefined ? undefined : offsetPosition(offset);
    },
    async resolveStart(lane: LaneId, start: StartAt): Promise<Position> {
      return offsetPosition(await startOffset(lane, start));
    },
    back: async (lane, { major }, count) => offsetPosition(Math.max(major - count, await minOffset(lane))),
    next: (position) => offsetPosition(position.major + 1),
  };
}
