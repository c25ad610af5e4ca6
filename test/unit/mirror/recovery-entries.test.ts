import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openEntryCluster } from '../../../src/drivers/memory/cluster.ts';
import { EntryBroker } from '../../../src/drivers/memory/entry-broker.ts';
import { MemoryNetwork, NO_FAULTS } from '../../../src/drivers/memory/network.ts';
import { MAX_ROUND_RECORDS, partitionKey, type Recovery, recover, wholeFrom } from '../../../src/mirror/recovery.ts';
import { BEFORE_ALL, comparePositions, entryPosition, formatPosition, type Position } from '../../../src/model/position.ts';
import { formatProvenance, type PositionRun, parseProvenance, readPlace } from '../../../src/model/provenance.ts';
import type { Clock } from '../../../src/spi/clock.ts';
import type { Checkpoint } from '../../../src/spi/state-store.ts';
import { SeededRandom } from '../../simulation/random.ts';

const LANE = { topic: 'orders', lane: '0' };
const TARGET = 'orders-copy';

/** Waiting takes no time. */
const clock: Clock = { now: () => 0, monotonic: () => 0, sleep: async () => undefined, timer: () => () => undefined };

/** An entry of the source: its batch's records, or a single message without a batch. */
interface Entry {
  readonly at: Position;
  readonly records: readonly Position[];
}

/** What an attempt hands to a writer at a time: an entry, or a record. */
interface Row {
  readonly at: Position;
  readonly end: Position;
  readonly records: readonly Position[];
}

interface Mode {
  readonly whole: boolean;
  readonly perKey: boolean;
  /** Drops a third of the records. */
  readonly filter: boolean;
}

const name = formatPosition;

/** A lane of entries over several ledgers, whose mirror is killed and changed again and again. */
class Past {
  readonly random: SeededRandom;
  readonly target: EntryBroker;
  readonly entries: readonly Entry[];
  /** How often each record was stored. */
  readonly stored = new Map<string, number>();
  readonly dropped = new Set<string>();
  checkpoint: Checkpoint | undefined;
  committed: Position | undefined;
  readonly faults: string[] = [];

  constructor(seed: number, size: number) {
    this.random = new SeededRandom(seed);
    this.target = new EntryBroker(clock, this.random.next);
    this.target.ensureTopic(TARGET, 2);
    this.entries = Array.from({ length: size }, (_, i) => {
      const at = entryPosition(100 + 7 * Math.floor(i / 9), i % 9);
      const batch = this.random.chance(0.6) ? this.random.between(1, 6) : 0;
      return { at, records: batch === 0 ? [at] : Array.from({ length: batch }, (_each, index) => ({ ...at, index })) };
    });
  }

  get end(): Position {
    const last = this.entries.at(-1)?.at ?? entryPosition(100, -1);
    return { ...last, minor: last.minor + 1 };
  }

  async recover(): Promise<Recovery> {
    const { sink } = openEntryCluster('west', this.target, new MemoryNetwork(clock, this.random.next, () => NO_FAULTS));
    if (sink === undefined) throw new Error('no driver');
    const source = { committed: async () => this.committed, resolveStart: async () => entryPosition(100, 0) };
    const plan = {
      sourceCluster: 'east',
      lane: LANE,
      targetTopic: TARGET,
      partitions: [0, 1],
      start: 'earliest' as const,
      group: 'g',
    };
    return await recover(source, sink, { ...plan, checkpoint: this.checkpoint });
  }

  /** The rows that a reader delivers from a place on. */
  rows(from: Position, entriesFrom: Position | undefined): Row[] {
    return this.entries.flatMap(({ at, records }) => {
      const after = { ...at, minor: at.minor + 1 };
      if (entriesFrom !== undefined && comparePositions(at, entriesFrom) >= 0) return [{ at, end: after, records }];
      return records
        .map((record, i) => {
          const end = i + 1 === records.length ? after : { ...record, index: record.index + 1 };
          return { at: record, end, records: [record] };
        })
        .filter((row) => comparePositions(row.at, from) >= 0);
    });
  }

  /** Recovers, reads on in rounds, and ends when the partitions have stored as many entries as they may. */
  async attempt(mode: Mode, entriesLeft: number): Promise<void> {
    const recovery = await this.recover();
    const entriesFrom = mode.whole ? wholeFrom(recovery) : undefined;
    const rows = this.rows(recovery.from, entriesFrom).filter(({ at }) => comparePositions(at, recovery.from) >= 0);
    for (const row of this.rows(BEFORE_ALL, undefined)) {
      if (comparePositions(row.at, recovery.from) < 0 && !this.isDone(row)) this.faults.push(`begins behind ${name(row.at)}`);
    }
    const left = [entriesLeft, entriesLeft];
    for (let at = 0; at < rows.length; ) {
      const round = rows.slice(at, (at += this.random.between(1, 12)));
      const wanted = round.filter((row) => !this.isFound(row, recovery, mode) && !this.isFiltered(row, mode));
      for (const group of groupsOf(wanted, mode)) {
        const partition = mode.whole ? 0 : partitionOf(group);
        if ((left[partition] ?? 0) <= 0) continue;
        left[partition] = (left[partition] ?? 0) - 1;
        this.store(partition, group);
      }
    }
    this.progress(recovery.from, rows);
  }

  isFound({ at, records }: Row, { stored }: Recovery, { whole }: Mode): boolean {
    const single = records.length === 1 && comparePositions(at, records[0] ?? at) === 0;
    const found = whole && !single ? stored.hasEntry(at, records.length) : stored.has(at);
    const there = records.every((record) => this.stored.has(name(record)));
    if (found !== there) this.faults.push(`${name(at)} is ${there ? '' : 'not '}stored, and was ${found ? '' : 'not '}found`);
    return found;
  }

  isFiltered({ records }: Row, { filter }: Mode): boolean {
    const drop = filter && records.every(({ minor, index }) => (minor + index + 1) % 3 === 0);
    if (drop) for (const record of records) this.dropped.add(name(record));
    return drop;
  }

  isDone({ records }: Row): boolean {
    return records.every((record) => this.stored.has(name(record)) || this.dropped.has(name(record)));
  }

  store(partition: number, rows: readonly Row[]): void {
    const runs = rows.map(({ at }) => ({ first: at, count: 1 }));
    this.target.store(TARGET, partition, { records: [], mark: this.mark(runs) });
    for (const record of rows.flatMap(({ records }) => records)) {
      this.stored.set(name(record), (this.stored.get(name(record)) ?? 0) + 1);
    }
  }

  /** Of records that came from elsewhere the mark has the origin first. */
  mark(runs: readonly PositionRun[]): string {
    const foreign = this.random.chance(0.3);
    const origin = {
      cluster: 'north',
      topic: 't',
      lane: 'n:0',
      runs: [{ first: { major: 5, minor: -1, index: -1 }, count: 1 }],
      time: 1,
    };
    return foreign
      ? formatProvenance({ ...origin, passed: ['south', 'east'], via: { ...LANE, runs } })
      : formatProvenance({ cluster: 'east', ...LANE, runs, time: 1, passed: [] });
  }

  /** What the lane knew when it was killed: of the last attempt, or of none since an earlier checkpoint. */
  progress(from: Position, rows: readonly Row[]): void {
    const open = rows.find((row) => !this.isDone(row));
    const next = open?.at ?? rows.at(-1)?.end ?? from;
    if (this.random.chance(0.3)) this.committed = next;
    if (this.random.chance(0.5)) this.checkpoint = this.checkpointAt(next);
  }

  checkpointAt(next: Position): Checkpoint {
    const targets = Object.fromEntries(
      [0, 1].map((partition) => [partitionKey(TARGET, partition), this.safePlace(partition, next)]),
    );
    return { lane: LANE, next, targets, time: 1 };
  }

  safePlace(partition: number, next: Position): Position {
    const entries = this.target.entries(TARGET, partition);
    const open = entries.findIndex(({ mark }) => comparePositions(lastOf(mark), next) >= 0);
    return entries.slice(0, open < 0 ? entries.length : open).at(-1)?.position ?? BEFORE_ALL;
  }
}

function lastOf(mark: string | undefined): Position {
  const provenance = parseProvenance(mark ?? '');
  return (provenance === undefined ? undefined : readPlace(provenance).runs.at(-1)?.first) ?? BEFORE_ALL;
}

/** Whole entries alone; records of a round by their partition, or by their key. */
function groupsOf(rows: readonly Row[], { whole, perKey }: Mode): Row[][] {
  if (whole) return rows.map((row) => [row]);
  return [...Map.groupBy(rows, (row) => (perKey ? keyOf(row) : partitionOf([row]))).values()];
}

const keyOf = ({ at }: Row): number => (at.major + at.minor + at.index + 1) % 5;
const partitionOf = ([row]: readonly Row[]): number => (row === undefined ? 0 : keyOf(row) % 2);

const modes = fc.array(fc.record({ whole: fc.boolean(), perKey: fc.boolean(), filter: fc.boolean() }), { maxLength: 6 });

describe('recovery of a lane of entries', { timeout: 60_000 }, () => {
  it('stores every record once, whatever the mirror passed whole, took apart or filtered before', async () => {
    const property = fc.asyncProperty(fc.integer(), fc.nat(60), modes, fc.boolean(), async (seed, size, history, wiped) => {
      const past = new Past(seed, size);
      past.committed = entryPosition(100, 0);
      for (const mode of history) {
        const usual = mode.whole ? { ...mode, filter: false } : mode;
        await past.attempt(usual, past.random.between(0, 9));
      }
      if (wiped) past.checkpoint = undefined;
      await past.attempt({ whole: past.random.chance(0.5), perKey: false, filter: false }, Number.POSITIVE_INFINITY);
      for (const row of past.rows(BEFORE_ALL, undefined)) {
        if (!past.isDone(row)) past.faults.push(`${name(row.at)} is lost`);
      }
      for (const [record, times] of past.stored) if (times > 1) past.faults.push(`${record} is stored ${times} times`);
      expect(past.faults).toEqual([]);
    });
    await fc.assert(property, { numRuns: 200 });
  });

  it('takes the entry apart in which the lane goes on, and all up to the last one that is stored in part', async () => {
    const past = new Past(1, 0);
    const from = async (next: Position, ...stored: Position[]): Promise<string> => {
      past.checkpoint = { lane: LANE, next, targets: {}, time: 1 };
      for (const at of stored) past.store(0, [{ at, end: at, records: [at] }]);
      return name(wholeFrom(await past.recover()));
    };
    expect(await from(entryPosition(812, 45))).toBe('812:45');
    expect(await from(entryPosition(812, 45, 0))).toBe('812:46');
    expect(await from(entryPosition(812, 45, 3))).toBe('812:46');
    expect(await from(entryPosition(812, 45), entryPosition(812, 60), entryPosition(815, 2))).toBe('812:45');
    expect(await from(entryPosition(812, 45), entryPosition(813, 7, 4))).toBe('813:8');
  });

  it('looks as far back as a round may reach, however far apart its positions lie', async () => {
    const past = new Past(1, 0);
    const row = (i: number): Row => ({ at: entryPosition(100 + i, 0, 0), end: BEFORE_ALL, records: [] });
    const last = row(MAX_ROUND_RECORDS - 1);
    past.committed = last.at;
    past.store(0, [last]);
    // In 4096 entries: as many as one of the steps back shows.
    past.store(0, [row(0)]);
    for (let i = 1; i < MAX_ROUND_RECORDS - 1; i += 2) past.store(0, [row(i), row(i + 1)]);
    expect((await past.recover()).stored.has(last.at)).toBe(true);
  });
});
