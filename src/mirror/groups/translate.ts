import { BEFORE_ALL, comparePositions, formatPosition, neighbourDistance, type Position } from '../../model/position.ts';
import type { LaneProgress, PositionRange } from '../../model/progress.ts';
import type { LaneExtent } from '../../spi/source.ts';
import type { Checkpoint } from '../../spi/state-store.ts';
import { MAX_ROUND_RECORDS, partitionKey } from '../recovery.ts';
import { cutLane, isCutLane } from './cut-lane.ts';
import { DonePlaces } from './done-places.ts';
import { asWhole, boundary, DoneRecords } from './done-records.ts';
import { type LaneWalk, walkAhead, walkBack } from './lane-walk.ts';
import { MarkSearch } from './mark-search.ts';
import { hasReached } from './observations.ts';
import { type Stretch, Stretches } from './stretch.ts';
import type { LaneView, TopicView, TranslatedPlace, TranslateSizes, Translation, TranslatorDeps } from './translation.ts';

export const TRANSLATE_SIZES: TranslateSizes = {
  page: 1_000,
  mostEntries: 20_000,
  lookBack: 64,
  leastKept: 10_000,
  roundRecords: MAX_ROUND_RECORDS,
  mostDone: 1_000,
  cachedEntries: 200_000,
  searchEntries: 20_000,
};

/** What is known of a group in one source lane. */
interface LaneFinding {
  readonly view: LaneView;
  readonly group: DoneRecords;
  /** Index, and index of what came from the target: with what the walk ahead has found. */
  readonly walks: readonly LaneWalked[];
  /** By partition: nothing of the lane that the index does not show yet lies before this place. */
  readonly bounds: ReadonlyMap<number, Position>;
  readonly known: ReadonlyMap<number, Position>;
}

interface LaneWalked {
  readonly walk: LaneWalk;
  /** What of the index may know of more that is done; `undefined` where the walk has it all. */
  readonly stretch: Stretch | undefined;
  readonly complete: boolean;
}

/** Why a lane says nothing of some partitions, or of all where it names none. */
interface Unknown {
  readonly partitions: readonly number[] | undefined;
  readonly reason: string;
  /** It passes when the checkpoints have reached what was seen of both ends. */
  readonly lagging?: boolean;
}

/**
 * Translates places of groups on the source into places in the target.
 *
 * (T1) Nothing is lost: each record of a partition that the group has not done lies at or after `next`, and in no `done` range.
 * (T2) `exact` says the truth: each record at or after `next` and outside `done` that came over the mirror, or was given back by the reverse one, is one that the group has not done.
 * (T3) `rereads` of a `floor` is the number of records at or after `next`, outside `done`, that the group has done; where `counted` is false there may be more.
 * (T4) A group that goes forward gets no earlier place, as long as what is known stays the same.
 * (T5) Reading is bounded, whatever the backlog; what lies beyond the bounds makes a place `unknown` or its `rereads` not `counted`, never wrong.
 * (T6) No place is guessed: what neither the index nor the marks can tell is `unknown`.
 */
export class Translator {
  readonly #sizes: TranslateSizes;
  readonly #stretches: Stretches;
  readonly #search: MarkSearch;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(deps: TranslatorDeps, sizes: TranslateSizes = TRANSLATE_SIZES) {
    this.#sizes = sizes;
    this.#stretches = new Stretches(async (lane, ...range) => {
      const entries = await deps.readIndex(lane, ...range);
      return isCutLane(lane) ? entries : entries.map(asWhole);
    }, sizes.page);
    this.#search = new MarkSearch(deps.scan, sizes);
  }

  /** A pass over all groups begins: what was read of the index is kept as far as it may be, what was read of the target is not. */
  begin(): void {
    this.#stretches.shrink(this.#sizes.cachedEntries);
    this.#search.forget();
  }

  /** Where a group goes on. Rejects when the state store or the target does not answer. */
  topic(view: TopicView, lanes: readonly LaneProgress[]): Promise<Translation> {
    // One at a time: they share what is read.
    const turn = this.#turn.then(() => this.#topic(view, lanes));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Where one position of one lane lies, in each partition that the lane writes: the first of its records at or after it. Other lanes, and the target's own records, do not count. */
  position(view: TopicView, lane: string, next: Position): Promise<Translation> {
    const alone = { ...view, lanes: view.lanes.filter((each) => each.lane === lane), bothWays: false };
    return this.topic(alone, [{ lane, next, done: [] }]);
  }

  async #topic(view: TopicView, lanes: readonly LaneProgress[]): Promise<Translation> {
    const progress = new Map(lanes.map((each) => [each.lane, each]));
    const findings: LaneFinding[] = [];
    const unknown: Unknown[] = [];
    let [ahead, uncounted] = [0, false];
    for (const lane of view.lanes) {
      const own = progress.get(lane.lane);
      const found = await this.#lane(view, lane, own);
      if (found === undefined) continue;
      if ('reason' in found) unknown.push(found);
      else findings.push(found);
      const next = lane.checkpoint?.next;
      for (const { from, to } of own === undefined || next === undefined ? [] : beyond(own, next)) {
        const records = neighbourDistance(from, to);
        ahead += records ?? 0;
        uncounted ||= records === undefined;
      }
    }
    const firsts = new Map<number, PlaceFound>();
    for (const partition of partitionsOf(view)) firsts.set(partition, placeIn(view, partition, findings, unknown));
    return { places: await this.#withDone(view, firsts, findings), ahead: ahead === 0 && uncounted ? undefined : ahead };
  }

  /** `undefined`: the lane has nothing in the target that could matter. */
  async #lane(view: TopicView, lane: LaneView, progress: LaneProgress | undefined): Promise<LaneFinding | Unknown | undefined> {
    const { checkpoint } = lane;
    const own = writtenBy(view, lane);
    if (checkpoint === undefined) return { partitions: own, reason: `the lane ${lane.lane} has not been mirrored yet` };
    const id = { topic: view.topic, lane: lane.lane };
    const epoch = checkpoint.indexedFrom === undefined ? '' : formatPosition(checkpoint.indexedFrom);
    const upTo = checkpoint.next;
    if (progress === undefined) {
      if (await this.#isEmpty(view, lane, epoch)) return undefined;
      return { partitions: undefined, reason: `the group has no place in the lane ${lane.lane}` };
    }
    const group = new DoneRecords(progress.next, progress.done);
    const at = comparePositions(group.next, upTo) < 0 ? group.next : upTo;
    const stretch = await this.#stretches.upTo(id, at, epoch);
    const cuts = checkpoint.cuts === undefined ? undefined : await this.#stretches.upTo(cutLane(id), at, epoch);
    const stretches = cuts === undefined ? [stretch] : [stretch, cuts];
    const complete = checkpoint.indexedFrom !== undefined && comparePositions(checkpoint.indexedFrom, BEFORE_ALL) === 0;
    const everywhere = checkpoint.otherWays === true ? [...view.extents.keys()] : own;
    const bounds = boundsOf(view, lane, own);
    if (everywhere.some((partition) => !bounds.has(partition)))
      return {
        partitions: undefined,
        reason: `another way brings records of the lane ${lane.lane} as well, and it is not known yet from where on`,
        lagging: true,
      };
    const base = { view: lane, group, bounds, known: placesOf(view, lane, own) };
    if (comparePositions(at, upTo) < 0 && !(await this.#covers(stretches, checkpoint, at))) {
      if (view.bothWays || checkpoint.cuts !== undefined) {
        const reason = `the position index of the lane ${lane.lane} does not reach back to the group's place, and only it knows which of the target's own records were given back`;
        return { partitions: undefined, reason };
      }
      const searched = await this.#search.lane(view, lane, group, everywhere);
      if ('reason' in searched) return searched;
      return { ...base, walks: [{ ...searched, stretch: undefined, complete }] };
    }
    const walk = await walkAhead(stretch, group, upTo, own, this.#sizes);
    const walks: LaneWalked[] = [{ stretch, walk, complete }];
    if (cuts !== undefined) {
      // Records that came around over other clusters have no order among each other.
      const roundRecords = checkpoint.cuts === 'around' ? Number.POSITIVE_INFINITY : this.#sizes.roundRecords;
      const cutWalk = await walkAhead(cuts, group, upTo, [...view.extents.keys()], { ...this.#sizes, roundRecords });
      walks.push({ stretch: cuts, walk: cutWalk, complete });
    }
    if (walks.some(({ walk: { open } }) => open))
      return {
        partitions: undefined,
        reason: `the group is too far behind in the lane ${lane.lane}: the index was read up to its limit`,
      };
    return { ...base, walks };
  }

  /** Whether the index has everything of a lane from a position before the checkpoint on. */
  async #covers(stretches: readonly Stretch[], { indexedFrom, next }: Checkpoint, at: Position): Promise<boolean> {
    if (indexedFrom === undefined || comparePositions(indexedFrom, at) > 0) return false;
    let begun = false;
    for (const stretch of stretches) {
      while (comparePositions(stretch.to, at) <= 0 && (await stretch.later(next)));
      // Stores thin a large index from its beginning. Close to where it begins it may lack something, unless it is too small to have been thinned.
      while (stretch.countBefore(at) < this.#sizes.lookBack && (await stretch.earlier()));
      if (stretch.countBefore(at) < this.#sizes.lookBack) {
        while (stretch.held.length < this.#sizes.leastKept && (await stretch.later(next)));
        if (stretch.held.length >= this.#sizes.leastKept) return false;
      }
      const [first] = stretch.held;
      begun ||= first !== undefined && comparePositions(first.first, at) <= 0;
    }
    // An index that begins after the place may have been emptied without the mirror having noticed.
    return begun;
  }

  async #isEmpty(view: TopicView, { lane, checkpoint }: LaneView, epoch: string): Promise<boolean> {
    if (checkpoint?.indexedFrom === undefined || comparePositions(checkpoint.indexedFrom, BEFORE_ALL) > 0) return false;
    for (const id of [{ topic: view.topic, lane }, cutLane({ topic: view.topic, lane })]) {
      const stretch = await this.#stretches.upTo(id, checkpoint.next, epoch);
      while (stretch.held.length === 0 && (await stretch.earlier()));
      if (stretch.held.length > 0) return false;
    }
    return true;
  }

  async #withDone(
    view: TopicView,
    found: ReadonlyMap<number, PlaceFound>,
    findings: readonly LaneFinding[],
  ): Promise<TranslatedPlace[]> {
    const places = new Map<number, DonePlaces>();
    for (const [partition, { next }] of found) if (next !== undefined) places.set(partition, new DonePlaces(next));
    const atEnd = [...found].every(([partition, { next }]) => next === undefined || isAtEnd(next, view.extents.get(partition)));
    let counted = true;
    if (places.size > 0) {
      for (const { walks, group, known } of findings) {
        for (const [i, { stretch, walk, complete }] of walks.entries()) {
          for (const [partition, entries] of walk.done)
            for (const { entry, parts } of entries) places.get(partition)?.add(entry, parts);
          const back =
            stretch === undefined || (await walkBack(stretch, group, places, i === 0 ? known : new Map(), complete, this.#sizes));
          counted &&= walk.counted && (back || atEnd);
        }
      }
    }
    return [...found].map(([partition, place]) => this.#finish(partition, place, places.get(partition), counted));
  }

  #finish(
    partition: number,
    { next, reason, tooOld, lagging }: PlaceFound,
    places: DonePlaces | undefined,
    counted: boolean,
  ): TranslatedPlace {
    if (next === undefined || places === undefined)
      return { partition, kind: 'unknown', next: undefined, done: [], rereads: 0, counted: true, reason, lagging };
    const { done, others } = places.take(this.#sizes.mostDone);
    const kind = tooOld ? 'too-old' : others === 0 && counted ? 'exact' : 'floor';
    return { partition, kind, next, done, rereads: others, counted, ...(reason === undefined ? {} : { reason }) };
  }
}

interface PlaceFound {
  readonly next: Position | undefined;
  readonly tooOld: boolean;
  readonly reason?: string;
  readonly lagging?: boolean | undefined;
}

/** The lowest place of a partition that any lane names. */
function placeIn(view: TopicView, partition: number, findings: readonly LaneFinding[], unknown: readonly Unknown[]): PlaceFound {
  const all = unknown.filter(({ partitions }) => partitions === undefined || partitions.includes(partition));
  const because = all.find(({ lagging }) => lagging !== true) ?? all[0];
  if (because !== undefined) return { next: undefined, tooOld: false, reason: because.reason, lagging: because.lagging };
  const extent = view.extents.get(partition);
  if (extent === undefined)
    return { next: undefined, tooOld: false, reason: 'the target does not say where the partition begins' };
  let first: Position | undefined;
  let bound: Position | undefined;
  for (const { walks, bounds } of findings) {
    for (const { walk } of walks) first = lower(first, walk.firsts.get(partition));
    bound = lower(bound, bounds.get(partition));
  }
  if (view.bothWays) {
    const given = givenBack(view, partition);
    if (given === undefined)
      return {
        next: undefined,
        tooOld: false,
        reason: "it is not known yet which of the target's own records were given back to the source",
        lagging: view.observations.length === 0 || view.observations.some((each) => each.givenBack?.has(partition) === true),
      };
    bound = lower(bound, given);
  }
  if (first !== undefined && comparePositions({ ...first, index: -1 }, { ...extent.begin, index: -1 }) < 0) {
    const reason = `the target has deleted what the group has not done: it begins at ${formatPosition(extent.begin)}, the group would go on at ${formatPosition(first)}`;
    return { next: extent.begin, tooOld: true, reason };
  }
  if (findings.some(({ walks }) => walks.some(({ walk }) => walk.gone?.has(partition) === true))) {
    const reason =
      "neither the position index nor the marks reach back to the group's place; the target may have deleted what the group has not done";
    return { next: extent.begin, tooOld: true, reason };
  }
  if (bound === undefined && first === undefined)
    return { next: undefined, tooOld: false, reason: 'no lane writes to the partition' };
  if (bound !== undefined && comparePositions(bound, extent.begin) < 0) bound = extent.begin;
  return { next: boundary(lower(first, bound) ?? extent.begin), tooOld: false };
}

/** What a group has done at or after a checkpoint. */
function beyond({ next, done }: LaneProgress, checkpoint: Position): PositionRange[] {
  const all = [{ from: checkpoint, to: next }, ...done.map(({ from, to }) => ({ from: higher(from, checkpoint), to }))];
  return all.filter(({ from, to }) => comparePositions(from, to) < 0);
}

/** Up to where a partition's own records were given back, and have come to the checkpoints since. */
function givenBack({ observations, lanes }: TopicView, partition: number): Position | undefined {
  for (const each of observations) {
    const place = each.givenBack?.get(partition);
    if (place !== undefined && lanes.every((lane) => hasReached(lane, each))) return place;
  }
  return undefined;
}

/** Partitions that a lane writes, and those it wrote before its routing was changed. */
function writtenBy(view: TopicView, { partitions, checkpoint }: LaneView): number[] {
  const prefix = partitionKey(view.targetTopic, '');
  const named = Object.keys(checkpoint?.targets ?? {}).filter((key) => key.startsWith(prefix));
  return [...new Set([...partitions, ...named.map((key) => Number(key.slice(prefix.length)))])];
}

function partitionsOf(view: TopicView): number[] {
  const written = view.lanes.flatMap((lane) => writtenBy(view, lane));
  const all = view.bothWays ? [...written, ...view.extents.keys()] : written;
  return [...new Set(all)].sort((a, b) => a - b);
}

/** By partition: up to where a lane has stored something before its checkpoint. */
function placesOf(view: TopicView, { checkpoint }: LaneView, partitions: readonly number[]): Map<number, Position> {
  const places = new Map<number, Position>();
  for (const partition of partitions) {
    const place = checkpoint?.targets[partitionKey(view.targetTopic, partition)];
    if (place !== undefined) places.set(partition, place);
  }
  return places;
}

/** By partition: what the lane stores of records at or after its checkpoint lies at or after this place. */
function boundsOf(view: TopicView, lane: LaneView, partitions: readonly number[]): Map<number, Position> {
  const idle = view.observations.find((each) => hasReached(lane, each));
  // What another way brings may lie anywhere, but behind all that was there when its record had yet to be written.
  if (lane.checkpoint?.otherWays === true) return new Map(idle?.targetEnds);
  const known = placesOf(view, lane, partitions);
  return new Map(
    partitions.map((partition) => {
      const place = rightAfter(known.get(partition) ?? BEFORE_ALL);
      const end = idle?.targetEnds.get(partition);
      return [partition, end !== undefined && comparePositions(end, place) > 0 ? end : place];
    }),
  );
}

function isAtEnd(next: Position, extent: LaneExtent | undefined): boolean {
  return extent !== undefined && comparePositions(next, extent.end) >= 0;
}

/** After a batch, named by its entry or its last record. */
function rightAfter({ major, minor }: Position): Position {
  if (major < 0) return BEFORE_ALL;
  return minor < 0 ? { major: major + 1, minor, index: -1 } : { major, minor: minor + 1, index: -1 };
}

function higher(a: Position, b: Position): Position {
  return comparePositions(a, b) >= 0 ? a : b;
}

function lower(a: Position | undefined, b: Position | undefined): Position | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return comparePositions(a, b) <= 0 ? a : b;
}
