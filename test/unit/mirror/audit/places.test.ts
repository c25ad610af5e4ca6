import { describe, expect, it } from 'vitest';
import { PlaceReader } from '../../../../src/mirror/audit/place-reader.ts';
import { entryPosition, formatPosition, offsetPosition } from '../../../../src/model/position.ts';
import {
  formatProvenance,
  type MarkCodec,
  type PositionRun,
  type Provenance,
  plainMarks,
} from '../../../../src/model/provenance.ts';
import { batchOf, type FakeRecord } from './kit.ts';

const LANES = new Map([
  ['0', 0],
  ['1', 1],
]);

function placeOf(record: Partial<FakeRecord>, marks: MarkCodec = plainMarks): string | undefined {
  const reader = new PlaceReader('east', 'orders', LANES, marks);
  const batch = batchOf([{ position: entryPosition(1, 1), body: 'b', ...record }]);
  return reader.read(batch, 0) ? `${reader.lane} ${formatPosition(reader)}` : undefined;
}

const mark = (runs: readonly PositionRun[], changes: Partial<Provenance> = {}): string =>
  formatProvenance({ cluster: 'east', topic: 'orders', lane: '1', runs, time: 0, passed: [], ...changes });

describe('the place of a record', () => {
  it.each([
    [[{ first: offsetPosition(7), count: 1 }], 0, '1 7'],
    [
      [
        { first: offsetPosition(7), count: 3 },
        { first: offsetPosition(20), count: 9 },
      ],
      2,
      '1 9',
    ],
    [
      [
        { first: offsetPosition(7), count: 3 },
        { first: offsetPosition(20), count: 9 },
      ],
      5,
      '1 22',
    ],
    // Records of batches, and messages that are an entry of their own.
    [[{ first: entryPosition(8, 4, 2), count: 4 }], 3, '1 8:4:5'],
    [[{ first: entryPosition(8, 4), count: 5 }], 3, '1 8:7:0'],
    // An entry that was passed on whole: the mark names it once, and all its records share that.
    [[{ first: entryPosition(8, 4), count: 1 }], 0, '1 8:4:0'],
    [[{ first: entryPosition(8, 4), count: 1 }], 6, '1 8:4:6'],
    // A mark that speaks of fewer records than there are says nothing of this one.
    [[{ first: offsetPosition(7), count: 3 }], 3, undefined],
    [[{ first: entryPosition(8, 4, 0), count: 1 }], 1, undefined],
  ])('is counted along the runs of its mark: %j at %i', (runs, ordinal, place) => {
    expect(placeOf({ mark: mark(runs), ordinal })).toBe(place);
  });

  const runs = [{ first: offsetPosition(7), count: 1 }];
  const elsewhere = { topic: 'orders', lane: '0', runs: [{ first: offsetPosition(90), count: 1 }] };

  it('is where the writer of the mark has read it, not where it was first written', () => {
    const text = mark(runs, { cluster: 'north', passed: ['south', 'east'], via: elsewhere });
    expect(placeOf({ mark: text })).toBe('0 90');
  });

  it('is its origin for a record that has come by way of another cluster', () => {
    expect(placeOf({ mark: mark(runs, { passed: ['north'], via: { ...elsewhere, topic: 'copy' } }) })).toBe('1 7');
  });

  it('is named by the mark of its entry where the record has one of its own as well', () => {
    const own = mark(runs, { cluster: 'north', passed: ['east'] });
    expect(placeOf({ mark: own })).toBeUndefined();
    const entryMark = mark([{ first: offsetPosition(500), count: 10 }]);
    expect(placeOf({ mark: own, entryMark, entryOrdinal: 4 })).toBe('1 504');
  });

  it.each([
    ['no mark', undefined],
    ['a damaged mark', '1;east;orders'],
    ['another cluster', mark(runs, { cluster: 'north' })],
    ['another topic', mark(runs, { topic: 'refunds' })],
    ['a lane that is not compared', mark(runs, { lane: '2' })],
  ])('is none with %s', (_, text) => {
    expect(placeOf({ mark: text })).toBeUndefined();
  });

  it('is none where the mark is not sealed by us', () => {
    expect(placeOf({ mark: mark(runs) }, { seal: (text) => text, read: () => undefined })).toBeUndefined();
  });

  it('is read anew for each batch: batches come again in the same object', () => {
    const reader = new PlaceReader('east', 'orders', LANES, plainMarks);
    const batch = batchOf([{ position: offsetPosition(0), body: 'b', mark: mark([{ first: offsetPosition(1), count: 1 }]) }]);
    expect([reader.read(batch, 0), reader.major]).toEqual([true, 1]);
    reader.forget();
    batch.bytes = Buffer.from(batch.bytes.toString().replace(';1;', ';2;').replace(';1;', ';2;'));
    expect(reader.read(batch, 0)).toBe(false);
  });
});
