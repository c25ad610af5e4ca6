/** The Pulsar driver on a real cluster, as tests read with it. */
import { createHash, randomUUID } from 'node:crypto';
import { openPulsar } from '../../src/drivers/pulsar/driver.ts';
import type { PulsarOptions } from '../../src/drivers/pulsar/options.ts';
import { ByteBudget } from '../../src/lib/byte-budget.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { entryPosition, formatPosition, type Position } from '../../src/model/position.ts';
import { plainMarks } from '../../src/model/provenance.ts';
import { PROPERTY_ROW, type RecordBatch, RecordFlag } from '../../src/model/record-batch.ts';
import type { Clock } from '../../src/spi/clock.ts';
import type { Cluster } from '../../src/spi/cluster.ts';
import type { LaneReader, ReadOptions, Source } from '../../src/spi/source.ts';
import { type LogLine, memoryLog } from './pulsar-writing.ts';

/** A record (or a whole entry) as the driver delivers it, in full. */
export type PulsarReadRecord = {
  readonly position: string;
  readonly whole: boolean;
  readonly records: number;
  readonly key: string | undefined;
  readonly keyIsBase64: boolean;
  readonly orderingKeyHex: string | undefined;
  readonly tag: string | undefined;
  readonly mark: string | undefined;
  readonly ordinal: number;
  readonly propertyList: readonly (readonly [name: string, value: string])[];
  readonly extras: Readonly<Record<string, string>>;
  readonly producer: string | undefined;
  readonly sequenceId: number;
  readonly schemaVersionHex: string | undefined;
  readonly nullValue: boolean;
  readonly bodySha256: string;
  readonly bodyLength: number;
  readonly eventTime: number;
  readonly storeTime: number;
  readonly native: Buffer;
  readonly damaged: string | undefined;
  readonly broughtFrom: readonly string[] | undefined;
};

export type PulsarTail = {
  readonly reader: LaneReader;
  readonly records: PulsarReadRecord[];
  readonly gaps: string[];
  /** Codes of the troubles in the order they came, `undefined` where one was over. */
  readonly troubles: unknown[];
  /** Where reading goes on after each batch. */
  readonly ends: (Position | undefined)[];
  /** What ended the reading; rejects never. */
  readonly ended: Promise<unknown>;
  /** Resolves when so many records or gaps have come; rejects when the reading ends before. */
  until(count: number): Promise<void>;
};

export type PulsarSourceUnderTest = {
  readonly cluster: Cluster;
  readonly source: Source;
  /** The subscription that all its readers use. */
  readonly group: string;
  readonly log: readonly LogLine[];
  /** Reads a lane from `from` on (default: its very beginning) until it is closed; after its first batch it waits for `gate`. */
  tail(
    topic: string,
    options?: Partial<ReadOptions> & { lane?: string; from?: Position; gate?: Promise<void> },
  ): Promise<PulsarTail>;
  close(): Promise<void>;
};

export function pulsarSourceUnderTest(
  endpoints: { readonly serviceUrl: string; readonly adminUrl: string },
  budgetBytes: number = 16 * 1024 * 1024,
  clock: Clock = systemClock,
  access: Partial<Pick<PulsarOptions, 'auth' | 'tls'>> = {},
): PulsarSourceUnderTest {
  const { serviceUrl, adminUrl } = endpoints;
  const log: LogLine[] = [];
  const base = { serviceUrl, adminUrl, auth: undefined, tls: undefined, listenerName: undefined, inFlightBytes: 2 ** 24 };
  const deps = { clock, log: memoryLog(log), random: Math.random, marks: plainMarks };
  const cluster = openPulsar('source', { ...base, ...access }, deps);
  const { source } = cluster;
  if (source === undefined) throw new Error('the driver has no source');
  const budget = new ByteBudget(budgetBytes);
  const group = `test-${randomUUID()}`;
  const readers: LaneReader[] = [];
  return {
    cluster,
    source,
    group,
    log,
    tail: async (topic, { lane = '0', from = entryPosition(0, 0), gate, ...rest } = {}) => {
      const troubles: unknown[] = [];
      const onTrouble = (error: Error | undefined): void => {
        troubles.push(error === undefined ? undefined : Reflect.get(error, 'code'));
      };
      const reader = await source.openLane({ topic, lane }, from, { group, budget, onTrouble, ...rest });
      readers.push(reader);
      const seen = { records: [], gaps: [], ends: [] };
      const ended = collect(reader, seen, gate);
      let end: unknown;
      void ended.then((reason) => {
        end = reason;
      });
      const until = async (count: number): Promise<void> => {
        while (seen.records.length + seen.gaps.length < count) {
          if (end !== undefined) throw end;
          await systemClock.sleep(5);
        }
      };
      return { reader, ...seen, troubles, ended, until };
    },
    close: async () => {
      for (const reader of readers) await reader.close();
      await cluster.close();
      if (budget.usedBytes !== 0) throw new Error(`closed readers still hold ${budget.usedBytes} bytes of the budget`);
    },
  };
}

type Seen = { records: PulsarReadRecord[]; gaps: string[]; ends: (Position | undefined)[] };

async function collect(reader: LaneReader, { records, gaps, ends }: Seen, gate?: Promise<void>): Promise<unknown> {
  try {
    for (;;) {
      const delivery = await reader.read();
      if (delivery.kind === 'gap')
        gaps.push(`${formatPosition(delivery.from)}-${formatPosition(delivery.to)} ${delivery.reason}`);
      else {
        const { batch } = delivery;
        for (let i = 0; i < batch.count; i++) records.push(recordOf(batch, i));
        ends.push(batch.end);
        batch.release();
        await gate;
      }
    }
  } catch (error) {
    return error;
  }
}

function recordOf(batch: RecordBatch, i: number): PulsarReadRecord {
  const flags = batch.flags[i] ?? 0;
  const { whole } = batch;
  const start = batch.provenanceStart[i] ?? -1;
  return {
    position: formatPosition(batch.positionAt(i)),
    whole,
    records: batch.records[i] ?? 0,
    key: batch.text(batch.keyStart[i], batch.keyEnd[i]),
    keyIsBase64: (flags & RecordFlag.keyIsBase64) !== 0,
    orderingKeyHex: hex(batch, batch.orderingKeyStart[i], batch.orderingKeyEnd[i]),
    tag: batch.text(batch.tagStart[i], batch.tagEnd[i]),
    mark: start < 0 ? undefined : batch.bytesAt(i).toString('utf8', start, batch.provenanceEnd[i]),
    ordinal: batch.provenanceOrdinal[i] ?? -1,
    propertyList: propertiesOf(batch, i),
    extras: Object.fromEntries(batch.extras?.get(i) ?? []),
    producer: batch.text(batch.producerStart[i], batch.producerEnd[i]),
    sequenceId: batch.sequence[i] ?? -1,
    schemaVersionHex: hex(batch, batch.schemaStart[i], batch.schemaEnd[i]),
    nullValue: (flags & RecordFlag.nullValue) !== 0,
    bodySha256: createHash('sha256').update(batch.body(i)).digest('hex'),
    bodyLength: batch.bodyLength(i),
    eventTime: batch.eventTime[i] ?? 0,
    storeTime: batch.storeTime[i] ?? 0,
    native: Buffer.from(batch.bytesAt(i).subarray(batch.nativeStart[i], batch.nativeEnd[i])),
    damaged: batch.damaged?.get(i),
    broughtFrom: batch.broughtFrom?.get(i),
  };
}

function hex(batch: RecordBatch, start: number | undefined, end: number | undefined): string | undefined {
  return start === undefined || start < 0 ? undefined : batch.bytes.toString('hex', start, end);
}

function propertiesOf(batch: RecordBatch, i: number): [string, string][] {
  const list: [string, string][] = [];
  for (let row = batch.propertyFirst[i] ?? 0; row < (batch.propertyFirst[i + 1] ?? 0); row++) {
    const [name, nameEnd, value, valueEnd] = batch.properties.subarray(row * PROPERTY_ROW, (row + 1) * PROPERTY_ROW);
    list.push([batch.text(name, nameEnd) ?? '', batch.text(value, valueEnd) ?? '']);
  }
  return list;
}
