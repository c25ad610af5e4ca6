import type { LaneId } from '../model/lane.ts';
import type { StartRule } from '../model/mirror-spec.ts';
import { advancePosition, BEFORE_ALL, comparePositions, neighbourDistance, type Position } from '../model/position.ts';
import type { PositionRun } from '../model/provenance.ts';
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
export function partitionKey(topic: string, partition: number): string {
  return `${topic}#${partition}`;
}

/** First step back from a partition's end when no checkpoint says where to look; it doubles until the look reaches far enough. */
const FIRST_LOOK_ENTRIES = 64;
/** How far back a look goes when neither the state nor the source knows the lane: it has then never run, or both were wiped. */
const BLIND_LOOK_ENTRIES = 10_000;
/** One-key-per-batch writing stores records of a round out of order; a round never spans more source positions than this. */
const ROUND_SPAN = 10_000;
const SOURCE_END_CHECKS = 10;
const SOURCE_END_CHECK_MILLIS = 1_000;

export async function recover(source: Source, sink: Sink, plan: RecoveryPlan): Promise<Recovery> {
  if (plan.checkpoint !== undefined) return fromCheckpoint(sink, plan, plan.checkpoint);
  const committed = await source.committed(plan.lane, plan.group);
  const looks: Look[] = [];
  for (const partition of plan.partitions) looks.push(await lookBack(sink, plan, partition, committed));
  const from = committed ?? placeSeen(looks) ?? (await source.resolveStart(plan.lane, startAt(plan.start)));
  const targets = new Map(looks.map((look) => [look.partition, startOfLook(look, from)]));
  return summarize(
    from,
    looks.flatMap((look) => look.marks),
    targets,
    looks.reduce((sum, look) => sum + look.entries, 0),
  );
}

/** What a look at a partition's end has found of our lane. */
interface Look {
  readonly partition: number;
  readonly marks: readonly FoundMark[];
  readonly entries: number;
  readonly fromBeginning: boolean;
  /** Where the partition ended before the look began. */
  readonly tail: Position | undefined;
}

/**
 * Where a lane goes on that left marks in the target but is known nowhere else: at the first record in view. What lies before it
 * had been stored earlier, unless the look reached the partition's beginning.
 */
function placeSeen(looks: readonly Look[]): Position | undefined {
  let cut: Position | undefined;
  let begin: Position | undefined;
  for (const look of looks) {
    const first = look.marks[0]?.provenance.runs[0]?.first;
    if (first === undefined) continue;
    if (begin === undefined || comparePositions(first, begin) < 0) begin = first;
    if (!look.fromBeginning && (cut === undefined || comparePositions(first, cut) > 0)) cut = first;
  }
  return cut ?? begin;
}

async function fromCheckpoint(sink: Sink, plan: RecoveryPlan, checkpoint: Checkpoint): Promise<Recovery> {
  const marks: FoundMark[] = [];
  const targets = new Map<number, Position>();
  let entriesRead = 0;
  for (const partition of plan.partitions) {
    const after = checkpoint.targets[partitionKey(plan.targetTopic, partition)] ?? BEFORE_ALL;
    targets.set(partition, after);
    const report = await sink.scan(plan.targetTopic, partition, after, Number.POSITIVE_INFINITY, (mark) => {
      if (isOurs(mark, plan)) marks.push(mark);
    });
    entriesRead += report.entries;
  }
  return summarize(checkpoint.next, marks, targets, entriesRead);
}

/**
 * Reads a partition's newest entries, further and further back, until they begin before `committed` for sure: all records from
 * there on are then in view. Without a committed offset the lane is new here, or everything was wiped: a bounded look must do.
 */
async function lookBack(sink: Sink, plan: RecoveryPlan, partition: number, committed: Position | undefined): Promise<Look> {
  const tail = await sink.tail(plan.targetTopic, partition);
  for (let limit = committed === undefined ? BLIND_LOOK_ENTRIES : FIRST_LOOK_ENTRIES; ; limit *= 4) {
    const marks: FoundMark[] = [];
    const report = await sink.scan(plan.targetTopic, partition, undefined, limit, (mark) => {
      if (isOurs(mark, plan)) marks.push(mark);
    });
    const first = marks[0]?.provenance.runs[0]?.first;
    const farEnough =
      committed === undefined || (first !== undefined && comparePositions(advancePosition(first, ROUND_SPAN), committed) < 0);
    if (report.fromBeginning || farEnough)
      return { partition, marks, entries: report.entries, fromBeginning: report.fromBeginning, tail };
  }
}

function isOurs(mark: FoundMark, plan: RecoveryPlan): boolean {
  const { cluster, topic, lane } = mark.provenance;
  return cluster === plan.sourceCluster && topic === plan.lane.topic && lane === plan.lane.lane;
}

/** The newest place in a partition behind which all marks of records at or after `from` lie. */
function startOfLook(look: Look, from: Position): Position {
  let place = BEFORE_ALL;
  for (const mark of look.marks) {
    if (comparePositions(endOf(mark), from) > 0) return place;
    place = mark.target;
  }
  return look.tail ?? BEFORE_ALL;
}

function endOf(mark: FoundMark): Position {
  let end = BEFORE_ALL;
  for (const run of mark.provenance.runs) {
    const runEnd = advancePosition(run.first, run.count);
    if (comparePositions(runEnd, end) > 0) end = runEnd;
  }
  return end;
}

function summarize(
  from: Position,
  marks: readonly FoundMark[],
  targets: ReadonlyMap<number, Position>,
  entriesRead: number,
): Recovery {
  const stored = new PositionSet();
  const found: IndexEntry[] = [];
  let foundRecords = 0;
  for (const mark of marks) {
    if (comparePositions(endOf(mark), from) <= 0) continue;
    for (const run of mark.provenance.runs) {
      stored.add(run);
      foundRecords += run.count;
    }
    found.push({ runs: mark.provenance.runs, partition: mark.partition, target: mark.target });
  }
  return { from, stored, targets, found, foundRecords, entriesRead };
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
  source: Source,
  lane: LaneId,
  clock: Clock,
  signal: AbortSignal,
): Promise<Position | undefined> {
  const storedEnd = recovery.stored.end;
  if (storedEnd === undefined) return undefined;
  for (let i = 0; ; i++) {
    const end = await source.resolveStart(lane, { kind: 'latest' });
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
    const count = Math.min(
      run.count,
      neighbourDistance(run.first, end) ?? (comparePositions(run.first, end) < 0 ? run.count : 0),
    );
    return count > 0 ? [{ ...run, count }] : [];
  });
}

function startAt(rule: StartRule): StartAt {
  return typeof rule === 'number' ? { kind: 'time', time: rule } : { kind: rule };
}
