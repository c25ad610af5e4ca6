import { toIsthmusError } from '../errors.ts';
import { within } from '../lib/abort.ts';
import { type LaneId, laneKey } from '../model/lane.ts';
import type { Recorder } from '../spi/recorder.ts';
import type { Checkpoint, MirrorKey, StateStore } from '../spi/state-store.ts';
import { cutLane } from './groups/cut-lane.ts';
import { Lane } from './lane.ts';
import type { LanePlan, MirrorContext } from './lane-plan.ts';
import { PartitionEnds } from './partition-ends.ts';
import type { Change } from './progress.ts';

const CHECKPOINT_MILLIS = 1_000;
/** The source's own checkpoint is written less often: each is a request per lane. */
const COMMIT_MILLIS = 5_000;
/** A store that answers too late at the end costs nothing but a longer look at the target next time. */
const LAST_SAVE_MILLIS = 2_000;
/** A lane that begins later than this after its checkpoint was read asks the store again. */
const FRESH_MILLIS = 1_000;

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
  #changes: Promise<void> = Promise.resolve();
  readonly #loadedAt: number;
  #reloading: Promise<Checkpoint[]> | undefined;
  readonly #ends = new PartitionEnds();
  #saving: Promise<void> = Promise.resolve();

  /** `checkpoints`: what the store holds. */
  constructor(deps: MirrorDeps, checkpoints: readonly Checkpoint[]) {
    this.key = deps.key;
    this.#deps = deps;
    this.#loadedAt = deps.context.clock.monotonic();
    for (const checkpoint of checkpoints) this.#checkpoints.set(laneKey(checkpoint.lane), checkpoint);
    void this.#keepCheckpoints();
    void this.#keepCommits();
  }

  get lanes(): readonly Lane[] {
    return [...this.#lanes.values()];
  }

  lane(id: LaneId): Lane | undefined {
    return this.#lanes.get(laneKey(id));
  }

  /** Makes a topic's lanes as planned: starts new ones, reopens those whose partitions changed, closes those that are gone. */
  setTopic(topic: string, plans: readonly LanePlan[]): Promise<void> {
    return this.#inTurn(async () => {
      const wanted = new Map(plans.map((plan) => [laneKey(plan.lane), plan]));
      const gone = [...this.#lanes].filter(([key, lane]) => {
        const plan = wanted.get(key);
        return lane.plan.lane.topic === topic && (plan === undefined || !samePlan(plan, lane.plan));
      });
      await this.#closeLanes(gone);
      for (const [key, plan] of wanted) if (!this.#lanes.has(key)) this.#startLane(key, plan);
    });
  }

  /** Closes and reopens all lanes, also stopped ones. */
  restart(): Promise<void> {
    return this.#inTurn(async () => {
      const lanes = [...this.#lanes];
      await this.#closeLanes(lanes);
      for (const [key, lane] of lanes) this.#startLane(key, lane.plan);
    });
  }

  /** One change of the lanes at a time: two that closed the same lane would both open it again, and the lane would have two writers. */
  #inTurn(change: () => Promise<void>): Promise<void> {
    const changed = this.#changes.then(change);
    this.#changes = changed.catch(() => undefined);
    return changed;
  }

  /** Everything is written to the store again at the next turn: the store was emptied or replaced. */
  markDirty(): void {
    for (const lane of this.#lanes.values()) lane.rewriteState();
  }

  /** Ends all lanes, each after what is in flight was stored, and keeps their last checkpoints. Takes at most 10 s. */
  async close(): Promise<void> {
    this.#abort.abort();
    await Promise.all(this.lanes.map((lane) => lane.close()));
    const { clock, log } = this.#deps.context;
    if (!(await within(this.#save(), clock, LAST_SAVE_MILLIS)))
      log.warn('last-checkpoint-not-kept', { afterMillis: LAST_SAVE_MILLIS });
    await Promise.all(this.lanes.map((lane) => lane.release()));
    this.#lanes.clear();
  }

  #startLane(key: string, plan: LanePlan): void {
    if (this.#abort.signal.aborted) return;
    const { link, mirror } = this.key;
    const recorder = this.#deps.recorder.lane({ link, mirror, topic: plan.lane.topic, lane: plan.lane.lane });
    const reload = async (): Promise<Checkpoint | undefined> => (await this.#reload()).find((each) => laneKey(each.lane) === key);
    const lane = new Lane(plan, this.#deps.context, {
      group: this.#deps.group,
      recorder,
      reload,
      ends: plan.partitions.length > 1 ? this.#ends : undefined,
      save: () => this.#save(),
    });
    this.#lanes.set(key, lane);
    lane.start(this.#checkpoints.get(key), this.#deps.context.clock.monotonic() - this.#loadedAt > FRESH_MILLIS);
  }

  /** All lanes that ask at a time share an answer. */
  #reload(): Promise<Checkpoint[]> {
    this.#reloading ??= this.#deps.store.loadCheckpoints(this.key).finally(() => {
      this.#reloading = undefined;
    });
    return this.#reloading;
  }

  async #closeLanes(lanes: readonly (readonly [string, Lane])[]): Promise<void> {
    if (lanes.length === 0) return;
    await Promise.all(lanes.map(([, lane]) => lane.close()));
    await this.#save();
    await Promise.all(lanes.map(([, lane]) => lane.release()));
    for (const [key] of lanes) this.#lanes.delete(key);
  }

  async #keepCheckpoints(): Promise<void> {
    const { clock } = this.#deps.context;
    while (!this.#abort.signal.aborted) {
      await clock.sleep(CHECKPOINT_MILLIS, this.#abort.signal);
      await this.#save();
    }
  }

  /** Nobody waits for a commit: a broker that does not answer must not hold up the others' checkpoints. */
  async #keepCommits(): Promise<void> {
    const { clock } = this.#deps.context;
    while (!this.#abort.signal.aborted) {
      await clock.sleep(COMMIT_MILLIS, this.#abort.signal);
      for (const lane of this.#lanes.values()) void lane.commit();
    }
  }

  /** One at a time, so that an older checkpoint can never overtake a newer one on its way to the store. */
  #save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#saveNow());
    return this.#saving;
  }

  /** Index before checkpoint: after a crash between the two, the index has more than needed, never less. */
  async #saveNow(): Promise<void> {
    const taken: (Change & { readonly lane: Lane })[] = [];
    for (const [key, lane] of this.#lanes) {
      const change = lane.takeCheckpoint();
      if (change === undefined) continue;
      taken.push({ lane, ...change });
      this.#checkpoints.set(key, change.checkpoint);
    }
    if (taken.length === 0) return;
    const { store, recorder, context } = this.#deps;
    const kept = new Set<Lane>();
    let success = false;
    try {
      const index = taken
        .flatMap(({ lane: { plan }, index: stored, cuts }) => [
          { lane: plan.lane, entries: stored },
          { lane: cutLane(plan.lane), entries: cuts },
        ])
        .filter(({ entries }) => entries.length > 0);
      if (index.length > 0) await store.appendIndex(this.key, index);
      // The index may have taken long: whoever has a lane by now knows more of it.
      const ours = taken.filter(({ lane }) => lane.isOurs);
      const checkpoints = ours.map(({ checkpoint }) => checkpoint);
      if (checkpoints.length > 0) await store.saveCheckpoints(this.key, checkpoints);
      for (const { lane } of ours) kept.add(lane);
      success = true;
    } catch (error) {
      context.log.warn('checkpoint-not-kept', { detail: toIsthmusError(error).message });
    }
    recorder.stateStore(success);
    for (const each of taken) each.lane.kept(each, kept.has(each.lane));
  }
}

function samePlan(a: LanePlan, b: LanePlan): boolean {
  return (
    a.targetTopic === b.targetTopic &&
    a.partitions.length === b.partitions.length &&
    a.partitions.every((p, i) => p === b.partitions[i])
  );
}
