import { IsthmusError } from '../../errors.ts';
import { originProperties } from '../../model/dead-letter.ts';
import { comparePositions, offsetPosition, type Position } from '../../model/position.ts';
import type { MarkCodec } from '../../model/provenance.ts';
import type { NativeForm, RecordBatch } from '../../model/record-batch.ts';
import type { DeadLetter, FoundMark, LaneWriter, ScanReport, Sink, WriterOptions } from '../../spi/sink.ts';
import { fieldsOf } from './batch.ts';
import type { EntryBroker } from './entry-broker.ts';
import { MemoryLaneWriter } from './lane-writer.ts';
import type { MemoryNetwork } from './network.ts';
import type { QueueBroker } from './queue-broker.ts';
import { type Doubts, MemoryQueueWriter } from './queue-writer.ts';

/** Writes into the partitions of a fake cluster. */
export class MemorySink implements Sink {
  readonly fences: boolean = true;
  readonly #broker: EntryBroker;
  readonly #network: MemoryNetwork;

  readonly #marks: MarkCodec;

  constructor(broker: EntryBroker, network: MemoryNetwork, marks: MarkCodec) {
    this.#broker = broker;
    this.#network = network;
    this.#marks = marks;
  }

  takesWhole(form: NativeForm): boolean {
    return form === 'pulsar-entry';
  }

  setPartitions(): void {
    // Partitions keep their numbers.
  }

  async openWriter(options: WriterOptions): Promise<LaneWriter> {
    const writer = new MemoryLaneWriter(this.#broker, this.#network, options, this.#marks);
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
      const provenance = mark === undefined ? undefined : this.#marks.read(mark);
      if (provenance !== undefined) visit({ partition, provenance, target: position });
    }
    return { entries: entries.length, fromBeginning };
  }

  async tail(topic: string, partition: number): Promise<Position | undefined> {
    const newest = await this.#network.request('asking for the end', () => this.#broker.entries(topic, partition).at(-1));
    return newest === undefined ? undefined : { ...newest.position, index: -1 };
  }

  async writeDeadLetter(letter: DeadLetter): Promise<void> {
    const { topic } = letter;
    const record = { ...letterOf(letter), mark: undefined };
    await this.#network.request('writing a dead letter', () => {
      this.#broker.ensureTopic(topic, 1);
      this.#broker.store(topic, 0, { records: [record], mark: undefined });
    });
  }

  partitionOf(batch: RecordBatch, i: number, partitions: number): number | undefined {
    return partitionOf(batch, i, partitions);
  }

  refusesTopicName(topic: string): string | undefined {
    return refusal(topic);
  }
}

/** Writes into the queues of a fake cluster, where nobody is kept out. */
export class MemoryQueueSink implements Sink {
  readonly fences: boolean = false;
  readonly #broker: QueueBroker;
  readonly #network: MemoryNetwork;
  readonly #lanes = new Map<string, readonly string[]>();
  readonly #doubts: Doubts = new Map();

  readonly #marks: MarkCodec;

  constructor(broker: QueueBroker, network: MemoryNetwork, marks: MarkCodec) {
    this.#broker = broker;
    this.#network = network;
    this.#marks = marks;
  }

  takesWhole(): boolean {
    return false;
  }

  setPartitions(topic: string, lanes: readonly string[]): void {
    this.#lanes.set(topic, lanes);
  }

  async openWriter(options: WriterOptions): Promise<LaneWriter> {
    const lane = this.#lane(options.topic, options.partition);
    const writer = new MemoryQueueWriter(this.#broker, this.#network, options, {
      lane,
      doubts: this.#doubts,
      marks: this.#marks,
    });
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
    const lane = this.#lane(topic, partition);
    const { messages, fromBeginning } = await this.#network.request('reading a queue', () => {
      const { begin, end } = this.#broker.extent(topic, lane);
      const from = Math.max(begin, after === undefined ? end - limitEntries : after.major + 1);
      return { messages: this.#broker.history(topic, lane).slice(from, end), fromBeginning: from === begin };
    });
    for (const { mark, offset } of messages) {
      const provenance = mark === undefined ? undefined : this.#marks.read(mark);
      if (provenance !== undefined) visit({ partition, provenance, target: offsetPosition(offset) });
    }
    return { entries: messages.length, fromBeginning };
  }

  async tail(topic: string, partition: number): Promise<Position | undefined> {
    const lane = this.#lane(topic, partition);
    const { begin, end } = await this.#network.request('asking for the end', () => this.#broker.extent(topic, lane));
    return end > begin ? offsetPosition(end - 1) : undefined;
  }

  async writeDeadLetter(letter: DeadLetter): Promise<void> {
    const { topic } = letter;
    const message = letterOf(letter);
    await this.#network.request('writing a dead letter', () => {
      this.#broker.growTo(topic, 'broker-a', 1);
      this.#broker.store(topic, this.#broker.lanes(topic)[0] ?? '', [message]);
    });
  }

  partitionOf(batch: RecordBatch, i: number, partitions: number): number | undefined {
    return partitionOf(batch, i, partitions);
  }

  refusesTopicName(topic: string): string | undefined {
    return refusal(topic);
  }

  #lane(topic: string, partition: number): string {
    const lane = this.#lanes.get(topic)?.[partition];
    if (lane === undefined)
      throw new IsthmusError('INTERNAL', `nobody has said which queue partition ${partition} of ${topic} is`);
    return lane;
  }
}

function partitionOf(batch: RecordBatch, i: number, partitions: number): number | undefined {
  const key = batch.text(batch.keyStart[i], batch.keyEnd[i]);
  return key === undefined ? undefined : partitionOfKey(key, partitions);
}

function letterOf(letter: DeadLetter): ReturnType<typeof fieldsOf> & { readonly body: Buffer } {
  const { batch, i } = letter;
  const { properties, ...fields } = fieldsOf(batch, i);
  const origin = Object.fromEntries(originProperties(letter, batch.positionAt(i)));
  return { ...fields, body: Buffer.from(batch.body(i)), properties: { ...properties, ...origin } };
}

function refusal(topic: string): string | undefined {
  return /^[a-z0-9-]+$/.test(topic) ? undefined : 'only small letters, digits and "-" are allowed';
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
