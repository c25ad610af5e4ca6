import { IsthmusError } from '../../../errors.ts';
import { ByteBudget } from '../../../lib/byte-budget.ts';
import { SlabPool } from '../../../lib/slab.ts';
import { offsetPosition, type Position } from '../../../model/position.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import type { ClusterAdmin } from '../../../spi/cluster.ts';
import type { DeadLetter, FoundMark, LaneWriter, ScanReport, Sink, WriterOptions } from '../../../spi/sink.ts';
import type { RocketmqDeps } from '../options.ts';
import { parseLane, type QueueName, type Routes } from '../routes.ts';
import { writeDeadLetter } from './dead-letter.ts';
import { RocketmqLaneWriter } from './lane-writer.ts';
import { Limits } from './limits.ts';
import { type LookParts, lookThrough, type QueuePlace, queueEnds } from './look/queue-look.ts';
import { Settler } from './look/settler.ts';
import { QueueAccess } from './queue-access.ts';
import { queueOfKey } from './queue-hash.ts';
import { writableLanes, writableMaster } from './queue-route.ts';
import { topicNameProblem } from './topic-name.ts';

export interface SinkParts {
  readonly look: LookParts;
  readonly routes: Routes;
  readonly admin: ClusterAdmin;
  readonly deps: RocketmqDeps;
  readonly inFlightBytes: number;
}

/** Writing to a RocketMQ cluster: a partition is a queue, and a position is the queue offset. */
export class RocketmqSink implements Sink {
  /** A producer's name means nothing to a broker. */
  readonly fences = false;
  readonly #parts: SinkParts;
  readonly #limits: Limits;
  readonly #settler: Settler;
  readonly #slabs: SlabPool;
  /** Queues by topic: the place in the list is the partition's number. */
  readonly #lanes = new Map<string, readonly string[]>();
  readonly #writers = new Set<RocketmqLaneWriter>();
  /** Monotonic milliseconds at which the newest writer of a queue was opened, by topic and queue. */
  readonly #openedAt = new Map<string, number>();
  readonly #weak = new Set<string>();

  constructor(parts: SinkParts) {
    const { look, deps } = parts;
    this.#parts = parts;
    this.#limits = new Limits(look.network, deps.clock, deps.log);
    this.#settler = new Settler(look.network, deps.clock, deps.log);
    this.#slabs = new SlabPool(new ByteBudget(parts.inFlightBytes));
  }

  takesWhole(): boolean {
    return false;
  }

  setPartitions(topic: string, lanes: readonly string[]): void {
    this.#lanes.set(topic, lanes);
  }

  async openWriter(options: WriterOptions): Promise<LaneWriter> {
    const { look, routes, deps } = this.#parts;
    const queue = await this.#queue(options.topic, options.partition);
    const writer = new RocketmqLaneWriter(options, {
      look,
      settler: this.#settler,
      slabs: this.#slabs,
      deps,
      access: new QueueAccess(options.topic, queue, { network: look.network, routes, limits: this.#limits }),
      onEnd: (ended) => this.#writers.delete(ended),
      onWeak: (address, remark) => this.#noteWeak(address, remark),
    });
    this.#writers.add(writer);
    this.#openedAt.set(queueKey(options.topic, options.partition), deps.clock.monotonic());
    await writer.start(options.signal);
    return writer;
  }

  async scan(
    topic: string,
    partition: number,
    after: Position | undefined,
    limitEntries: number,
    visit: (mark: FoundMark) => void,
  ): Promise<ScanReport> {
    const { look, deps } = this.#parts;
    const place = await this.#settledPlace(topic, partition);
    const { begin, end } = await queueEnds(look, place);
    const from = scanFrom(after, limitEntries, begin, end);
    let entries = 0;
    await lookThrough(look, place, from, end, (offset, mark) => {
      entries++;
      const provenance = mark === undefined ? undefined : deps.marks.read(mark);
      if (provenance !== undefined) visit({ partition, provenance, target: offsetPosition(offset) });
    });
    return { entries, fromBeginning: from <= begin };
  }

  async tail(topic: string, partition: number): Promise<Position | undefined> {
    const { begin, end } = await queueEnds(this.#parts.look, await this.#settledPlace(topic, partition));
    return end <= begin ? undefined : offsetPosition(end - 1);
  }

  writeDeadLetter(letter: DeadLetter): Promise<void> {
    const onWeak = (address: string, remark: string): void => this.#noteWeak(address, remark);
    return writeDeadLetter(letter, { ...this.#parts, limits: this.#limits, onWeak });
  }

  partitionOf(batch: RecordBatch, i: number, partitions: number): number | undefined {
    return queueOfKey(batch, i, partitions);
  }

  refusesTopicName(topic: string): string | undefined {
    return topicNameProblem(topic);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#writers].map((writer) => writer.close(0)));
  }

  async #queue(topic: string, partition: number): Promise<QueueName> {
    const lanes = this.#lanes.get(topic) ?? writableLanes(await this.#parts.routes.get(topic));
    const lane = lanes[partition];
    if (lane === undefined)
      throw new IsthmusError(
        'TOPIC_MISMATCH',
        `writing ${topic}: it has ${lanes.length} queues, partition ${partition} is not one of them`,
      );
    return parseLane(lane);
  }

  /** Where a queue is, when everything that was sent before its writer was opened, or is stored by now, can be read. */
  async #settledPlace(topic: string, partition: number): Promise<QueuePlace> {
    const { routes } = this.#parts;
    const queue = await this.#queue(topic, partition);
    try {
      const address = writableMaster(await routes.get(topic), topic, queue);
      const openedAt = this.#openedAt.get(queueKey(topic, partition));
      if (openedAt !== undefined) await this.#settler.settle(address, topic, openedAt);
      // Also what this process has stored since then: the index may be seconds behind what a broker has acknowledged.
      await this.#settler.indexed(address);
      return { address, topic, queueId: queue.queueId };
    } catch (error) {
      routes.markStale(topic);
      throw error;
    }
  }

  #noteWeak(address: string, remark: string): void {
    if (this.#weak.has(address)) return;
    this.#weak.add(address);
    this.#parts.deps.log.warn('stored-without-confirmation', { address, remark: remark.slice(0, 200) });
  }
}

function queueKey(topic: string, partition: number): string {
  return `${topic}#${partition}`;
}

/** Where a scan begins. A place beyond the end speaks of a queue that was made again: all of the new one is looked at. */
function scanFrom(after: Position | undefined, limitEntries: number, begin: number, end: number): number {
  const wanted = after === undefined ? end - limitEntries : after.major + 1;
  return after !== undefined && wanted > end ? begin : Math.min(end, Math.max(begin, wanted));
}
