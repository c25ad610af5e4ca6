import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { comparePositions, entryPosition, offsetPosition, type Position } from '../../../src/model/position.ts';
import type { IndexEntry } from '../../../src/spi/state-store.ts';
import { ByteReader, ByteWriter } from '../../../src/state/bytes.ts';
import { decodeChunks, encodeChunks } from '../../../src/state/index-codec.ts';
import { sortKey } from '../../../src/state/segments.ts';

const LARGEST = Number.MAX_SAFE_INTEGER;
const part = fc.oneof(fc.nat(1_000), fc.maxSafeNat(), fc.constant(LARGEST));
const position = fc.oneof(
  part.map(offsetPosition),
  fc.tuple(part, part).map(([ledger, entry]) => entryPosition(ledger, entry)),
  fc.tuple(part, part, part).map(([ledger, entry, index]) => entryPosition(ledger, entry, index)),
);
const count = fc.oneof(fc.integer({ min: 1, max: 2_000 }), fc.constant(LARGEST));
const entry: fc.Arbitrary<IndexEntry> = fc.record({
  runs: fc.array(fc.record({ first: position, count }), { minLength: 1, maxLength: 20 }),
  partition: part,
  target: position,
});

function joined(entries: readonly IndexEntry[]): Buffer {
  return Buffer.concat(encodeChunks(entries).map((chunk) => chunk.bytes));
}

describe('index codec', () => {
  it('gives back what was written, whatever positions and counts', () => {
    fc.assert(
      fc.property(fc.array(fc.array(entry, { maxLength: 100 }), { maxLength: 4 }), (calls) => {
        expect(decodeChunks(Buffer.concat(calls.map(joined)), 'x')).toEqual(calls.flat());
      }),
    );
  });

  it('says of each chunk where its entries begin and end', () => {
    const scattered: IndexEntry = {
      runs: [
        { first: offsetPosition(70), count: 5 },
        { first: offsetPosition(20), count: 1 },
      ],
      partition: 0,
      target: entryPosition(1, 1),
    };
    const [chunk, ...more] = encodeChunks([scattered]);
    expect(more).toEqual([]);
    expect(chunk).toMatchObject({ first: offsetPosition(20), last: offsetPosition(74) });
  });

  it('takes 6 bytes for an entry of 1,000 neighbours, 7 with a batch index in the target', () => {
    const entries = (target: (i: number) => Position): IndexEntry[] =>
      Array.from({ length: 100 }, (_, i) => ({
        runs: [{ first: offsetPosition(9e9 + i * 1_000), count: 1_000 }],
        partition: 3,
        target: target(i),
      }));
    // What is more than that: once per chunk its length, shape, checksum and positions in full.
    expect(joined(entries((i) => entryPosition(812_000, 45_000 + i))).length).toBeLessThan(640);
    expect(joined(entries((i) => entryPosition(812_000, 45_000 + i, 0))).length).toBeLessThan(740);
  });

  it('keeps chunks small, whatever the number of entries in a call', () => {
    const entries = Array.from(
      { length: 10_000 },
      (_, i): IndexEntry => ({ runs: [{ first: offsetPosition(i), count: 1 }], partition: 0, target: offsetPosition(i) }),
    );
    expect(Math.max(...encodeChunks(entries).map((chunk) => chunk.bytes.length))).toBeLessThan(530);
  });

  it('notices any flipped bit and any cut, and never gives a wrong position', () => {
    const entries = Array.from(
      { length: 20 },
      (_, i): IndexEntry => ({
        runs: [{ first: offsetPosition(i * 7), count: 3 }],
        partition: 1,
        target: entryPosition(5, i, 0),
      }),
    );
    const bytes = joined(entries);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes);
      flipped.writeUInt8((flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      expect(() => decodeChunks(flipped, 'x')).toThrow(expect.objectContaining({ code: 'STATE_DAMAGED' }));
    }
    for (let length = 1; length < bytes.length; length++) {
      expect(() => decodeChunks(bytes.subarray(0, length), 'x')).toThrow(expect.objectContaining({ code: 'STATE_DAMAGED' }));
    }
  });

  it('ends on random bytes with STATE_DAMAGED and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        expect(() => decodeChunks(bytes, 'x')).toThrow(expect.objectContaining({ code: 'STATE_DAMAGED' }));
      }),
    );
  });

  it.each([
    ['an entry without runs', { runs: [], partition: 0, target: offsetPosition(1) }],
    ['an empty run', { runs: [{ first: offsetPosition(1), count: 0 }], partition: 0, target: offsetPosition(1) }],
    ['a fraction', { runs: [{ first: offsetPosition(1.5), count: 1 }], partition: 0, target: offsetPosition(1) }],
    [
      'a number beyond exactness',
      { runs: [{ first: offsetPosition(1), count: 1 }], partition: 0, target: offsetPosition(2 ** 53) },
    ],
    ['a partition below 0', { runs: [{ first: offsetPosition(1), count: 1 }], partition: -1, target: offsetPosition(1) }],
  ])('refuses to write %s', (_, unfit) => {
    expect(() => encodeChunks([unfit])).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
  });
});

describe('whole numbers as bytes', () => {
  it('gives back every number from -2^53 to 2^53', () => {
    const numbers = fc.oneof(fc.maxSafeInteger(), fc.constantFrom(2 ** 53, -(2 ** 53), 0, 63, 64, -63, -64, 127, 128));
    fc.assert(
      fc.property(fc.array(numbers), (values) => {
        const writer = new ByteWriter();
        for (const value of values) {
          writer.signed(value);
          writer.varint(Math.abs(value));
        }
        const reader = new ByteReader(writer.finish(), () => new Error('short'));
        for (const value of values) {
          expect(reader.signed()).toBe(value);
          expect(reader.varint()).toBe(Math.abs(value));
        }
        expect(reader.atEnd).toBe(true);
      }),
    );
  });
});

describe('sort keys', () => {
  it('order byte by byte as positions do', () => {
    const negative = { major: -1, minor: -1, index: -1 };
    fc.assert(
      fc.property(fc.oneof(position, fc.constant(negative)), fc.oneof(position, fc.constant(negative)), (a, b) => {
        expect(Math.sign(Buffer.compare(sortKey(a), sortKey(b)))).toBe(Math.sign(comparePositions(a, b)));
      }),
    );
  });
});
