import { toIsthmusError } from '../errors.ts';
import type { MirrorKey } from '../spi/state-store.ts';
import type { LaneStatus, MirrorStatus } from './api.ts';
import type { Clusters } from './clusters.ts';
import { type ManagedDeps, ManagedMirror } from './managed-mirror.ts';
import { mirrorName, type WantedMirror } from './registry.ts';
import { laneStatus, mirrorStatus } from './status.ts';
import { type Trouble, toTrouble } from './trouble.ts';

export interface MirrorLane {
  readonly key: MirrorKey;
  readonly status: LaneStatus;
}

/** The mirrors that run, and those that were to run and cannot. Who is to run is decided elsewhere. */
export class RunningMirrors {
  readonly #clusters: Clusters;
  readonly #deps: ManagedDeps;
  readonly #running = new Map<string, ManagedMirror>();
  readonly #refused = new Map<string, Trouble>();
  #closed = false;

  constructor(clusters: Clusters, deps: Omit<ManagedDeps, 'ownerOf'>) {
    this.#clusters = clusters;
    this.#deps = { ...deps, ownerOf: (topic, asking) => this.#ownerOf(topic, asking) };
  }

  get(key: MirrorKey): ManagedMirror | undefined {
    return this.#running.get(mirrorName(key));
  }

  get all(): Iterable<ManagedMirror> {
    return this.#running.values();
  }

  /** Throws NOT_FOUND for a link or cluster that is not configured, INVALID_REQUEST where a driver cannot do what the link needs. */
  start(wanted: WantedMirror): void {
    const { link, source, target } = this.#clusters.ends(wanted.key.link);
    if (this.#closed) return;
    this.#running.set(mirrorName(wanted.key), new ManagedMirror(wanted.key, link, wanted.spec, source, target, this.#deps));
    this.#deps.log.info('mirror-started', { link: link.name, mirror: wanted.key.mirror, from: link.from, to: link.to });
  }

  /** One mirror that cannot run must not keep the others from it. */
  startOrRefuse(wanted: WantedMirror): void {
    try {
      this.start(wanted);
    } catch (raw) {
      const error = toIsthmusError(raw);
      this.#refused.set(mirrorName(wanted.key), toTrouble(error, this.#deps.clock.now()));
      this.#deps.log.error('mirror-refused', { ...wanted.key, code: error.code, detail: error.message });
    }
  }

  async stop(key: MirrorKey): Promise<void> {
    const name = mirrorName(key);
    const managed = this.#running.get(name);
    // It keeps its topics until its lanes have ended.
    await managed?.close();
    this.#running.delete(name);
    this.#refused.delete(name);
    if (managed !== undefined) this.#deps.log.info('mirror-ended', { ...key });
  }

  /** Ends all, each with its last checkpoint kept; none starts any more. They stay, for their status. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#running.values()].map((mirror) => mirror.close()));
  }

  status(wanted: WantedMirror): MirrorStatus {
    const status = mirrorStatus(wanted, this.#clusters.link(wanted.key.link), this.get(wanted.key));
    const trouble = this.#refused.get(mirrorName(wanted.key));
    return trouble === undefined ? status : { ...status, state: 'failed', trouble };
  }

  lanes(key: MirrorKey): LaneStatus[] {
    return this.get(key)?.mirror?.lanes.map(laneStatus) ?? [];
  }

  *allLanes(): Iterable<MirrorLane> {
    for (const managed of this.#running.values()) {
      for (const lane of managed.mirror?.lanes ?? []) yield { key: managed.key, status: laneStatus(lane) };
    }
  }

  /** The mirror that has a topic already: a topic belongs to the mirror that has claimed it first. */
  #ownerOf(topic: string, asking: MirrorKey): string | undefined {
    for (const [name, other] of this.#running) {
      if (name !== mirrorName(asking) && other.key.link === asking.link && other.claims(topic)) return name;
    }
    return undefined;
  }
}
