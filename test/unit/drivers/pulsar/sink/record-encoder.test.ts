import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeRecord, recordBound } from '../../../../../src/drivers/pulsar/sink/record-encoder.ts';
import { ProtoReader } from '../../../../../src/drivers/pulsar/wire/protobuf.ts';
import { batchOf, type TestRecord } from '../../../../kit/pulsar-writing.ts';
import { golden } from '../wire/golden.ts';

/** SingleMessageMetadata as plain data. */
type Decoded = {
  properties: [string, string][];
  key: string | undefined;
  eventTime: number;
  body: Buffer;
  /** What only records have that came from a Pulsar, by field number. */
  traits: Record<number, number | string>;
};

function decode(encoded: Buffer): Decoded {
  const end = 4 + encoded.readUInt32BE(0);
  const reader = new ProtoReader(encoded, 4, end);
  const found = {
    properties: [] as [string, string][],
    key: undefined as string | undefined,
    eventTime: 0,
    body: encoded.subarray(end),
    traits: {} as Record<number, number | string>,
  };
  let size = -1;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) {
      const property = reader.message();
      const texts: string[] = [];
      while (property.next() !== 0) texts.push(property.string());
      found.properties.push([texts[0] ?? '', texts[1] ?? '']);
    } else if (field === 2) found.key = reader.string();
    else if (field === 3) size = reader.int();
    else if (field === 5) found.eventTime = reader.int();
    else if (field === 7) found.traits[field] = reader.bytes().toString('hex');
    else found.traits[field] = reader.int();
  }
  expect(size).toBe(found.body.length);
  return found;
}

function encoded(record: TestRecord): Buffer {
  const batch = batchOf([{ offset: 0, body: 'first' }, record]);
  const bound = recordBound(batch, 1);
  const target = Buffer.alloc(bound + 7);
  const end = encodeRecord(batch, 1, target, 7, (mark) => mark);
  expect(end - 7).toBeLessThanOrEqual(bound);
  return target.subarray(7, end);
}

const text = fc.string({ unit: 'binary', maxLength: 300 });

describe('a record in a batch', () => {
  it('is written as Pulsar’s own code writes it', () => {
    const record = {
      offset: 0,
      key: 'k1',
      body: 'hello',
      eventTime: 1763750000123,
      properties: [
        ['note', 'grüße'],
        ['empty', ''],
      ],
    } as const;
    expect(encoded(record)).toEqual(golden('record'));
  });

  it('keeps body, key, event time and all properties in order, within the bytes that were promised', () => {
    const properties = fc.array(fc.tuple(text, text), { maxLength: 8 });
    const body = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(properties, properties, fc.option(text), body, fc.maxSafeNat(), (own, extras, key, payload, eventTime) => {
        const record = { offset: 0, body: payload, properties: own, extras, eventTime, ...(key === null ? {} : { key }) };
        expect(decode(encoded(record))).toEqual({
          properties: [...own, ...extras],
          key: key ?? undefined,
          eventTime,
          body: payload,
          traits: {},
        });
      }),
    );
  });

  it('carries its own mark when it came from elsewhere before', () => {
    expect(decode(encoded({ offset: 0, body: 'x', properties: [['a', 'b']], mark: '1;c;t;l;5;0' })).properties).toEqual([
      ['a', 'b'],
      ['ISTHMUS', '1;c;t;l;5;0'],
    ]);
  });

  it('takes a body that was decompressed instead of the range in the batch', () => {
    const batch = batchOf([{ offset: 0, body: 'packed' }]);
    batch.bodies = new Map([[0, Buffer.from('the whole body')]]);
    const target = Buffer.alloc(recordBound(batch, 0));
    expect(
      decode(
        target.subarray(
          0,
          encodeRecord(batch, 0, target, 0, (mark) => mark),
        ),
      ).body.toString(),
    ).toBe('the whole body');
  });

  it('seals its own mark', () => {
    const batch = batchOf([{ offset: 0, body: 'x', mark: '1;c;t;l;5;0' }]);
    const bound = recordBound(batch, 0);
    const target = Buffer.alloc(bound);
    const end = encodeRecord(batch, 0, target, 0, (mark) => `${mark};!0123456789A`);
    expect(end).toBeLessThanOrEqual(bound);
    expect(decode(target.subarray(0, end)).properties).toEqual([['ISTHMUS', '1;c;t;l;5;0;!0123456789A']]);
  });

  it('keeps what Pulsar knows of it: kinds of keys, an ordering key, its own sequence id, and that it has no value', () => {
    const record = { offset: 0, body: '', key: 'AP8=', keyIsBase64: true, orderingKey: Buffer.from('abcd', 'hex') };
    expect(decode(encoded({ ...record, sequence: 2 ** 40, nullValue: true, nullKey: true })).traits).toEqual({
      6: 1,
      7: 'abcd',
      8: 2 ** 40,
      9: 1,
      10: 1,
    });
    expect(decode(encoded({ offset: 0, body: '', sequence: 0 })).traits).toEqual({ 8: 0 });
  });

  it('leaves out a sequence id that a double cannot hold', () => {
    expect(decode(encoded({ offset: 0, body: '', sequence: 2 ** 60 })).traits).toEqual({});
  });
});
