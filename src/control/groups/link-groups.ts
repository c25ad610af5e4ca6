import { IsthmusError, toIsthmusError } from '../../errors.ts';
import { forEachLimited } from '../../lib/concurrency.ts';
import { KeptTranslations } from '../../mirror/groups/kept-translations.ts';
import { Translator } from '../../mirror/groups/translate.ts';
import type { LeaseKeeper } from '../../mirror/lease-keeper.ts';
import type { GroupsRule } from '../../model/mirror-spec.ts';
import type { Position } from '../../model/position.ts';
import type { GroupProgress } from '../../model/progress.ts';
import { isIncluded } from '../../model/topic-name.ts';
import type { Clock } from '../../spi/clock.ts';
import type { Log } from '../../spi/log.ts';
import type { StateStore } from '../../spi/state-store.ts';
import type { Ends } from '../clusters.ts';
import { isOwnGroup } from '../group-name.ts';
import { mirrorName } from '../registry.ts';
import { type Trouble, toTrouble } from '../trouble.ts';
import type { ApplyRequest, GroupStatus, GroupTopicStatus, LinkGroups, PositionTranslation } from './api.ts';
import { Applier, type HowToApply } from './applier.ts';
import { groupStatus, placeStatus, topicStatus, worst } from './group-status.ts';
import { KeptProgress, type SourceSide } from './kept-progress.ts';
import { LinkLooks, type TopicLook } from './link-look.ts';
import { type FollowedMirror, type FollowedTopic, type MirrorsBack, TopicViews } from './topic-views.ts';

/** Of most topics only a group or two move in a pass, so the topics have to go side by side. Both together: moves that wait in the driver for long would run out of time there. */
const TOPICS_AT_A_TIME = 16;
const GROUPS_AT_A_TIME = 4;

export interface LinkGroupsDeps {
  readonly store: StateStore;
  readonly leases: LeaseKeeper;
  readonly clock: Clock;
  readonly log: Log;
  /** The mirrors of the link, also those that do not run. */
  readonly mirrors: () => readonly FollowedMirror[];
  /** Those that bring the target's records to the source, as far as they are known here. */
  readonly back: MirrorsBack;
}

/** A position, parsed and as text. */
export interface PlaceAsked {
  readonly topic: string;
  readonly lane: string;
  readonly next: Position;
  readonly text: string;
}

interface GroupOnTopic {
  readonly group: string;
  readonly status: GroupTopicStatus;
}

/** By group, mirror and topic. */
type Topics = ReadonlyMap<string, GroupOnTopic>;

/** Where the source's lanes ended, by mirror, topic and lane; -1 where the target has all. */
export type SourceEnds = ReadonlyMap<string, SourceSide['ends']>;

export interface PassOptions {
  /** Moves the groups on the target. */
  readonly apply: boolean;
  /** Where the source does not answer, what it said last has to do. */
  readonly orKept: boolean;
}

/** Which groups a pass is about, and how it moves them. */
interface PassWay {
  readonly how: HowToApply;
  /** By their names on the source; all where left out. */
  readonly group?: string | undefined;
  readonly topic?: string | undefined;
}

export interface PassReport {
  readonly groups: readonly GroupStatus[];
  readonly topics: Topics;
  readonly sourceEnds: SourceEnds;
  /** When the source was asked, milliseconds since 1970. */
  readonly sourceAt: number;
  /** Why what it said last had to do. */
  readonly sourceAway: string | undefined;
  /** What kept some of the groups from being followed; `undefined` when all were. */
  readonly trouble: IsthmusError | undefined;
}

/** The groups of one link: reads their progress, translates it, and applies it where that is wanted, pass after pass. */
export class LinkGroupSync {
  readonly #ends: Ends;
  readonly #deps: LinkGroupsDeps;
  readonly #looks: LinkLooks;
  /** For single positions, which are not in step with the passes. */
  readonly #views: TopicViews;
  readonly #kept: KeptProgress;
  readonly #applier: Applier;
  readonly #translators = new Map<string, Translator>();
  readonly #translations = new KeptTranslations();
  #topics: Topics = new Map();
  #passAt: number | undefined;
  #trouble: Trouble | undefined;
  #passing: Promise<PassReport> | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(ends: Ends, deps: LinkGroupsDeps) {
    this.#ends = ends;
    this.#deps = deps;
    this.#kept = new KeptProgress(ends.link.name, deps.store, deps.log);
    this.#looks = new LinkLooks(ends.source, ends.target, deps.store, this.#kept, deps.back, () => deps.clock.now());
    this.#views = new TopicViews(ends.source, ends.target, deps.store, deps.back);
    this.#applier = new Applier(ends.target, deps.clock);
  }

  get status(): LinkGroups {
    const { link } = this.#ends;
    return {
      link: link.name,
      apply: link.groups?.apply ?? 'off',
      passAt: this.#passAt ?? null,
      trouble: this.#trouble ?? null,
      groups: groupsIn(this.#topics, link.groups),
    };
  }

  /** Pass after pass, until aborted. Of several processes one does it: two would move groups against each other with what they know. */
  async run(rule: GroupsRule, signal: AbortSignal): Promise<void> {
    const { clock, leases } = this.#deps;
    const lease = leases.open(`groups ${this.#ends.link.name}`);
    try {
      while (!signal.aborted) {
        await lease.take({ onTrouble: (error) => this.#note(error), onLost: () => undefined }, signal);
        while (!signal.aborted && lease.valid) {
          const begun = clock.monotonic();
          await this.passNow().catch(() => undefined);
          await clock.sleep(Math.max(rule.everyMillis - (clock.monotonic() - begun), rule.everyMillis / 10), signal);
        }
      }
    } finally {
      await lease.end(true);
    }
  }

  /** One pass over all groups, as the link wants it. Calls that come together share one. Rejects with what kept it from ending. */
  async passNow(): Promise<void> {
    this.#passing ??= this.#inTurn({ apply: this.#ends.link.groups?.apply === 'idle', orKept: false }, { how: 'pass' }).finally(
      () => {
        this.#passing = undefined;
      },
    );
    try {
      const { topics, trouble } = await this.#passing;
      this.#topics = topics;
      if (trouble !== undefined) return this.#note(trouble);
      this.#passAt = this.#deps.clock.now();
      this.#trouble = undefined;
    } catch (raw) {
      const error = toIsthmusError(raw);
      this.#note(error);
      throw error;
    }
  }

  /** A pass of its own, for a failover: its outcome is the caller's. Rejects with what kept it from ending, or from following one of the groups. */
  async pass(options: PassOptions): Promise<PassReport> {
    const report = await this.#inTurn(options, { how: 'anew' });
    // A topic that the source has not any more has no groups there that could follow.
    if (report.trouble !== undefined && report.trouble.code !== 'TOPIC_NOT_FOUND') throw report.trouble;
    return report;
  }

  /** Moves what was asked for to its present places, once, whatever `apply` of the link says. Rejects with NOT_FOUND when nothing follows under these names, or with what kept the pass from ending. */
  async applyNow({ group, topic, force, dryRun }: Omit<ApplyRequest, 'link'>): Promise<PassReport> {
    const report = await this.#inTurn({ apply: !dryRun, orKept: false }, { how: force ? 'forced' : 'asked', group, topic });
    if (report.groups.length > 0 || (group === undefined && topic === undefined)) return report;
    if (report.trouble !== undefined) throw report.trouble;
    throw new IsthmusError(
      'NOT_FOUND',
      `applying places of groups: ${group === undefined ? 'no group' : `the group ${group}`} ${topic === undefined ? 'follows on this link' : `follows on this link in the topic ${topic}`}`,
    );
  }

  /** Where the source's lanes end now. Rejects when the source does not answer. */
  async sourceEnds(): Promise<SourceEnds> {
    return await this.#looks.sourceEnds(this.#deps.mirrors());
  }

  /** One pass at a time: two would count as two observations at one moment. */
  #inTurn(options: PassOptions, way: PassWay): Promise<PassReport> {
    const pass = this.#turn.then(() => this.#pass(options, way));
    this.#turn = pass.catch(() => undefined);
    return pass;
  }

  /** Where one position of a source lane lies in the target. Rejects with NOT_FOUND when no mirror of the link has the topic and lane. */
  async position({ topic, lane, next, text }: PlaceAsked): Promise<PositionTranslation> {
    const { source, target } = this.#ends;
    for (const mirror of this.#deps.mirrors()) {
      const checkpoints = await this.#deps.store.loadCheckpoints(mirror.key);
      const followed = (await this.#views.topics(mirror, checkpoints)).find((each) => each.topic === topic);
      if (followed === undefined) continue;
      const survey = { groups: [], extents: await target.admin.extents(followed.targetTopic) };
      const extents = await source.admin.extents(topic);
      const view = this.#views.view(
        followed,
        this.#views.targetSide(followed, survey),
        new Map([...extents].map(([name, { end }]) => [name, end])),
        (await this.#deps.store.loadCheckpoints(mirror.key)).filter((each) => each.lane.topic === topic),
        false,
      );
      if (!view.lanes.some((each) => each.lane === lane))
        throw new IsthmusError(
          'NOT_FOUND',
          `translating ${text} of ${topic}: the mirror has no lane ${lane}; it has ${view.lanes.map((each) => each.lane).join(', ')}`,
        );
      const { places, ahead } = await this.#translator(mirror).position(view, lane, next);
      const shown = places.map((place) => placeStatus(followed, place, undefined));
      return {
        mirror: mirror.key.mirror,
        targetTopic: followed.targetTopic,
        kind: worst(shown.map(({ kind }) => kind)),
        places: shown,
        ahead: ahead ?? null,
      };
    }
    throw new IsthmusError(
      'NOT_FOUND',
      `translating ${text} of ${topic}: no mirror from ${source.name} to ${target.name} has this topic, or it has mirrored nothing of it yet`,
    );
  }

  #note(error: IsthmusError): void {
    const { clock, log } = this.#deps;
    if (this.#trouble?.message !== error.message)
      log.warn('groups-wait', { link: this.#ends.link.name, code: error.code, detail: error.message });
    this.#trouble = toTrouble(error, this.#trouble?.since ?? clock.now());
  }

  async #pass({ apply, orKept }: PassOptions, { how, group: only, topic }: PassWay): Promise<PassReport> {
    const { clock } = this.#deps;
    const at = clock.now();
    const mirrors = this.#deps.mirrors();
    const look = await this.#looks.look(mirrors, orKept);
    for (const mirror of mirrors) this.#translator(mirror).begin();
    // A pass that does not meet all groups must not make the next one forget the others.
    if (only === undefined && topic === undefined) {
      this.#translations.begin(clock.monotonic());
      if (apply) this.#applier.begin();
    }
    const isAsked = ({ followed }: { readonly followed: FollowedTopic }): boolean =>
      topic === undefined || followed.topic === topic;
    const topics = new Map<string, GroupOnTopic>();
    const troubles: IsthmusError[] = [];
    const fail = (raw: unknown, followed: FollowedTopic, group?: string): void => {
      troubles.push(toIsthmusError(raw));
      // What was last known of it is still shown, as old as it is.
      for (const [key, each] of this.#topics)
        if (isOf(each, followed) && (group === undefined || each.group === group)) topics.set(key, each);
    };
    for (const { followed, error } of look.troubles.filter(isAsked)) fail(error, followed);
    await forEachLimited(look.topics.filter(isAsked), TOPICS_AT_A_TIME, async (each) => {
      await forEachLimited(each.groups, GROUPS_AT_A_TIME, async (progress) => {
        const { group } = progress;
        if (!follows(this.#ends.link.groups, group) || (only !== undefined && group !== only)) return;
        try {
          const status = await this.#group(each, progress, at, apply ? how : undefined);
          topics.set(keyOf(group, each.followed), { group, status });
        } catch (error) {
          fail(error, each.followed, group);
        }
      });
    });
    await this.#kept.save();
    const { ends: sourceEnds, sourceAt, sourceAway } = look;
    const trouble = worstOf(troubles, look.topics.length + look.troubles.length);
    return { groups: groupsIn(topics, this.#ends.link.groups), topics, sourceEnds, sourceAt, sourceAway, trouble };
  }

  async #group(
    { followed, view, targetGroups }: TopicLook,
    progress: GroupProgress,
    at: number,
    how: HowToApply | undefined,
  ): Promise<GroupTopicStatus> {
    const targetGroup = targetGroupOf(this.#ends.link.groups, progress.group);
    const key = keyOf(progress.group, followed);
    const translation = await this.#translations.get(key, view, progress.lanes, () =>
      this.#translator(followed.mirror).topic(view, progress.lanes),
    );
    const there = targetGroups.get(targetGroup);
    const toApply = { targetGroup, followed, progress, translation, there };
    const applied = how === undefined ? undefined : await this.#applier.apply({ ...toApply, how });
    const former = this.#topics.get(key)?.status.syncedAt ?? null;
    return topicStatus({ followed, progress, translation, there, applied, former, at });
  }

  #translator(mirror: FollowedMirror): Translator {
    const name = mirrorName(mirror.key);
    const known = this.#translators.get(name);
    if (known !== undefined) return known;
    const { store } = this.#deps;
    const { sink } = this.#ends.target;
    if (sink === undefined)
      throw new IsthmusError('INVALID_REQUEST', `translating places: the target ${this.#ends.target.name} cannot be written`);
    const made = new Translator({
      readIndex: (lane, from, to, limit) => store.readIndex(mirror.key, lane, from, to, limit),
      scan: (...what) => sink.scan(...what),
    });
    this.#translators.set(name, made);
    return made;
  }
}

function keyOf(group: string, { mirror, topic }: FollowedTopic): string {
  return JSON.stringify([group, mirrorName(mirror.key), topic]);
}

function isOf({ status }: GroupOnTopic, { mirror, topic }: FollowedTopic): boolean {
  return status.mirror === mirror.key.mirror && status.topic === topic;
}

/** The first that is not just a topic that is gone, and how many there are. */
function worstOf(troubles: readonly IsthmusError[], topics: number): IsthmusError | undefined {
  const worst = troubles.find(({ code }) => code !== 'TOPIC_NOT_FOUND') ?? troubles[0];
  if (worst === undefined || troubles.length === 1) return worst;
  return new IsthmusError(worst.code, `${worst.message} (${troubles.length} such troubles with ${topics} topics)`, {
    cause: worst,
  });
}

function groupsIn(topics: Topics, rule: GroupsRule | undefined): GroupStatus[] {
  return [...Map.groupBy(topics.values(), ({ group }) => group)]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([group, found]) =>
      groupStatus(
        group,
        targetGroupOf(rule, group),
        found.map(({ status }) => status),
      ),
    );
}

function follows(rule: GroupsRule | undefined, group: string): boolean {
  if (isOwnGroup(group)) return false;
  if (rule === undefined) return true;
  return isIncluded(group, rule.include, rule.exclude);
}

function targetGroupOf(rule: GroupsRule | undefined, group: string): string {
  // A function: in a text `$&` and its like would have a meaning.
  return (rule?.rename ?? '{group}').replaceAll('{group}', () => group);
}
