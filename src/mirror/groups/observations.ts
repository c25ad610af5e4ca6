import { comparePositions } from '../../model/position.ts';
import type { LaneView, Observation } from './translation.ts';

/** So many are waited with for the checkpoints to reach them. */
const MOST_WAITING = 16;

/** Observations of a topic that a translation can use, newest first: the newest that all checkpoints have reached, and those that they have yet to reach. */
export class Observations {
  #all: Observation[] = [];
  #former: Pick<Observation, 'targetEnds' | 'givenBack'> | undefined;

  get list(): readonly Observation[] {
    return this.#all;
  }

  /**
   * Takes what was seen in a pass: what the target said, and after that what the source said. The two go together with a pass between them, because a source that was just written
   * to may name an end that is too low.
   */
  note({ sourceEnds, targetEnds, givenBack }: Observation, lanes: readonly LaneView[]): void {
    if (this.#former !== undefined) this.#all.unshift({ ...this.#former, sourceEnds });
    this.#former = { targetEnds, givenBack };
    const reached = this.#all.findIndex((each) => lanes.every((lane) => hasReached(lane, each)));
    if (reached >= 0) this.#all.length = reached + 1;
    // The oldest stays, or a mirror that is always some way behind would never reach any.
    if (this.#all.length > MOST_WAITING) this.#all = this.#all.filter((_, i) => i % 2 === 0 || i === this.#all.length - 1);
  }
}

/** Whether a lane's checkpoint has reached the end that the source had when it was looked at. */
export function hasReached({ lane, checkpoint }: LaneView, { sourceEnds }: Observation): boolean {
  const end = sourceEnds.get(lane);
  return end !== undefined && checkpoint !== undefined && comparePositions(checkpoint.next, end) >= 0;
}
