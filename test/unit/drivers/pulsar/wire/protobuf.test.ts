import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProtoReader, ProtoWriter, varintLength, writeVarint } from '../../../../../src/drivers/pulsar/wire/protobuf.ts';
import { IsthmusError } from '../../../../../src/errors.ts';

const integer = fc.oneof(fc.maxSafeNat(), fc.nat(300), fc.integer({ min: -(2 ** 31), max: -1 }));

function readAll(reader: ProtoReader): [number, number][] {
  const found: [number, number][] = [];
  for (let field = reader.next(); field !== 0; field = reader.next()) found.push([field, reader.int()]);
  return found;
}

describe('protobuf', () => {
  it('reads the integers that it wrote, negative ones included', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 2000 }), integer)), (fields) => {
        const writer = new ProtoWriter();
        for (const [field, value] of fields) writer.int(field, value);
        expect(readAll(new ProtoReader(writer.finish()))).toEqual(fields);
      }),
    );
  });

  it('writes integers as Google’s own encoding does', () => {
    expect(new ProtoWriter().int(1, 150).finish().toString('hex')).toBe('089601');
    expect(new ProtoWriter().int(1, -1).finish().toString('hex')).toBe('08ffffffffffffffffff01');
    expect(
      new ProtoWriter()
        .int(1, 2 ** 28)
        .finish()
        .toString('hex'),
    ).toBe('088080808001');
    expect(new ProtoWriter().int(1, Number.MAX_SAFE_INTEGER).finish().toString('hex')).toBe('08ffffffffffffff0f');
  });

  it('knows the length of a varint before it is written', () => {
    const verdict = fc.check(
      fc.property(fc.maxSafeNat(), (value) => writeVarint(Buffer.alloc(16), 0, value) === varintLength(value)),
    );
    expect(verdict).toMatchObject({ failed: false });
  });

  it('reads texts, bytes and messages, and skips fields that nobody asked for', () => {
    const bytes = new ProtoWriter(1)
      .string(1, 'grüße 🌍')
      .bytes(2, Buffer.from([1, 2, 3]))
      .message(3, new ProtoWriter().int(1, 7))
      .bool(4, true)
      .finish();
    const reader = new ProtoReader(Buffer.concat([bytes, Buffer.from('2d00000000310000000000000000', 'hex'), bytes]));
    expect([reader.next(), reader.string()]).toEqual([1, 'grüße 🌍']);
    expect([reader.next(), [...reader.bytes()]]).toEqual([2, [1, 2, 3]]);
    expect([reader.next(), readAll(reader.message())]).toEqual([3, [[1, 7]]]);
    expect([reader.next(), reader.bool()]).toEqual([4, true]);
    const skipped: number[] = [];
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      skipped.push(field);
      reader.skip();
    }
    expect(skipped).toEqual([5, 6, 1, 2, 3, 4]);
  });

  it('answers any bytes with fields or with PROTOCOL_VIOLATION, and never looks past the end', () => {
    const reads = [
      (r: ProtoReader) => r.skip(),
      (r: ProtoReader) => r.int(),
      (r: ProtoReader) => r.string(),
      (r: ProtoReader) => r.message(),
    ];
    const walk = fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(...reads), (bytes, read) => {
      const reader = new ProtoReader(Buffer.from(bytes));
      try {
        while (reader.next() !== 0) read(reader);
        return true;
      } catch (error) {
        return error instanceof IsthmusError && error.code === 'PROTOCOL_VIOLATION';
      }
    });
    expect(fc.check(walk, { numRuns: 2000 })).toMatchObject({ failed: false });
  });
});
