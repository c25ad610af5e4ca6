import { forEachLimited } from '../../lib/concurrency.ts';
import { comparePositions, type Position } from '../../model/position.ts';
import { Detail } from './detail.ts';
import type { Findings } from './findings.ts';
import { readSourceLane, readTargetLane } from './first-pass.ts';
import { type SourceLane, sourceLanes, type TargetLane, targetLanes } from './lane-state.ts';
import { PlaceReader } from './place-reader.ts';
import type { AuditDeps, AuditProgress, TopicScope } from './plan.ts';
import { targetFloor } from './target-floor.ts';

const SOURCE_LANES_AT_A_TIME = 4;
/** Each remembers the order of very many keys. */
const TARGET_LANES_AT_A_TIME = 2;

export interface AuditOptions {
  readonly scope: TopicScope;
  readonly deps: AuditDeps;
  readonly findings: Findings;
  readonly progress: AuditProgress;
  /** Hears of each record that is missing for sure, lane by lane in the order of the lane. */
  readonly onMissing: (lane: string, position: Position) => void;
}

/**
 * Compares a mirrored topic with its copy, record by record by the place in the source that each mark names.
 *
 * The first pass reads both sides once, into counts and sums of hashes per block of the source, and watches the order of keys in the target. Only blocks that are
 * not equal, or in which a key was out of order, are read again and compared one by one. What is kept is bounded, whatever the length of the topic.
 */
export async function auditTopic(options: AuditOptions): Promise<void> {
  const { scope, deps, findings, progress } = options;
  progress.topic = scope.topic;
  const lanes = sourceLanes(scope, deps.sizes);
  const targets = targetLanes(scope, deps.sizes);
  await readSources(lanes, options);
  progress.phase = 'reading-target';
  await forEachLimited(targets, TARGET_LANES_AT_A_TIME, async (target) => {
    const { id } = target;
    target.begin = await deps.target.resolveStart(id, { kind: 'earliest' });
    target.from =
      scope.targetSince === undefined
        ? target.begin
        : await deps.target.resolveStart(id, { kind: 'time', time: scope.targetSince });
    await findEnd(target, scope, deps);
    if (!(await readTargetLane(target, placeReader(lanes, options), lanes, deps, progress)))
      findings.note(`${id.topic} ${id.lane}: nothing more came before the end that the cluster names`);
  });
  progress.phase = 'comparing';
  for (const lane of lanes) progress.blocks += lane.blocks.length;
  for (const [number, lane] of lanes.entries()) await compareLane(number, lane, lanes, targets, options);
}

/**
 * A broker may name an end for a while that lies before what it has acknowledged (RocketMQ's index runs behind its log): a comparison that believed it would call the newest
 * records of a busy mirror missing.
 */
async function findEnd(target: TargetLane, { stored }: TopicScope, deps: AuditDeps): Promise<void> {
  target.to = await deps.target.resolveStart(target.id, { kind: 'latest' });
  const newest = stored.get(target.number);
  // Of an entry all records.
  const known = newest === undefined ? undefined : deps.target.next({ ...newest, index: -1 });
  if (known === undefined || comparePositions(known, target.to) <= 0) return;
  target.to = known;
  target.sure = true;
}

async function readSources(lanes: readonly SourceLane[], { deps, findings, progress }: AuditOptions): Promise<void> {
  progress.phase = 'reading-source';
  await forEachLimited(lanes, SOURCE_LANES_AT_A_TIME, async (lane) => {
    if (!(await readSourceLane(lane, deps, findings, progress)))
      findings.note(`${lane.id.topic} ${lane.id.lane}: nothing more came before the end of what is compared`);
  });
}

function placeReader(lanes: readonly SourceLane[], { scope, deps }: AuditOptions): PlaceReader {
  const numbers = new Map(lanes.map(({ id }, number) => [id.lane, number]));
  return new PlaceReader(deps.sourceCluster, scope.topic, numbers, deps.marks);
}

async function compareLane(
  number: number,
  lane: SourceLane,
  lanes: readonly SourceLane[],
  targets: readonly TargetLane[],
  options: AuditOptions,
): Promise<void> {
  const { scope, deps, findings, progress, onMissing } = options;
  const unequal: number[] = [];
  for (let block = 0; block < lane.blocks.length; block++) {
    if (!lane.blocks.equal(block) || lane.suspect.has(block)) unequal.push(block);
  }
  progress.unequalBlocks += unequal.length;
  if (unequal.length === 0) return;
  const detail = new Detail({
    lane,
    number,
    targets,
    places: placeReader(lanes, options),
    floor: await targetFloor(lane, targets, deps),
    startsInside: scope.startsInside,
    deps,
    findings,
    progress,
    onMissing: (position) => onMissing(lane.scope.lane, position),
  });
  await detail.run(unequal);
  const { uncounted } = lane.descents;
  if (uncounted === 0) return;
  findings.counts.reordered += uncounted;
  findings.note(
    `${lane.id.topic} ${lane.id.lane}: ${uncounted} more records are out of order, further copies of doubled ones among them`,
  );
}
