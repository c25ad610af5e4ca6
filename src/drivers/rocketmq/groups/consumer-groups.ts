import { forEachLimited } from '../../../lib/concurrency.ts';
import { offsetPosition } from '../../../model/position.ts';
import {
  compareGroups,
  type GroupProgress,
  type LaneProgress,
  type PositionRange,
  type Sharing,
} from '../../../model/progress.ts';
import type { Clock } from '../../../spi/clock.ts';
import type { GroupMove, Groups, MovedLane } from '../../../spi/groups.ts';
import type { Log } from '../../../spi/log.ts';
import { accepted } from '../refusal.ts';
import { formatLane, type Routes } from '../routes.ts';
import type { LookParts } from '../sink/look/queue-look.ts';
import { type GroupOffsets, getAllOffsets, readAllOffsets } from '../wire/all-offsets.ts';
import { getAllTopics, readAllTopics } from '../wire/all-topics.ts';
import { GroupFacts, type Master } from './facts.ts';
import { HandedOut } from './handed-out.ts';
import { moveGroup } from './move.ts';
import { groupNameProblem, isApplicationGroup, retryTopics } from './names.ts';
import { MAX_OUTSTANDING, type Outstanding, Retries, type RetryTopic } from './retries.ts';

const GROUPS_AT_A_TIME = 16;
const COMES_AGAIN = 'what POP consumers were given lately may come to them again';
/** Our own: they pull, whatever a broker that was just started may know of it. */
const OWN_GROUP = /^isthmus-/;

export interface ConsumerGroupsParts extends LookParts {
  readonly routes: Routes;
  readonly clock: Clock;
  readonly log: Log;
  /** For how long consumers of a POP group may have a message without acknowledging it, milliseconds. */
  readonly popWindowMillis: number;
}

/** What one broker says, by topic and group. */
interface BrokerView {
  readonly master: Master;
  readonly table: ReadonlyMap<string, GroupOffsets>;
  /** `undefined` where it does not say all of them. */
  readonly topics: ReadonlySet<string> | undefined;
}

interface Lanes {
  readonly lanes: LaneProgress[];
  readonly reasons: Set<string>;
  /** How long at most a queue is left out yet, because what was handed out of it may come again. */
  waitMillis: number;
  sharing: Sharing | undefined;
}

/** The consumer groups of a cluster, by the remoting protocol. */
export class ConsumerGroups implements Groups {
  readonly #parts: ConsumerGroupsParts;
  readonly #facts: GroupFacts;
  readonly #retries: Retries;
  readonly #handedOut: HandedOut;

  constructor(parts: ConsumerGroupsParts) {
    this.#parts = parts;
    this.#facts = new GroupFacts(parts.network, parts.clock);
    this.#retries = new Retries(parts, parts.log);
    this.#handedOut = new HandedOut(parts.popWindowMillis);
  }

  async progress(topics: readonly string[]): Promise<GroupProgress[]> {
    const wanted = new Set(topics);
    const masters = await this.#facts.masters();
    const views: BrokerView[] = [];
    for (const master of masters) {
      const answer = accepted(
        await this.#parts.network.call(master.address, getAllOffsets()),
        `reading the groups of broker ${master.name}`,
      );
      const table = new Map(readAllOffsets(answer).map((each) => [`${each.topic}@${each.group}`, each]));
      // After the places: what is given back lies in a retry topic before the place goes on.
      const topics = readAllTopics(await this.#parts.network.call(master.address, getAllTopics()));
      views.push({ master, table, topics });
    }
    const found = new Map<string, GroupOffsets>();
    for (const { table } of views) {
      for (const [key, each] of table) if (wanted.has(each.topic) && isApplicationGroup(each.group)) found.set(key, each);
    }
    const progress: GroupProgress[] = [];
    await forEachLimited([...found.values()], GROUPS_AT_A_TIME, async ({ topic, group }) => {
      progress.push(await this.#progressOf(topic, group, views, masters));
    });
    return progress.sort(compareGroups);
  }

  async move(move: GroupMove): Promise<MovedLane[]> {
    const { network, routes, groups } = this.#parts;
    const { count } = await this.#facts.members(move.group, await this.#facts.masters());
    return await moveGroup({ network, routes, own: groups }, move, count);
  }

  refusesGroupName(group: string): string | undefined {
    return groupNameProblem(group);
  }

  async #progressOf(
    topic: string,
    group: string,
    views: readonly BrokerView[],
    masters: readonly Master[],
  ): Promise<GroupProgress> {
    const members = await this.#facts.keptMembers(group, masters);
    const all: Lanes = { lanes: [], reasons: new Set(), waitMillis: 0, sharing: undefined };
    for (const view of views) await this.#readBroker(topic, group, view, members.pops, all);
    if (all.waitMillis > 0)
      all.reasons.add(`${COMES_AGAIN}: some queues are left out for up to ${Math.ceil(all.waitMillis / 1000)} s more`);
    return {
      group,
      topic,
      sharing: all.sharing,
      members: members.count,
      lanes: all.lanes,
      behindBecause: all.reasons.size === 0 ? undefined : [...all.reasons].join('; '),
    };
  }

  async #readBroker(topic: string, group: string, view: BrokerView, pops: boolean, all: Lanes): Promise<void> {
    const { master, table } = view;
    const there = table.get(`${topic}@${group}`);
    if (there === undefined) return;
    const sharing = await this.#sharingOf(there, view, pops);
    all.sharing ??= sharing;
    const outstanding = await this.#outstandingOf(there, view);
    if (outstanding === undefined) {
      all.reasons.add(
        `messages wait in retry topics on ${master.name} that are more than ${MAX_OUTSTANDING} or cannot be found in ${topic}: its queues there are left out`,
      );
      return;
    }
    for (const [queueId, committed] of there.offsets) {
      const lane = formatLane(master.name, queueId);
      const sure =
        sharing === 'ordered'
          ? { offset: committed }
          : this.#handedOut.note(`${topic}@${group} ${lane}`, committed, this.#parts.clock.monotonic());
      if ('waitMillis' in sure) {
        all.waitMillis = Math.max(all.waitMillis, sure.waitMillis);
        continue;
      }
      if (sure.offset < committed) all.reasons.add(COMES_AGAIN);
      const waiting = outstanding
        .filter((each) => each.queueId === queueId && each.offset < sure.offset)
        .map(({ offset }) => offset);
      all.lanes.push(laneProgress(lane, sure.offset, waiting));
    }
  }

  /** `undefined` where nothing is known, which is treated like `shared`. */
  async #sharingOf(
    { topic, group, pulls }: GroupOffsets,
    { master, table }: BrokerView,
    pops: boolean,
  ): Promise<Sharing | undefined> {
    if (OWN_GROUP.test(group) || (await this.#facts.readsInOrder(group, master))) return 'ordered';
    // Somebody may have had a look with a pull in the name of a POP group.
    if (pops || retryTopics(group, topic).pop.some((retry) => table.has(`${retry}@${group}`))) return 'shared';
    return pulls ? 'ordered' : undefined;
  }

  /** Messages that wait in the group's retry topics at a broker; `undefined` when that cannot be told. */
  async #outstandingOf(
    { topic, group }: GroupOffsets,
    { master, table, topics }: BrokerView,
  ): Promise<readonly Outstanding[] | undefined> {
    if (OWN_GROUP.test(group)) return [];
    const { push, pop } = retryTopics(group, topic);
    const { address, name } = master;
    const committed = (retry: string) => table.get(`${retry}@${group}`)?.offsets;
    const retries: RetryTopic[] = [];
    // Asked for also without a place there: until a push consumer has read its retry topic once, the group has none. But not where there is no such topic: of a thousand groups that only pull, each would cost a request.
    if (topics?.has(push) !== false)
      retries.push({ address, topic: push, next: (queueId) => committed(push)?.get(queueId) ?? 0 });
    for (const retry of pop) {
      const offsets = committed(retry);
      if (offsets === undefined) continue;
      const sure = new Map<number, number>();
      for (const [queueId, offset] of offsets) {
        // What comes again is handed out like the first time, and may come once more. Before anything is sure of it, all that is there counts.
        const noted = this.#handedOut.note(`${retry}@${group} ${name}:${queueId}`, offset, this.#parts.clock.monotonic());
        if ('offset' in noted) sure.set(queueId, noted.offset);
      }
      retries.push({ address, topic: retry, next: (queueId) => sure.get(queueId) ?? 0 });
    }
    return await this.#retries.outstanding(topic, retries);
  }
}

/** Everything before `offset` is done but for what waits. */
function laneProgress(lane: string, offset: number, waiting: readonly number[]): LaneProgress {
  const offsets = [...new Set(waiting)].sort((a, b) => a - b);
  const done: PositionRange[] = [];
  for (const [i, each] of offsets.entries()) {
    const until = offsets[i + 1] ?? offset;
    if (until > each + 1) done.push({ from: offsetPosition(each + 1), to: offsetPosition(until) });
  }
  return { lane, next: offsetPosition(offsets[0] ?? offset), done };
}
