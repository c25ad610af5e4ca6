/** The RocketMQ driver on a real cluster, as tests read with it. */
import { createHash, randomUUID } from 'node:crypto';
import { openRocketmq } from '../../src/drivers/rocketmq/driver.ts';
import { ByteBudget } from '../../src/lib/byte-budget.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { offsetPosition } from '../../src/model/position.ts';
import { plainMarks } from '../../src/model/provenance.ts';
import { PROPERTY_ROW, type RecordBatch } from '../../src/model/record-batch.ts';
import type { Cluster } from '../../src/spi/cluster.ts';
import type { Log } from '../../src/spi/log.ts';
import type { LaneReader, Source } from '../../src/spi/source.ts';
import type { TlsOptions } from '../../src/wire/connection.ts';

/** A record as the driver delivers it, in full. */
export type ReadRecord = {
  readonly lane: string;
  readonly offset: number;
  readonly key: string | undefined;
  readonly tag: string | undefined;
  readonly properties: Readonly<Record<string, string>>;
  readonly extras: Readonly<Record<string, string>>;
  readonly bodySha256: string;
  readonly bodyLength: number;
  readonly eventTime: number;
  readonly storeTime: number;
  readonly damaged: string | undefined;
};

export type LaneTail = {
  readonly reader: LaneReader;
  readonly records: ReadRecord[];
  readonly gaps: string[];
  /** Codes of the troubles in the order they came, `undefined` where one was over. */
  readonly troubles: unknown[];
  /** What ended the reading; rejects never. */
  readonly ended: Promise<unknown>;
};

export type SourceUnderTest = {
  readonly cluster: Cluster;
  readonly source: Source;
  /** The consumer group that all its readers commit to. */
  readonly group: string;
  /** Reads one lane from `from` on until it is closed; after its first batch it waits for `gate`. */
  tail(topic: string, lane: string, from?: number, gate?: Promise<void>): Promise<LaneTail>;
  /** Reads all lanes from their beginning until `count` records have come in all. */
  readAll(topic: string, count: number): Promise<readonly ReadRecord[]>;
  close(): Promise<void>;
};

const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, child: () => silent };

export function sourceUnderTest(namesrv: string, tls?: TlsOptions): SourceUnderTest {
  const options = { namesrv: namesrv.split(';'), auth: undefined, tls };
  const cluster = openRocketmq('source', options, { clock: systemClock, log: silent, random: Math.random, marks: plainMarks });
  const { source } = cluster;
  if (source === undefined) throw new Error('the driver has no source');
  const budget = new ByteBudget(16 * 1024 * 1024);
  const group = `test-${randomUUID()}`;
  const readers: LaneReader[] = [];

  const tail = async (topic: string, lane: string, from = 0, gate?: Promise<void>): Promise<LaneTail> => {
    const troubles: unknown[] = [];
    const onTrouble = (error: Error | undefined): void => {
      troubles.push(error === undefined ? undefined : Reflect.get(error, 'code'));
    };
    const reader = await source.openLane({ topic, lane }, offsetPosition(from), { group, budget, onTrouble });
    readers.push(reader);
    const records: ReadRecord[] = [];
    const gaps: string[] = [];
    return { reader, records, gaps, troubles, ended: collect(reader, lane, records, gaps, gate) };
  };

  return {
    cluster,
    source,
    group,
    tail,
    readAll: async (topic, count) => {
      const lanes = (await cluster.admin.describeTopic(topic))?.lanes ?? [];
      const tails = await Promise.all(lanes.map(({ lane }) => tail(topic, lane)));
      while (tails.reduce((sum, { records }) => sum + records.length, 0) < count) await systemClock.sleep(10);
      for (const { reader } of tails) await reader.close();
      return tails.flatMap(({ records }) => records);
    },
    close: async () => {
      for (const reader of readers) await reader.close();
      await cluster.close();
      if (budget.usedBytes !== 0) throw new Error(`closed readers still hold ${budget.usedBytes} bytes of the budget`);
    },
  };
}

async function collect(
  reader: LaneReader,
  lane: string,
  records: ReadRecord[],
  gaps: string[],
  gate?: Promise<void>,
): Promise<unknown> {
  try {
    for (;;) {
      const delivery = await reader.read();
      if (delivery.kind === 'gap') gaps.push(`${delivery.from.major}-${delivery.to.major} ${delivery.reason}`);
      else {
        for (let i = 0; i < delivery.batch.count; i++) records.push(recordOf(delivery.batch, i, lane));
        delivery.batch.release();
        await gate;
      }
    }
  } catch (error) {
    return error;
  }
}

function recordOf(batch: RecordBatch, i: number, lane: string): ReadRecord {
  const properties: Record<string, string> = {};
  for (let row = batch.propertyFirst[i] ?? 0; row < (batch.propertyFirst[i + 1] ?? 0); row++) {
    const [name, nameEnd, value, valueEnd] = batch.properties.subarray(row * PROPERTY_ROW, (row + 1) * PROPERTY_ROW);
    properties[batch.text(name, nameEnd) ?? ''] = batch.text(value, valueEnd) ?? '';
  }
  return {
    lane,
    offset: batch.positionAt(i).major,
    key: batch.text(batch.keyStart[i], batch.keyEnd[i]),
    tag: batch.text(batch.tagStart[i], batch.tagEnd[i]),
    properties,
    extras: Object.fromEntries(batch.extras?.get(i) ?? []),
    bodySha256: createHash('sha256').update(batch.body(i)).digest('hex'),
    bodyLength: batch.bodyLength(i),
    eventTime: batch.eventTime[i] ?? 0,
    storeTime: batch.storeTime[i] ?? 0,
    damaged: batch.damaged?.get(i),
  };
}
