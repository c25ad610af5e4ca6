import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { compressFrameSync } from 'lz4-napi';
import { describe, expect, it } from 'vitest';
import { MessageDecoder, readIdentity } from '../../../../../src/drivers/rocketmq/message/decode.ts';
import { plainMarks } from '../../../../../src/model/provenance.ts';
import { PROPERTY_ROW, RecordBatch } from '../../../../../src/model/record-batch.ts';
import { refusalOf } from '../kit.ts';
import { BORN, batchItem, STORED, type StoredMessage, storedMessage } from '../stored-message.ts';

// Made by the official 5.5.0 jars (MessageDecoder): queue 2, offset 99, KEYS=k1, body "hello".
const GOLDEN = Buffer.from(
  '0000006adaa320a73610a686000000020000000300000000000000630000011f71fb04cb000000000000018bcfe568000a000001000015b30000018bcfe568017f00000100002a9f0000000000000000000000000000000568656c6c6f02543100084b455953016b3102',
  'hex',
);

const decoder = new MessageDecoder(plainMarks);

function decode(messages: readonly StoredMessage[] | Buffer, from = 0, to = Number.POSITIVE_INFINITY, capacity = 4096) {
  const body = Buffer.isBuffer(messages) ? messages : Buffer.concat(messages.map(storedMessage));
  const batch = new RecordBatch(capacity);
  const stretch = decoder.decode(body, 0, from, to, batch);
  return { batch, stretch, body };
}

/** The property rows of a record as text, in their order. */
function rows(batch: RecordBatch, i: number): string[] {
  const texts: string[] = [];
  for (let row = batch.propertyFirst[i] ?? 0; row < (batch.propertyFirst[i + 1] ?? 0); row++) {
    const at = row * PROPERTY_ROW;
    texts.push(
      `${batch.text(batch.properties[at], batch.properties[at + 1])}=${batch.text(batch.properties[at + 2], batch.properties[at + 3])}`,
    );
  }
  return texts;
}

const key = (batch: RecordBatch, i = 0): string | undefined => batch.text(batch.keyStart[i], batch.keyEnd[i]);
const tag = (batch: RecordBatch, i = 0): string | undefined => batch.text(batch.tagStart[i], batch.tagEnd[i]);

describe('a stored message', () => {
  it('of the official client is read', () => {
    const { batch, stretch } = decode(GOLDEN, 99);
    expect(batch.count).toBe(1);
    expect(batch.positionAt(0)).toEqual({ major: 99, minor: -1, index: -1 });
    expect(batch.body(0).toString()).toBe('hello');
    expect([batch.eventTime[0], batch.storeTime[0]]).toEqual([BORN, BORN + 1]);
    expect(key(batch)).toBe('k1');
    expect(rows(batch, 0)).toEqual(['KEYS=k1']);
    expect(batch.extras?.get(0)).toEqual([['ROCKETMQ_FLAG', '3']]);
    expect(stretch).toEqual({ at: GOLDEN.length, next: 100, resumesAt: undefined });
    expect(readIdentity(GOLDEN, 0)).toEqual({
      offset: 99,
      storeTime: BORN + 1,
      commitLogOffset: 0x11f71fb04cb,
      end: GOLDEN.length,
    });
  });

  it.each([
    ['a host of 16 bytes for the producer', { sysFlag: 0x10 }],
    ['a host of 16 bytes for the broker', { sysFlag: 0x20 }],
    ['both', { sysFlag: 0x30 }],
    ['a topic length of two bytes', { longTopic: true, topic: 'T'.repeat(300) }],
  ])('with %s is read', (_, message) => {
    const { batch } = decode([{ offset: 7, body: 'b', properties: { a: '1' }, ...message }], 7);
    expect([batch.body(0).toString(), batch.storeTime[0], batch.eventTime[0], batch.property(0, 'a')]).toEqual([
      'b',
      STORED,
      BORN,
      '1',
    ]);
    expect(readIdentity(storedMessage({ offset: 7, ...message }), 0)).toMatchObject({ offset: 7, storeTime: STORED });
  });

  it('keeps its flag and its count of deliveries as extra properties only where they say something', () => {
    const { batch } = decode([{ offset: 0 }, { offset: 1, flag: -5, reconsumeTimes: 2 }]);
    expect(batch.extras?.get(0)).toBeUndefined();
    expect(batch.extras?.get(1)).toEqual([
      ['ROCKETMQ_FLAG', '-5'],
      ['ROCKETMQ_RECONSUME_TIMES', '2'],
    ]);
  });

  it('with an empty body and no properties is read', () => {
    const { batch } = decode([{ offset: 0, body: '' }]);
    expect([batch.bodyLength(0), rows(batch, 0), key(batch), tag(batch)]).toEqual([0, [], undefined, undefined]);
  });
});

describe('the properties of a stored message', () => {
  const read = (properties: string): string[] => rows(decode([{ offset: 0, properties }]).batch, 0);

  it('are read with and without their last separator', () => {
    expect(read('a\u00011\u0002b\u00012\u0002')).toEqual(['a=1', 'b=2']);
    expect(read('a\u00011\u0002b\u00012')).toEqual(['a=1', 'b=2']);
  });

  it('keep empty values, which a batch can hold, and any script', () => {
    expect(read('a\u0001\u0002ключ\u0001значение 値\u0002')).toEqual(['a=', 'ключ=значение 値']);
  });

  it('keep what follows a stray separator in the value, as the Java client does', () => {
    expect(read('a\u00011\u0001x\u0002')).toEqual(['a=1\u0001x']);
  });

  it('skip pieces that have no name', () => {
    expect(read('\u0001v\u0002junk\u0002\u0002a\u00011\u0002junk')).toEqual(['a=1']);
  });

  it('leave out what belongs to the source broker, and keep what belongs to the message', () => {
    const kept = {
      KEYS: 'k',
      TAGS: 't',
      UNIQ_KEY: 'u',
      __SHARDINGKEY: 's',
      __BORNHOST: 'h',
      DELAY: '3',
      TIMER_DELIVER_MS: '1',
      mine: 'x',
      CORRELATION_ID: 'c',
    };
    const dropped = {
      CLUSTER: 'c',
      MSG_REGION: 'r',
      TRACE_ON: 'true',
      WAIT: 'true',
      TRAN_MSG: 'true',
      PGROUP: 'p',
      POP_CK: '1',
      TIMER_OUT_MS: '1',
      REAL_TOPIC: 't',
      INNER_NUM: '2',
      '__CRC32#': '0',
    };
    const { batch } = decode([{ offset: 0, properties: { ...dropped, ...kept } }]);
    expect(rows(batch, 0)).toEqual(Object.entries(kept).map(([name, value]) => `${name}=${value}`));
  });

  it('show our own mark beside the rows', () => {
    const { batch } = decode([{ offset: 0, properties: { a: '1', ISTHMUS: 'mark' } }, { offset: 1 }]);
    expect(rows(batch, 0)).toEqual(['a=1']);
    expect(batch.text(batch.provenanceStart[0], batch.provenanceEnd[0])).toBe('mark');
    expect(batch.provenanceStart[1]).toBe(-1);
  });

  it('tell where rocketmq-replicator has brought a message from, under both of its names', () => {
    const { batch } = decode([
      { offset: 0, properties: { 'REPLICATOR-BORN-SOURCE': 'c_rmq-a_east,c_rmq-b_west,' } },
      { offset: 1, properties: { 'connect-ext-REPLICATOR-BORN-SOURCE': 'c_rmq-a_east,' } },
      { offset: 2, properties: { 'REPLICATOR-BORN-TOPIC': 'c_rmq-a_east,' } },
    ]);
    expect([...(batch.broughtFrom ?? [])]).toEqual([
      [0, ['c_rmq-a_east', 'c_rmq-b_west']],
      [1, ['c_rmq-a_east']],
    ]);
    expect(rows(batch, 1)).toEqual(['connect-ext-REPLICATOR-BORN-SOURCE=c_rmq-a_east,']);
  });

  it.each([
    ['the sharding key', { KEYS: 'k1 k2', __SHARDINGKEY: 's' }, 's'],
    ['the sharding key even when KEYS comes later', { __SHARDINGKEY: 's', KEYS: 'k1' }, 's'],
    ['the first of KEYS', { KEYS: 'k1 k2' }, 'k1'],
    ['the first of KEYS after blanks', { KEYS: '  k1 k2' }, 'k1'],
    ['KEYS when the sharding key is empty', { __SHARDINGKEY: '', KEYS: 'k1' }, 'k1'],
    ['nothing when KEYS is blank', { KEYS: ' ' }, undefined],
    ['nothing without either', { a: '1' }, undefined],
  ])('give %s as the key', (_, properties, expected) => {
    expect(key(decode([{ offset: 0, properties }]).batch)).toBe(expected);
  });

  it('give the key of one message never to the next', () => {
    const { batch } = decode([
      { offset: 0, properties: { __SHARDINGKEY: 's', TAGS: 't' } },
      { offset: 1, properties: { KEYS: 'k' } },
      { offset: 2 },
    ]);
    expect([0, 1, 2].map((i) => [key(batch, i), tag(batch, i)])).toEqual([
      ['s', 't'],
      ['k', undefined],
      [undefined, undefined],
    ]);
  });

  it('may be many', () => {
    const properties = Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`p${i}`, String(i)]));
    const { batch } = decode(
      [
        { offset: 0, properties },
        { offset: 1, properties: { last: 'x' } },
      ],
      0,
      9,
      8,
    );
    expect(rows(batch, 0)).toHaveLength(2_000);
    expect(rows(batch, 1)).toEqual(['last=x']);
  });

  it('come out as they went in, whatever they are', () => {
    const text = fc.string({ minLength: 1, maxLength: 30, unit: 'grapheme' }).filter((value) => !/[\u0001\u0002]/.test(value));
    const name = text.map((value) => `x${value}`);
    fc.assert(
      fc.property(fc.array(fc.tuple(name, text), { maxLength: 10 }), (pairs) => {
        expect(read(pairs.map(([n, v]) => `${n}\u0001${v}\u0002`).join(''))).toEqual(pairs.map(([n, v]) => `${n}=${v}`));
      }),
    );
  });
});

describe('a compressed body', () => {
  const text = Buffer.from('hello '.repeat(200));
  it.each([
    ['zlib', 0x301, deflateSync(text)],
    ['LZ4', 0x101, compressFrameSync(text)],
    ['ZSTD', 0x201, zstdCompressSync(text)],
    ['gzip under the flag of zlib', 0x1, gzipSync(text)],
    ['zlib under the flag of LZ4', 0x101, deflateSync(text)],
  ])('of %s is decompressed by what it is', (_, sysFlag, body) => {
    const { batch } = decode([{ offset: 0, sysFlag, body, properties: { a: '1' } }]);
    expect(batch.body(0).equals(text)).toBe(true);
    expect(batch.bodyLength(0)).toBe(text.length);
    expect(rows(batch, 0)).toEqual(['a=1']);
  });

  it.each([
    ['zlib', '785ecb48cdc9c957c8402701680308b1'],
    ['ZSTD', '28b52ffd00586400003068656c6c6f200100994b11010000'],
  ])('of the official client (%s) is decompressed', (_, hex) => {
    expect(
      decode([{ offset: 0, sysFlag: 1, body: Buffer.from(hex, 'hex') }])
        .batch.body(0)
        .toString(),
    ).toBe('hello hello hello hello');
  });

  it.each([
    ['plain text', Buffer.from('plain')],
    ['a cut zlib stream', deflateSync(text).subarray(0, 12)],
    ['a cut gzip stream', gzipSync(text).subarray(0, 20)],
    ['a cut LZ4 frame', compressFrameSync(text).subarray(0, 20)],
    ['a cut ZSTD frame', zstdCompressSync(text).subarray(0, 10)],
  ])('that is really %s is damaged and hides no neighbour', (_, body) => {
    const { batch } = decode([
      { offset: 0, body: 'a' },
      { offset: 1, sysFlag: 1, body, properties: { a: '1' } },
      { offset: 2, body: 'c' },
    ]);
    expect(batch.count).toBe(3);
    expect([...(batch.damaged?.keys() ?? [])]).toEqual([1]);
    expect(batch.damaged?.get(1)).toMatch(/compress/);
    expect(batch.body(1).equals(body)).toBe(true);
    expect(rows(batch, 1)).toEqual(['a=1']);
    expect([batch.body(0).toString(), batch.body(2).toString()]).toEqual(['a', 'c']);
  });

  it('that would fill the memory is damaged', () => {
    const bomb = deflateSync(Buffer.alloc(80 * 1024 * 1024));
    const { batch } = decode([{ offset: 0, sysFlag: 1, body: bomb }]);
    expect(batch.damaged?.get(0)).toMatch(/does not decompress/);
  });

  it('ends its batch when bodies have grown a lot, and decoding goes on from there', () => {
    const body = deflateSync(Buffer.alloc(3 * 1024 * 1024));
    const messages = Array.from({ length: 6 }, (_, offset) => ({ offset, sysFlag: 1, body }));
    const { batch, stretch, body: frame } = decode(messages);
    expect(batch.count).toBe(2);
    expect(stretch.next).toBe(2);
    const rest = new RecordBatch(8);
    decoder.decode(frame, stretch.at, stretch.next, 6, rest);
    expect(rest.positionAt(0).major).toBe(2);
  });
});

describe('the messages of an answer', () => {
  it('outside of the asked range are left out', () => {
    const { batch, stretch } = decode(
      [3, 4, 5, 6, 7].map((offset) => ({ offset })),
      4,
      6,
    );
    expect([batch.positionAt(0).major, batch.count, stretch.next, stretch.resumesAt]).toEqual([4, 2, 6, undefined]);
  });

  it('end where offsets jump, and say where they go on', () => {
    const { stretch, batch } = decode([0, 1, 5, 6].map((offset) => ({ offset })));
    expect([batch.count, stretch.next, stretch.resumesAt]).toEqual([2, 2, 5]);
  });

  it('end where the batch is full', () => {
    const { stretch, batch } = decode(
      [0, 1, 2].map((offset) => ({ offset })),
      0,
      3,
      2,
    );
    expect([batch.count, stretch.next, stretch.resumesAt]).toEqual([2, 2, undefined]);
  });

  it('whose lengths lie within are damaged one by one', () => {
    const broken = storedMessage({ offset: 1, body: 'xx', properties: { a: '1' } });
    broken.writeInt32BE(5_000, 84);
    const { batch } = decode(Buffer.concat([storedMessage({ offset: 0 }), broken, storedMessage({ offset: 2, body: 'z' })]));
    expect([batch.count, [...(batch.damaged?.keys() ?? [])], batch.body(2).toString()]).toEqual([3, [1], 'z']);
  });

  it('of random bytes, or with bytes changed, are decoded or refused, never anything else', () => {
    const good = Buffer.concat(
      [0, 1, 2].map((offset) =>
        storedMessage({ offset, body: `body${offset}`, properties: { KEYS: 'k', a: 'b' }, sysFlag: offset === 1 ? 0xc0 : 0 }),
      ),
    );
    const change = fc.array(fc.tuple(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.oneof(change, fc.uint8Array({ maxLength: 400 })), (input) => {
        const body = input instanceof Uint8Array ? Buffer.from(input) : Buffer.from(good);
        if (!(input instanceof Uint8Array)) for (const [at, value] of input) body[at] = value;
        const batch = new RecordBatch(64);
        const refused = refusalOf(() => {
          const { at, next } = decoder.decode(body, 0, 0, 1_000, batch);
          const inside = batch.bodyEnd.subarray(0, batch.count).every((end) => end <= batch.bytes.length);
          if (at > body.length || next !== batch.count || !inside) throw new Error('decoded beyond the bytes');
        });
        expect([undefined, 'PROTOCOL_VIOLATION']).toContain(refused);
      }),
      { numRuns: 5_000 },
    );
  });

  it('cut anywhere are decoded up to there or refused', () => {
    const first = storedMessage({ offset: 0, properties: { a: '1' } });
    const body = Buffer.concat([first, storedMessage({ offset: 1 })]);
    for (let end = 1; end < body.length; end++) {
      expect(refusalOf(() => decode(body.subarray(0, end)))).toBe(end === first.length ? undefined : 'PROTOCOL_VIOLATION');
    }
  });
});

describe('a batch inside a message', () => {
  const items = Buffer.concat([batchItem('a', { KEYS: 'k1' }), batchItem('b', { TAGS: 't' }, 9), batchItem('', {})]);

  it('becomes records with offsets of their own', () => {
    const { batch, stretch } = decode(
      [
        { offset: 10, sysFlag: 0xc0, body: items, properties: { INNER_NUM: '3', UNIQ_KEY: 'outer' } },
        { offset: 13, body: 'single' },
      ],
      10,
    );
    expect([0, 1, 2, 3].map((i) => [batch.positionAt(i).major, batch.body(i).toString(), key(batch, i), tag(batch, i)])).toEqual([
      [10, 'a', 'k1', undefined],
      [11, 'b', undefined, 't'],
      [12, '', undefined, undefined],
      [13, 'single', undefined, undefined],
    ]);
    expect(batch.extras?.get(1)).toEqual([['ROCKETMQ_FLAG', '9']]);
    expect(rows(batch, 2)).toEqual([]);
    expect(stretch.next).toBe(14);
  });

  it('is entered in its middle, where reading began there', () => {
    const { batch } = decode([{ offset: 10, sysFlag: 0xc0, body: items }], 11);
    expect([batch.count, batch.positionAt(0).major, batch.body(0).toString()]).toEqual([2, 11, 'b']);
  });

  it('goes on in the next batch where one is full', () => {
    const { batch, stretch, body } = decode([{ offset: 0, sysFlag: 0xc0, body: items }], 0, 3, 2);
    expect([batch.count, stretch.at, stretch.next]).toEqual([2, 0, 2]);
    const rest = new RecordBatch(8);
    const end = decoder.decode(body, stretch.at, stretch.next, 3, rest);
    expect([rest.count, rest.positionAt(0).major, end.at, end.next]).toEqual([1, 2, body.length, 3]);
  });

  it('is decompressed as a whole', () => {
    const { batch } = decode([
      { offset: 0, sysFlag: 0xc1, body: deflateSync(items) },
      { offset: 3, body: 'after', properties: { x: 'y' } },
    ]);
    expect([0, 1, 2, 3].map((i) => batch.body(i).toString())).toEqual(['a', 'b', '', 'after']);
    expect([key(batch, 0), rows(batch, 3)]).toEqual(['k1', ['x=y']]);
  });

  it.each([
    ['is cut off', items.subarray(0, items.length - 1)],
    ['lies about a size', Buffer.concat([Buffer.from([0x7f, 0xff, 0xff, 0xff]), items.subarray(4)])],
  ])('that %s is a protocol violation', (_, body) => {
    expect(() => decode([{ offset: 0, sysFlag: 0xc0, body }])).toThrow(expect.objectContaining({ code: 'PROTOCOL_VIOLATION' }));
  });
});
