import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { MessageDecoder } from '../../../../../../src/drivers/rocketmq/message/decode.ts';
import { RecordEncoder } from '../../../../../../src/drivers/rocketmq/sink/encode/record-encoder.ts';
import { INNER_BYTES } from '../../../../../../src/drivers/rocketmq/wire/send-message.ts';
import { plainMarks } from '../../../../../../src/model/provenance.ts';
import { RecordBatch, RecordFlag } from '../../../../../../src/model/record-batch.ts';
import { batchOf, type TestRecord } from '../../../../../kit/pulsar-writing.ts';
import { BORN, STORED, type StoredMessage, storedMessage } from '../../stored-message.ts';

const LANE = { topic: 'orders', lane: 'broker-a:3' };
const MARK = `1;east;orders;broker-a:3;7;${STORED.toString(36)}`;

interface Inner {
  readonly flag: number;
  readonly body: Buffer;
  /** As `name=value`, in order. */
  readonly properties: readonly string[];
}

function readInner(bytes: Buffer): Inner {
  expect(bytes.readInt32BE(0)).toBe(bytes.length);
  expect([bytes.readInt32BE(4), bytes.readInt32BE(8)]).toEqual([0, 0]);
  const bodyEnd = 20 + bytes.readInt32BE(16);
  const properties = bytes.subarray(bodyEnd + 2);
  expect(bytes.readInt16BE(bodyEnd)).toBe(properties.length);
  // Every property ends with the separator: a broker may append one of its own.
  expect(properties.at(-1)).toBe(2);
  return {
    flag: bytes.readInt32BE(12),
    body: bytes.subarray(20, bodyEnd),
    properties: properties.toString('utf8').replaceAll('\u0001', '=').split('\u0002').slice(0, -1),
  };
}

function encode(batch: RecordBatch, i = 0, marks = plainMarks): Inner & { readonly sysFlag: number } {
  const encoder = new RecordEncoder(marks, 'east', LANE);
  encoder.bornTime = BORN;
  const sysFlag = encoder.sysFlag(batch, i);
  const properties = encoder.propertyBound(batch, i);
  expect(encoder.refusal(batch, i, properties)).toBeUndefined();
  const bound = INNER_BYTES + encoder.bodyBytes(batch, i, sysFlag) + properties;
  const target = Buffer.alloc(bound + 5, 0xee);
  const end = encoder.encode(batch, i, target, 5);
  expect(end - 5).toBeLessThanOrEqual(bound);
  expect(target.subarray(0, 5).every((byte) => byte === 0xee)).toBe(true);
  return { ...readInner(target.subarray(5, end)), sysFlag };
}

function spliced(message: Partial<StoredMessage>): RecordBatch {
  const batch = new RecordBatch(8);
  new MessageDecoder(plainMarks).decode(storedMessage({ body: 'hello', ...message, offset: 7 }), 0, 7, 8, batch);
  expect(batch.count).toBe(1);
  return batch;
}

function refusal(batch: RecordBatch): string | undefined {
  const encoder = new RecordEncoder(plainMarks, 'east', LANE);
  return encoder.refusal(batch, 0, encoder.propertyBound(batch, 0));
}

const transcoded = (record: Partial<TestRecord>): RecordBatch =>
  batchOf([{ offset: 7, body: 'hello', storeTime: STORED, ...record }]);

describe('a message of another RocketMQ', () => {
  it('keeps body, flag and properties as they were stored, and gets its mark and what a batch does not get from the broker', () => {
    const made = encode(spliced({ flag: -5, properties: { KEYS: 'k1 k2', TAGS: 't', own: 'grüße', UNIQ_KEY: 'U1', empty: '' } }));
    expect(made).toMatchObject({ flag: -5, sysFlag: 0 });
    expect(made.body.toString()).toBe('hello');
    expect(made.properties).toEqual([
      'KEYS=k1 k2',
      'TAGS=t',
      'own=grüße',
      'UNIQ_KEY=U1',
      'empty=',
      '__BORNHOST=7.7.7.7',
      `ISTHMUS=${MARK}`,
    ]);
  });

  it('loses what was said about the broker and its handling, wherever it stands', () => {
    const made = encode(
      spliced({
        properties: {
          WAIT: 'true',
          a: '1',
          CLUSTER: 'c',
          TRAN_MSG: 'true',
          b: '2',
          POP_CK: '1 2',
          UNIQ_KEY: 'U',
          MSG_REGION: 'r',
          ISTHMUS: 'old',
          __BORNHOST: 'h',
        },
      }),
    );
    expect(made.properties).toEqual(['a=1', 'b=2', 'UNIQ_KEY=U', '__BORNHOST=h', `ISTHMUS=${MARK}`]);
  });

  it('without a client id gets one that follows from its place', () => {
    const [first, again] = [encode(spliced({})), encode(spliced({}))];
    const key = first.properties.find((each) => each.startsWith('UNIQ_KEY='));
    expect(key).toMatch(/^UNIQ_KEY=[0-9A-F]{32}$/);
    expect(again.properties).toContain(key);
  });

  it('says when it was made where its batch says something else', () => {
    expect(encode(spliced({ bornTime: BORN + 1 })).properties).toContain(`BORN_TIMESTAMP=${BORN + 1}`);
    expect(encode(spliced({ bornTime: BORN })).properties.some((each) => each.startsWith('BORN_TIMESTAMP'))).toBe(false);
    expect(encode(spliced({ bornTime: BORN + 1, properties: { BORN_TIMESTAMP: '5' } })).properties).toContain('BORN_TIMESTAMP=5');
  });

  it('that was delayed is marked as delivered, so that a retry is not delayed again', () => {
    const made = encode(spliced({ properties: { TIMER_DELAY_MS: '9000', TIMER_OUT_MS: '1', UNIQ_KEY: 'U' } }));
    expect(made.properties).toContain('TIMER_DELAY_MS=9000');
    expect(made.properties.filter((each) => each.startsWith('TIMER_OUT_MS'))).toEqual([`TIMER_OUT_MS=${STORED}`]);
  });

  it('keeps how often it was tried as a property: where it comes to, it was never tried', () => {
    expect(encode(spliced({ reconsumeTimes: 3, flag: 9 })).properties).toContain('ROCKETMQ_RECONSUME_TIMES=3');
  });

  it.each([
    ['zlib', 0x301, deflateSync('text'), 0x301],
    ['zlib without its kind', 0x1, deflateSync('text'), 0x1],
    ['zstd', 0x201, zstdCompressSync('text'), 0x201],
    ['zstd with bits that must not be sent', 0x201 | 0x2 | 0x8, zstdCompressSync('text'), 0x201],
  ])('compressed with %s is copied as it is', (_, sysFlag, body, kept) => {
    const made = encode(spliced({ sysFlag, body }));
    expect(made.sysFlag).toBe(kept);
    expect(made.body.equals(body)).toBe(true);
  });

  it.each([
    ['gzip under the bits of zlib', 0x301, gzipSync('text')],
    ['zlib under the bits of zstd', 0x201, deflateSync('text')],
  ])('with %s is stored as it was written: Java clients would lose what follows it', (_, sysFlag, body) => {
    const made = encode(spliced({ sysFlag, body }));
    expect(made.sysFlag).toBe(0);
    expect(made.body.toString()).toBe('text');
  });

  it.each([0x10, 0x20, 0x30])('from hosts with IPv6 addresses (%i) is sent without these bits', (sysFlag) => {
    const made = encode(spliced({ sysFlag }));
    expect(made.sysFlag).toBe(0);
    expect(made.properties).toContain(sysFlag === 0x20 ? '__BORNHOST=7.7.7.7' : '__BORNHOST=707:707:707:707:707:707:707:707');
  });

  it('without a body stays without', () => {
    expect(encode(spliced({ body: '' })).body).toHaveLength(0);
  });

  it('that came from elsewhere keeps the mark of its origin, and says where it was read', () => {
    const batch = spliced({ properties: { UNIQ_KEY: 'U' } });
    batch.marks = new Map([[0, '1;west;t;b:0;5;0;mid']]);
    expect(encode(batch).properties.at(-1)).toBe('ISTHMUS=1;west;t;b:0;5;0;mid;orders;broker-a:3;7');
  });

  it('gets sealed marks where there is a secret', () => {
    const sealing = { ...plainMarks, seal: (mark: string) => `${mark};!tag` };
    expect(encode(spliced({}), 0, sealing).properties.at(-1)).toBe(`ISTHMUS=${MARK};!tag`);
  });

  it('whose properties and mark have no room together is refused', () => {
    expect(refusal(spliced({ properties: { long: 'x'.repeat(32_700) } }))).toContain('properties');
  });
});

describe('a record of a Pulsar', () => {
  const own = ({ properties }: Inner): readonly string[] => properties.filter((each) => !/^(UNIQ_KEY|ISTHMUS)=/.test(each));

  it('has its key as message group, unless it came from a RocketMQ with another one', () => {
    expect(own(encode(transcoded({ key: 'k', properties: [['a', 'b']] })))).toEqual(['a=b', '__SHARDINGKEY=k']);
    expect(own(encode(transcoded({ key: 'k', properties: [['__SHARDINGKEY', 'k']] })))).toEqual(['__SHARDINGKEY=k']);
    expect(own(encode(transcoded({ key: 'k1', properties: [['KEYS', 'k1 k2']] })))).toEqual(['KEYS=k1 k2']);
    expect(own(encode(transcoded({ key: 'k', properties: [['KEYS', 'k1 k2']] })))).toEqual(['KEYS=k1 k2', '__SHARDINGKEY=k']);
    expect(own(encode(transcoded({})))).toEqual([]);
  });

  it('gets back the flag that a RocketMQ has told as a property', () => {
    expect(encode(transcoded({ properties: [['ROCKETMQ_FLAG', '-7']] }))).toMatchObject({ flag: -7 });
    expect(own(encode(transcoded({ properties: [['ROCKETMQ_FLAG', '-7']] })))).toEqual([]);
    expect(own(encode(transcoded({ properties: [['ROCKETMQ_FLAG', 'red']] })))).toEqual(['ROCKETMQ_FLAG=red']);
    expect(encode(transcoded({ extras: [['ROCKETMQ_FLAG', '8']] }))).toMatchObject({ flag: 8 });
  });

  it('keeps an application’s properties that RocketMQ would take for its own under another name', () => {
    const made = encode(
      transcoded({
        properties: [
          ['TRAN_MSG', 'true'],
          ['INNER_NUM', 'x'],
          ['CLUSTER', 'mine'],
          ['TIMER_OUT_MS', '1'],
        ],
      }),
    );
    expect(own(made)).toEqual(['PULSAR_TRAN_MSG=true', 'PULSAR_INNER_NUM=x', 'PULSAR_CLUSTER=mine', 'PULSAR_TIMER_OUT_MS=1']);
  });

  it('keeps what Pulsar has in fields of its own', () => {
    const batch = transcoded({ key: 'a2V5' });
    const extra = Buffer.from('orderproducer\u0000\u0009');
    const at = batch.bytes.length;
    batch.bytes = Buffer.concat([batch.bytes, extra]);
    [batch.orderingKeyStart[0], batch.orderingKeyEnd[0]] = [at, at + 5];
    [batch.producerStart[0], batch.producerEnd[0]] = [at + 5, at + 13];
    [batch.schemaStart[0], batch.schemaEnd[0]] = [at + 13, at + 15];
    batch.sequence[0] = 41;
    batch.flags[0] = RecordFlag.keyIsBase64;
    expect(own(encode(batch))).toEqual([
      'PULSAR_KEY_BASE64=true',
      '__SHARDINGKEY=a2V5',
      'PULSAR_ORDERING_KEY=order',
      'PULSAR_PRODUCER=producer',
      'PULSAR_SEQUENCE=41',
      'PULSAR_SCHEMA_VERSION=0009',
    ]);
    batch.flags[0] = RecordFlag.nullKey;
    batch.keyStart[0] = -1;
    expect(own(encode(batch))[0]).toBe('PULSAR_KEY_NULL=true');
  });

  it('without a time of its own does not get that of its batch where that is far from when it was published', () => {
    const born = (storeTime: number): string | undefined =>
      encode(transcoded({ storeTime })).properties.find((each) => each.startsWith('BORN_TIMESTAMP'));
    expect(born(BORN + 900)).toBeUndefined();
    expect(born(BORN + 5_000)).toBe(`BORN_TIMESTAMP=${BORN + 5_000}`);
  });

  it('says that its key stands for bytes only of the key that is stored', () => {
    const bytes = { key: 'a2V5', keyIsBase64: true };
    const isMarked = (properties: [string, string][]): boolean =>
      own(encode(transcoded({ ...bytes, properties }))).includes('PULSAR_KEY_BASE64=true');
    expect(isMarked([['__SHARDINGKEY', 'a2V5']])).toBe(true);
    expect(isMarked([['KEYS', 'a2V5 b']])).toBe(true);
    expect(isMarked([['__SHARDINGKEY', 'other']])).toBe(false);
  });

  it('keeps a fact that a property tells already, for it is older', () => {
    const told: [string, string][] = [
      ['PULSAR_PRODUCER', 'first'],
      ['PULSAR_SEQUENCE', '3'],
      ['PULSAR_SCHEMA_VERSION', '00'],
    ];
    const record = { sequence: 41, schemaVersion: Buffer.from('0009', 'hex') };
    expect(own(encode(transcoded({ ...record, properties: told })))).toEqual(told.map(([name, value]) => `${name}=${value}`));
  });

  it('without a body is stored only where a RocketMQ had it without', () => {
    const batch = transcoded({ body: '', mark: '1;west;t;b:0;5;0;mid' });
    expect(encode(batch).body).toHaveLength(0);
    expect(refusal(transcoded({ body: '', mark: '1;far;t;0;7:5:0;0;mid' }))).toContain('empty');
  });

  it('has all parts of its place in the mark', () => {
    const batch = transcoded({});
    [batch.major[0], batch.minor[0], batch.index[0]] = [812, 45, 3];
    expect(encode(batch).properties.at(-1)).toBe(`ISTHMUS=1;east;orders;broker-a:3;812:45:3;${STORED.toString(36)}`);
    batch.index[0] = -1;
    expect(encode(batch).properties.at(-1)).toBe(`ISTHMUS=1;east;orders;broker-a:3;812:45;${STORED.toString(36)}`);
  });

  it('that RocketMQ cannot hold is refused with the reason', () => {
    expect(refusal(transcoded({ body: '' }))).toContain('empty');
    expect(refusal(transcoded({ properties: [['a', 'b\u0001c']] }))).toContain('0x01');
    expect(refusal(transcoded({ key: 'a\u0002' }))).toContain('0x01');
    const tombstone = transcoded({ body: '' });
    tombstone.flags[0] = RecordFlag.nullValue;
    expect(refusal(tombstone)).toContain('tombstone');
  });
});
