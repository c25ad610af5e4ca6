import { toIsthmusError } from '../../errors.ts';
import { comparePositions, type Position } from '../../model/position.ts';
import type { GroupProgress, LaneProgress } from '../../model/progress.ts';
import type { GroupMove, GroupPlace, Groups, MovedLane } from '../../spi/groups.ts';
import type { MemoryNetwork } from './network.ts';

/** Where the groups of a fake cluster are. Throws while a lane is away. */
export interface GroupTable {
  /** Places in a topic, by group and lane. */
  places(topic: string): ReadonlyMap<string, ReadonlyMap<string, Position>>;
  setPlace(topic: string, lane: string, group: string, next: Position): void;
  /** Consumers that are connected, by group. */
  readonly members: ReadonlyMap<string, number>;
}

/** The groups of a fake cluster. They have one place in a lane and no holes after it. */
export class MemoryGroups implements Groups {
  readonly #table: GroupTable;
  readonly #network: MemoryNetwork;

  constructor(table: GroupTable, network: MemoryNetwork) {
    this.#table = table;
    this.#network = network;
  }

  progress(topics: readonly string[]): Promise<GroupProgress[]> {
    return this.#network.request('reading groups', () =>
      [...topics]
        .sort()
        .flatMap((topic) => [...this.#table.places(topic)].map(([group, places]) => this.#progressOf(topic, group, places))),
    );
  }

  move(move: GroupMove): Promise<MovedLane[]> {
    return this.#network.request('moving a group', () => move.places.map((place) => this.#moveLane(move, place)));
  }

  refusesGroupName(group: string): string | undefined {
    return group === '' ? 'it is empty' : undefined;
  }

  #progressOf(topic: string, group: string, places: ReadonlyMap<string, Position>): GroupProgress {
    const lanes = [...places].map(([lane, next]): LaneProgress => ({ lane, next, done: [] }));
    return { group, topic, sharing: 'ordered', members: this.#table.members.get(group) ?? 0, lanes };
  }

  #moveLane({ group, topic, force }: GroupMove, { lane, next, done }: GroupPlace): MovedLane {
    const there = (): Position | undefined => this.#table.places(topic).get(group)?.get(lane);
    try {
      const former = there();
      const order = former === undefined ? -1 : comparePositions(former, { ...next, index: -1 });
      if ((this.#table.members.get(group) ?? 0) > 0 && !force)
        return { lane, outcome: 'active', next: former, rereads: undefined };
      if (order > 0 && !force) return { lane, outcome: 'ahead', next: former, rereads: undefined };
      if (order !== 0) this.#table.setPlace(topic, lane, group, next);
      // Of an entry that is done in part all is read again, and so is what was done beyond the place.
      const rereads = Math.max(0, next.index) + done.reduce((sum, { records }) => sum + records, 0);
      return { lane, outcome: order === 0 ? 'same' : 'applied', next: there(), rereads, movedBack: order > 0 || undefined };
    } catch (error) {
      return { lane, outcome: 'failed', next: undefined, rereads: undefined, detail: toIsthmusError(error).message };
    }
  }
}
