import { IsthmusError, toIsthmusError } from '../../errors.ts';
import { forEachLimited } from '../../lib/concurrency.ts';
import type { TopicView } from '../../mirror/groups/translation.ts';
import { BEFORE_ALL, comparePositions, type Position } from '../../model/position.ts';
import type { GroupProgress } from '../../model/progress.ts';
import type { Cluster } from '../../spi/cluster.ts';
import type { TopicSurvey } from '../../spi/groups.ts';
import type { Checkpoint, StateStore } from '../../spi/state-store.ts';
import { groupName } from '../group-name.ts';
import { mirrorName } from '../registry.ts';
import type { KeptProgress, SourceSide } from './kept-progress.ts';
import { type Surveys, surveyOf } from './survey.ts';
import { type FollowedMirror, type FollowedTopic, type MirrorsBack, TopicViews } from './topic-views.ts';

const MIRRORS_AT_A_TIME = 8;

/** A mirrored topic as both clusters and the state store show it. */
export interface TopicLook {
  readonly followed: FollowedTopic;
  readonly view: TopicView;
  /** On the source. */
  readonly groups: readonly GroupProgress[];
  /** On the target, by name. */
  readonly targetGroups: ReadonlyMap<string, GroupProgress>;
}

/** A topic of which nothing can be said now. */
export interface TopicTrouble {
  readonly followed: FollowedTopic;
  readonly error: IsthmusError;
}

/** The topics of a link's mirrors. */
export interface LinkLook {
  readonly topics: readonly TopicLook[];
  readonly troubles: readonly TopicTrouble[];
  /** Where the source ended, by mirror; -1 for a lane that our own group has done wholly. */
  readonly ends: ReadonlyMap<string, SourceSide['ends']>;
  /** When the source was asked, milliseconds since 1970: earlier than now where what was kept of it has to do. */
  readonly sourceAt: number;
  /** Why what was kept has to do. */
  readonly sourceAway: string | undefined;
}

interface MirrorSide {
  readonly side: SourceSide;
  /** By topic. */
  readonly groups: ReadonlyMap<string, readonly GroupProgress[]>;
  /** Topics of which the source has said nothing now, and why. */
  readonly silent: ReadonlyMap<string, IsthmusError>;
}

/** Looks at all mirrors of a link at once, in the order in which `Observation` wants it: the target, then the source, then the checkpoints. */
export class LinkLooks {
  readonly #source: Cluster;
  readonly #target: Cluster;
  readonly #store: StateStore;
  readonly #kept: KeptProgress;
  readonly #views: TopicViews;
  readonly #now: () => number;

  constructor(source: Cluster, target: Cluster, store: StateStore, kept: KeptProgress, back: MirrorsBack, now: () => number) {
    this.#source = source;
    this.#target = target;
    this.#store = store;
    this.#kept = kept;
    this.#now = now;
    this.#views = new TopicViews(source, target, store, back);
  }

  /** `orKept`: where the source does not answer, what it said last has to do. Rejects when the target or the store does not answer, or the source where it has to. */
  async look(mirrors: readonly FollowedMirror[], orKept: boolean): Promise<LinkLook> {
    const known = await this.#perMirror(mirrors, async (mirror, checkpoints) => await this.#views.topics(mirror, checkpoints));
    const all = [...known.values()].flat();
    const targets = await surveyOf(this.#target, unique(all.map(({ targetTopic }) => targetTopic)));
    const { sides, away } = await this.#sourceSides(known, orKept);
    const checkpoints = await this.#perMirror(mirrors, (_, list) => Map.groupBy(list, ({ lane }) => lane.topic));
    const topics: TopicLook[] = [];
    const troubles: TopicTrouble[] = [];
    for (const followed of all) {
      const { mirror, topic, targetTopic } = followed;
      const target = orNothing(targets.get(targetTopic));
      const side = sides.get(mirror);
      const groups = side?.groups.get(topic) ?? [];
      const silent = side?.silent.get(topic);
      // What was said long ago has to do, where it may.
      const kept = orKept && side?.side.ends[topic] !== undefined;
      if (target instanceof IsthmusError) troubles.push({ followed, error: target });
      else if (silent !== undefined && !kept) troubles.push({ followed, error: silent });
      else {
        const ends = new Map(Object.entries(side?.side.ends[topic] ?? {}));
        const list = checkpoints.get(mirror)?.get(topic) ?? [];
        // It is no observation of now.
        const view = this.#views.view(followed, this.#views.targetSide(followed, target), ends, list, silent === undefined);
        topics.push({ followed, view, groups, targetGroups: new Map(target.groups.map((each) => [each.group, each])) });
      }
    }
    return {
      topics,
      troubles,
      ends: new Map([...sides].map(([{ key }, { side }]) => [key.mirror, side.ends])),
      sourceAt: Math.min(this.#now(), ...[...sides.values()].map(({ side }) => side.at)),
      sourceAway: away,
    };
  }

  /** Where the source's lanes end now, by mirror; -1 for one that our own group has done wholly. Rejects when the source does not answer. */
  async sourceEnds(mirrors: readonly FollowedMirror[]): Promise<ReadonlyMap<string, SourceSide['ends']>> {
    const known = await this.#perMirror(mirrors, async (mirror, checkpoints) => await this.#views.topics(mirror, checkpoints));
    const surveys = await this.#sourceSurveys([...known.values()].flat());
    return new Map(
      [...known].map(([mirror, topics]) => {
        const ends = topics.map(({ topic }) => {
          const survey = surveys.get(topic) ?? NOTHING;
          if (survey instanceof IsthmusError) throw survey;
          return [topic, endsOf(survey, this.#ownGroup(mirror))] as const;
        });
        return [mirror.key.mirror, Object.fromEntries(ends)];
      }),
    );
  }

  #ownGroup({ key, spec }: FollowedMirror): string {
    return groupName(key, this.#target.name, spec);
  }

  async #perMirror<T>(
    mirrors: readonly FollowedMirror[],
    work: (mirror: FollowedMirror, checkpoints: readonly Checkpoint[]) => T | Promise<T>,
  ): Promise<Map<FollowedMirror, T>> {
    const found = new Map<FollowedMirror, T>();
    await forEachLimited(mirrors, MIRRORS_AT_A_TIME, async (mirror) => {
      found.set(mirror, await work(mirror, await this.#store.loadCheckpoints(mirror.key)));
    });
    return found;
  }

  /** A topic that was deleted has no groups that could follow. With its brokers away it looks the same, and what was kept of its groups must outlast that: so it has to be sure. */
  async #sourceSurveys(asked: readonly FollowedTopic[]): Promise<Surveys> {
    const surveys = new Map(await surveyOf(this.#source, unique(asked.map(({ topic }) => topic))));
    for (const { topic, sourceLanes } of asked) {
      const survey = surveys.get(topic);
      if (!(survey instanceof IsthmusError) || survey.code !== 'TOPIC_NOT_FOUND') continue;
      const deleted = await this.#source.admin.isDeleted?.(topic, sourceLanes).catch(() => false);
      if (deleted === true) surveys.set(topic, NOTHING);
    }
    return surveys;
  }

  /** Rejects when the source says nothing at all, unless what it said last may do. */
  async #sourceSides(
    known: ReadonlyMap<FollowedMirror, readonly FollowedTopic[]>,
    orKept: boolean,
  ): Promise<{ readonly sides: ReadonlyMap<FollowedMirror, MirrorSide>; readonly away: string | undefined }> {
    const at = this.#now();
    const asked = [...known.values()].flat();
    let surveys: Surveys;
    try {
      surveys = await this.#sourceSurveys(asked);
    } catch (raw) {
      const error = toIsthmusError(raw);
      if (!orKept || error.code === 'INVALID_REQUEST') throw error;
      surveys = new Map(asked.map(({ topic }) => [topic, error]));
    }
    const errors = [...surveys.values()].filter((each) => each instanceof IsthmusError);
    const [first] = errors;
    if (first !== undefined && errors.length === surveys.size && !orKept) throw first;
    const sides = new Map<FollowedMirror, MirrorSide>();
    let away: string | undefined;
    for (const [mirror, topics] of known) {
      const each = await this.#mirrorSide(mirror, topics, surveys, at);
      for (const [topic, error] of each.silent) {
        const unknown = each.side.ends[topic] === undefined;
        // The source was never seen, so that nothing can be said of the link as a whole.
        if (orKept && unknown && error.code !== 'TOPIC_NOT_FOUND') throw error;
        if (!unknown) away ??= error.message;
      }
      sides.set(mirror, each);
    }
    if (first !== undefined && errors.length === surveys.size && away === undefined) throw first;
    return { sides, away: orKept ? away : undefined };
  }

  /** Of topics of which the source says nothing now, what it said last. */
  async #mirrorSide(
    mirror: FollowedMirror,
    topics: readonly FollowedTopic[],
    surveys: Surveys,
    now: number,
  ): Promise<MirrorSide> {
    const name = mirrorName(mirror.key);
    const silent = new Map<string, IsthmusError>();
    const ends: Record<string, Readonly<Record<string, Position>>> = {};
    const groups = new Map<string, readonly GroupProgress[]>();
    for (const { topic } of topics) {
      const survey = surveys.get(topic) ?? NOTHING;
      if (survey instanceof IsthmusError) {
        silent.set(topic, survey);
        continue;
      }
      ends[topic] = endsOf(survey, this.#ownGroup(mirror));
      groups.set(topic, survey.groups);
    }
    const former = silent.size === 0 ? undefined : await this.#kept.get(name);
    for (const topic of silent.keys()) {
      const end = former?.ends[topic];
      if (end === undefined) continue;
      ends[topic] = end;
      groups.set(topic, former?.progress.filter((each) => each.topic === topic) ?? []);
    }
    const at = former?.at ?? now;
    const side = { at, progress: [...groups.values()].flat(), ends };
    if (silent.size === 0 || silent.size < topics.length) this.#kept.set(name, side);
    return { side, groups, silent };
  }
}

/**
 * Where the lanes of a topic end; -1 for one that our own group has done wholly. A Pulsar ends with entries that no consumer gets (markers, aborted messages), which no checkpoint passes before the next record
 * comes: its lanes would look as if they were behind for as long as nobody writes.
 */
function endsOf({ groups, extents }: TopicSurvey, ownGroup: string): Record<string, Position> {
  const done = new Map(groups.find(({ group }) => group === ownGroup)?.lanes.map(({ lane, next }) => [lane, next]));
  return Object.fromEntries(
    [...extents].map(([lane, { end }]) => {
      const next = done.get(lane);
      return [lane, next !== undefined && comparePositions(next, end) >= 0 ? BEFORE_ALL : end];
    }),
  );
}

/** A topic that the target does not have (yet) has no groups there. At the source it is another matter, see `#sourceSurveys`. */
function orNothing(survey: TopicSurvey | IsthmusError | undefined): TopicSurvey | IsthmusError {
  return survey === undefined || (survey instanceof IsthmusError && survey.code === 'TOPIC_NOT_FOUND') ? NOTHING : survey;
}

const NOTHING: TopicSurvey = { groups: [], extents: new Map() };

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}
