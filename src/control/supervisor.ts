import { IsthmusError, toIsthmusError } from '../errors.ts';
import { within } from '../lib/abort.ts';
import type { ByteBudget } from '../lib/byte-budget.ts';
import type { LeaseKeeper } from '../mirror/lease-keeper.ts';
import type { LinkSpec, MirrorSpec } from '../model/mirror-spec.ts';
import type { MarkCodec } from '../model/provenance.ts';
import type { Clock } from '../spi/clock.ts';
import type { CheckItem, Cluster } from '../spi/cluster.ts';
import type { DedupWindows } from '../spi/dedup-window.ts';
import type { Log } from '../spi/log.ts';
import type { Recorder } from '../spi/recorder.ts';
import type { MirrorKey, StateStore } from '../spi/state-store.ts';
import type { ClusterStatus, Control, LaneStatus, MirrorStatus, ProcessStatus, TopicListing, Trouble } from './api.ts';
import { endsOf, ManagedMirror } from './managed-mirror.ts';
import { mirrorName, Registry, type WantedMirror } from './registry.ts';
import { Replays } from './replays.ts';
import { laneStatus, mirrorStatus } from './status.ts';
import { toTrouble } from './trouble.ts';
import { type VerificationHost, Verifications, type VerifiedMirror, verifiedMirror } from './verifications.ts';

const STATE_CHECK_MILLIS = 3_000;
const CLUSTER_CHECK_MILLIS = 10_000;
/** Whatever hangs after this is left behind: the next process finds in the target what was stored. */
const CLOSE_MILLIS = 8_000;

export interface SupervisorDeps {
  readonly region: string;
  readonly version: string;
  readonly clusters: ReadonlyMap<string, { readonly cluster: Cluster; readonly region: string }>;
  readonly links: readonly LinkSpec[];
  readonly fileMirrors: readonly { readonly link: string; readonly spec: MirrorSpec }[];
  readonly store: StateStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly recorder: Recorder;
  readonly random: () => number;
  readonly marks: MarkCodec;
  readonly leases: LeaseKeeper;
  readonly windows: DedupWindows;
  readonly budget: ByteBudget;
}

/** Makes what is wanted run, and tells what runs. */
export class Supervisor implements Control {
  readonly #deps: SupervisorDeps;
  readonly #registry: Registry;
  readonly #links: ReadonlyMap<string, LinkSpec>;
  readonly #running = new Map<string, ManagedMirror>();
  /** Mirrors that the configuration or the store wants and that cannot run. */
  readonly #refused = new Map<string, Trouble>();
  readonly #clusterTroubles = new Map<string, Trouble>();
  readonly #reached = new Set<string>();
  readonly #abort = new AbortController();
  readonly #startedAt: number;
  #generation: string | undefined;
  #stateTrouble: Trouble | undefined;
  /** Changes are made one after the other, so that two requests cannot both add the same mirror. */
  #changes: Promise<unknown> = Promise.resolve();
  #loops: Promise<void>[] = [];
  readonly verifications: Verifications;
  readonly replays: Replays;

  constructor(deps: SupervisorDeps) {
    this.#deps = deps;
    this.#links = new Map(deps.links.map((link) => [link.name, link]));
    this.#registry = new Registry(deps.store, deps.fileMirrors, this.#links);
    this.#startedAt = deps.clock.now();
    const host: VerificationHost = {
      verified: (key) => this.#verified(key),
      whileStopped: (...stop) => this.#whileStopped(...stop),
    };
    this.verifications = new Verifications({ ...deps, host });
    this.replays = new Replays({ ...deps, host });
  }

  /** Begins; returns at once. While the state store is away nothing is mirrored yet: without it, paused mirrors would run. */
  start(): void {
    this.#loops = [this.#watchState(), this.#watchClusters()];
  }

  /** Ends all mirrors, each with its last checkpoint kept. */
  async close(): Promise<void> {
    this.#abort.abort();
    const { clock, log } = this.#deps;
    const ending = [
      ...this.#loops,
      this.verifications.close(),
      this.replays.close(),
      this.#changes.catch(() => undefined),
      ...[...this.#running.values()].map((mirror) => mirror.close()),
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
    return [...this.#deps.clusters].map(([name, { cluster, region }]) => {
      const trouble = this.#clusterTroubles.get(name) ?? null;
      return { name, type: cluster.type, region, reachable: trouble === null && this.#reached.has(name), trouble };
    });
  }

  checkCluster(cluster: string): Promise<CheckItem[]> {
    return this.#cluster(cluster).admin.check({ reads: [], writes: [] });
  }

  topics(cluster: string): Promise<string[]> {
    return this.#cluster(cluster).admin.listTopics();
  }

  async topic(cluster: string, topic: string): Promise<TopicListing> {
    const { admin } = this.#cluster(cluster);
    const description = await admin.describeTopic(topic);
    if (description === undefined)
      throw new IsthmusError('NOT_FOUND', `looking for the topic ${topic}: ${cluster} has none of this name`);
    return { description, extents: await admin.extents(topic) };
  }

  mirrors(): MirrorStatus[] {
    return this.#registry.wanted.map((wanted) => this.#mirrorStatus(wanted));
  }

  mirror(key: MirrorKey): MirrorStatus {
    return this.#mirrorStatus(this.#registry.get(key));
  }

  lanes(key: MirrorKey): LaneStatus[] {
    this.#registry.get(key);
    return this.#running.get(mirrorName(key))?.mirror?.lanes.map(laneStatus) ?? [];
  }

  /** Every lane with its mirror, for metrics. */
  *allLanes(): Iterable<{ readonly key: MirrorKey; readonly status: LaneStatus }> {
    for (const managed of this.#running.values()) {
      for (const lane of managed.mirror?.lanes ?? []) yield { key: managed.key, status: laneStatus(lane) };
    }
  }

  addMirror(link: string, spec: MirrorSpec): Promise<MirrorStatus> {
    return this.#change(async () => {
      const ends = this.#link(link);
      endsOf(ends, this.#cluster(ends.from), this.#cluster(ends.to));
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
      this.#startMirror(wanted);
      return this.#mirrorStatus(wanted);
    });
  }

  changeMirror(key: MirrorKey, spec: MirrorSpec): Promise<MirrorStatus> {
    return this.#change(async () => {
      const wanted = this.#apiMirror(key, 'changing');
      const changed = { ...wanted, spec: { ...spec, name: wanted.spec.name } };
      await this.#registry.put(changed);
      await this.#stopMirror(key);
      if (!changed.paused) this.#startMirror(changed);
      return this.#mirrorStatus(changed);
    });
  }

  deleteMirror(key: MirrorKey): Promise<void> {
    return this.#change(async () => {
      this.#apiMirror(key, 'deleting');
      await this.#registry.delete(key);
      await this.#stopMirror(key);
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
      await this.#running.get(mirrorName(key))?.restart();
      return this.#mirrorStatus(wanted);
    });
  }

  #setPaused(key: MirrorKey, paused: boolean): Promise<MirrorStatus> {
    return this.#change(async () => {
      const before = this.#registry.get(key);
      if (before.paused === paused) return this.#mirrorStatus(before);
      const wanted = { ...before, paused };
      await this.#registry.put(wanted);
      if (paused) await this.#stopMirror(key);
      else this.#startMirror(wanted);
      return this.#mirrorStatus(wanted);
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

  #startMirror(wanted: WantedMirror): void {
    const link = this.#link(wanted.key.link);
    const { store, clock, log, recorder, random, marks, leases, windows, budget } = this.#deps;
    const ownerOf = (topic: string, asking: MirrorKey): string | undefined => this.#ownerOf(topic, asking);
    const deps = { store, clock, log, recorder, random, marks, leases, windows, budget, ownerOf };
    if (this.#abort.signal.aborted) return;
    const managed = new ManagedMirror(wanted.key, link, wanted.spec, this.#cluster(link.from), this.#cluster(link.to), deps);
    this.#running.set(mirrorName(wanted.key), managed);
    log.info('mirror-started', { link: link.name, mirror: wanted.key.mirror, from: link.from, to: link.to });
  }

  /** One mirror that cannot run must not keep the others from it. */
  #startOrRefuse(wanted: WantedMirror): void {
    try {
      this.#startMirror(wanted);
    } catch (raw) {
      const error = toIsthmusError(raw);
      this.#refused.set(mirrorName(wanted.key), toTrouble(error, this.#deps.clock.now()));
      this.#deps.log.error('mirror-refused', { ...wanted.key, code: error.code, detail: error.message });
    }
  }

  async #stopMirror(key: MirrorKey): Promise<void> {
    const name = mirrorName(key);
    const managed = this.#running.get(name);
    // It keeps its topics until its lanes have ended.
    await managed?.close();
    this.#running.delete(name);
    this.#refused.delete(name);
    if (managed !== undefined) this.#deps.log.info('mirror-ended', { ...key });
  }

  #verified(key: MirrorKey): VerifiedMirror {
    const { spec } = this.#registry.get(key);
    const link = this.#link(key.link);
    const running = this.#running.get(mirrorName(key))?.mirror;
    return verifiedMirror({ key, link, spec, source: this.#cluster(link.from), target: this.#cluster(link.to), running });
  }

  #whileStopped(key: MirrorKey, run: () => Promise<void>): Promise<void> {
    return this.#change(async () => {
      const wanted = this.#registry.get(key);
      const ran = this.#running.has(mirrorName(key));
      await this.#stopMirror(key);
      try {
        await run();
      } finally {
        if (ran) this.#startOrRefuse(wanted);
      }
    });
  }

  /** The mirror that has a topic already: a topic belongs to the mirror that has claimed it first. */
  #ownerOf(topic: string, asking: MirrorKey): string | undefined {
    for (const [name, other] of this.#running) {
      if (name !== mirrorName(asking) && other.key.link === asking.link && other.claims(topic)) return name;
    }
    return undefined;
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
      const ignored = await this.#registry.load(new Set(this.#links.keys()));
      for (const entry of ignored) log.warn('registry-entry-ignored', entry);
      this.#generation = generation;
      for (const wanted of this.#registry.wanted) if (!wanted.paused) this.#startOrRefuse(wanted);
      return;
    }
    log.error('state-store-emptied', { detail: 'registry, checkpoints and lane tables are written again' });
    await this.#registry.rewrite();
    for (const managed of this.#running.values()) await managed.rewriteState();
    this.#generation = generation;
  }

  async #watchClusters(): Promise<void> {
    const { clusters, clock } = this.#deps;
    while (!this.#abort.signal.aborted) {
      await Promise.all([...clusters].map(([name, { cluster }]) => this.#lookAtCluster(name, cluster)));
      await clock.sleep(CLUSTER_CHECK_MILLIS, this.#abort.signal);
    }
  }

  async #lookAtCluster(name: string, cluster: Cluster): Promise<void> {
    const { clock, log } = this.#deps;
    try {
      await cluster.admin.listTopics();
      if (this.#clusterTroubles.delete(name)) log.info('cluster-back', { cluster: name });
      this.#reached.add(name);
    } catch (raw) {
      const error = toIsthmusError(raw);
      if (!this.#clusterTroubles.has(name)) log.warn('cluster-away', { cluster: name, code: error.code, detail: error.message });
      this.#clusterTroubles.set(name, toTrouble(error, this.#clusterTroubles.get(name)?.since ?? clock.now()));
    }
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

  #mirrorStatus(wanted: WantedMirror): MirrorStatus {
    const status = mirrorStatus(wanted, this.#link(wanted.key.link), this.#running.get(mirrorName(wanted.key)));
    const trouble = this.#refused.get(mirrorName(wanted.key));
    return trouble === undefined ? status : { ...status, state: 'failed', trouble };
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

  #link(name: string): LinkSpec {
    const link = this.#links.get(name);
    if (link === undefined)
      throw new IsthmusError(
        'NOT_FOUND',
        `looking for the link ${name}: the configuration has no link of this name (it has: ${[...this.#links.keys()].join(', ') || 'none'})`,
      );
    return link;
  }

  #cluster(name: string): Cluster {
    const entry = this.#deps.clusters.get(name);
    if (entry === undefined)
      throw new IsthmusError(
        'NOT_FOUND',
        `looking for the cluster ${name}: the configuration has no cluster of this name (it has: ${[...this.#deps.clusters.keys()].join(', ')})`,
      );
    return entry.cluster;
  }
}
