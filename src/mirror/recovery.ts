import type { LaneId } from '../model/lane.ts';
import type { StartRule } from '../model/mirror-spec.ts';
import { advancePosition, BEFORE_ALL, comparePositions, countBefore, entryAtOrAfter, type Position } from '../model/position.ts';
import { type PositionRun, readPlace } from '../model/provenance.ts';
import type { Clock } from '../spi/clock.ts';
import type { FoundMark, Sink } from '../spi/sink.ts';
import type { Source, StartAt } from '../spi/source.ts';
import type { Checkpoint, IndexEntry } from '../spi/state-store.ts';
import { PositionSet } from './position-set.ts';

/**
 * Finding out where a lane goes on, after any doubt. The truth is in the target: what is stored there carries its source position.
 *
 * (R1) Reading goes on at or before the first record that is not stored.
 * (R2) Every stored record at or after that place is in `stored`, so that it is not written again.
 * (R3) Nothing else is in `stored`, so that nothing is left out.
 * (R4) An entry at or after `wholeFrom` is stored wholly, or no record of it is. Earlier ones are read record by record: a filter that was there before, a routing by key or
 *      a place inside an entry can have left them in part.
 */
export interface Recovery {
  readonly from: Position;
  readonly stored: PositionSet;
  /** Where the next look has to begin, per partition (see Checkpoint.targets). */
  readonly targets: ReadonlyMap<number, Position>;
  /** What was found beyond the checkpoint, for the position index. */
  readonly found: IndexEntry[];
  readonly foundRecords: number;
  readonly entriesRead: number;
  /** Partitions of which not everything at or after `from` is in view for sure (R2): what lies further back is written again. Only where the marks alone know the lane. */
  readonly inPart?: readonly number[];
  /** Nothing knows of the lane: it has never written. */
  readonly isNew?: boolean;
}

export interface LookPlan {
  readonly sourceCluster: string;
  readonly lane: LaneId;
  readonly targetTopic: string;
  readonly partitions: readonly number[];
  readonly start: StartRule;
  readonly group: string;
}

export interface RecoveryPlan extends LookPlan {
  readonly checkpoint: Checkpoint | undefined;
}

/** Names a target partition in a checkpoint. With the topic in it, a mirror that is renamed looks at its new target from the beginning. */
export function partitionKey(topic: string, partition: number | ''): string {
  return `${topic}#${partition}`;
}

/** First step back from a partition's end when no checkpoint says where to look; it doubles until the look reaches far enough. */
const FIRST_LOOK_ENTRIES = 64;
/** How far back a look goes when neither the state nor the source knows the lane: it has then never run, or both were wiped. */
const BLIND_LOOK_ENTRIES = 10_000;
/** And how far at most when it has found marks of the lane. */
const MOST_BLIND_ENTRIES = 160_000;
/**
 * A round: what a lane hands to its writers between two moments at which all of them have sent what they had open. Within a round the target may store records in any order
 * (one batch per key); a partition stores nothing of a round before it has all of the former ones. The pump sees to it that no round has more records than this.
 */
export const MAX_ROUND_RECORDS = 8_192;
/**
 * The lead: so many records of a lane, at most, lie from the first one that is not stored up to the last one that is, whatever the number of attempts; offsets and entries that
 * hold none count as one. A partition that is stuck holds the others up when they are half so far ahead, which leaves room for the batch that is on its way to them.
 */
export const MAX_LEAD_RECORDS = 131_072;
const SOURCE_END_CHECKS = 10;
const SOURCE_END_CHECK_MILLIS = 1_000;

export async function recover(
  source: Pick<Source, 'committed' | 'resolveStart' | 'back'>,
  sink: Sink,
  plan: RecoveryPlan,
): Promise<Recovery> {
  if (plan.checkpoint !== undefined) return fromCheckpoint(sink, plan, plan.checkpoint);
  const committed = await source.committed(plan.lane, plan.group);
  if (committed === undefined) return fromMarks(source, sink, plan);
  const looks: Look[] = [];
  for (const partition of plan.partitions) looks.push(await lookBack(sink, plan, { partition, from: committed }));
  return summarize(committed, looks);
}

/** What a look at a partition's end has found of our lane. */
interface Look {
  readonly partition: number;
  /** Those of records at or after the place where the lane goes on, as far as that is known. */
  readonly marks: readonly IndexEntry[];
  /** Records in view that lie before that place. */
  readonly before: number;
  /** Behind this place in the partition lie all `marks`. */
  readonly place: Position;
  readonly entries: number;
  readonly fromBeginning: boolean;
  /** More of what is stored may lie out of view. */
  readonly inPart?: boolean;
}

interface Scope {
  readonly partition: number;
  /** Looks from behind this place; `undefined`: at the newest `limitEntries`. */
  readonly after: Position | undefined;
  readonly limitEntries: number;
  /** Where the lane goes on, where that is known. */
  readonly from: Position | undefined;
}

async function look(sink: Sink, plan: LookPlan, { partition, after, limitEntries, from }: Scope): Promise<Look> {
  const marks: IndexEntry[] = [];
  let before = 0;
  let place = after ?? BEFORE_ALL;
  const report = await sink.scan(plan.targetTopic, partition, after, limitEntries, (mark) => {
    const runs = runsOfOurs(mark, plan);
    if (runs !== undefined) {
      if (from !== undefined) for (const run of runs) before += countBefore(run.first, run.count, from);
      if (from === undefined || comparePositions(endOf(runs), from) > 0) {
        marks.push({ runs, partition, target: mark.target });
        return;
      }
    }
    // Others' entries are passed too: a lane that is idle would otherwise read all that they write each time it begins.
    if (marks.length === 0) place = mark.target;
  });
  return { ...report, partition, marks, before, place };
}

/**
 * Recovery of a lane that is known nowhere but by its marks: state and group were both wiped. First of all nothing may be left out (R1), also where a partition was far behind
 * the others; then, as far as the looks reach, nothing is written again (R2).
 */
async function fromMarks(source: Pick<Source, 'resolveStart' | 'back'>, sink: Sink, plan: LookPlan): Promise<Recovery> {
  const looks: Look[] = [];
  for (const partition of plan.partitions)
    looks.push(await lookAtEnd(sink, plan, { partition, limitEntries: BLIND_LOOK_ENTRIES, from: undefined }));
  const from = await placeByMarks(source, plan, looks);
  if (from === undefined) return { ...summarize(await source.resolveStart(plan.lane, startAt(plan.start)), looks), isNew: true };
  const again: Look[] = [];
  for (const partition of plan.partitions)
    again.push(
      await lookBack(sink, plan, { partition, from, firstEntries: BLIND_LOOK_ENTRIES, mostEntries: MOST_BLIND_ENTRIES }),
    );
  return summarize(from, again);
}

/**
 * A place at or before the first record that is not stored, by marks alone; `undefined` without any.
 *
 * One partition has what comes before a record of another round before it, so that fewer than a round's records can be stored behind the missing one: it lies behind whatever
 * record has as many behind it. Several partitions keep no order among each other: one that was stuck can have nothing in view, or have come to its end long ago, which looks
 * the same. All that is sure is the lead: fewer records than that are stored at or after the missing one. Where fewer are in view, the place is counted back at the source.
 */
async function placeByMarks(
  source: Pick<Source, 'resolveStart' | 'back'>,
  { lane, partitions, start }: LookPlan,
  looks: readonly Look[],
): Promise<Position | undefined> {
  const seen = new PositionSet();
  for (const run of looks.flatMap(({ marks }) => marks.flatMap(({ runs }) => runs))) seen.add(run);
  const [lowest, end] = [seen.begin, seen.end];
  if (lowest === undefined || end === undefined) return undefined;
  const sure = seen.placeOfNewest(partitions.length === 1 ? MAX_ROUND_RECORDS : MAX_LEAD_RECORDS);
  if (sure !== undefined) return sure;
  // In one partition everything in view would have to be of the round of the missing record, and the view to begin within it.
  if (partitions.length === 1 || source.back === undefined) return lowest;
  const back = await source.back(lane, end, MAX_LEAD_RECORDS);
  // What lies before its start was never the lane's. `latest` cannot be asked for again: only the partitions' beginnings tell it, where they are in view.
  if (start === 'latest') return looks.every(({ fromBeginning }) => fromBeginning) ? later(back, lowest) : back;
  return later(back, earlier(await source.resolveStart(lane, startAt(start)), lowest));
}

function earlier(a: Position, b: Position): Position {
  return comparePositions(a, b) < 0 ? a : b;
}

function later(a: Position, b: Position): Position {
  return comparePositions(a, b) > 0 ? a : b;
}

async function fromCheckpoint(sink: Sink, plan: RecoveryPlan, { next, targets }: Checkpoint): Promise<Recovery> {
  const looks: Look[] = [];
  for (const partition of new Set([...plan.partitions, ...formerPartitions(plan, targets)])) {
    const after = targets[partitionKey(plan.targetTopic, partition)] ?? BEFORE_ALL;
    looks.push(await look(sink, plan, { partition, after, limitEntries: Number.POSITIVE_INFINITY, from: next }));
  }
  return summarize(next, looks);
}

/** Partitions that the lane wrote before its routing was changed: what they have beyond the checkpoint must not be written again elsewhere. */
function formerPartitions(plan: LookPlan, targets: Checkpoint['targets']): number[] {
  const prefix = partitionKey(plan.targetTopic, '');
  const inTopic = Object.keys(targets).filter((key) => key.startsWith(prefix));
  return inTopic.map((key) => Number(key.slice(prefix.length))).filter((partition) => !plan.partitions.includes(partition));
}

interface BackScope {
  readonly partition: number;
  /** Where the lane goes on. */
  readonly from: Position;
  readonly firstEntries?: number;
  readonly mostEntries?: number;
}

/**
 * Reads a partition's newest entries, further and further back, until all records at or after `from` are in view for sure, or `mostEntries` are.
 *
 * It is far enough when as many of our records as a round can have lie in view before `from`. For suppose that a record q at or after it lies further back, written in
 * some round. What the partition holds of our records before `from` and behind q comes before q in the lane. The attempt that wrote q had handed it out before q or in the
 * same round; had it been an earlier round, the partition would have it before q. So all of it belongs to the round of q, also what a later attempt has made up for: fewer
 * records than a round has, because q is one of them.
 */
async function lookBack(sink: Sink, plan: LookPlan, scope: BackScope): Promise<Look> {
  const { partition, from, firstEntries = FIRST_LOOK_ENTRIES, mostEntries = Number.POSITIVE_INFINITY } = scope;
  for (let limitEntries = firstEntries; ; limitEntries *= 4) {
    const seen = await lookAtEnd(sink, plan, { partition, limitEntries, from });
    if (seen.fromBeginning || seen.before >= MAX_ROUND_RECORDS) return seen;
    if (limitEntries >= mostEntries) return { ...seen, inPart: true };
  }
}

/** Looks at a partition's newest entries. */
async function lookAtEnd(sink: Sink, plan: LookPlan, scope: Omit<Scope, 'after'>): Promise<Look> {
  // Asked for first: what others write meanwhile is not passed unseen.
  const tail = await sink.tail(plan.targetTopic, scope.partition);
  const seen = await look(sink, plan, { ...scope, after: undefined });
  return seen.marks.length === 0 && tail !== undefined ? { ...seen, place: tail } : seen;
}

/** Which of our lane's records a mark speaks of, `undefined` when it is another's. */
function runsOfOurs({ provenance }: FoundMark, { sourceCluster, lane }: LookPlan): readonly PositionRun[] | undefined {
  const place = readPlace(provenance);
  return place.cluster === sourceCluster && place.topic === lane.topic && place.lane === lane.lane ? place.runs : undefined;
}

function endOf(runs: readonly PositionRun[]): Position {
  let end = BEFORE_ALL;
  for (const run of runs) {
    const runEnd = advancePosition(run.first, run.count);
    if (comparePositions(runEnd, end) > 0) end = runEnd;
  }
  return end;
}

function summarize(from: Position, looks: readonly Look[]): Recovery {
  const stored = new PositionSet();
  const found: IndexEntry[] = [];
  let foundRecords = 0;
  for (const mark of looks.flatMap(({ marks }) => marks)) {
    if (comparePositions(endOf(mark.runs), from) <= 0) continue;
    for (const run of mark.runs) {
      stored.add(run);
      foundRecords += run.count;
    }
    found.push(mark);
  }
  const entriesRead = looks.reduce((sum, { entries }) => sum + entries, 0);
  const targets = new Map(looks.map(({ partition, place }) => [partition, place]));
  const inPart = looks.filter((each) => each.inPart === true).map(({ partition }) => partition);
  return { from, stored, targets, found, foundRecords, entriesRead, inPart };
}

/** The checkpoint of a lane whose source begins again at a lower position: no mark that is in the target now speaks of what comes. */
export async function startOver(sink: Sink, plan: LookPlan, next: Position, time: number): Promise<Checkpoint> {
  const targets: Record<string, Position> = {};
  for (const partition of plan.partitions) {
    const tail = await sink.tail(plan.targetTopic, partition);
    if (tail !== undefined) targets[partitionKey(plan.targetTopic, partition)] = tail;
  }
  return { lane: plan.lane, next, targets, time };
}

/**
 * Where the source ends, when the target has marks to compare with that. A source that was just written to reports its end late, so that
 * it is asked again for a while before marks are disbelieved.
 */
export async function believedEnd(
  recovery: Recovery,
  source: Pick<Source, 'resolveStart'>,
  lane: LaneId,
  clock: Clock,
  signal: AbortSignal,
): Promise<Position | undefined> {
  const storedEnd = recovery.stored.end;
  if (storedEnd === undefined) return undefined;
  for (let i = 0; ; i++) {
    // A source that says how many records its last entry has must not make an entry that was passed on whole look longer than that.
    const end = entryAtOrAfter(await source.resolveStart(lane, { kind: 'latest' }));
    if (comparePositions(storedEnd, end) <= 0 || i === SOURCE_END_CHECKS || signal.aborted) return end;
    await clock.sleep(SOURCE_END_CHECK_MILLIS, signal);
  }
}

/**
 * Stops believing marks of records that the source has not written (`end` is its next position): the source has lost its tail in a failover,
 * or the topic was deleted and made again. Believing them would leave out the new records that get the same offsets.
 * True when there were such marks.
 */
export function disbelieveBeyond(recovery: Recovery, end: Position): boolean {
  const storedEnd = recovery.stored.end;
  if (storedEnd === undefined || comparePositions(storedEnd, end) <= 0) return false;
  recovery.stored.forgetFrom(end);
  // What is left of a batch's runs; one without any is still known to lie there, so that the next look begins behind it.
  for (const [i, entry] of recovery.found.entries()) recovery.found[i] = { ...entry, runs: runsBefore(entry.runs, end) };
  return true;
}

function runsBefore(runs: readonly PositionRun[], end: Position): PositionRun[] {
  return runs.flatMap((run) => {
    const count = countBefore(run.first, run.count, end);
    return count > 0 ? [{ ...run, count }] : [];
  });
}

/** From where on entries may be read whole (R4). Asked after marks were disbelieved. */
export function wholeFrom({ from, stored }: Recovery): Position {
  return later(entryAtOrAfter(from), stored.wholeFrom);
}

function startAt(rule: StartRule): StartAt {
  return typeof rule === 'number' ? { kind: 'time', time: rule } : { kind: rule };
}
