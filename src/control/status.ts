import type { Lane } from '../mirror/lane.ts';
import { comparePositions, formatPosition, neighbourDistance, type Position } from '../model/position.ts';
import type { LaneState, LaneStatus, MirrorState, MirrorStatus } from './api.ts';
import type { ManagedMirror } from './managed-mirror.ts';
import type { WantedMirror } from './registry.ts';
import { toTrouble } from './trouble.ts';

export function laneStatus(lane: Lane): LaneStatus {
  const { phase, plan } = lane;
  const extent = lane.reader?.extent();
  const next = lane.next;
  return {
    topic: plan.lane.topic,
    lane: plan.lane.lane,
    targetTopic: plan.targetTopic,
    targetPartitions: plan.partitions,
    state: phase.kind === 'closed' ? 'starting' : (phase.kind satisfies LaneState),
    next: next === undefined ? null : formatPosition(next),
    source: extent === undefined ? null : { begin: formatPosition(extent.begin), end: formatPosition(extent.end) },
    target: Object.fromEntries([...lane.newest].map(([partition, place]) => [String(partition), formatPosition(place)])),
    lagRecords: next === undefined || extent === undefined ? null : recordsBetween(next, extent.end),
    lagSeconds: lane.lagSeconds() ?? null,
    recordsStored: lane.recordsStored,
    recordsDropped: lane.recordsDropped,
    deadLetters: lane.deadLetters,
    windowInForce: lane.windowInForce ?? null,
    gaps: lane.gaps,
    trouble: phase.kind === 'waiting' || phase.kind === 'stopped' ? toTrouble(phase.error, phase.since) : null,
  };
}

/** `null` where nobody can tell: how many records Pulsar's entries hold, and how many entries a ledger. That there are none can always be told. */
export function recordsBetween(next: Position, end: Position): number | null {
  return comparePositions(next, end) >= 0 ? 0 : (neighbourDistance(next, end) ?? null);
}

/** A mirror as wanted, and as it runs where it does. */
export function mirrorStatus(
  wanted: WantedMirror,
  ends: { readonly from: string; readonly to: string },
  running: ManagedMirror | undefined,
): MirrorStatus {
  const lanes = running?.mirror?.lanes.map(laneStatus) ?? [];
  const count = (state: LaneState): number => lanes.filter((lane) => lane.state === state).length;
  const trouble = running?.trouble ?? lanes.find((lane) => lane.trouble !== null)?.trouble ?? null;
  return {
    link: wanted.key.link,
    spec: wanted.spec,
    definedBy: wanted.definedBy,
    from: ends.from,
    to: ends.to,
    state: mirrorState(wanted, running, lanes),
    trouble,
    topics: running?.topics ?? [],
    lanes: { total: lanes.length, running: count('running'), waiting: count('waiting'), stopped: count('stopped') },
    lagRecords: total(lanes.map((lane) => lane.lagRecords)),
    lagSeconds: lanes.some((lane) => lane.lagSeconds === null) ? null : Math.max(0, ...lanes.map((lane) => lane.lagSeconds ?? 0)),
  };
}

function mirrorState(wanted: WantedMirror, running: ManagedMirror | undefined, lanes: readonly LaneStatus[]): MirrorState {
  if (wanted.paused) return 'paused';
  if (running === undefined || !running.discovered) return running?.trouble === undefined ? 'starting' : 'waiting';
  if (lanes.some((lane) => lane.state === 'stopped')) return 'stopped';
  // A glob that matches nothing yet is no trouble: the mirror does all that there is to do.
  if (running.trouble !== undefined || lanes.some((lane) => lane.state === 'waiting')) return 'waiting';
  return lanes.every((lane) => lane.state === 'running') ? 'running' : 'starting';
}

/** The sum; null when one of them is not known. */
export function total(counts: readonly (number | null)[]): number | null {
  let sum = 0;
  for (const count of counts) {
    if (count === null) return null;
    sum += count;
  }
  return sum;
}
