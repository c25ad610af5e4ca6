import { ByteBudget } from '../../../lib/byte-budget.ts';
import { SlabPool } from '../../../lib/slab.ts';
import { entryPosition, type Position } from '../../../model/position.ts';
import { PROVENANCE_PROPERTY } from '../../../model/provenance.ts';
import type { NativeForm, RecordBatch } from '../../../model/record-batch.ts';
import type { DeadLetter, FoundMark, LaneWriter, ScanReport, Sink, WriterOptions } from '../../../spi/sink.ts';
import type { Rest } from '../admin/rest.ts';
import { ledgersOf, maxMessageBytesOf } from '../admin/topics.ts';
import type { BrokerPool } from '../net/broker-pool.ts';
import { BEFORE_FIRST, readEntries, readLastMessageId, scanName } from '../net/entry-reader.ts';
import type { PulsarDeps } from '../options.ts';
import { partitionName, topicNameProblem } from '../topic-name.ts';
import type { MessageId } from '../wire/message-id.ts';
import { writeDeadLetter } from './dead-letter.ts';
import { KeySharedWatch } from './key-shared-watch.ts';
import { PulsarLaneWriter } from './lane-writer.ts';
import { partitionOfKey } from './partition-hash.ts';
import { producerName } from './producer-name.ts';

export class PulsarSink implements Sink {
  readonly fences = true;
  readonly #pool: BrokerPool;
  readonly #rest: Rest;
  readonly #deps: PulsarDeps;
  readonly #slabs: SlabPool;
  readonly #watch: KeySharedWatch;
  readonly #writers = new Set<PulsarLaneWriter>();

  constructor(pool: BrokerPool, rest: Rest, inFlightBytes: number, deps: PulsarDeps) {
    this.#pool = pool;
    this.#rest = rest;
    this.#deps = deps;
    this.#watch = new KeySharedWatch(rest, deps);
    this.#slabs = new SlabPool(new ByteBudget(inFlightBytes));
  }

  takesWhole(form: NativeForm): boolean {
    return form === 'pulsar-entry';
  }

  setPartitions(): void {
    // Partitions keep their numbers.
  }

  async openWriter(options: WriterOptions): Promise<LaneWriter> {
    const view = options.batching === 'auto' ? await this.#watch.watch(options.topic) : undefined;
    const writer = new PulsarLaneWriter(options, {
      pool: this.#pool,
      slabs: this.#slabs,
      deps: this.#deps,
      producerName: producerName(options),
      topicMaxBytes: await this.#topicMaxBytes(options.topic),
      askTopicMaxBytes: () => this.#topicMaxBytes(options.topic),
      perKey: () => view?.keyShared() ?? options.batching === 'per-key',
      onEnd: (ended) => {
        view?.release();
        this.#writers.delete(ended);
      },
    });
    this.#writers.add(writer);
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
    const name = await this.#nameOf(topic, partition);
    const start =
      after === undefined
        ? await this.#newest(name, limitEntries)
        : { from: idOf(after), exclusive: true, fromBeginning: after.major < 0 };
    const entries = await readEntries(
      await this.#pool.locate(name),
      {
        topic: name,
        subscription: scanName(this.#deps),
        from: start.from,
        exclusive: start.exclusive,
        property: PROVENANCE_PROPERTY,
        visit: (id, { property, batched }) => {
          const provenance = property === undefined ? undefined : this.#deps.marks.read(property);
          const target = entryPosition(id.ledger, id.entry, batched ? 0 : -1);
          if (provenance !== undefined) visit({ partition, provenance, target });
        },
      },
      this.#deps.clock,
    );
    return { entries, fromBeginning: start.fromBeginning };
  }

  async tail(topic: string, partition: number): Promise<Position | undefined> {
    const name = await this.#nameOf(topic, partition);
    const { ledger, entry } = await readLastMessageId(await this.#pool.locate(name), name, scanName(this.#deps));
    return ledger < 0 || entry < 0 ? undefined : entryPosition(ledger, entry);
  }

  writeDeadLetter(letter: DeadLetter): Promise<void> {
    return writeDeadLetter(letter, { pool: this.#pool, rest: this.#rest, deps: this.#deps });
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

  async #topicMaxBytes(topic: string): Promise<number | undefined> {
    try {
      return await maxMessageBytesOf(this.#rest, topic);
    } catch (error) {
      // The policy is for administrators to read; without it a record that is too large is refused by the broker instead.
      this.#deps.log.info('topic-limit-unknown', { topic, error: error instanceof Error ? error.message : String(error) });
      return undefined;
    }
  }

  async #nameOf(topic: string, partition: number): Promise<string> {
    return partitionName(topic, partition, await this.#pool.partitions(topic));
  }

  /** Where the newest `limit` entries of a partition begin. */
  async #newest(name: string, limit: number): Promise<{ from: MessageId; exclusive: boolean; fromBeginning: boolean }> {
    const ledgers = await ledgersOf(this.#rest, name, undefined);
    let rest = limit;
    for (const { ledger, entries } of ledgers.toReversed()) {
      if (entries > rest) return { from: { ledger, entry: entries - rest }, exclusive: false, fromBeginning: false };
      rest -= entries;
    }
    return { from: BEFORE_FIRST, exclusive: false, fromBeginning: true };
  }
}

function idOf(position: Position): MessageId {
  return position.major < 0 ? BEFORE_FIRST : { ledger: position.major, entry: position.minor };
}
