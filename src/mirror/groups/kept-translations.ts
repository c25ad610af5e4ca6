import type { LaneProgress } from '../../model/progress.ts';
import type { TopicView, Translation } from './translation.ts';

/** A repair (`isthmus verify`) adds to the index behind the checkpoints. */
const KEPT_MILLIS = 60_000;

interface Kept {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly from: string;
  readonly translation: Translation;
}

/** Translations of the pass before: of a thousand groups most stand still, on topics that nobody writes to, and then nothing of what their places follow from has changed. */
export class KeptTranslations {
  #kept = new Map<string, Kept>();
  #former: ReadonlyMap<string, Kept> = new Map();
  /** What was made of the views of this pass. */
  #views = new Map<TopicView, string>();

  #now = 0;

  /** A pass begins, at a monotonic time in milliseconds: groups that the last one has not met are forgotten. */
  begin(now: number): void {
    this.#now = now;
    this.#former = this.#kept;
    this.#kept = new Map();
    this.#views = new Map();
  }

  /** `key`: the group. What has no place is looked for anew each time, because it may be found without anything having changed that is seen here. Rejects with what `make` does. */
  async get(
    key: string,
    view: TopicView,
    lanes: readonly LaneProgress[],
    make: () => Promise<Translation>,
  ): Promise<Translation> {
    const seen = this.#views.get(view) ?? textOf(view);
    this.#views.set(view, seen);
    const from = `${seen} ${JSON.stringify(lanes)}`;
    const former = this.#former.get(key);
    if (former?.from === from && this.#now - former.at < KEPT_MILLIS) {
      this.#kept.set(key, former);
      return former.translation;
    }
    const translation = await make();
    if (translation.places.every(({ kind }) => kind !== 'unknown')) this.#kept.set(key, { at: this.#now, from, translation });
    return translation;
  }
}

/** Everything that a translation follows from, but for the index, which grows with the checkpoints. */
function textOf({ lanes, extents, observations, ...rest }: TopicView): string {
  const seen = observations.map(({ sourceEnds, targetEnds, givenBack }) => [
    [...sourceEnds],
    [...targetEnds],
    givenBack === undefined ? null : [...givenBack],
  ]);
  // Its time alone says nothing.
  const known = lanes.map((each) => ({ ...each, checkpoint: each.checkpoint && { ...each.checkpoint, time: 0 } }));
  return JSON.stringify([rest, known, [...extents], seen]);
}
