import { laneKey } from '../../model/lane.ts';
import { BEFORE_ALL, comparePositions, formatPosition } from '../../model/position.ts';
import type { Checkpoint } from '../../spi/state-store.ts';
import type { MirrorStatus } from '../api.ts';
import type { Ends } from '../clusters.ts';
import type { GroupTopicStatus } from '../groups/api.ts';
import type { PassReport, SourceEnds } from '../groups/link-groups.ts';
import { recordsBetween } from '../status.ts';
import type { FailoverKind, FailoverPlan, LaneRisk } from './api.ts';

export interface PlanParts {
  readonly ends: Ends;
  readonly kind: FailoverKind;
  readonly at: number;
  readonly report: PassReport;
  /** By mirror. */
  readonly checkpoints: ReadonlyMap<string, readonly Checkpoint[]>;
  readonly mirrors: readonly MirrorStatus[];
}

/** What a failover of this kind would come to. */
export function makePlan({ ends, kind, at, report, checkpoints, mirrors }: PlanParts): FailoverPlan {
  const { link } = ends;
  const atRisk = lanesAtRisk(report.sourceEnds, checkpoints).filter(({ records }) => records !== 0);
  return {
    link: link.name,
    from: link.from,
    to: link.to,
    kind,
    at,
    sourceAt: report.sourceAt,
    sourceAway: report.sourceAway ?? null,
    groups: report.groups,
    atRisk,
    ...hindrances(kind, report, mirrors),
    warnings: warningsOf(kind, report, mirrors, atRisk),
  };
}

/** Every lane, with how much of it the target has not. */
export function lanesAtRisk(sourceEnds: SourceEnds, checkpoints: ReadonlyMap<string, readonly Checkpoint[]>): LaneRisk[] {
  const lanes: LaneRisk[] = [];
  for (const [mirror, list] of checkpoints) {
    const ends = sourceEnds.get(mirror);
    const known = new Map(list.map((each) => [laneKey(each.lane), each]));
    for (const [topic, byLane] of Object.entries(ends ?? {})) {
      for (const [lane, end] of Object.entries(byLane)) {
        const next = known.get(laneKey({ topic, lane }))?.next;
        const done = comparePositions(end, BEFORE_ALL) === 0;
        lanes.push({
          mirror,
          topic,
          lane,
          next: next === undefined ? null : formatPosition(next),
          end: done ? null : formatPosition(end),
          records: done ? 0 : next === undefined ? null : recordsBetween(next, end),
        });
      }
    }
  }
  return lanes;
}

function hindrances(
  kind: FailoverKind,
  report: PassReport,
  mirrors: readonly MirrorStatus[],
): Pick<FailoverPlan, 'blockers' | 'pending'> {
  const blockers: string[] = [];
  const pending: string[] = [];
  if (mirrors.length === 0) blockers.push('the link has no mirrors');
  if (kind === 'planned') {
    if (report.sourceAway !== undefined)
      blockers.push(`the source does not answer: ${report.sourceAway}; if it is lost, the failover is an unplanned one`);
    for (const { spec, state, trouble } of mirrors) {
      if (state !== 'running')
        blockers.push(`the mirror ${spec.name} is ${state}${trouble === null ? '' : `: ${trouble.message}`}`);
    }
  }
  for (const { group, topics } of report.groups) {
    for (const topicStatus of topics) {
      const { topic, kind: place, places } = topicStatus;
      if (place !== 'unknown' || isInUse(topicStatus)) continue;
      const reason = places.find(({ reason: why }) => why !== null)?.reason ?? 'it has no place in the target';
      const unknown = places.filter(({ kind: each }) => each === 'unknown');
      // Of a source that is lost nothing more comes that would make it known.
      const passes = kind === 'planned' && unknown.length > 0 && unknown.every(({ lagging }) => lagging);
      (passes ? pending : blockers).push(`where ${group} goes on in ${topic} is unknown: ${reason}`);
    }
  }
  return { blockers, pending };
}

/** It goes on at the target already, where it is. */
function isInUse({ targetMembers }: GroupTopicStatus): boolean {
  return targetMembers !== null && targetMembers > 0;
}

function warningsOf(
  kind: FailoverKind,
  report: PassReport,
  mirrors: readonly MirrorStatus[],
  atRisk: readonly LaneRisk[],
): string[] {
  const warnings: string[] = [];
  for (const { group, topics } of report.groups) {
    for (const topicStatus of topics) {
      const { topic, members, targetMembers, kind: place, places, behindBecause } = topicStatus;
      if (isInUse(topicStatus))
        warnings.push(`${group} has ${targetMembers} consumers on ${topic} at the target: it goes on there where it is`);
      if (kind === 'planned' && members !== null && members > 0)
        warnings.push(
          `${group} has ${members} consumers on ${topic} at the source: stop them first, or what they do until they stop is read again`,
        );
      if (place === 'too-old')
        warnings.push(
          `${group} on ${topic}: ${places.find(({ reason }) => reason !== null)?.reason ?? 'the target has deleted what it has not done'}`,
        );
      if (behindBecause !== null) warnings.push(`${group} on ${topic}: ${behindBecause}`);
    }
  }
  if (kind === 'unplanned' && report.sourceAway === undefined)
    warnings.push('the source answers: a planned failover would lose nothing and read nothing again');
  if (kind === 'unplanned' && atRisk.length > 0)
    warnings.push('records that only the source has stay behind until its return; they are listed by failback');
  for (const { spec, state } of mirrors)
    if (kind === 'unplanned' && state === 'stopped') warnings.push(`the mirror ${spec.name} is stopped`);
  return warnings;
}
