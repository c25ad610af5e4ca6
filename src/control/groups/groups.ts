import { IsthmusError } from '../../errors.ts';
import type { LinkSpec } from '../../model/mirror-spec.ts';
import { formatPosition, parsePosition } from '../../model/position.ts';
import type { Clusters } from '../clusters.ts';
import { toTrouble } from '../trouble.ts';
import type {
  ApplyRequest,
  GroupControl,
  GroupState,
  GroupStatus,
  GroupsApplied,
  LinkGroups,
  PositionRequest,
  PositionTranslation,
} from './api.ts';
import { LinkGroupSync, type LinkGroupsDeps } from './link-groups.ts';
import type { FollowedMirror } from './topic-views.ts';

export interface GroupsDeps extends Omit<LinkGroupsDeps, 'mirrors' | 'back'> {
  readonly clusters: Clusters;
  readonly mirrorsOf: (link: string) => readonly FollowedMirror[];
}

/** A group that follows, in short. */
export interface FollowingGroup {
  readonly link: string;
  readonly group: string;
  readonly state: GroupState;
  readonly rereads: number | null;
  /** Since it was last in step; null before the first time. */
  readonly syncAgeSeconds: number | null;
}

/** The groups of all links. */
export class LinkedGroups implements GroupControl {
  readonly #deps: GroupsDeps;
  readonly #syncs = new Map<string, LinkGroupSync>();

  constructor(deps: GroupsDeps) {
    this.#deps = deps;
  }

  /** Keeps the groups of all links that want it in step, until aborted. Called when the registry is known. */
  async run(signal: AbortSignal): Promise<void> {
    const running: Promise<void>[] = [];
    for (const { name, groups } of this.#deps.clusters.links.values()) {
      if (groups !== undefined) running.push(this.sync(name).run(groups, signal));
    }
    await Promise.all(running);
  }

  /** Every group that follows, for metrics. */
  *rows(): Iterable<FollowingGroup> {
    const now = this.#deps.clock.now();
    for (const [link, sync] of this.#syncs) {
      for (const { group, state, rereads, syncedAt } of sync.status.groups) {
        yield { link, group, state, rereads, syncAgeSeconds: syncedAt === null ? null : Math.max(0, now - syncedAt) / 1_000 };
      }
    }
  }

  list(link: string): LinkGroups {
    return this.sync(link).status;
  }

  get(link: string, group: string): GroupStatus {
    const found = this.list(link).groups.find((each) => each.group === group);
    if (found === undefined)
      throw new IsthmusError(
        'NOT_FOUND',
        `looking for the group ${group}: it has no place in a topic that the link ${link} mirrors, or no pass has seen it yet`,
      );
    return found;
  }

  async translate({ link, topic, lane, position }: PositionRequest): Promise<PositionTranslation> {
    const parsed = parsePosition(position);
    if (parsed === undefined)
      throw new IsthmusError(
        'INVALID_REQUEST',
        `translating a position: "${position}" is none; write 125000 for a queue of RocketMQ, or 812:45 or 812:45:3 for a partition of Pulsar`,
      );
    return await this.sync(link).position({ topic, lane, next: parsed, text: formatPosition(parsed) });
  }

  async syncNow(link: string): Promise<LinkGroups> {
    const sync = this.sync(link);
    await sync.passNow();
    return sync.status;
  }

  async apply({ link, ...request }: ApplyRequest): Promise<GroupsApplied> {
    const { force, dryRun } = request;
    const { groups, trouble } = await this.sync(link).applyNow(request);
    const { log, clock } = this.#deps;
    if (force && !dryRun) log.warn('groups-forced', { link, groups: groups.map(({ group }) => group).join(', ') });
    return { link, force, dryRun, trouble: trouble === undefined ? null : toTrouble(trouble, clock.now()), groups };
  }

  /** Throws NOT_FOUND. */
  sync(link: string): LinkGroupSync {
    const ends = this.#deps.clusters.ends(link);
    const known = this.#syncs.get(link);
    if (known !== undefined) return known;
    const made = new LinkGroupSync(ends, {
      ...this.#deps,
      mirrors: () => this.#deps.mirrorsOf(link),
      back: () => this.#back(ends.link).flatMap((name) => this.#deps.mirrorsOf(name)),
    });
    this.#syncs.set(link, made);
    return made;
  }

  /** Links of this configuration that go the other way. */
  #back({ from, to }: LinkSpec): string[] {
    const links = [...this.#deps.clusters.links.values()];
    return links.filter((each) => each.from === to && each.to === from).map(({ name }) => name);
  }
}
