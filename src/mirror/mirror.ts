import { toIsthmusError } from '../errors.ts';
import { type LaneId, laneKey } from '../model/lane.ts';
import type { Recorder } from '../spi/recorder.ts';
import type { Checkpoint, IndexEntry, MirrorKey, StateStore } from '../spi/state-store.ts';
import { Lane } from './lane.ts';
import type { LanePlan, MirrorContext } from './lane-plan.ts';

const CHECKPOINT_MILLIS = 1_000;
/** The source's own checkpoint is written less often: each is a request per lane. */
const COMMIT_MILLIS = 5_000;

export interface MirrorDeps {
  readonly key: MirrorKey;
  readonly context: MirrorContext;
  readonly store: StateStore;
  readonly recorder: Recorder;
  /** Consumer group or subscription at the source. */
  readonly group: string;
}

/** A running mirror: its lanes, and the keeper of their checkpoints. What lanes there have to be is control's business. */
export class Mirror {
  readonly key: MirrorKey;
  readonly #deps: MirrorDeps;
  readonly #lanes = new Map<string, Lane>();
  readonly #checkpoints = new Map<string, Checkpoint>();
  readonly #abort = new AbortController();
  readonly #keeper: Promise<void>;
  #saving: Promise<void> = Promise.resolve();

  /** `checkpoints`: what the store holds. */
  constructor(deps: MirrorDeps, checkpoints: readonly Checkpoint[]) {
    this.key = deps.key;
    this.#deps = deps;
    for (const checkpoint of checkpoints) this.#checkpoints.set(laneKey(checkpoint.lane), checkpoint);
    this.#keeper = this.#keep();
  }

  get lanes(): readonly Lane[] {
    return [...this.#lanes.values()];
  }

  lane(id: LaneId): Lane | undefined {
    return this.#lanes.get(laneKey(id));
  }

  /** Makes a topic's lanes as planned: starts new ones, reopens those whose partitions changed, closes those that are gone. */
  async setTopic(topic: string, plans: readonly LanePlan[]): Promise<void> {
    const wanted = new Map(plans.map((plan) => [laneKey(plan.lane), plan]));
    for (const [key, lane] of this.#lanes) {
      if (lane.plan.lane.topic !== topic) continue;
      const plan = wanted.get(key);
      if (plan === undefined || !samePlan(plan, lane.plan)) await this.#closeLane(key, lane);
    }
    for (const [key, plan] of wanted) {
      if (!this.#lanes.has(key)) this.#startLane(key, plan);
    }
  }

  /** Closes and reopens all lanes, also stopped ones. */
  async restart(): Promise<void> {
    // A copy: a reopened lane goes to the end of the map, where the loop would meet it again.
    const lanes = [...this.#lanes];
    for (const [key, lane] of lanes) {
      await this.#closeLane(key, lane);
      this.#startLane(key, lane.plan);
    }
  }

  /** Everything is written to the store again at the next turn: the store was emptied or replaced. */
  markDirty(): void {
    for (const lane of this.#lanes.values()) lane.markDirty();
  }

  /** Ends all lanes, each after what is in flight was stored, and keeps their last checkpoints. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#keeper;
    await Promise.all(this.lanes.map((lane) => lane.close()));
    await this.#save();
    await Promise.all(this.lanes.map((lane) => this.#commit(lane)));
    this.#lanes.clear();
  }

  #startLane(key: string, plan: LanePlan): void {
    const { link, mirror } = this.key;
    const recorder = this.#deps.recorder.lane({ link, mirror, topic: plan.lane.topic, lane: plan.lane.lane });
    const lane = new Lane(plan, this.#deps.context, this.#deps.group, recorder);
    this.#lanes.set(key, lane);
    lane.start(this.#checkpoints.get(key));
  }

  async #closeLane(key: string, lane: Lane): Promise<void> {
    await lane.close();
    await this.#save();
    this.#lanes.delete(key);
  }

  async #keep(): Promise<void> {
    const { clock } = this.#deps.context;
    let commitAt = clock.monotonic() + COMMIT_MILLIS;
    while (!this.#abort.signal.aborted) {
      await clock.sleep(CHECKPOINT_MILLIS, this.#abort.signal);
      await this.#save();
      if (clock.monotonic() < commitAt || this.#abort.signal.aborted) continue;
      commitAt = clock.monotonic() + COMMIT_MILLIS;
      await Promise.all([...this.#lanes.values()].map((lane) => this.#commit(lane)));
    }
  }

  async #commit(lane: Lane): Promise<void> {
    const next = lane.takeCommit();
    if (next === undefined) return;
    try {
      await lane.reader?.commit(next);
    } catch (error) {
      this.#deps.context.log.warn('source-commit-failed', { ...lane.plan.lane, detail: toIsthmusError(error).message });
    }
  }

  /** One at a time, so that an older checkpoint can never overtake a newer one on its way to the store. */
  #save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#saveNow());
    return this.#saving;
  }

  /** Index before checkpoint: after a crash between the two, the index has more than needed, never less. */
  async #saveNow(): Promise<void> {
    const taken: { lane: Lane; checkpoint: Checkpoint; index: readonly IndexEntry[] }[] = [];
    for (const [key, lane] of this.#lanes) {
      const change = lane.takeCheckpoint();
      if (change === undefined) continue;
      taken.push({ lane, ...change });
      this.#checkpoints.set(key, change.checkpoint);
    }
    if (taken.length === 0) return;
    const { store, recorder, context } = this.#deps;
    let success = false;
    try {
      const index = taken
        .filter((each) => each.index.length > 0)
        .map((each) => ({ lane: each.lane.plan.lane, entries: each.index }));
      if (index.length > 0) await store.appendIndex(this.key, index);
      await store.saveCheckpoints(
        this.key,
        taken.map((each) => each.checkpoint),
      );
      success = true;
    } catch (error) {
      context.log.warn('checkpoint-not-kept', { detail: toIsthmusError(error).message });
    }
    recorder.stateStore(success);
    for (const each of taken) each.lane.kept(each.index, success);
  }
}

function samePlan(a: LanePlan, b: LanePlan): boolean {
  return (
    a.targetTopic === b.targetTopic &&
    a.partitions.length === b.partitions.length &&
    a.partitions.every((p, i) => p === b.partitions[i])
  );
}
