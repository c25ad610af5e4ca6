import { IsthmusError } from '../errors.ts';
import type { RecordBatch } from '../model/record-batch.ts';
import type { LaneWriter, Sink, WriterOptions } from '../spi/sink.ts';
import type { LanePlan, MirrorContext } from './lane-plan.ts';

/** With nothing more to read, an open batch of this many records leaves even while others are on their way. */
const EAGER_FLUSH_RECORDS = 256;

/** Opens a writer of a lane as its mirror wants it; a repair has to write just what the lane itself would have written. `lease`: of sinks that do not fence. */
export function openLaneWriter(
  { context, plan }: { readonly context: MirrorContext; readonly plan: LanePlan },
  lease: { readonly valid: boolean } | undefined,
  own: Pick<WriterOptions, 'partition' | 'signal' | 'onStored' | 'onFailed' | 'onTrouble'>,
): Promise<LaneWriter> {
  const { spec, link, sourceCluster, sink, source } = context;
  return sink.openWriter({
    topic: plan.targetTopic,
    sourceCluster,
    lane: plan.lane,
    link,
    batching: spec.batching,
    compression: spec.compression,
    schemas: source.schemas?.(plan.lane.topic),
    mayWrite: lease === undefined ? undefined : () => lease.valid,
    ...own,
  });
}

/** The writers of a lane, one per partition, and which of them gets a record. */
export class Writers {
  readonly #sink: Sink;
  readonly #plan: LanePlan;
  readonly #writers: ReadonlyMap<number, LaneWriter>;
  readonly #only: LaneWriter | undefined;
  readonly #keyless: number;

  constructor(sink: Sink, plan: LanePlan, writers: ReadonlyMap<number, LaneWriter>) {
    this.#sink = sink;
    this.#plan = plan;
    this.#writers = writers;
    this.#only = writers.size === 1 ? [...writers.values()][0] : undefined;
    this.#keyless = keylessPlace(plan.lane.lane, plan.partitions.length);
  }

  /** The writer of a record's partition: the partitions of a plan are in the order in which the target's clients count them. */
  of(batch: RecordBatch, i: number): LaneWriter {
    if (this.#only !== undefined) return this.#only;
    const { partitions } = this.#plan;
    // Without a key the order within the queue is all that can be kept: such records stay together in one partition.
    const place = this.#sink.partitionOf(batch, i, partitions.length) ?? this.#keyless;
    const writer = this.#writers.get(partitions[place] ?? -1);
    if (writer === undefined)
      throw new IsthmusError('INTERNAL', `routing a record: no writer for place ${place} of ${partitions.length} partitions`);
    return writer;
  }

  /** Sends open batches where nothing is on its way, or much is open. */
  flushWhatMay(): void {
    for (const writer of this.#writers.values()) {
      const open = writer.open();
      if (open > 0 && (writer.inFlight === 0 || open >= EAGER_FLUSH_RECORDS)) writer.flush();
    }
  }

  flushAll(): void {
    for (const writer of this.#writers.values()) if (writer.open() > 0) writer.flush();
  }

  /** Batches on their way and records in open ones, of all writers: 0 when everything is stored. */
  get inFlight(): number {
    let sum = 0;
    for (const writer of this.#writers.values()) sum += writer.inFlight + writer.open();
    return sum;
  }

  close(): Promise<void>[] {
    return [...this.#writers.values()].map((writer) => writer.close(0));
  }
}

/** The same partition for a lane's keyless records, whatever process reads it. */
function keylessPlace(lane: string, partitions: number): number {
  let hash = 0;
  for (let i = 0; i < lane.length; i++) hash = (Math.imul(hash, 31) + lane.charCodeAt(i)) | 0;
  return (hash & 0x7fffffff) % partitions;
}
