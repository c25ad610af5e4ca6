import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { positionOf } from '../../../../../src/drivers/pulsar/native/message-ids.ts';
import { loadPulsarModule } from '../../../../../src/drivers/pulsar/native/module.ts';
import type { IsthmusError } from '../../../../../src/errors.ts';
import { ByteBudget } from '../../../../../src/lib/byte-budget.ts';
import { deferred } from '../../../../../src/lib/deferred.ts';
import { entryPosition, formatPosition, offsetPosition } from '../../../../../src/model/position.ts';
import { type Provenance, parseProvenance } from '../../../../../src/model/provenance.ts';
import { RecordBatch, RecordFlag } from '../../../../../src/model/record-batch.ts';
import type { Cluster } from '../../../../../src/spi/cluster.ts';
import type { FoundMark, LaneWriter, Stored } from '../../../../../src/spi/sink.ts';
import type { LaneReader } from '../../../../../src/spi/source.ts';
import { FakePulsar, idBytes, LANE, TOPIC } from './fake-module.ts';

let fake: FakePulsar;
let cluster: Cluster;

beforeEach(async () => {
  fake = new FakePulsar();
  cluster = await fake.open();
});
afterEach(() => cluster.close());

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('it is missing');
  return value;
}

describe('the official client', () => {
  it('that is not installed is told with how to get it, what that downloads, and what needs nothing', async () => {
    const missing = loadPulsarModule(() => Promise.reject(new Error("Cannot find package 'pulsar-client'\nand a stack")));
    await expect(missing).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/npm install pulsar-client.*downloads a binary.*driver: wire needs nothing/),
    });
  });

  it('has ids whose bytes give ledger, entry and index, and -1 for what they leave out', () => {
    for (const position of [entryPosition(2 ** 40, 70_000, 33), entryPosition(7, 0), entryPosition(7, -1)])
      expect(positionOf({ serialize: () => idBytes(position) })).toEqual(position);
  });
});

describe('a lane that is read through the official client', () => {
  const budget = new ByteBudget(2 ** 20);
  const open = (from: ReturnType<typeof entryPosition>, troubles: unknown[] = []): Promise<LaneReader> =>
    present(cluster.source).openLane(LANE, from, { group: 'isthmus', budget, onTrouble: (error) => troubles.push(error) });

  async function take(reader: LaneReader, count: number): Promise<string[]> {
    const seen: string[] = [];
    while (seen.length < count) {
      const delivery = await reader.read();
      if (delivery.kind !== 'records') throw new Error(`unexpected ${delivery.kind}`);
      const { batch } = delivery;
      for (let i = 0; i < batch.count; i++) seen.push(`${formatPosition(batch.positionAt(i))} ${batch.body(i).toString()}`);
      batch.release();
    }
    return seen;
  }

  it.each([true, false])('begins at the very record, whether a seek includes its place (%s) or not', async (includes) => {
    fake.seekIncludes = includes;
    for (const minor of [0, 1, 2]) for (const index of [0, 1, 2]) fake.store(entryPosition(7, minor, index), `${minor}.${index}`);
    const reader = await open(entryPosition(7, 1, 1));
    expect(await take(reader, 5)).toEqual(['7:1:1 1.1', '7:1:2 1.2', '7:2:0 2.0', '7:2:1 2.1', '7:2:2 2.2']);
    expect(fake.seeks).toEqual([entryPosition(7, 0)]);
    await reader.commit(entryPosition(7, 2, 1));
    expect(fake.acknowledged).toEqual([entryPosition(7, 1)]);
    await reader.close();
    expect(budget.usedBytes).toBe(0);
  });

  it('loses nothing when a tool has moved its subscription on', async () => {
    for (const minor of [0, 1, 2, 3]) fake.store(entryPosition(7, minor), `${minor}`);
    fake.jumpTo = 2;
    const troubles: unknown[] = [];
    const reader = await open(entryPosition(7, 0), troubles);
    expect(await take(reader, 4)).toEqual(['7:0 0', '7:1 1', '7:2 2', '7:3 3']);
    expect(troubles).toContainEqual(expect.objectContaining({ code: 'CONNECTION_LOST' }));
    await reader.close();
  });

  it('hands out the mark apart from the properties', async () => {
    fake.store(entryPosition(7, 0), 'x', { ISTHMUS: '1;east;T;0;5;a', colour: 'red' });
    const reader = await open(entryPosition(7, 0));
    const delivery = await reader.read();
    if (delivery.kind !== 'records') throw new Error('no records');
    expect(delivery.batch.text(delivery.batch.provenanceStart[0], delivery.batch.provenanceEnd[0])).toBe('1;east;T;0;5;a');
    expect(delivery.batch.propertyFirst[1]).toBe(1);
    expect(delivery.batch.property(0, 'colour')).toBe('red');
    delivery.batch.release();
    await reader.close();
  });
});

describe('a lane that is written through the official client', () => {
  const stored: Stored[] = [];
  let failures: IsthmusError[] = [];

  const open = (): Promise<LaneWriter> => {
    stored.length = 0;
    failures = [];
    return present(cluster.sink).openWriter({
      topic: TOPIC,
      partition: 0,
      sourceCluster: 'east',
      lane: { topic: 'orders', lane: 'b:0' },
      link: 'link',
      batching: 'auto',
      compression: 'none',
      signal: new AbortController().signal,
      onStored: (each) => stored.push(each),
      onFailed: (error) => failures.push(error),
      onTrouble: () => undefined,
    });
  };

  function records(count: number, bytes = 2): RecordBatch {
    const batch = new RecordBatch(count);
    batch.bytes = Buffer.alloc(count * bytes, 'ab');
    batch.count = count;
    for (let i = 0; i < count; i++) {
      batch.major[i] = 100 + i;
      batch.keyStart[i] = batch.keyEnd[i] = -1;
      [batch.bodyStart[i], batch.bodyEnd[i]] = [i * bytes, (i + 1) * bytes];
    }
    return batch;
  }

  it('stores records in order, each as an entry with its mark and its offset as id', async () => {
    const writer = await open();
    const batch = records(3);
    for (let i = 0; i < 3; i++) expect(writer.append(batch, i)).toBe('taken');
    await writer.close(5_000);
    expect(stored.map(({ target, runs }) => [target.minor, runs[0]?.first.major])).toEqual([
      [0, 100],
      [1, 101],
      [2, 102],
    ]);
    expect(fake.stored.map(({ sent }) => sent.sequenceId)).toEqual([100, 101, 102]);
    expect(parseProvenance(fake.stored[1]?.sent.properties['ISTHMUS'] ?? '')).toMatchObject({
      cluster: 'east',
      runs: [{ first: offsetPosition(101), count: 1 }],
    } satisfies Partial<Provenance>);
    expect(fake.producers).toMatchObject([{ producerName: 'isthmus/link/east/orders/b:0', batchingEnabled: false }]);
    const marks: FoundMark[] = [];
    expect(await present(cluster.sink).scan(TOPIC, 0, entryPosition(7, 0), 100, (mark) => marks.push(mark))).toMatchObject({
      entries: 2,
    });
    expect(marks.map(({ target }) => target.minor)).toEqual([1, 2]);
    expect(await present(cluster.sink).tail(TOPIC, 0)).toEqual(entryPosition(7, 2));
  });

  it('takes no more than its bound, and a large record only when it is alone', async () => {
    const answers = deferred<void>();
    fake.hold = answers.promise;
    const writer = await open();
    const batch = records(2_000);
    let taken = 0;
    while (taken < 2_000 && writer.append(batch, taken) === 'taken') taken++;
    expect(taken).toBe(1_000);
    expect(writer.inFlight).toBe(1_000);
    const large = records(1, 100_000);
    expect(writer.append(large, 0)).toBe('full');
    answers.resolve();
    await writer.ready();
    expect(writer.append(large, 0)).toBe('taken');
    expect(writer.append(batch, 0)).toBe('full');
    await writer.close(5_000);
  });

  it('fails with the first message that is not stored, and tells nothing as stored after it', async () => {
    fake.refuse = ({ sequenceId }) => (sequenceId === 101 ? 'TimeOut' : undefined);
    const writer = await open();
    const batch = records(3);
    for (let i = 0; i < 3; i++) writer.append(batch, i);
    await expect.poll(() => failures.map(({ code }) => code)).toEqual(['REQUEST_TIMEOUT']);
    expect(stored.map(({ runs }) => runs[0]?.first.major)).toEqual([100]);
    await expect(writer.ready()).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT' });
  });

  it('takes "a copy" for no proof, and leaves ids to the client from then on', async () => {
    fake.refuse = ({ sequenceId }) => (sequenceId === undefined ? undefined : 'copy');
    const writer = await open();
    writer.append(records(1), 0);
    await expect.poll(() => failures.map(({ code }) => code)).toEqual(['UNKNOWN_OUTCOME']);
    const next = await open();
    next.append(records(1), 0);
    await expect.poll(() => stored.length).toBe(1);
    await next.close(0);
  });

  it('refuses a record that the broker found too large, when it comes again', async () => {
    fake.refuse = () => 'MessageTooBig';
    const writer = await open();
    writer.append(records(1, 100_000), 0);
    await expect.poll(() => failures.map(({ code, retryable }) => [code, retryable])).toEqual([['RECORD_REFUSED', true]]);
    const next = await open();
    expect(next.append(records(1, 100_000), 0)).toEqual({ refused: expect.stringContaining('size') });
    await next.close(0);
  });

  it('refuses what the client would store as something else', async () => {
    const writer = await open();
    const batch = records(1);
    for (const flag of [RecordFlag.nullValue, RecordFlag.nullKey, RecordFlag.keyIsBase64]) {
      batch.flags[0] = flag;
      expect(writer.append(batch, 0)).toHaveProperty('refused');
    }
    batch.flags[0] = 0;
    batch.bytes = Buffer.from('a\0');
    [batch.keyStart[0], batch.keyEnd[0]] = [0, 2];
    expect(writer.append(batch, 0)).toHaveProperty('refused');
    expect(fake.stored).toEqual([]);
    await writer.close(0);
  });
});
