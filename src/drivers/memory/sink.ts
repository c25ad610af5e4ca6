import { comparePositions, type Position } from '../../model/position.ts';
import { parseProvenance } from '../../model/provenance.ts';
import type { RecordBatch } from '../../model/record-batch.ts';
import type { DeadLetter, FoundMark, LaneWriter, ScanReport, Sink, WriterOptions } from '../../spi/sink.ts';
import type { EntryBroker } from './entry-broker.ts';
import { MemoryLaneWriter } from './lane-writer.ts';
import type { MemoryNetwork } from './network.ts';

/** Writes into the partitions of a fake cluster. */
export class MemorySink implements Sink {
  readonly fences = true;
  readonly #broker: EntryBroker;
  readonly #network: MemoryNetwork;

  constructor(broker: EntryBroker, network: MemoryNetwork) {
    this.#broker = broker;
    this.#network = network;
  }

  takesWhole(): boolean {
    return false;
  }

  setPartitions(): void {
    // Partitions keep their numbers.
  }

  async openWriter(options: WriterOptions): Promise<LaneWriter> {
    const writer = new MemoryLaneWriter(this.#broker, this.#network, options);
    await writer.start();
    return writer;
  }

  async scan(
    topic: string,
    partition: number,
    after: Position | undefined,
    limitEntries: number,
    visit: (mark: FoundMark) => void,
  ): Promise<ScanReport> {
    const { entries, fromBeginning } = await this.#network.request('reading a partition', () => {
      const all = this.#broker.entries(topic, partition);
      const asked =
        after === undefined
          ? all.slice(Math.max(0, all.length - limitEntries))
          : all.filter((entry) => isAfter(entry.position, after));
      return { entries: asked, fromBeginning: asked.length === all.length };
    });
    for (const { mark, position } of entries) {
      const provenance = mark === undefined ? undefined : parseProvenance(mark);
      if (provenance !== undefined) visit({ partition, provenance, target: position });
    }
    return { entries: entries.length, fromBeginning };
  }

  async tail(topic: string, partition: number): Promise<Position | undefined> {
    const newest = await this.#network.request('asking for the end', () => this.#broker.entries(topic, partition).at(-1));
    return newest === undefined ? undefined : { ...newest.position, index: -1 };
  }

  async writeDeadLetter({ topic, reason, lane, batch, i }: DeadLetter): Promise<void> {
    const record = { body: Buffer.from(batch.body(i)), key: undefined, mark: `${lane.lane} ${batch.major[i]}: ${reason}` };
    await this.#network.request('writing a dead letter', () => {
      this.#broker.ensureTopic(topic, 1);
      this.#broker.store(topic, 0, { records: [record], mark: undefined });
    });
  }

  partitionOf(batch: RecordBatch, i: number, partitions: number): number | undefined {
    const key = batch.text(batch.keyStart[i], batch.keyEnd[i]);
    return key === undefined ? undefined : partitionOfKey(key, partitions);
  }

  refusesTopicName(topic: string): string | undefined {
    return /^[a-z0-9-]+$/.test(topic) ? undefined : 'only small letters, digits and "-" are allowed';
  }
}

/** The partition of a key: any rule will do that all clients share. */
export function partitionOfKey(key: string, partitions: number): number {
  let hash = 7;
  for (let i = 0; i < key.length; i++) hash = (Math.imul(hash, 31) + key.charCodeAt(i)) >>> 0;
  return hash % partitions;
}

/** Places are compared by entry: the index within one does not count. */
function isAfter(position: Position, after: Position): boolean {
  return comparePositions({ ...position, index: -1 }, { ...after, index: -1 }) > 0;
}
