import { beforeEach, describe, expect, it } from 'vitest';
import { makeBatch } from '../../../src/drivers/memory/batch.ts';
import { IsthmusError } from '../../../src/errors.ts';
import { ByteBudget } from '../../../src/lib/byte-budget.ts';
import { type Deferred, deferred } from '../../../src/lib/deferred.ts';
import { LeaseKeeper } from '../../../src/mirror/lease-keeper.ts';
import { PositionSet } from '../../../src/mirror/position-set.ts';
import { Pump } from '../../../src/mirror/pump.ts';
import { MAX_LEAD_RECORDS, MAX_ROUND_RECORDS } from '../../../src/mirror/recovery.ts';
import { Watermark } from '../../../src/mirror/watermark.ts';
import type { MirrorSpec } from '../../../src/model/mirror-spec.ts';
import { offsetPosition, type Position } from '../../../src/model/position.ts';
import { plainMarks } from '../../../src/model/provenance.ts';
import type { RecordBatch } from '../../../src/model/record-batch.ts';
import type { LaneRecorder } from '../../../src/spi/recorder.ts';
import type { AppendResult, LaneWriter, Sink } from '../../../src/spi/sink.ts';
import type { Delivery, LaneReader, Source } from '../../../src/spi/source.ts';
import { MemoryStore } from '../../../src/state/memory/store.ts';
import { makePlan } from '../../simulation/plan.ts';
import { makeLog, SILENT_RECORDER } from '../../simulation/process.ts';
import { settle, VirtualTime } from '../../simulation/virtual-time.ts';

/** A reader that is handed what it delivers. */
class HandReader implements LaneReader {
  readonly deliveries: Delivery[] = [];
  readonly #waiting: Deferred<Delivery>[] = [];
  closed = false;

  give(delivery: Delivery): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.deliveries.push(delivery);
    else waiting.resolve(delivery);
  }

  /** A batch of messages from an offset on; `tag` decides what a filter makes of them. */
  records(first: number, count: number, tag = 'paid'): RecordBatch {
    const messages = Array.from({ length: count }, (_, i) => ({
      body: Buffer.from(String(first + i)),
      tag,
      key: `k${(first + i) % 2}`,
      offset: first + i,
      storeTime: 0,
    }));
    const batch = makeBatch(messages, () => undefined);
    this.give({ kind: 'records', batch });
    return batch;
  }

  read(): Promise<Delivery> {
    const delivery = this.poll();
    if (delivery !== undefined) return Promise.resolve(delivery);
    const waiting = deferred<Delivery>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  poll(): Delivery | undefined {
    return this.deliveries.shift();
  }

  extent(): undefined {
    return undefined;
  }

  async commit(): Promise<void> {}

  async close(): Promise<void> {
    this.closed = true;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(new IsthmusError('CLOSED', 'closed'));
  }
}

/** A writer that keeps what it is given until the test says that it is stored. */
class HandWriter implements LaneWriter {
  opened: Position[] = [];
  readonly sent: Position[][] = [];
  full = false;
  closed = false;
  readonly #room: Deferred<void>[] = [];

  append(batch: RecordBatch, i: number): AppendResult {
    if (this.full || this.closed) return 'full';
    this.opened.push(batch.positionAt(i));
    return 'taken';
  }

  flush(): void {
    if (this.opened.length > 0) this.sent.push(this.opened);
    this.opened = [];
  }

  open(): number {
    return this.opened.length;
  }

  get inFlight(): number {
    return this.sent.length;
  }

  ready(): Promise<void> {
    if (this.closed) return Promise.reject(new IsthmusError('CLOSED', 'the writer was closed'));
    const room = deferred<void>();
    this.#room.push(room);
    return room.promise;
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const room of this.#room.splice(0)) room.reject(new IsthmusError('CLOSED', 'the writer was closed'));
  }
}

describe('Pump', () => {
  let time: VirtualTime;
  let reader: HandReader;
  let watermark: Watermark;
  let failure: AbortController;
  let recorder: LaneRecorder;
  /** As the target's clients count them; `undefined`: by number. */
  let partitions: readonly number[] | undefined;

  beforeEach(() => {
    recorder = SILENT_RECORDER.lane({ link: 'l', mirror: 'm', topic: 'orders', lane: 'a:0' });
    partitions = undefined;
    time = new VirtualTime();
    reader = new HandReader();
    watermark = new Watermark(offsetPosition(0));
    failure = new AbortController();
  });

  /** A pump of a mirror with a filter, over these writers; records go to the one of their key. */
  function pumpOver(
    writers: readonly LaneWriter[],
    rule: Partial<MirrorSpec> = {},
    writeDeadLetter: Sink['writeDeadLetter'] = async () => undefined,
  ): Pump {
    const spec: MirrorSpec = {
      ...makePlan(1).spec,
      filter: { tags: ['paid'], properties: {} },
      onBadRecord: 'stop-lane',
      ...rule,
    };
    const partitionOf: Sink['partitionOf'] = (batch, i, partitions) => (batch.major[i] ?? 0) % partitions;
    const sink: Pick<Sink, 'partitionOf' | 'writeDeadLetter'> = { partitionOf, writeDeadLetter };
    const source: Pick<Source, 'next'> = { next: ({ major }) => offsetPosition(major + 1) };
    const log = makeLog(() => undefined);
    return new Pump({
      context: {
        link: 'l',
        spec,
        sourceCluster: 'east',
        marks: plainMarks,
        windows: new MemoryStore(Math.random).windows(time.clock()),
        leases: new LeaseKeeper({
          store: new MemoryStore(Math.random).leases(time.clock()),
          owner: 'p',
          clock: time.clock(),
          log,
        }),
        targetCluster: 'west',
        // Of the two drivers a pump asks for these only.
        source: source as Source,
        sink: sink as Sink,
        budget: new ByteBudget(1_000),
        clock: time.clock(),
        log,
        random: () => 0.5,
      },
      plan: {
        lane: { topic: 'orders', lane: 'a:0' },
        targetTopic: 'orders-copy',
        partitions: partitions ?? writers.map((_, i) => i),
      },
      reader,
      writers: new Map(writers.map((writer, i) => [i, writer])),
      watermark,
      stored: new PositionSet(),
      recorder,
      log,
      failure: failure.signal,
      onGap: () => undefined,
      onRewind: () => undefined,
      onDropped: () => undefined,
      onDeadLetter: () => undefined,
    });
  }

  const offsets = (positions: readonly Position[]): number[] => positions.map(({ major }) => major);

  it('lets a lone record leave at once, and gathers what comes while it is on its way', async () => {
    const writer = new HandWriter();
    const pump = pumpOver([writer]);
    const done = pump.run();
    for (let i = 0; i < 3; i++) {
      reader.records(i, 1);
      await settle();
    }
    expect(writer.sent.map(offsets)).toEqual([[0]]);
    writer.sent.length = 0;
    pump.onRoom();
    expect(writer.sent.map(offsets)).toEqual([[1, 2]]);
    writer.sent.length = 0;
    await pump.drain(1_000);
    await done;
  });

  it.each([
    ['follow', true],
    ['stop', false],
  ] as const)('with onRecreated: %s goes on by itself in a topic that was made again: %s', async (onRecreated, retryable) => {
    const done = pumpOver([new HandWriter()], { onRecreated }).run();
    reader.give({ kind: 'gap', from: offsetPosition(9), to: offsetPosition(0), reason: 'recreated' });
    await expect(done).rejects.toMatchObject({ code: 'SOURCE_REWOUND', retryable });
  });

  it('passes over an empty batch, and gives it back', async () => {
    const writer = new HandWriter();
    const pump = pumpOver([writer]);
    const done = pump.run();
    reader.records(0, 4);
    const empty = makeBatch([], () => undefined);
    reader.give({ kind: 'records', batch: empty });
    reader.records(4, 1);
    await settle();
    watermark.stored({ first: offsetPosition(0), count: 4 });
    expect(watermark.next).toEqual(offsetPosition(4));
    writer.sent.length = 0;
    writer.opened = [];
    await pump.drain(1_000);
    await done;
  });

  it('fails with the error of the writer that gave up, while it waits for room in another one', async () => {
    const [stuck, failing] = [new HandWriter(), new HandWriter()];
    stuck.full = true;
    const pump = pumpOver([stuck, failing]);
    const done = pump.run();
    reader.records(0, 1);
    await settle();
    failure.abort(new IsthmusError('UNKNOWN_OUTCOME', 'the other one'));
    await expect(done).rejects.toMatchObject({ code: 'UNKNOWN_OUTCOME' });
    expect([stuck.closed, failing.closed, reader.closed]).toEqual([true, true, true]);
  });

  it('sends what all partitions have open before it waits for room in one', async () => {
    const [stuck, other] = [new HandWriter(), new HandWriter()];
    stuck.full = true;
    other.sent.push([]);
    const done = pumpOver([stuck, other]).run();
    reader.records(1, 2);
    await settle();
    expect(other.sent.map(offsets)).toEqual([[], [1]]);
    failure.abort(new IsthmusError('CLOSED', 'the test is over'));
    await expect(done).rejects.toThrow('the test is over');
  });

  it('stops reading when too much is not safe yet, and reads on when some of it is', async () => {
    const writer = new HandWriter();
    const pump = pumpOver([writer]);
    const done = pump.run();
    for (let i = 0; i < 9_000; i++) reader.records(i, 1);
    await settle();
    const taken = 9_000 - reader.deliveries.length;
    expect(taken).toBe(watermark.outstanding);
    expect(taken).toBeLessThan(9_000);
    watermark.stored({ first: offsetPosition(0), count: 100 });
    pump.onRoom();
    await settle();
    expect(9_000 - reader.deliveries.length).toBe(taken + 100);
    failure.abort(new IsthmusError('CLOSED', 'the test is over'));
    await expect(done).rejects.toThrow('the test is over');
  });

  it('runs no further ahead of a record that is not stored than a look at the target reckons with', {
    timeout: 30_000,
  }, async () => {
    const writers = [new HandWriter(), new HandWriter()];
    const done = pumpOver(writers).run();
    reader.records(0, 1);
    // Those that are dropped count as well.
    for (let i = 0; i < 20; i++) reader.records(1 + 4_000 * i, 4_000, 'open');
    await settle();
    expect(watermark.lead).toBeGreaterThanOrEqual(MAX_LEAD_RECORDS / 2);
    expect(watermark.lead).toBeLessThanOrEqual(MAX_LEAD_RECORDS / 2 + 4_000);
    failure.abort(new IsthmusError('CLOSED', 'the test is over'));
    await expect(done).rejects.toThrow('the test is over');
  });

  it('sends what all writers have open before a round has more records than a look at the target reckons with', async () => {
    const writers = [new HandWriter(), new HandWriter()];
    const done = pumpOver(writers).run();
    const size = 3_000;
    for (let i = 0; i < 7; i++) {
      reader.records(2 * i * size, size);
      reader.records((2 * i + 1) * size, size, 'open');
    }
    for (const writer of writers) writer.sent.push([]);
    await settle();
    const [even = [], odd = []] = writers.map(({ sent, opened }) => [...sent.slice(1), opened].map((round) => round.length));
    expect(even.slice(0, 2).map((count, i) => count + (odd[i] ?? 0))).toEqual([MAX_ROUND_RECORDS, MAX_ROUND_RECORDS]);
    expect(even.concat(odd).reduce((sum, count) => sum + count, 0)).toBe(7 * size);
    failure.abort(new IsthmusError('CLOSED', 'the test is over'));
    await expect(done).rejects.toThrow('the test is over');
  });

  it('counts the records of whole entries, and what is safe by entries', async () => {
    const counted = { read: 0, dropped: 0, damaged: 0 };
    recorder = {
      ...recorder,
      read: (records) => (counted.read += records),
      dropped: (_, records) => (counted.dropped += records),
      damagedMarks: (records) => (counted.damaged += records),
    };
    const writer = new HandWriter();
    const done = pumpOver([writer], { filter: { tags: [], properties: {} } }).run();
    const marks = [undefined, '1;west;t;0;5;5', 'no mark', undefined];
    const batch = makeBatch(
      marks.map((mark, offset) => ({ body: Buffer.from('x'), offset, storeTime: 0, ...(mark === undefined ? {} : { mark }) })),
      () => undefined,
    );
    batch.whole = true;
    batch.records.set([10, 20, 30, 40]);
    batch.end = offsetPosition(7);
    reader.give({ kind: 'records', batch });
    await settle();
    expect(offsets(writer.sent.flat())).toEqual([0, 2, 3]);
    expect(counted).toEqual({ read: 100, dropped: 20, damaged: 30 });
    watermark.stored({ first: offsetPosition(0), count: 1 });
    watermark.stored({ first: offsetPosition(2), count: 2 });
    expect(watermark.next).toEqual(offsetPosition(7));
    failure.abort(new IsthmusError('CLOSED', 'the test is over'));
    await expect(done).rejects.toThrow('the test is over');
  });

  it('gives a key the partition that the plan has at its place', async () => {
    const writers = [new HandWriter(), new HandWriter(), new HandWriter()];
    partitions = [2, 0, 1];
    const done = pumpOver(writers).run();
    reader.records(0, 3);
    await settle();
    expect(writers.map(({ sent }) => offsets(sent.flat()))).toEqual([[1], [2], [0]]);
    failure.abort(new IsthmusError('CLOSED', 'the test is over'));
    await expect(done).rejects.toThrow('the test is over');
  });

  it('stops in time when a writer never stores anything, and leaves the reader open for a last commit', async () => {
    const writer = new HandWriter();
    const pump = pumpOver([writer]);
    const done = pump.run();
    reader.records(0, 3);
    await settle();
    let drained = false;
    const draining = pump.drain(4_000).then(() => {
      drained = true;
    });
    await time.pass(3_900);
    expect(drained).toBe(false);
    await time.pass(200);
    expect(drained).toBe(true);
    expect(reader.closed).toBe(false);
    await Promise.all([draining, done]);
  });

  it('keeps the batch of a dead letter that is still being written when the lane ends', async () => {
    const writer = new HandWriter();
    writer.append = () => ({ refused: 'too large' });
    const letter = deferred<void>();
    const pump = pumpOver([writer], { onBadRecord: 'dead-letter' }, () => letter.promise);
    const done = pump.run();
    const batch = reader.records(0, 1);
    await settle();
    failure.abort(new IsthmusError('CLOSED', 'the test is over'));
    await expect(done).rejects.toThrow('the test is over');
    expect(batch.body(0).toString()).toBe('0');
    letter.resolve();
    await settle();
    expect(batch.count).toBe(0);
  });

  it('gives back a batch that arrives after it was told to stop', async () => {
    const pump = pumpOver([new HandWriter()]);
    const done = pump.run();
    await settle();
    await pump.drain(1_000);
    await done;
    const late = reader.records(0, 2);
    await settle();
    expect(late.count).toBe(0);
  });
});
