/** Reading for the conformance suite: what a reader gives, in words that all drivers share. */
import { createHash } from 'node:crypto';
import { ByteBudget } from '../../../../src/lib/byte-budget.ts';
import type { Position } from '../../../../src/model/position.ts';
import { PROPERTY_ROW, type RecordBatch } from '../../../../src/model/record-batch.ts';
import type { LaneReader, ReadOptions, Source } from '../../../../src/spi/source.ts';
import type { AppMessage } from './under-test.ts';

export type ReadRecord = {
  readonly position: Position;
  readonly key: string | undefined;
  readonly bodySha256: string;
  readonly properties: Readonly<Record<string, string>>;
};

export const AMPLE_BYTES: number = 64 * 2 ** 20;
const TOO_LONG_MILLIS = 30_000;

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Messages told apart by their property `seq`. */
export function numberedMessages(from: number, end: number, bodyBytes = 32): AppMessage[] {
  return Array.from({ length: end - from }, (_, i) => ({
    body: Buffer.alloc(bodyBytes, `${from + i} `),
    key: `key-${(from + i) % 7}`,
    properties: { seq: String(from + i) },
  }));
}

export function seqsOf(records: readonly { readonly properties: Readonly<Record<string, string>> }[]): number[] {
  return records.map(({ properties }) => Number(properties['seq']));
}

export function upTo(end: number, from = 0): number[] {
  return Array.from({ length: end - from }, (_, i) => from + i);
}

export function recordOf(batch: RecordBatch, i: number): ReadRecord {
  const properties: Record<string, string> = {};
  for (let row = batch.propertyFirst[i] ?? 0; row < (batch.propertyFirst[i + 1] ?? 0); row++) {
    const [name, nameEnd, value, valueEnd] = batch.properties.subarray(row * PROPERTY_ROW, (row + 1) * PROPERTY_ROW);
    properties[batch.text(name, nameEnd) ?? ''] = batch.text(value, valueEnd) ?? '';
  }
  return {
    position: batch.positionAt(i),
    key: batch.text(batch.keyStart[i], batch.keyEnd[i]),
    bodySha256: sha256(batch.body(i)),
    properties,
  };
}

export type TestReader = {
  readonly reader: LaneReader;
  readonly budget: ByteBudget;
  /** Reads until so many records have come, in all calls together; gives all that have come. Fails at a gap, and when they do not come. */
  take(count: number): Promise<readonly ReadRecord[]>;
  close(): Promise<void>;
};

export async function openTestReader(
  source: Source,
  lane: { readonly topic: string; readonly lane: string },
  from: Position,
  options: Partial<ReadOptions> & Pick<ReadOptions, 'group'>,
): Promise<TestReader> {
  const budget = options.budget ?? new ByteBudget(AMPLE_BYTES);
  const troubles: string[] = [];
  const onTrouble = (error: Error | undefined): void => void troubles.push(error?.message ?? 'it is over');
  const reader = await source.openLane(lane, from, { onTrouble, ...options, budget });
  const seen: ReadRecord[] = [];
  const take = async (count: number): Promise<readonly ReadRecord[]> => {
    while (seen.length < count) {
      const delivery = await soon(reader.read(), () => `${seen.length} of ${count} records came; ${troubles.join('; ')}`);
      if (delivery.kind === 'gap') throw new Error(`a gap: ${delivery.reason}`);
      for (let i = 0; i < delivery.batch.count; i++) seen.push(recordOf(delivery.batch, i));
      delivery.batch.release();
    }
    return seen;
  };
  return { reader, budget, take, close: () => reader.close() };
}

/** The promise, or a failure that says more than that a test took too long. */
export async function soon<T>(promise: Promise<T>, what: () => string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(what())), TOO_LONG_MILLIS);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
