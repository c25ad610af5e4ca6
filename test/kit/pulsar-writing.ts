/** What tests of the Pulsar driver write with: records without a source, and a writer whose callbacks can be waited for. */
import { setTimeout as sleep } from 'node:timers/promises';
import { openPulsar } from '../../src/drivers/pulsar/driver.ts';
import type { PulsarOptions } from '../../src/drivers/pulsar/options.ts';
import type { IsthmusError } from '../../src/errors.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { BEFORE_ALL, offsetPosition, type Position } from '../../src/model/position.ts';
import { plainMarks } from '../../src/model/provenance.ts';
import { PROPERTY_ROW, RecordBatch, RecordFlag } from '../../src/model/record-batch.ts';
import type { Cluster } from '../../src/spi/cluster.ts';
import type { Log, LogFields } from '../../src/spi/log.ts';
import type { LaneWriter, Sink, Stored, WriterOptions } from '../../src/spi/sink.ts';

export type TestRecord = {
  readonly offset: number;
  readonly body: Buffer | string;
  readonly key?: string;
  readonly properties?: readonly (readonly [name: string, value: string])[];
  readonly extras?: readonly (readonly [name: string, value: string])[];
  readonly mark?: string;
  readonly eventTime?: number;
  readonly storeTime?: number;
  /** Of an entry of a ledger, instead of `offset`. */
  readonly position?: Position;
  readonly keyIsBase64?: boolean;
  readonly nullKey?: boolean;
  readonly nullValue?: boolean;
  readonly orderingKey?: Buffer;
  readonly sequence?: number;
  readonly schemaVersion?: Buffer;
};

/** A batch as a source driver would make it: one buffer, and where each thing begins. */
export function batchOf(records: readonly TestRecord[]): RecordBatch {
  const batch = new RecordBatch(Math.max(1, records.length));
  const parts: Buffer[] = [];
  let at = 0;
  const put = (value: Buffer | string): readonly [number, number] => {
    const bytes = Buffer.from(value);
    parts.push(bytes);
    at += bytes.length;
    return [at - bytes.length, at];
  };
  batch.reserveProperties(records.reduce((rows, record) => rows + (record.properties?.length ?? 0), 0));
  let row = 0;
  for (const [i, record] of records.entries()) {
    const { major, minor, index } = record.position ?? offsetPosition(record.offset);
    [batch.major[i], batch.minor[i], batch.index[i]] = [major, minor, index];
    batch.sequence[i] = record.sequence ?? -1;
    batch.flags[i] =
      (record.keyIsBase64 === true ? RecordFlag.keyIsBase64 : 0) |
      (record.nullValue === true ? RecordFlag.nullValue : 0) |
      (record.nullKey === true ? RecordFlag.nullKey : 0);
    [batch.orderingKeyStart[i], batch.orderingKeyEnd[i]] = record.orderingKey === undefined ? [-1, -1] : put(record.orderingKey);
    [batch.schemaStart[i], batch.schemaEnd[i]] = record.schemaVersion === undefined ? [-1, -1] : put(record.schemaVersion);
    batch.eventTime[i] = record.eventTime ?? 0;
    batch.storeTime[i] = record.storeTime ?? 1_763_750_000_000;
    [batch.keyStart[i], batch.keyEnd[i]] = record.key === undefined ? [-1, -1] : put(record.key);
    [batch.tagStart[i], batch.provenanceStart[i]] = [-1, -1];
    batch.propertyFirst[i] = row;
    for (const [name, value] of record.properties ?? []) {
      const [nameStart, nameEnd] = put(name);
      const [valueStart, valueEnd] = put(value);
      batch.properties.set([nameStart, nameEnd, valueStart, valueEnd], row++ * PROPERTY_ROW);
    }
    [batch.bodyStart[i], batch.bodyEnd[i]] = put(record.body);
    if (record.extras !== undefined) (batch.extras ??= new Map()).set(i, [...record.extras]);
    if (record.mark !== undefined) (batch.marks ??= new Map()).set(i, record.mark);
  }
  batch.propertyFirst[records.length] = row;
  batch.bytes = Buffer.concat(parts);
  batch.count = records.length;
  return batch;
}

/** Records `from` up to `end`, told apart by the property `seq`. */
export function numbered(from: number, end: number, keys = 16, bodyBytes = 64): TestRecord[] {
  return Array.from({ length: end - from }, (_, i) => {
    const offset = from + i;
    return { offset, key: `key-${offset % keys}`, body: Buffer.alloc(bodyBytes, offset), properties: [['seq', String(offset)]] };
  });
}

export type LogLine = { readonly level: string; readonly event: string; readonly fields: LogFields };

export function memoryLog(lines: LogLine[]): Log {
  const at =
    (level: string) =>
    (event: string, fields: LogFields = {}) =>
      void lines.push({ level, event, fields });
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log };
  return log;
}

export function openTestCluster(
  endpoints: { readonly serviceUrl: string; readonly adminUrl: string },
  options: Partial<PulsarOptions> = {},
  lines: LogLine[] = [],
): Cluster & { readonly sink: Sink } {
  const { serviceUrl, adminUrl } = endpoints;
  const base = { serviceUrl, adminUrl, auth: undefined, tls: undefined, listenerName: undefined, inFlightBytes: 48 * 2 ** 20 };
  const deps = { clock: systemClock, log: memoryLog(lines), random: Math.random, marks: plainMarks };
  const cluster = openPulsar('target', { ...base, ...options }, deps);
  if (cluster.sink === undefined) throw new Error('the driver cannot write');
  return { ...cluster, sink: cluster.sink };
}

export type TestWriter = {
  readonly writer: LaneWriter;
  readonly stored: readonly Stored[];
  readonly failures: readonly IsthmusError[];
  readonly troubles: readonly string[];
  /** Appends all, with a flush after each `flushEvery` records. */
  readonly write: (records: readonly TestRecord[], flushEvery?: number) => Promise<void>;
  /** Resolves when so many records are stored; rejects when the writer fails. */
  readonly until: (records: number) => Promise<void>;
};

export async function openTestWriter(sink: Sink, topic: string, options: Partial<WriterOptions> = {}): Promise<TestWriter> {
  const stored: Stored[] = [];
  const failures: IsthmusError[] = [];
  const troubles: string[] = [];
  const writer = await sink.openWriter({
    topic,
    partition: 0,
    sourceCluster: 'rmq-east',
    lane: { topic: 'orders', lane: 'broker-a:0' },
    link: 'east-west',
    batching: 'mixed',
    compression: 'none',
    signal: new AbortController().signal,
    onStored: (each) => stored.push(each),
    onFailed: (error) => failures.push(error),
    onTrouble: (error) => void (error === undefined ? undefined : troubles.push(error.message)),
    ...options,
  });
  return {
    writer,
    stored,
    failures,
    troubles,
    write: async (records, flushEvery = 100) => {
      const batch = batchOf(records);
      for (let i = 0; i < records.length; ) {
        const result = writer.append(batch, i);
        if (result === 'taken') {
          if (++i % flushEvery === 0) writer.flush();
        } else if (result === 'full') {
          writer.flush();
          await writer.ready();
        } else throw new Error(result.refused);
      }
      writer.flush();
      batch.release();
    },
    until: async (records) => {
      while (stored.reduce((sum, each) => sum + each.count, 0) < records) {
        if (failures[0] !== undefined) throw failures[0];
        await sleep(5);
      }
    },
  };
}

/** How often each source offset is in a partition, by the marks. */
export async function offsetsIn(sink: Sink, topic: string, partition = 0): Promise<Map<number, number>> {
  const seen = new Map<number, number>();
  await sink.scan(topic, partition, BEFORE_ALL, Number.POSITIVE_INFINITY, ({ provenance }) => {
    for (const { first, count } of provenance.runs) {
      for (let k = 0; k < count; k++) seen.set(first.major + k, (seen.get(first.major + k) ?? 0) + 1);
    }
  });
  return seen;
}
