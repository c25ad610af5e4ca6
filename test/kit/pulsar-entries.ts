/** Entries of a Pulsar partition as they are stored, and the batches that a source would make of them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerPool } from '../../src/drivers/pulsar/net/broker-pool.ts';
import { credentialsOf } from '../../src/drivers/pulsar/net/credentials.ts';
import { BEFORE_FIRST, readEntries } from '../../src/drivers/pulsar/net/entry-reader.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { RecordBatch } from '../../src/model/record-batch.ts';
import type { LaneWriter } from '../../src/spi/sink.ts';
import { memoryLog } from './pulsar-writing.ts';

export type StoredEntry = {
  readonly ledger: number;
  readonly entry: number;
  readonly messages: number;
  /** From the checksum's magic number on. */
  readonly bytes: Buffer;
};

export type EntrySource = {
  readonly pool: BrokerPool;
  /** All entries of a partition, or of a topic without partitions. */
  readonly read: (topic: string) => Promise<readonly StoredEntry[]>;
  readonly close: () => void;
};

export function entrySource(serviceUrl: string): EntrySource {
  const deps = { clock: systemClock, log: memoryLog([]), credentials: credentialsOf(undefined) };
  const pool = new BrokerPool({ serviceUrl, tls: undefined, listenerName: undefined }, deps);
  return {
    pool,
    read: async (topic) => {
      const entries: StoredEntry[] = [];
      const options = { topic, subscription: 'entries', from: BEFORE_FIRST, exclusive: true, property: '' };
      await readEntries(
        await pool.locate(topic),
        {
          ...options,
          visit: ({ ledger, entry }, { messages }, bytes) =>
            void entries.push({ ledger, entry, messages, bytes: Buffer.from(bytes) }),
        },
        systemClock,
      );
      return entries;
    },
    close: () => pool.close(),
  };
}

/** One batch of whole entries. `marks`: by place in the list, for entries that came from elsewhere before. */
export function wholeBatch(entries: readonly StoredEntry[], marks?: ReadonlyMap<number, string>): RecordBatch {
  const batch = new RecordBatch(Math.max(1, entries.length));
  let at = 0;
  for (const [i, { ledger, entry, messages, bytes }] of entries.entries()) {
    batch.major[i] = ledger;
    batch.minor[i] = entry;
    batch.index[i] = -1;
    batch.records[i] = messages;
    batch.storeTime[i] = 1_763_750_000_000;
    batch.nativeStart[i] = at;
    at += bytes.length;
    batch.nativeEnd[i] = at;
  }
  batch.bytes = Buffer.concat(entries.map(({ bytes }) => bytes));
  batch.count = entries.length;
  batch.whole = true;
  batch.native = 'pulsar-entry';
  if (marks !== undefined) batch.marks = new Map(marks);
  return batch;
}

/** Hands all entries to a writer, waiting where it is full. The batch is overwritten afterwards, as a pool would. */
export async function passAll(
  writer: LaneWriter,
  entries: readonly StoredEntry[],
  marks?: ReadonlyMap<number, string>,
): Promise<void> {
  const batch = wholeBatch(entries, marks);
  for (let i = 0; i < batch.count; ) {
    const result = writer.append(batch, i);
    if (result === 'taken') i++;
    else if (result === 'full') await writer.ready();
    else throw new Error(result.refused);
    // Receipts get their turn.
    if (i % 100 === 99) await sleep(0);
  }
  batch.bytes.fill(0xee);
  batch.release();
}
