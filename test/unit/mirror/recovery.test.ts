import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { openEntryCluster, openQueueCluster } from '../../../src/drivers/memory/cluster.ts';
import { EntryBroker } from '../../../src/drivers/memory/entry-broker.ts';
import { MemoryNetwork, NO_FAULTS } from '../../../src/drivers/memory/network.ts';
import { QueueBroker } from '../../../src/drivers/memory/queue-broker.ts';
import {
  believedEnd,
  disbelieveBeyond,
  MAX_LEAD_RECORDS,
  partitionKey,
  type Recovery,
  recover,
} from '../../../src/mirror/recovery.ts';
import { BEFORE_ALL, comparePositions, offsetPosition, type Position } from '../../../src/model/position.ts';
import { formatProvenance } from '../../../src/model/provenance.ts';
import type { Clock } from '../../../src/spi/clock.ts';
import type { Checkpoint } from '../../../src/spi/state-store.ts';
import { SeededRandom } from '../../simulation/random.ts';

const LANE = { topic: 'orders', lane: 'broker-a:0' };
const TARGET = 'orders-copy';
const GROUP = 'g';

/** Waiting takes no time. */
const clock: Clock = { now: () => 0, monotonic: () => 0, sleep: async () => undefined, timer: () => () => undefined };

/** A lane's past: attempts that stored some records of what they read, and others that write into the same partitions. */
class Past {
  readonly random: SeededRandom;
  readonly target: EntryBroker;
  readonly source = new QueueBroker(clock);
  readonly partitions: number;
  readonly stored = new Set<number>();
  readonly records: number;
  /** Distance between the offsets of neighbouring records: between them lie others that a filter drops. */
  readonly stride: number;

  constructor(seed: number, records: number, partitions: number, stride = 1) {
    this.random = new SeededRandom(seed);
    this.target = new EntryBroker(clock, this.random.next);
    this.records = records;
    this.stride = stride;
    this.partitions = partitions;
    this.target.ensureTopic(TARGET, partitions);
    this.source.addQueues('orders', 'broker-a', 1);
    for (let i = 0; i < records * stride; i++) this.source.produce('orders', LANE.lane, { body: Buffer.from(String(i)) });
  }

  /** The first record that is not stored. */
  get next(): number {
    for (let i = 0; ; i += this.stride) if (!this.stored.has(i)) return i;
  }

  get end(): number {
    return this.records * this.stride;
  }

  /** Reads on from the first record that is not stored, in rounds; each partition stores what it was sent up to some entry. */
  attempt(perKey: boolean): void {
    const left = Array.from({ length: this.partitions }, () => this.random.between(0, 40));
    const end = Math.min(this.end, this.next + this.random.between(0, 120) * this.stride);
    for (let at = this.next; at < end; ) {
      const round: number[] = [];
      for (let count = this.random.between(1, 15); count > 0 && at < end; count--, at += this.stride)
        if (!this.stored.has(at)) round.push(at);
      for (const group of this.#groups(round, perKey)) {
        const partition = this.#partitionOf(group[0] ?? 0);
        if ((left[partition] ?? 0) <= 0) continue;
        left[partition] = (left[partition] ?? 0) - 1;
        this.store(partition, group);
        if (this.random.chance(0.3)) this.others(this.random.between(0, this.partitions - 1));
      }
    }
  }

  #keyOf(offset: number): number {
    return (offset / this.stride) % 7;
  }

  #partitionOf(offset: number): number {
    return this.#keyOf(offset) % this.partitions;
  }

  /** Records that go into one entry: those of a partition, or of one of its keys. */
  #groups(round: readonly number[], perKey: boolean): number[][] {
    return [...Map.groupBy(round, (offset) => (perKey ? this.#keyOf(offset) : this.#partitionOf(offset))).values()];
  }

  store(partition: number, positions: readonly number[]): void {
    const runs = positions.map((offset) => ({ first: offsetPosition(offset), count: 1 }));
    this.target.store(TARGET, partition, {
      records: [],
      mark: formatProvenance({ cluster: 'east', ...LANE, runs, time: 1, passed: [] }),
    });
    for (const offset of positions) this.stored.add(offset);
  }

  /** An entry without a mark, or one of another lane, topic or cluster with the same positions. */
  others(partition: number): void {
    const name = this.random.pick([
      { cluster: 'east', topic: 'orders', lane: 'broker-a:1' },
      { cluster: 'east', topic: 'orders-b', lane: LANE.lane },
      { cluster: 'north', topic: 'orders', lane: LANE.lane },
    ]);
    const runs = [{ first: offsetPosition(this.random.between(0, this.records)), count: this.random.between(1, 50) }];
    const mark = this.random.chance(0.2) ? undefined : formatProvenance({ ...name, runs, time: 1, passed: [] });
    this.target.store(TARGET, partition, { records: [], mark });
  }

  /** A checkpoint of this moment. */
  checkpoint(partitions: readonly number[]): Checkpoint {
    const { next } = this;
    const targets = Object.fromEntries(
      partitions.map((partition) => [partitionKey(TARGET, partition), this.safePlace(partition, next)]),
    );
    return { lane: LANE, next: offsetPosition(next), targets, time: 1 };
  }

  safePlace(partition: number, next: number): Position {
    const marks = this.target.entries(TARGET, partition);
    const firstOpen = marks.findIndex(({ mark }) => highest(mark) >= next);
    return marks.slice(0, firstOpen < 0 ? marks.length : firstOpen).at(-1)?.position ?? BEFORE_ALL;
  }

  async recover(checkpoint: Checkpoint | undefined, partitions = this.all): Promise<Recovery> {
    const network = new MemoryNetwork(clock, this.random.next, () => NO_FAULTS);
    const { source } = openQueueCluster('east', this.source, network);
    const { sink } = openEntryCluster('west', this.target, network);
    if (source === undefined || sink === undefined) throw new Error('no driver');
    const plan = {
      sourceCluster: 'east',
      lane: LANE,
      targetTopic: TARGET,
      partitions,
      start: 'earliest' as const,
      group: GROUP,
      checkpoint,
    };
    const recovery = await recover(source, sink, plan);
    const end = await believedEnd(recovery, source, LANE, clock, new AbortController().signal);
    if (end !== undefined) disbelieveBeyond(recovery, end);
    return recovery;
  }

  get all(): number[] {
    return Array.from({ length: this.partitions }, (_, partition) => partition);
  }

  /** What breaks (R1) to (R3), and places that hide what is not safe from the next look. */
  faults({ from, stored, targets }: Recovery): string[] {
    const faults: string[] = [];
    if (from.major > this.next) faults.push(`begins at ${from.major}, but ${this.next} is not stored`);
    for (let i = from.major; i < this.end; i++) {
      const [found, there] = [stored.has(offsetPosition(i)), this.stored.has(i)];
      if (found !== there) faults.push(`${i} is ${there ? '' : 'not '}stored, and was ${found ? '' : 'not '}found`);
    }
    for (const [partition, place] of targets) {
      const safe = { ...this.safePlace(partition, from.major), index: 0 };
      if (comparePositions(place, safe) > 0) faults.push(`the next look at ${partition} begins too late`);
    }
    return faults;
  }
}

/** The highest position of our lane that a mark speaks of; -1 when it is not ours. */
function highest(mark: string | undefined): number {
  const ours = `1;east;${LANE.topic};${LANE.lane};`;
  if (mark?.startsWith(ours) !== true) return -1;
  return Math.max(...(mark.slice(ours.length).split(';')[0] ?? '').split(',').map(Number));
}

const seed = fc.integer({ min: 1, max: 2 ** 31 });
const setting = fc.record({
  seed,
  records: fc.integer({ min: 1, max: 600 }),
  partitions: fc.integer({ min: 1, max: 4 }),
  perKey: fc.boolean(),
  before: fc.nat(6),
  after: fc.nat(4),
});

describe('recovery', { timeout: 60_000 }, () => {
  it('finds from any checkpoint what is stored and nothing else, whatever came after it', async () => {
    const property = fc.asyncProperty(setting, async ({ seed: s, records, partitions, perKey, before, after }) => {
      const past = new Past(s, records, partitions);
      for (let i = 0; i < before; i++) past.attempt(perKey);
      const checkpoint = past.checkpoint(past.all);
      for (let i = 0; i < after; i++) past.attempt(perKey);
      expect(past.faults(await past.recover(checkpoint))).toEqual([]);
    });
    await fc.assert(property, { numRuns: 300 });
  });

  it.each([1, 50])(
    'finds the same without a checkpoint from any offset that was committed, with %i offsets per record',
    async (stride) => {
      const property = fc.asyncProperty(setting, async ({ seed: s, records, partitions, perKey, before, after }) => {
        const past = new Past(s, records, partitions, stride);
        for (let i = 0; i < before; i++) past.attempt(perKey);
        past.source.commit('orders', LANE.lane, GROUP, past.next);
        for (let i = 0; i < after; i++) past.attempt(perKey);
        expect(past.faults(await past.recover(undefined))).toEqual([]);
      });
      await fc.assert(property, { numRuns: 150 });
    },
  );

  it('finds what a lane wrote before its routing was changed', async () => {
    const property = fc.asyncProperty(setting, async ({ seed: s, records, perKey, before, after }) => {
      const past = new Past(s, records, 3);
      for (let i = 0; i < before; i++) past.attempt(perKey);
      const checkpoint = past.checkpoint(past.all);
      for (let i = 0; i < after; i++) past.attempt(perKey);
      expect(past.faults(await past.recover(checkpoint, [1]))).toEqual([]);
    });
    await fc.assert(property, { numRuns: 100 });
  });
});

describe('a round of one key per batch', () => {
  it('is looked at whole: its last record may lie before all others', async () => {
    const past = new Past(1, 9_000, 1);
    past.store(0, [8_999]);
    for (let i = 0; i < 64; i++) past.store(0, [i]);
    past.source.commit('orders', LANE.lane, GROUP, 10);
    expect(past.faults(await past.recover(undefined))).toEqual([]);
  });
});

describe('recovery without any state', { timeout: 60_000 }, () => {
  let past: Past;
  beforeEach(() => {
    past = new Past(1, 50, 1);
  });

  it('starts a lane that left no trace by the rule of its mirror', async () => {
    past.others(0);
    const { from, stored } = await past.recover(undefined);
    expect(from).toEqual(offsetPosition(0));
    expect(stored.empty).toBe(true);
  });

  it('goes on at the first record in view of a lane that left marks', async () => {
    past.store(0, [10, 11, 12]);
    past.store(0, [13]);
    const { from, stored } = await past.recover(undefined);
    expect(from).toEqual(offsetPosition(10));
    expect(stored.end).toEqual(offsetPosition(14));
  });

  it('finds all that several partitions have, and leaves nothing out, whatever was stored before the wipe', async () => {
    const several = setting.filter(({ partitions }) => partitions > 1);
    const property = fc.asyncProperty(several, async ({ seed: s, records, partitions, perKey, before, after }) => {
      const wiped = new Past(s, records, partitions);
      for (let i = 0; i < before + after; i++) wiped.attempt(perKey);
      expect(wiped.faults(await wiped.recover(undefined))).toEqual([]);
    });
    await fc.assert(property, { numRuns: 300 });
  });

  it('leaves nothing out of a partition that was far behind, whose end the others have left long ago', async () => {
    const behind = new Past(1, 30_000, 2);
    for (let i = 0; i < 30_000; i += 2) {
      behind.store(1, [i + 1]);
      if (i < 500) behind.store(0, [i]);
    }
    expect(behind.faults(await behind.recover(undefined))).toEqual([]);
  });

  it('leaves nothing out where the partition that was behind shows no mark at all, and says that others may be written again', async () => {
    const behind = new Past(1, 30_000, 2);
    for (let i = 1; i < 20_000; i += 2) behind.store(1, [i]);
    for (let i = 0; i < 165_000; i++) behind.target.store(TARGET, 1, { records: [], mark: undefined });
    for (let i = 20_001; i < 30_000; i += 2) behind.store(1, [i]);
    for (let i = 0; i < 10_500; i++) behind.target.store(TARGET, 0, { records: [], mark: undefined });
    const recovery = await behind.recover(undefined);
    expect(recovery.from).toEqual(offsetPosition(0));
    expect(recovery.inPart).toEqual([1]);
    expect([19_999, 20_001].map((i) => recovery.stored.has(offsetPosition(i)))).toEqual([false, true]);
  });

  it('goes back no further than a lead can be, by what it sees or by the source', async () => {
    const long = new Past(1, 2 * MAX_LEAD_RECORDS, 2);
    const stored = (from: number): number[] => Array.from({ length: 64 }, (_, i) => from + 2 * i);
    for (let i = 0; i < 2 * MAX_LEAD_RECORDS; i += 128) {
      long.store(0, stored(i));
      long.store(1, stored(i + 1));
    }
    expect((await long.recover(undefined)).from).toEqual(offsetPosition(MAX_LEAD_RECORDS));
    const hidden = new Past(1, 2 * MAX_LEAD_RECORDS, 2);
    for (let i = 0; i < 10_500; i++) hidden.target.store(TARGET, 0, { records: [], mark: undefined });
    hidden.store(0, [2 * MAX_LEAD_RECORDS - 1]);
    expect((await hidden.recover(undefined)).from).toEqual(offsetPosition(MAX_LEAD_RECORDS));
  });

  it('reads none of what others write while a lane is idle a second time', async () => {
    past.store(0, [0, 1]);
    const checkpoint = past.checkpoint([0]);
    for (let i = 0; i < 30; i++) past.others(0);
    const first = await past.recover(checkpoint);
    const targets = Object.fromEntries([...first.targets].map(([partition, place]) => [partitionKey(TARGET, partition), place]));
    const second = await past.recover({ ...checkpoint, targets });
    expect(second.entriesRead).toBeLessThan(first.entriesRead / 2);
  });
});

describe('a source that went back', () => {
  it('makes marks of records that it does not have unbelievable, and the next look begins behind them', async () => {
    const past = new Past(1, 8, 1);
    const checkpoint = past.checkpoint([0]);
    past.store(0, [0, 1, 2, 3]);
    past.store(0, [6, 7, 8, 9]);
    past.store(0, [10, 11]);
    const { stored, found } = await past.recover(checkpoint);
    expect([5, 6, 7, 8, 9, 10].map((i) => stored.has(offsetPosition(i)))).toEqual([false, true, true, false, false, false]);
    expect(found.map(({ runs }) => runs.reduce((sum, { count }) => sum + count, 0))).toEqual([4, 2, 0]);
  });
});
