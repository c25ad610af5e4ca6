import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeBatch } from '../../../src/drivers/memory/batch.ts';
import { CutIndex, type CutRecords } from '../../../src/mirror/cut-index.ts';
import { CutPlaces } from '../../../src/mirror/stages/cut-places.ts';
import { loopCut } from '../../../src/mirror/stages/loop-cut.ts';
import { offsetPosition as at, entryPosition, formatPosition, type Position } from '../../../src/model/position.ts';
import { formatProvenance, type Provenance, plainMarks } from '../../../src/model/provenance.ts';
import type { RecordBatch } from '../../../src/model/record-batch.ts';

interface Told {
  readonly placed: string[];
  readonly unplaced: string[];
}

/** What is told of records of `east` that are cut on their way to the topic `orders` of `west`. */
function cut(batch: RecordBatch): Told {
  const told: Told = { placed: [], unplaced: [] };
  const records: CutRecords = {
    onPlaced: (first, count, partition, target, kind) =>
      told.placed.push(`${formatPosition(first)}+${count} ${partition} ${formatPosition(target)} ${kind}`),
    onUnplaced: (position) => told.unplaced.push(formatPosition(position)),
    onBrought: () => undefined,
  };
  const partitionOf = (lane: string): number | undefined => (lane === 'broker-a:3' ? 3 : undefined);
  const places = new CutPlaces({ targetCluster: 'west', targetTopic: 'orders', marks: plainMarks, partitionOf, records });
  const stage = loopCut({
    sourceCluster: 'east',
    targetCluster: 'west',
    marks: plainMarks,
    onDamagedMarks: () => undefined,
    places,
  });
  stage(batch, Array.from({ length: batch.count }));
  return told;
}

const WEST: Provenance = {
  cluster: 'west',
  topic: 'orders',
  lane: 'broker-a:3',
  runs: [{ first: at(70), count: 1 }],
  time: 5,
  passed: [],
};

function batchOf(...marks: (Provenance | undefined)[]): RecordBatch {
  const messages = marks.map((mark, i) => ({
    body: Buffer.from('body'),
    offset: 10 + i,
    storeTime: 0,
    ...(mark === undefined ? {} : { mark: formatProvenance(mark) }),
  }));
  return makeBatch(messages, () => undefined);
}

/** Gives all records the mark of the entry that they came in. */
function inEntry(batch: RecordBatch, mark: Provenance): RecordBatch {
  const bytes = Buffer.concat([batch.bytes, Buffer.from(formatProvenance(mark))]);
  for (let i = 0; i < batch.count; i++) {
    batch.provenanceStart[i] = batch.bytes.length;
    batch.provenanceEnd[i] = bytes.length;
    batch.provenanceOrdinal[i] = i;
  }
  batch.bytes = bytes;
  return batch;
}

describe('what is told of records that are cut as loops', () => {
  it('is where they were written in the target topic', () => {
    expect(cut(batchOf(WEST, undefined))).toEqual({ placed: ['10+1 3 70 direct'], unplaced: [] });
  });

  it('is where the target had them from elsewhere, when they were read there', () => {
    const via = { topic: 'orders', lane: 'broker-a:3', runs: [{ first: at(81), count: 1 }] };
    expect(cut(batchOf({ ...WEST, cluster: 'north', topic: 't', passed: ['west'], via }))).toEqual({
      placed: ['10+1 3 81 direct'],
      unplaced: [],
    });
  });

  it('is where they were written, and that they came around, when they were read elsewhere last', () => {
    const via = { topic: 'orders', lane: '0', runs: [{ first: at(9), count: 1 }] };
    expect(cut(batchOf({ ...WEST, passed: ['south'], via })).placed).toEqual(['10+1 3 70 around']);
  });

  it('is nothing where they were written to another topic of the target', () => {
    expect(cut(batchOf({ ...WEST, topic: 'bills' }))).toEqual({ placed: [], unplaced: [] });
  });

  it('is that nobody knows: in the target on their way, in a lane without a number, or brought by another replicator', () => {
    const via = { topic: 'orders', lane: '0', runs: [{ first: at(9), count: 1 }] };
    const batch = batchOf(
      { ...WEST, cluster: 'north', passed: ['west', 'south'], via },
      { ...WEST, lane: 'broker-z:0' },
      undefined,
    );
    batch.broughtFrom = new Map([[2, ['west']]]);
    const { placed, unplaced } = cut(batch);
    expect([placed, unplaced.toSorted()]).toEqual([[], ['10', '11', '12']]);
  });

  it('is the number in the entry of the target that was passed on whole', () => {
    const runs = [{ first: entryPosition(7, 4), count: 1 }];
    expect(cut(inEntry(batchOf(undefined, undefined), { ...WEST, runs })).placed).toEqual([
      '10+1 3 7:4:0 direct',
      '11+1 3 7:4:1 direct',
    ]);
  });

  it('is the whole entry, or each run of its records, for an entry that was read whole', () => {
    const whole = (mark: Provenance): RecordBatch => {
      const batch = inEntry(batchOf(undefined), mark);
      [batch.whole, batch.major[0], batch.minor[0], batch.index[0], batch.records[0]] = [true, 3, 8, -1, 5];
      return batch;
    };
    expect(cut(whole({ ...WEST, runs: [{ first: entryPosition(7, 4), count: 1 }] })).placed).toEqual(['3:8+1 3 7:4 direct']);
    const runs = [
      { first: at(70), count: 3 },
      { first: at(90), count: 2 },
    ];
    expect(cut(whole({ ...WEST, runs })).placed).toEqual(['3:8:0+3 3 70 direct', '3:8:3+2 3 90 direct']);
  });
});

describe('the index of what was cut', () => {
  it('joins neighbours that lie one behind the other in the target', () => {
    const index = new CutIndex();
    for (let i = 0; i < 5; i++) index.add(at(10 + i), 1, 3, at(70 + i));
    index.add(at(20), 1, 3, at(75));
    index.add(at(21), 1, 3, at(90));
    expect(index.take()).toEqual([
      {
        runs: [
          { first: at(10), count: 5 },
          { first: at(20), count: 1 },
        ],
        partition: 3,
        target: at(70),
      },
      { runs: [{ first: at(21), count: 1 }], partition: 3, target: at(90) },
    ]);
    expect(index.take()).toEqual([]);
  });

  it('says of each record where it lies, whatever was joined', () => {
    const records = fc.array(
      fc.record({ source: fc.nat(3), partition: fc.nat(1), entry: fc.nat(2), step: fc.nat(2), entries: fc.boolean() }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(records, (given) => {
        const index = new CutIndex();
        const expected: string[] = [];
        let [source, place] = [0, 0];
        for (const each of given) {
          source += 1 + each.source;
          place += each.step;
          const target = each.entries ? entryPosition(each.entry, 0, place) : at(place);
          index.add(at(source), 1, each.partition, target);
          expected.push(`${source} ${each.partition} ${formatPosition(target)}`);
        }
        const found = index.take().flatMap(({ runs, partition, target }) => {
          const all = runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first.major + i));
          return all.map((major, n) => `${major} ${partition} ${formatPosition(along(target, n))}`);
        });
        expect(found).toEqual(expected);
      }),
    );
  });
});

function along(target: Position, n: number): Position {
  return target.minor < 0 ? at(target.major + n) : { ...target, index: target.index + n };
}
