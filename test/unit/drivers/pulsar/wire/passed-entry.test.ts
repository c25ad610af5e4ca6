import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { entryChecksum } from '../../../../../src/drivers/pulsar/wire/checksum.ts';
import { EntryHeader } from '../../../../../src/drivers/pulsar/wire/entry-header.ts';
import { PassedEntry, renamedMetadata } from '../../../../../src/drivers/pulsar/wire/passed-entry.ts';
import { ProtoReader, ProtoWriter } from '../../../../../src/drivers/pulsar/wire/protobuf.ts';
import { IsthmusError } from '../../../../../src/errors.ts';

type Field = readonly [number: number, value: number | Buffer | string];

const HEADER = {
  producerName: Buffer.from('isthmus/l/c/t/0'),
  sequenceId: 812 * 65_536 + 45,
  mark: Buffer.from('1;c;t;0;812:45;md'),
  schemaVersion: Buffer.alloc(0),
};

function keyValue(key: string, value: string): Buffer {
  return new ProtoWriter().string(1, key).string(2, value).finish();
}

function metadataOf(fields: readonly Field[]): Buffer {
  const writer = new ProtoWriter();
  for (const [number, value] of fields) {
    if (typeof value === 'number') writer.int(number, value);
    else writer.bytes(number, typeof value === 'string' ? Buffer.from(value) : value);
  }
  const body = Buffer.from(writer.finish());
  const size = Buffer.alloc(4);
  size.writeUInt32BE(body.length, 0);
  return Buffer.concat([size, body]);
}

function entryOf(fields: readonly Field[], payload: Buffer, checked = true): Buffer {
  const metadata = metadataOf(fields);
  const head = Buffer.alloc(checked ? 6 : 0);
  if (checked) {
    head.writeUInt16BE(0x0e01, 0);
    head.writeUInt32BE(entryChecksum(metadata, payload), 2);
  }
  return Buffer.concat([head, metadata, payload]);
}

/** Fields in order, values as texts. */
function fieldsOf(metadata: Buffer): [number, string][] {
  expect(metadata.readUInt32BE(0)).toBe(metadata.length - 4);
  const reader = new ProtoReader(metadata, 4);
  const found: [number, string][] = [];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    try {
      found.push([field, String(reader.int())]);
    } catch {
      found.push([field, reader.bytes().toString('hex')]);
    }
  }
  return found;
}

const hex = (text: string | Buffer): string => Buffer.from(text).toString('hex');

/** The entry passed on: what it then says, with the checksum that is sent. */
function passed(
  entry: Buffer,
  header = HEADER,
): { fields: [number, string][]; metadata: Buffer; payload: Buffer; checksum: number; look: PassedEntry } {
  // Somewhere in a larger buffer, as in a batch.
  const bytes = Buffer.concat([Buffer.from('before'), entry, Buffer.from('behind')]);
  const look = new PassedEntry();
  look.read(bytes, 6, 6 + entry.length);
  const bound = look.bound(header);
  const target = Buffer.alloc(bound + 11);
  const end = look.write(target, 11, header);
  expect(end - 11).toBeLessThanOrEqual(bound);
  const metadata = target.subarray(11, end);
  const payload = bytes.subarray(look.payloadStart, look.payloadEnd);
  return { fields: fieldsOf(metadata), metadata, payload, checksum: look.checksum(metadata), look };
}

const BASE: readonly Field[] = [
  [1, 'original'],
  [2, 70],
  [3, 1_763_750_000_000],
];
const OURS: readonly [number, string][] = [
  [1, hex('isthmus/l/c/t/0')],
  [2, String(HEADER.sequenceId)],
];
const ADDED: readonly [number, string][] = [
  [24, String(HEADER.sequenceId)],
  [4, hex(keyValue('ISTHMUS-PRODUCER', '70;original'))],
  [4, hex(keyValue('ISTHMUS', '1;c;t;0;812:45;md'))],
];

describe('the header of an entry that is passed on', () => {
  it('keeps every field but for those that are ours now, those of the source alone, and an older mark', () => {
    const kept: readonly Field[] = [
      [4, keyValue('application', 'property')],
      [6, 'key'],
      [7, 'west'],
      [8, 3],
      [9, 4000],
      [11, 33],
      [12, 5],
      [13, Buffer.from('0a016b12026b65', 'hex')],
      [14, 'AES'],
      [15, Buffer.from('iv')],
      [17, 1],
      [18, 'ordering'],
      [19, 6],
      [25, 1],
      [26, 'uuid-1'],
      [32, Buffer.from('0102', 'hex')],
      [4711, 'of a time to come'],
    ];
    const gone: readonly Field[] = [
      [5, 'north'],
      [16, Buffer.alloc(8)],
      [22, 1],
      [23, 2],
      [24, 99],
      [4, keyValue('ISTHMUS', '1;old;t;0;1:2;md')],
    ];
    const mixed = kept.flatMap((field, k): Field[] => [field, ...gone.slice(k, k + 1)]);
    const { fields, look } = passed(entryOf([...BASE, ...mixed], Buffer.from('payload')));
    const texts = kept.map(([number, value]): [number, string] => [
      number,
      typeof value === 'number' ? String(value) : hex(value),
    ]);
    expect(fields).toEqual([...OURS, [3, '1763750000000'], ...texts, ...ADDED]);
    expect([look.messages, look.batched, look.chunk]).toEqual([33, true, false]);
    expect(look.schemaVersion).toEqual(Buffer.alloc(8));
  });

  it('names the target’s version of the schema', () => {
    const schemaVersion = Buffer.from('0000000000000007', 'hex');
    const { fields } = passed(entryOf([...BASE, [16, Buffer.alloc(8)]], Buffer.alloc(1)), { ...HEADER, schemaVersion });
    expect(fields.filter(([number]) => number === 16)).toEqual([[16, '0000000000000007']]);
  });

  it('keeps the first producer of an entry that was passed on before', () => {
    const before: Field = [4, keyValue('ISTHMUS-PRODUCER', '3;first of all')];
    const { fields } = passed(entryOf([...BASE, before], Buffer.alloc(1)));
    expect(fields).toEqual([
      ...OURS,
      [3, '1763750000000'],
      [4, hex(keyValue('ISTHMUS-PRODUCER', '3;first of all'))],
      ADDED[0],
      ADDED[2],
    ]);
  });

  it('gives whoever reads it the producer and the id that it had, and no property for that', () => {
    const payload = Buffer.alloc(3);
    const { metadata, checksum } = passed(entryOf([...BASE, [4, keyValue('a', 'b')]], payload));
    const head = Buffer.alloc(6);
    head.writeUInt16BE(0x0e01, 0);
    head.writeUInt32BE(checksum, 2);
    const bytes = Buffer.concat([head, metadata, payload]);
    const header = new EntryHeader();
    header.read(bytes, 0, bytes.length);
    expect(bytes.toString('utf8', header.producerStart, header.producerEnd)).toBe('original');
    expect([header.sequence, header.propertyCount]).toEqual([70, 1]);
    expect(bytes.toString('utf8', header.markStart, header.markEnd)).toBe('1;c;t;0;812:45;md');
  });

  it('tells parts of chunked messages, and only those', () => {
    const chunk = (chunks: number, id?: number): boolean => {
      const fields: Field[] = [...BASE, [27, chunks], ...(id === undefined ? [] : [[29, id] as const])];
      return passed(entryOf(fields, Buffer.alloc(1))).look.chunk;
    };
    expect([chunk(3, 0), chunk(3, 2), chunk(1, 0), chunk(3)]).toEqual([true, true, false, false]);
  });

  it.each([
    [2 ** 53 - 1, '9007199254740991'],
    [-1, '18446744073709551615'],
    [127, '127'],
    [128, '128'],
  ])('keeps the sequence id %s exactly', (id, text) => {
    const { fields } = passed(
      entryOf(
        [
          [1, 'p'],
          [2, id],
          [3, 1],
        ],
        Buffer.alloc(1),
      ),
    );
    expect(fields).toContainEqual([4, hex(keyValue('ISTHMUS-PRODUCER', `${text};p`))]);
  });

  it('has the checksum that its bytes ask for, without a look at the payload', () => {
    const fields = fc.array(fc.tuple(fc.integer({ min: 30, max: 3000 }), fc.uint8Array({ maxLength: 200 })), { maxLength: 20 });
    const payload = fc.uint8Array({ maxLength: 3000 });
    fc.assert(
      fc.property(fields, payload, fc.boolean(), (more, bytes, checked) => {
        const unknown = more.map(([number, value]): Field => [number, Buffer.from(value)]);
        const entry = entryOf([...BASE, ...unknown], Buffer.from(bytes), checked);
        const { metadata, payload: untouched, checksum } = passed(entry);
        expect(untouched).toEqual(Buffer.from(bytes));
        expect(checksum).toBe(entryChecksum(metadata, untouched));
      }),
    );
  });

  it('does not get a right checksum for a payload that was damaged before', () => {
    const entry = entryOf(BASE, Buffer.from('a payload'));
    entry[entry.length - 1] = (entry.at(-1) ?? 0) ^ 1;
    const { metadata, payload, checksum } = passed(entry);
    expect(checksum).not.toBe(entryChecksum(metadata, payload));
  });

  it('can get another producer name', () => {
    const { metadata } = passed(entryOf([...BASE, [6, 'key']], Buffer.alloc(1)));
    const [, ...rest] = fieldsOf(metadata);
    const name = `isthmus/${'long/'.repeat(40)}~x`;
    expect(fieldsOf(renamedMetadata(metadata, name))).toEqual([[1, hex(name)], ...rest]);
  });
});

/** `read`, or the code of the refusal; anything else than an error of ours comes out. */
function outcome(read: () => void): string {
  try {
    read();
    return 'read';
  } catch (error) {
    if (error instanceof IsthmusError) return error.code;
    throw error;
  }
}

describe('bytes that are no entry', () => {
  it('are told as such, whatever they are', () => {
    const good = entryOf([...BASE, [4, keyValue('a', 'b')], [11, 3]], Buffer.from('payload'));
    const cut = fc.integer({ min: 0, max: good.length - 8 }).map((length) => good.subarray(0, length));
    const damagedOne = fc
      .tuple(fc.integer({ min: 0, max: good.length - 1 }), fc.integer({ min: 1, max: 255 }))
      .map(([at, bits]) => {
        const bytes = Buffer.from(good);
        bytes[at] = (bytes[at] ?? 0) ^ bits;
        return bytes;
      });
    const noise = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.oneof(cut, damagedOne, noise), (bytes) => {
        expect(['read', 'PROTOCOL_VIOLATION']).toContain(outcome(() => void passed(bytes)));
      }),
    );
    expect(() => passed(good.subarray(0, 30))).toThrow('reading an entry to be passed on');
    expect(() => passed(entryOf([[3, 1]], Buffer.alloc(1)))).toThrow('no producer name');
  });
});
