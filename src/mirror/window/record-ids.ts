import type { WindowIds } from '../../lib/window-ids.ts';
import type { LaneId } from '../../model/lane.ts';
import type { DedupId } from '../../model/mirror-spec.ts';
import { advancePosition, type Position } from '../../model/position.ts';
import { type PositionRun, parseProvenance } from '../../model/provenance.ts';
import { PROPERTY_ROW, type RecordBatch } from '../../model/record-batch.ts';

/** Adds the ids by which a window knows a row of a batch: one for a record, one for each record of a whole entry. */
export type AddIds = (ids: WindowIds, batch: RecordBatch, i: number) => void;

/** RocketMQ's own id of a message. */
const UNIQUE_KEY = 'UNIQ_KEY';

/** Under which name a topic's window is kept. Values of a property are ids among those of the same property only: equal values of two would otherwise drop a record. Topics have no `#`. */
export function windowName(targetTopic: string, id: DedupId): string {
  return id.kind === 'property' ? `${targetTopic}#${id.name}` : targetTopic;
}

/** The ids that a rule speaks of. What has none of that kind goes by its origin. */
export function idsBy(rule: DedupId, sourceCluster: string, lane: LaneId): AddIds {
  const origin = originIds(sourceCluster, lane);
  if (rule.kind === 'origin') return origin;
  const byProperty = propertyIds(rule.kind === 'property' ? rule.name : UNIQUE_KEY);
  const bySequence = rule.kind === 'producer' ? sequenceIds(sourceCluster, lane) : undefined;
  return (ids, batch, i) => {
    if (byProperty(ids, batch, i) || bySequence?.(ids, batch, i) === true) return;
    origin(ids, batch, i);
  };
}

/**
 * A record of an entry is known by its index, one without a batch by 0, and a whole entry by all its indexes: so it is the same record whether it comes whole or taken apart,
 * over one way or another.
 */
function originIds(sourceCluster: string, { topic, lane }: LaneId): AddIds {
  const own = spaceOf(sourceCluster, topic, lane);
  return (ids, batch, i) => {
    const mark = batch.marks?.get(i);
    const known = (batch.minor[i] ?? -1) < 0 || (batch.index[i] ?? -1) >= 0;
    // Nearly all records: no object is made for them.
    if (mark === undefined && known) return ids.addRow(own, batch, i);
    const place = indexed(batch.positionAt(i));
    const records = batch.whole ? (batch.records[i] ?? 1) : 1;
    const origin = mark === undefined ? undefined : parseProvenance(mark);
    if (origin === undefined) return ids.addRunAt(own, place, records, place);
    addForeign(ids, spaceOf(origin.cluster, origin.topic, origin.lane), origin.runs, records, place);
  };
}

function spaceOf(cluster: string, topic: string, lane: string): string {
  return `origin ${cluster} ${topic} ${lane}`;
}

function addForeign(ids: WindowIds, space: string, runs: readonly PositionRun[], records: number, place: Position): void {
  const [only] = runs;
  if (runs.length === 1 && only?.count === 1) return ids.addRunAt(space, indexed(only.first), records, place);
  let at = place;
  for (const { first, count } of runs) {
    // Of single messages side by side each is an entry of its own.
    const single = first.minor >= 0 && first.index < 0;
    for (let k = 0; k < (single ? count : 1); k++) {
      ids.addRunAt(space, indexed(advancePosition(first, k)), single ? 1 : count, at);
      at = advancePosition(at, single ? 1 : count);
    }
  }
}

function indexed(position: Position): Position {
  return position.minor >= 0 && position.index < 0 ? { ...position, index: 0 } : position;
}

function propertyIds(name: string): (ids: WindowIds, batch: RecordBatch, i: number) => boolean {
  const wanted = Buffer.from(name);
  return (ids, batch, i) => {
    const { bytes, properties } = batch;
    for (let row = (batch.propertyFirst[i + 1] ?? 0) - 1; row >= (batch.propertyFirst[i] ?? 0); row--) {
      const at = row * PROPERTY_ROW;
      const start = properties[at] ?? 0;
      const end = properties[at + 1] ?? 0;
      if (end - start !== wanted.length || wanted.compare(bytes, start, end) !== 0) continue;
      ids.addKey(bytes, properties[at + 2] ?? 0, properties[at + 3] ?? 0, batch, i);
      return true;
    }
    return false;
  };
}

/** Pulsar's own id: the producer's name and its sequence, which is counted per partition. */
function sequenceIds(cluster: string, { topic, lane }: LaneId): (ids: WindowIds, batch: RecordBatch, i: number) => boolean {
  return (ids, batch, i) => {
    const sequence = batch.sequence[i] ?? -1;
    const producer = batch.text(batch.producerStart[i], batch.producerEnd[i]);
    if (sequence < 0 || producer === undefined || batch.marks?.has(i) === true) return false;
    const first = { major: sequence, minor: -1, index: -1 };
    ids.addRunAt(`producer ${cluster} ${topic} ${lane} ${producer}`, first, 1, indexed(batch.positionAt(i)));
    return true;
  };
}
