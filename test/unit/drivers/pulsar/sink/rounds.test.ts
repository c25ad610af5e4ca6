import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Entry } from '../../../../../src/drivers/pulsar/sink/entry.ts';
import { KeyedRound } from '../../../../../src/drivers/pulsar/sink/keyed-round.ts';
import { encodeRecord, recordBound } from '../../../../../src/drivers/pulsar/sink/record-encoder.ts';
import { MixedRound, type Round } from '../../../../../src/drivers/pulsar/sink/round.ts';
import { SequenceIds } from '../../../../../src/drivers/pulsar/sink/sequence-ids.ts';
import { ByteBudget } from '../../../../../src/lib/byte-budget.ts';
import { type EncodeRecord, MAX_BATCH_RECORDS, SLAB_BYTES, SlabPool } from '../../../../../src/lib/slab.ts';
import { comparePositions, entryPosition } from '../../../../../src/model/position.ts';
import { formatRuns } from '../../../../../src/model/provenance.ts';
import { batchOf, type TestRecord } from '../../../../kit/pulsar-writing.ts';

const encode: EncodeRecord = (batch, i, target, at) => encodeRecord(batch, i, target, at, (mark) => mark);
const ROUND = { limitBytes: SLAB_BYTES, schemaVersion: Buffer.alloc(0), encode };

function gather(
  make: typeof MixedRound | typeof KeyedRound,
  records: readonly TestRecord[],
  pool = poolOf(new ByteBudget(2 ** 26)),
  ids = new SequenceIds(),
) {
  const batch = batchOf(records);
  const slab = pool.take(SLAB_BYTES, true);
  if (slab === undefined) throw new Error('no slab');
  const round: Round = new make(slab, pool, ROUND);
  let taken = 0;
  while (taken < records.length && round.fits(recordBound(batch, taken), batch, taken)) round.append(batch, taken++);
  return { entries: round.seal({ compression: 'none', now: 5, ids }), taken };
}

function poolOf(budget: ByteBudget): SlabPool {
  return new SlabPool(budget);
}

function offsetsOf(entry: Entry): number[] {
  return entry.runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, k) => first.major + k));
}

/** Ascending offsets with gaps, each with one of some keys or none. */
const history = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.option(fc.integer({ min: 0, max: 6 }))), { minLength: 1, maxLength: 120 })
  .map((steps) => {
    let offset = 1000;
    return steps.map(([step, key]): TestRecord => {
      offset += step;
      return { offset, body: `body of ${offset}`, storeTime: offset * 10, ...(key === null ? {} : { key: `key-${key}` }) };
    });
  });

describe('a mixed round', () => {
  it('is one entry that names the first and the last offset and all runs between', () => {
    fc.assert(
      fc.property(history, (records) => {
        const { entries } = gather(MixedRound, records);
        expect(entries).toHaveLength(1);
        const [entry] = entries;
        const offsets = records.map(({ offset }) => offset);
        expect(entry).toMatchObject({
          sequenceId: offsets[0],
          highestSequenceId: offsets.at(-1),
          count: records.length,
          sourceStoreTime: (offsets[0] ?? 0) * 10,
          endsRound: true,
        });
        expect(entry === undefined ? [] : offsetsOf(entry)).toEqual(offsets);
      }),
    );
  });

  it('ends at its most records', () => {
    const records = Array.from({ length: MAX_BATCH_RECORDS + 5 }, (_, offset): TestRecord => ({ offset, body: '' }));
    expect(gather(MixedRound, records).taken).toBe(MAX_BATCH_RECORDS);
  });

  it('ends before its slab runs over', () => {
    const records = Array.from({ length: 100 }, (_, offset): TestRecord => ({ offset, body: Buffer.alloc(10_000) }));
    const { taken, entries } = gather(MixedRound, records);
    expect(taken).toBe(26);
    expect(entries[0]?.payload.length).toBeLessThanOrEqual(SLAB_BYTES);
  });
});

describe('a keyed round', () => {
  it('has one entry per key, in order of first records, with ids that ascend and stay below the next round', () => {
    fc.assert(
      fc.property(history, (records) => {
        const { entries } = gather(KeyedRound, records);
        const keys = [...new Set(records.map(({ key }) => key))];
        expect(entries.map((entry) => entry.batch?.key?.bytes.toString())).toEqual(keys);
        for (const [j, entry] of entries.entries()) {
          const own = records.filter(({ key }) => key === keys[j]);
          expect(offsetsOf(entry)).toEqual(own.map(({ offset }) => offset));
          expect(entry).toMatchObject({
            count: own.length,
            sourceStoreTime: own[0]?.storeTime,
            sequenceId: (records[0]?.offset ?? 0) + j,
          });
          expect(entry.sequenceId).toBeLessThanOrEqual(records.at(-1)?.offset ?? 0);
          for (const { body } of own) expect(entry.payload.includes(body)).toBe(true);
        }
        expect(entries.map(({ endsRound }) => endsRound)).toEqual(entries.map((_, j) => j === entries.length - 1));
        const bytes = entries.reduce((sum, { payload }) => sum + payload.length, 0);
        expect(bytes).toBe(gather(MixedRound, records).entries[0]?.payload.length);
      }),
    );
  });

  it('takes records of known keys when it can take no more keys', () => {
    const records = Array.from(
      { length: 600 },
      (_, offset): TestRecord => ({ offset, body: '', key: `key-${offset < 256 ? offset : offset % 256}` }),
    );
    expect(gather(KeyedRound, records).taken).toBe(600);
    const fresh = [...records.slice(0, 300), { offset: 300, body: '', key: 'one more' }];
    expect(gather(KeyedRound, fresh).taken).toBe(300);
  });
});

describe('rounds of records that came from a Pulsar', () => {
  const at = (major: number, minor: number, index = -1) => ({
    offset: 0,
    body: 'b',
    position: entryPosition(major, minor, index),
  });

  it('get ids that only grow, whatever entries their records lay in', () => {
    const positions = fc.array(
      fc.record({
        ledger: fc.integer({ min: 0, max: 3 }),
        entry: fc.integer({ min: 0, max: 100_000 }),
        index: fc.integer({ min: 0, max: 9 }),
      }),
      { minLength: 1, maxLength: 60 },
    );
    fc.assert(
      fc.property(positions, fc.integer({ min: 1, max: 7 }), fc.integer({ min: -1, max: 2 ** 34 }), (places, size, accepted) => {
        const sorted = places
          .map(({ ledger, entry, index }) => entryPosition(ledger, entry, index))
          .sort(comparePositions)
          .map((position): TestRecord => ({ offset: 0, body: 'b', position, key: `key-${position.index}` }));
        const ids = new SequenceIds();
        ids.raise(accepted);
        let last = accepted;
        for (let from = 0; from < sorted.length; from += size) {
          const make = from % 2 === 0 ? MixedRound : KeyedRound;
          for (const { sequenceId, highestSequenceId } of gather(
            make,
            sorted.slice(from, from + size),
            poolOf(new ByteBudget(2 ** 26)),
            ids,
          ).entries) {
            expect(sequenceId).toBeGreaterThan(last);
            expect(highestSequenceId).toBeGreaterThanOrEqual(sequenceId);
            last = highestSequenceId;
          }
        }
      }),
    );
  });

  it('name ledger and entry in their ids where they can', () => {
    const [entry] = gather(MixedRound, [at(812, 45, 0), at(812, 45, 1), at(812, 47)]).entries;
    expect(entry).toMatchObject({ sequenceId: 812 * 65_536 + 45, highestSequenceId: 812 * 65_536 + 47 });
    expect(entry?.runs).toEqual([
      { first: entryPosition(812, 45, 0), count: 2 },
      { first: entryPosition(812, 47), count: 1 },
    ]);
  });

  it.each([
    ['mixed', MixedRound],
    ['keyed', KeyedRound],
  ] as const)('end before the mark of a %s one gets long', (_, make) => {
    const records = Array.from({ length: 1000 }, (__, k): TestRecord => ({ ...at(2 ** 31 + k, 2 * k, 7), key: 'k' }));
    const { taken, entries } = gather(make, records);
    expect(taken).toBeLessThan(500);
    expect(formatRuns(entries[0]?.runs ?? []).length).toBeGreaterThan(6 * 1024);
    expect(formatRuns(entries[0]?.runs ?? []).length).toBeLessThanOrEqual(8 * 1024);
  });

  it('say whether records in them have marks of their own', () => {
    const records: TestRecord[] = [
      { ...at(1, 1, 0), key: 'a' },
      { ...at(1, 1, 1), key: 'b', mark: '1;c;t;l;5;0' },
    ];
    const inner = (make: typeof MixedRound | typeof KeyedRound) =>
      gather(make, records).entries.map(({ batch }) => batch?.innerMarks);
    expect(inner(MixedRound)).toEqual([true]);
    expect(inner(KeyedRound)).toEqual([false, true]);
  });

  it('go by the ordering key first, and tell keys of text from keys of bytes', () => {
    const records: TestRecord[] = [
      { ...at(1, 1, 0), key: 'AP8=', orderingKey: Buffer.from('o') },
      { ...at(1, 1, 1), key: 'AP8=' },
      { ...at(1, 1, 2), key: 'AP8=', keyIsBase64: true },
      { ...at(1, 1, 3), key: 'other', orderingKey: Buffer.from('o') },
    ];
    const { entries } = gather(KeyedRound, records);
    expect(
      entries.map(({ count, batch }) => [count, batch?.key?.kind, batch?.key?.bytes.toString(), batch?.key?.isBase64]),
    ).toEqual([
      [2, 'ordering', 'o', false],
      [1, 'partition', 'AP8=', false],
      [1, 'partition', 'AP8=', true],
    ]);
  });
});

describe('the bytes of rounds', () => {
  it.each([
    ['mixed', MixedRound],
    ['keyed', KeyedRound],
  ] as const)('are all given back when the entries of a %s round are stored or given up', (_, make) => {
    fc.assert(
      fc.property(history, fc.integer({ min: 1, max: 20_000 }), fc.boolean(), (records, bodyBytes, stored) => {
        const budget = new ByteBudget(2 ** 26);
        const big = records.map((record) => ({ ...record, body: Buffer.alloc(bodyBytes) }));
        const { entries } = gather(make, big, poolOf(budget));
        expect(budget.usedBytes).toBeGreaterThan(0);
        for (const { held } of entries) {
          if (stored) held.release();
          else held.abandon();
        }
        expect(budget.usedBytes).toBe(0);
      }),
    );
  });

  it('of a small batch are a copy, so that slow lanes do not hold a slab each', () => {
    const budget = new ByteBudget(2 ** 26);
    gather(MixedRound, [{ offset: 0, body: 'small' }], poolOf(budget));
    expect(budget.usedBytes).toBeLessThan(100);
  });

  it('that were given up are never used again, for a socket may still read them', () => {
    const pool = poolOf(new ByteBudget(2 ** 26));
    const records = Array.from({ length: 20 }, (_, offset): TestRecord => ({ offset, body: Buffer.alloc(10_000, 1) }));
    const [first] = gather(MixedRound, records, pool).entries;
    first?.held.abandon();
    const [second] = gather(MixedRound, records, pool).entries;
    expect(second?.payload.buffer).not.toBe(first?.payload.buffer);
    second?.held.release();
    const [third] = gather(MixedRound, records, pool).entries;
    expect(third?.payload.buffer).toBe(second?.payload.buffer);
  });
});
