import { IsthmusError } from '../../../errors.ts';
import { comparePositions, entryPosition, formatPosition, type Position } from '../../../model/position.ts';
import { PROVENANCE_PROPERTY } from '../../../model/provenance.ts';
import type { RecordBatch } from '../../../model/record-batch.ts';
import type { DeadLetter, FoundMark, LaneWriter, ScanReport, Sink, WriterOptions } from '../../../spi/sink.ts';
import type { Rest } from '../admin/rest.ts';
import { ensureRetainedTopic, type LedgerExtent, ledgersOf, partitionsOf } from '../admin/topics.ts';
import type { PulsarDeps } from '../options.ts';
import { letterProperties } from '../sink/dead-letter.ts';
import { partitionOfKey } from '../sink/partition-hash.ts';
import { producerName } from '../sink/producer-name.ts';
import { entriesBefore } from '../source/continuity.ts';
import { partitionName, topicNameProblem } from '../topic-name.ts';
import type { NativeClients } from './client.ts';
import { NativeLaneWriter, type WriterMemory } from './lane-writer.ts';
import { look } from './look.ts';
import { propertiesOf } from './message-batch.ts';

/** Writes through the official client. */
export class NativeSink implements Sink {
  readonly fences = true;
  readonly #clients: NativeClients;
  readonly #rest: Rest;
  readonly #deps: PulsarDeps;
  readonly #writers = new Set<NativeLaneWriter>();
  /** By partition and producer name; as many as there are lanes. */
  readonly #memories = new Map<string, WriterMemory>();

  constructor(clients: NativeClients, rest: Rest, deps: PulsarDeps) {
    this.#clients = clients;
    this.#rest = rest;
    this.#deps = deps;
  }

  takesWhole(): boolean {
    return false;
  }

  setPartitions(): void {
    // Partitions keep their numbers.
  }

  async openWriter(options: WriterOptions): Promise<LaneWriter> {
    const partition = await this.#nameOf(options.topic, options.partition);
    const name = producerName(options);
    const key = `${partition} ${name}`;
    const memory = this.#memories.get(key) ?? { ownIds: false, tooLarge: undefined };
    this.#memories.set(key, memory);
    const onEnd = (ended: NativeLaneWriter): void => void this.#writers.delete(ended);
    const parts = { clients: this.#clients, deps: this.#deps, partition, producerName: name, memory, onEnd };
    const writer = new NativeLaneWriter(options, parts);
    this.#writers.add(writer);
    try {
      await writer.start(options.signal);
    } catch (error) {
      this.#writers.delete(writer);
      throw error;
    }
    return writer;
  }

  /** Reads whole messages: the client has no way to read headers alone. */
  async scan(
    topic: string,
    partition: number,
    after: Position | undefined,
    limitEntries: number,
    visit: (mark: FoundMark) => void,
  ): Promise<ScanReport> {
    const name = await this.#nameOf(topic, partition);
    const ledgers = await ledgersOf(this.#rest, name, undefined);
    const end = endOf(ledgers);
    if (end === undefined) return { entries: 0, fromBeginning: true };
    const newest = entriesBefore({ ledgers }, { ledger: end.major, entry: end.minor + 1 }, limitEntries);
    const start = after ?? entryPosition(newest.ledger, newest.entry);
    const fromBeginning = start.major < 0 || ledgers.every(({ ledger }) => ledger > start.major);
    if (comparePositions(start, end) === 0) return { entries: 0, fromBeginning };
    let entries = 0;
    let last: Position | undefined;
    await look(
      this.#clients,
      {
        topic: name,
        // One entry more than wanted, so that the rest of a batch is seen, whether or not a start includes its place.
        after: start.major < 0 ? undefined : { ledger: start.major, entry: start.minor - (start.index < 0 ? 0 : 1) },
        visit: (target, message) => {
          const isWanted = start.index < 0 ? compareEntries(target, start) > 0 : comparePositions(target, start) > 0;
          if (compareEntries(target, end) > 0) return false;
          if (isWanted) {
            if (last === undefined || compareEntries(last, target) !== 0) entries++;
            last = target;
            const text = propertiesOf(message).find(([property]) => property === PROVENANCE_PROPERTY)?.[1];
            const provenance = text === undefined ? undefined : this.#deps.marks.read(text);
            if (provenance !== undefined) visit({ partition, provenance, target });
          }
          // Of a batch at the very end there may be more to come; silence ends that.
          return target.index >= 0 || compareEntries(target, end) < 0;
        },
      },
      this.#deps.clock,
    );
    return { entries, fromBeginning };
  }

  /** By the statistics, which count markers, too: as a place to look on from that is as good. */
  async tail(topic: string, partition: number): Promise<Position | undefined> {
    return endOf(await ledgersOf(this.#rest, await this.#nameOf(topic, partition), undefined));
  }

  /** Keeps what the client can carry of it: a null value becomes an empty one, a key of bytes its base64. */
  async writeDeadLetter(letter: DeadLetter): Promise<void> {
    const { topic, batch, i } = letter;
    const doing = `writing a dead letter to ${topic} for ${formatPosition(batch.positionAt(i))}`;
    const partitions =
      (await partitionsOf(this.#rest, topic)) ??
      (await ensureRetainedTopic(this.#rest, this.#deps.log, topic, 1, letter.retentionMinutes));
    const { client } = await this.#clients.get();
    const config = { topic: partitionName(topic, 0, partitions), batchingEnabled: false, chunkingEnabled: true };
    const partitionKey = batch.text(batch.keyStart[i], batch.keyEnd[i]);
    const properties = Object.fromEntries(letterProperties(letter, this.#deps.marks));
    try {
      const producer = await client.createProducer(config);
      try {
        await producer.send({
          data: Buffer.from(batch.body(i)),
          properties,
          ...(partitionKey === undefined ? {} : { partitionKey }),
        });
      } finally {
        await producer.close();
      }
    } catch (error) {
      throw new IsthmusError('CONNECT_FAILED', `${doing}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }

  partitionOf(batch: RecordBatch, i: number, partitions: number): number | undefined {
    return partitionOfKey(batch, i, partitions);
  }

  refusesTopicName(topic: string): string | undefined {
    return topicNameProblem(topic);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#writers].map((writer) => writer.close(0)));
  }

  async #nameOf(topic: string, partition: number): Promise<string> {
    const partitions = await partitionsOf(this.#rest, topic);
    if (partitions === undefined) throw new IsthmusError('TOPIC_NOT_FOUND', `writing ${topic}: it does not exist`);
    return partitionName(topic, partition, partitions);
  }
}

function compareEntries(a: Position, b: Position): number {
  return a.major - b.major || a.minor - b.minor;
}

/** The newest entry. */
function endOf(ledgers: readonly LedgerExtent[]): Position | undefined {
  const newest = ledgers.at(-1);
  return newest === undefined ? undefined : entryPosition(newest.ledger, newest.entries - 1);
}
