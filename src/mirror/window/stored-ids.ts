import { WindowIds } from '../../lib/window-ids.ts';
import type { DedupRule, MirrorSpec } from '../../model/mirror-spec.ts';
import { comparePositions, type Position } from '../../model/position.ts';
import type { MarkCodec } from '../../model/provenance.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { LaneExtent, Source } from '../../spi/source.ts';
import { type ReadDeps, readStretch } from '../audit/stretch-reader.ts';
import { loopCut } from '../stages/loop-cut.ts';
import { idsBy } from './record-ids.ts';

/** The target, read as a source. */
export interface TargetView {
  readonly source: Source;
  /** Where each lane of a topic begins and ends; empty where that is not known. */
  extents(topic: string): Promise<ReadonlyMap<string, LaneExtent>>;
}

export interface StoredParts extends Omit<ReadDeps, 'signal'> {
  readonly view: TargetView;
  readonly cluster: string;
  readonly topic: string;
  readonly dedup: DedupRule;
  readonly group: string;
  readonly marks: MarkCodec;
}

/** No cluster has this name. */
const NOWHERE = '';
/** Ids are confirmed so many at a time, or those of one batch. */
const IDS_AT_A_TIME = 768;

/**
 * Whether what a window knows can be read from the records in the target: their marks tell the origin, and a property is there unless the mirror changes properties. What a
 * producer called its record is not kept on every way.
 */
export function areStored({ dedup, transform }: MirrorSpec): boolean {
  if (dedup?.id.kind !== 'property') return dedup?.id.kind === 'origin';
  return transform.drop.length + Object.keys(transform.rename).length + Object.keys(transform.set).length === 0;
}

/** The ids of the records in a target topic, as they can be read there. */
export class StoredIds {
  readonly #parts: StoredParts;
  /** Up to where lanes were read. */
  readonly #done = new Map<string, Position>();

  constructor(parts: StoredParts) {
    this.#parts = parts;
  }

  /** The next `read` begins anew. */
  forget(): void {
    this.#done.clear();
  }

  /** `undefined` where the target does not tell what it holds. */
  async isEmpty(): Promise<boolean | undefined> {
    const extents = await this.#parts.view.extents(this.#parts.topic);
    if (extents.size === 0) return undefined;
    return [...extents.values()].every(({ begin, end }) => comparePositions(begin, end) >= 0);
  }

  /** Hands out the ids of what was mirrored into the topic within the window's time and not handed out before, up to the end at the time of the call. Gives how many there were. */
  async read(signal: AbortSignal, take: (ids: WindowIds) => Promise<void>): Promise<number> {
    const { view, topic, dedup, clock } = this.#parts;
    const since = clock.now() - dedup.windowMillis;
    let count = 0;
    for (const [lane, { end }] of await view.extents(topic)) {
      const id = { topic, lane };
      const from = this.#done.get(lane) ?? (await view.source.resolveStart(id, { kind: 'time', time: since }));
      await this.#readLane({ lane: id, from, to: end }, signal, (ids) => {
        count += ids.count;
        return take(ids);
      });
      this.#done.set(lane, end);
    }
    return count;
  }

  async #readLane(
    stretch: Parameters<typeof readStretch>[2],
    signal: AbortSignal,
    take: (ids: WindowIds) => Promise<void>,
  ): Promise<void> {
    const { view, group, clock, budget, pace, dedup, cluster, marks } = this.#parts;
    const ids = new WindowIds();
    const add = idsBy(dedup.id, cluster, stretch.lane);
    // As if it were mirrored from there: says of each record which origin its mark names.
    const readMarks = loopCut({ sourceCluster: cluster, targetCluster: NOWHERE, marks, onDamagedMarks: () => undefined });
    const flush = async (): Promise<void> => {
      if (ids.count > 0) await take(ids);
      ids.clear();
    };
    const records = async (batch: RecordBatch, first: number, end: number): Promise<void> => {
      readMarks(batch, Array.from({ length: batch.count }));
      // What has no mark was written there by an application, and no mirror brings it.
      for (let i = first; i < end; i++) if (batch.marks?.has(i) === true) add(ids, batch, i);
      if (ids.count >= IDS_AT_A_TIME) await flush();
    };
    await readStretch(view.source, group, stretch, { records, gone: () => undefined }, { clock, budget, pace, signal });
    await flush();
  }
}
