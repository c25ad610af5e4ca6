import { IsthmusError, toIsthmusError } from '../errors.ts';
import { within } from '../lib/abort.ts';
import type { MirrorSpec } from '../model/mirror-spec.ts';
import type { CheckItem } from '../spi/cluster.ts';
import type { MirrorKey } from '../spi/state-store.ts';
import type { ClusterStatus, Control, LaneStatus, MirrorStatus, ProcessStatus, TopicListing } from './api.ts';
import { Clusters, type ClustersDeps } from './clusters.ts';
import { Failbacks } from './failback/failbacks.ts';
import { Failovers, type FailoversDeps } from './failover/failovers.ts';
import { LinkedGroups } from './groups/groups.ts';
import type { FollowedMirror } from './groups/topic-views.ts';
import { endsOf, type ManagedDeps } from './managed-mirror.ts';
import { type MirrorHost, type ReadableMirror, readableMirror } from './readable-mirror.ts';
import { mirrorName, Registry, type WantedMirror } from './registry.ts';
import { Replays } from './replay/replays.ts';
import { type MirrorLane, RunningMirrors } from './running-mirrors.ts';
import { type Trouble, toTrouble } from './trouble.ts';
import { Verifications } from './verification/verifications.ts';

const STATE_CHECK_MILLIS = 3_000;
/** Whatever hangs after this is left behind: the next process finds in the target what was stored. */
const CLOSE_MILLIS = 8_000;

export interface SupervisorDeps extends ClustersDeps, Omit<ManagedDeps, 'ownerOf'> {
  readonly region: string;
  readonly version: string;
  readonly runHook: FailoversDeps['runHook'];
  readonly fileMirrors: readonly { readonly link: string; readonly spec: MirrorSpec }[];
}

/** Makes what is wanted run, and tells what runs. */
export class Supervisor implements Control {
  readonly #deps: SupervisorDeps;
  readonly #registry: Registry;
  readonly #clusters: Clusters;
  readonly #running: RunningMirrors;
  readonly #abort = new AbortController();
  readonly #startedAt: number;
  #generation: string | undefined;
  #stateTrouble: Trouble | undefined;
  /** Changes are made one after the other, so that two requests cannot both add the same mirror. */
  #changes: Promise<unknown> = Promise.resolve();
  #loops: Promise<void>[] = [];
  readonly verifications: Verifications;
  readonly replays: Replays;
  readonly groups: LinkedGroups;
  readonly failovers: Failovers;
  readonly failbacks: Failbacks;

  constructor(deps: SupervisorDeps) {
    this.#deps = deps;
    this.#clusters = new Clusters(deps);
    this.#running = new RunningMirrors(this.#clusters, deps);
    this.#registry = new Registry(deps.store, deps.fileMirrors, this.#clusters.links);
    this.#startedAt = deps.clock.now();
    const host: MirrorHost = {
      readable: (key) => this.#readable(key),
      whileStopped: (...stop) => this.#whileStopped(...stop),
    };
    this.verifications = new Verifications({ ...deps, host });
    this.replays = new Replays({ ...deps, host });
    this.groups = new LinkedGroups({ ...deps, clusters: this.#clusters, mirrorsOf: (link) => this.#mirrorsOf(link) });
    this.failovers = new Failovers({
      ...deps,
      clusters: this.#clusters,
      syncOf: (link) => this.groups.sync(link),
      mirrors: () => this.mirrors(),
      pause: (key) => this.pauseMirror(key),
    });
    this.failbacks = new Failbacks({
      ...deps,
      host,
      clusters: this.#clusters,
      failover: (link) => this.failovers.status(link),
      mirrors: () => this.mirrors(),
      resumeMirror: (key) => this.resumeMirror(key),
    });
  }

  /** Begins; returns at once. While the state store is away nothing is mirrored yet: without it, paused mirrors would run. */
  start(): void {
    this.#loops = [this.#watchState(), this.#clusters.watch(this.#abort.signal)];
  }

  /** Ends all mirrors, each with its last checkpoint kept. */
  async close(): Promise<void> {
    this.#abort.abort();
    const { clock, log } = this.#deps;
    const ending = [
      ...this.#loops,
      this.verifications.close(),
      this.replays.close(),
      this.failovers.close(),
      this.failbacks.close(),
      this.#changes.catch(() => undefined),
      this.#running.close(),
    ];
    if (!(await within(Promise.all(ending), clock, CLOSE_MILLIS))) log.warn('left-behind', { afterMillis: CLOSE_MILLIS });
  }

  status(): ProcessStatus {
    const reasons = this.#reasons();
    const { region, version } = this.#deps;
    return {
      region,
      version,
      startedAt: this.#startedAt,
      stateAvailable: this.#stateTrouble === undefined,
      ready: reasons.length === 0,
      reasons,
    };
  }

  clusters(): ClusterStatus[] {
    return this.#clusters.statuses();
  }

  checkCluster(cluster: string): Promise<CheckItem[]> {
    return this.#clusters.get(cluster).admin.check({ reads: [], writes: [] });
  }

  topics(cluster: string): Promise<string[]> {
    return this.#clusters.get(cluster).admin.listTopics();
  }

  topic(cluster: string, topic: string): Promise<TopicListing> {
    return this.#clusters.topic(cluster, topic);
  }

  mirrors(): MirrorStatus[] {
    return this.#registry.wanted.map((wanted) => this.#running.status(wanted));
  }

  mirror(key: MirrorKey): MirrorStatus {
    return this.#running.status(this.#registry.get(key));
  }

  lanes(key: MirrorKey): LaneStatus[] {
    this.#registry.get(key);
    return this.#running.lanes(key);
  }

  /** Every lane with its mirror, for metrics. */
  allLanes(): Iterable<MirrorLane> {
    return this.#running.allLanes();
  }

  addMirror(link: string, spec: MirrorSpec): Promise<MirrorStatus> {
    return this.#change(async () => {
      endsOf({ ...this.#clusters.ends(link), spec });
      const key = { link, mirror: spec.name };
      if (this.#registry.has(key))
        throw new IsthmusError(
          'CONFLICT',
          `adding the mirror ${mirrorName(key)}: there is one of this name; change it, or choose another name`,
        );
      const wanted: WantedMirror = { key, spec, definedBy: 'api', paused: false };
      // Left-overs of a deleted mirror of the same name would make this one start in the middle.
      await this.#deps.store.forgetMirror(key);
      await this.#registry.put(wanted);
      this.#running.start(wanted);
      return this.#running.status(wanted);
    });
  }

  changeMirror(key: MirrorKey, spec: MirrorSpec): Promise<MirrorStatus> {
    return this.#change(async () => {
      const wanted = this.#apiMirror(key, 'changing');
      endsOf({ ...this.#clusters.ends(key.link), spec });
      const changed = { ...wanted, spec: { ...spec, name: wanted.spec.name } };
      await this.#registry.put(changed);
      await this.#running.stop(key);
      if (!changed.paused) this.#running.start(changed);
      return this.#running.status(changed);
    });
  }

  deleteMirror(key: MirrorKey): Promise<void> {
    return this.#change(async () => {
      this.#apiMirror(key, 'deleting');
      await this.#registry.delete(key);
      await this.#running.stop(key);
      await this.#deps.store.forgetMirror(key);
    });
  }

  pauseMirror(key: MirrorKey): Promise<MirrorStatus> {
    return this.#setPaused(key, true);
  }

  resumeMirror(key: MirrorKey): Promise<MirrorStatus> {
    return this.#setPaused(key, false);
  }

  restartMirror(key: MirrorKey): Promise<MirrorStatus> {
    return this.#change(async () => {
      const wanted = this.#registry.get(key);
      if (wanted.paused) throw new IsthmusError('CONFLICT', `restarting the mirror ${mirrorName(key)}: it is paused; resume it`);
      await this.#running.get(key)?.restart();
      return this.#running.status(wanted);
    });
  }

  #setPaused(key: MirrorKey, paused: boolean): Promise<MirrorStatus> {
    return this.#change(async () => {
      const before = this.#registry.get(key);
      if (before.paused === paused) return this.#running.status(before);
      const wanted = { ...before, paused };
      await this.#registry.put(wanted);
      if (paused) await this.#running.stop(key);
      else this.#running.start(wanted);
      return this.#running.status(wanted);
    });
  }

  #change<T>(run: () => Promise<T>): Promise<T> {
    if (this.#abort.signal.aborted) return Promise.reject(new IsthmusError('CLOSED', 'changing mirrors: this process is ending'));
    if (this.#generation === undefined) {
      return Promise.reject(
        new IsthmusError('STATE_UNAVAILABLE', 'changing mirrors: the state store has not been reached yet; try again when it is'),
      );
    }
    const result = this.#changes.then(run, run);
    this.#changes = result.catch(() => undefined);
    return result;
  }

  #readable(key: MirrorKey): ReadableMirror {
    const { spec } = this.#registry.get(key);
    return readableMirror({ key, spec, ...this.#clusters.ends(key.link), running: this.#running.get(key)?.mirror });
  }

  /** Those that do not run, too: groups of a paused mirror keep the places that they have. */
  #mirrorsOf(link: string): FollowedMirror[] {
    return this.#registry.wanted
      .filter(({ key }) => key.link === link)
      .map(({ key, spec }) => ({ key, spec, plans: this.#running.get(key)?.plans ?? new Map() }));
  }

  #whileStopped(key: MirrorKey, run: () => Promise<void>): Promise<void> {
    return this.#change(async () => {
      const wanted = this.#registry.get(key);
      const ran = this.#running.get(key) !== undefined;
      await this.#running.stop(key);
      try {
        await run();
      } finally {
        if (ran) this.#running.startOrRefuse(wanted);
      }
    });
  }

  async #watchState(): Promise<void> {
    const { store, clock, log, recorder } = this.#deps;
    while (!this.#abort.signal.aborted) {
      try {
        await this.#meetState(await store.generation());
        if (this.#stateTrouble !== undefined) log.info('state-store-back');
        this.#stateTrouble = undefined;
      } catch (raw) {
        const error = toIsthmusError(raw);
        if (this.#stateTrouble === undefined) log.error('state-store-away', { code: error.code, detail: error.message });
        this.#stateTrouble ??= toTrouble(error, clock.now());
      }
      recorder.stateStore(this.#stateTrouble === undefined);
      await clock.sleep(this.#generation === undefined ? 500 : STATE_CHECK_MILLIS, this.#abort.signal);
    }
  }

  /** Starts with what the store holds; writes everything again when it is found emptied or replaced. */
  async #meetState(generation: string): Promise<void> {
    const { log } = this.#deps;
    if (generation === this.#generation) return;
    if (this.#generation === undefined) {
      const ignored = await this.#registry.load(new Set(this.#clusters.links.keys()));
      for (const entry of ignored) log.warn('registry-entry-ignored', entry);
      this.#generation = generation;
      for (const wanted of this.#registry.wanted) if (!wanted.paused) this.#running.startOrRefuse(wanted);
      this.#loops.push(this.groups.run(this.#abort.signal), this.failovers.resume(), this.failbacks.resume());
      return;
    }
    log.error('state-store-emptied', { detail: 'registry, checkpoints and lane tables are written again' });
    await this.#registry.rewrite();
    for (const managed of this.#running.all) await managed.rewriteState();
    this.#generation = generation;
  }

  #reasons(): string[] {
    const reasons: string[] = [];
    if (this.#generation === undefined)
      reasons.push(
        `the state store has not been reached yet${this.#stateTrouble === undefined ? '' : `: ${this.#stateTrouble.message}`}`,
      );
    for (const mirror of this.mirrors()) {
      if (mirror.state !== 'running' && mirror.state !== 'paused')
        reasons.push(
          `mirror ${mirror.link}/${mirror.spec.name} is ${mirror.state}${mirror.trouble === null ? '' : `: ${mirror.trouble.message}`}`,
        );
    }
    return reasons;
  }

  #apiMirror(key: MirrorKey, doing: string): WantedMirror {
    const wanted = this.#registry.get(key);
    if (wanted.definedBy === 'file')
      throw new IsthmusError(
        'CONFLICT',
        `${doing} the mirror ${mirrorName(key)}: it is defined in the configuration file; change it there and restart`,
      );
    return wanted;
  }
}
