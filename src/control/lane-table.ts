import type { LaneId, TopicDescription } from '../model/lane.ts';
import { BEFORE_ALL } from '../model/position.ts';
import type { Sink } from '../spi/sink.ts';

/** How many of a partition's newest entries are looked at to learn which lane feeds it. */
const LOOK_ENTRIES = 1_000;

/**
 * Which lane of a source topic feeds which partition of the target, for identity routing: index = partition, `''` = none.
 *
 * A lane keeps its partition for ever: when a broker goes away or a new one comes, the others do not shift, or records of one key would be
 * spread over two partitions. New lanes go to the partition of their own number where that is free, else behind all others.
 */
export function extendLaneTable(table: readonly string[], lanes: readonly string[]): string[] {
  const extended = [...table];
  const missing = lanes.filter((lane) => !table.includes(lane));
  if (table.length === 0) return missing;
  for (const lane of missing) {
    const natural = lanes.indexOf(lane);
    const place = extended[natural] === '' ? natural : extended.indexOf('');
    if (place >= 0) extended[place] = lane;
    else extended.push(lane);
  }
  return extended;
}

/** Learns a lost table from the marks in the target: each partition's newest records say which lane they came from. */
export async function rebuildLaneTable(
  sink: Sink,
  sourceCluster: string,
  source: TopicDescription,
  target: string,
  partitions: number,
): Promise<string[]> {
  const table: string[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    let lane = '';
    const note = (mark: { readonly provenance: { readonly cluster: string } & LaneId }): void => {
      if (mark.provenance.cluster === sourceCluster && mark.provenance.topic === source.topic) lane = mark.provenance.lane;
    };
    const look = await sink.scan(target, partition, undefined, LOOK_ENTRIES, note);
    if (lane === '' && !look.fromBeginning) await sink.scan(target, partition, BEFORE_ALL, Number.POSITIVE_INFINITY, note);
    // A lane has one partition: where key routing was in force before, the marks of one lane lie in many.
    table.push(table.includes(lane) ? '' : lane);
  }
  return table.every((lane) => lane === '') ? [] : table;
}
