import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MessageDecoder } from '../../../../../src/drivers/rocketmq/message/decode.ts';
import { PROPERTY_RULES } from '../../../../../src/drivers/rocketmq/message/properties.ts';
import { RecordEncoder } from '../../../../../src/drivers/rocketmq/sink/encode/record-encoder.ts';
import { INNER_BYTES } from '../../../../../src/drivers/rocketmq/wire/send-message.ts';
import { entryPosition } from '../../../../../src/model/position.ts';
import { plainMarks } from '../../../../../src/model/provenance.ts';
import { PROPERTY_ROW, RecordBatch, RecordFlag } from '../../../../../src/model/record-batch.ts';
import { batchOf, type TestRecord } from '../../../../kit/pulsar-writing.ts';
import { storedMessage } from '../stored-message.ts';

const LANE = { topic: 'persistent://public/default/orders', lane: '3' };

/** The properties that a writer stores, in their order. */
function stored(batch: RecordBatch, cluster = 'pulsar-east'): [string, string][] {
  const encoder = new RecordEncoder(plainMarks, cluster, LANE);
  const bytes = Buffer.alloc(INNER_BYTES + batch.bodyLength(0) + encoder.propertyBound(batch, 0));
  const end = encoder.encode(batch, 0, bytes, 0);
  const text = bytes.toString('utf8', 20 + bytes.readInt32BE(16) + 2, end);
  return text
    .split('\u0002')
    .slice(0, -1)
    .map((property): [string, string] => {
      const at = property.indexOf('\u0001');
      return [property.slice(0, at), property.slice(at + 1)];
    });
}

function readBack(properties: readonly (readonly [string, string])[], marks = plainMarks): RecordBatch {
  const batch = new RecordBatch(8);
  const text = properties.map(([name, value]) => `${name}\u0001${value}\u0002`).join('');
  new MessageDecoder(marks).decode(storedMessage({ offset: 0, body: 'b', properties: text }), 0, 0, 1, batch);
  return batch;
}

function rows(batch: RecordBatch): [string, string][] {
  return Array.from({ length: (batch.propertyFirst[1] ?? 0) - (batch.propertyFirst[0] ?? 0) }, (_, row): [string, string] => {
    const [name, nameEnd, value, valueEnd] = batch.properties.subarray(row * PROPERTY_ROW);
    return [batch.text(name, nameEnd) ?? '', batch.text(value, valueEnd) ?? ''];
  });
}

const added = new Set([
  'UNIQ_KEY',
  'BORN_TIMESTAMP',
  '__SHARDINGKEY',
  'PULSAR_PRODUCER',
  'PULSAR_SEQUENCE',
  'PULSAR_SCHEMA_VERSION',
  'ISTHMUS',
]);
const own = (batch: RecordBatch): [string, string][] => rows(batch).filter(([name]) => !added.has(name));

const ofPulsar = (record: Partial<TestRecord>): RecordBatch =>
  batchOf([{ offset: 0, position: entryPosition(812, 45, 3), body: 'b', ...record }]);

function fields(batch: RecordBatch): unknown[] {
  return [
    batch.text(batch.keyStart[0], batch.keyEnd[0]),
    batch.text(batch.orderingKeyStart[0], batch.orderingKeyEnd[0]),
    batch.flags[0],
  ];
}

describe('a record of a Pulsar that is read from a RocketMQ', () => {
  it('has its ordering key and the kind of its key again', () => {
    const bytes = readBack(stored(ofPulsar({ key: 'AP8=', keyIsBase64: true, orderingKey: Buffer.from('order') })));
    expect(fields(bytes)).toEqual(['AP8=', 'order', RecordFlag.keyIsBase64]);
    expect(own(bytes)).toEqual([]);
    const nothing = readBack(stored(ofPulsar({ nullKey: true, properties: [['KEYS', 'a b']] })));
    expect(fields(nothing)).toEqual([undefined, undefined, RecordFlag.nullKey]);
  });

  it('keeps its producer, sequence id and schema version as properties: no field of another Pulsar means the same', () => {
    const batch = readBack(stored(ofPulsar({ sequence: 41, schemaVersion: Buffer.from('0009', 'hex') })));
    expect(rows(batch)).toEqual(
      expect.arrayContaining([
        ['PULSAR_SEQUENCE', '41'],
        ['PULSAR_SCHEMA_VERSION', '0009'],
      ]),
    );
    expect(batch.sequence[0]).toBe(-1);
  });

  it('has the names of its properties again, whatever they are', () => {
    const reserved = PROPERTY_RULES.filter(({ role }) => role === 'dropped').map(({ name }) => name);
    const core = fc.constantFrom(...reserved, 'ORDERING_KEY', 'KEY_BASE64', 'KEY_NULL', 'note', 'PULSA', 'P', 'DELIVER_AT');
    const name = fc.tuple(fc.nat({ max: 3 }), core).map(([depth, text]) => `${'PULSAR_'.repeat(depth)}${text}`);
    // These are taken for the fields, where there is no more than one prefix; without one they are names like others.
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.string({ unit: 'grapheme-ascii' })), { maxLength: 8 }), (properties) => {
        const batch = readBack(stored(ofPulsar({ properties, orderingKey: Buffer.from('o') })));
        expect(own(batch)).toEqual(properties);
        expect(fields(batch)).toEqual([undefined, 'o', 0]);
      }),
    );
  });

  it('is stored by another RocketMQ as it was by the first', () => {
    const record = {
      key: 'AP8=',
      keyIsBase64: true,
      orderingKey: Buffer.from('order'),
      sequence: 41,
      properties: [
        ['CLUSTER', 'mine'],
        ['PULSAR_ORDERING_KEY', 'an application’s'],
      ] as const,
    };
    const before = stored(ofPulsar(record));
    const batch = readBack(before);
    expect(batch.nativeStart[0]).toBe(-1);
    // As the loop cut sets it.
    batch.marks = new Map([[0, '1;pulsar-east;t;3;812:45:3;0;rmq-east']]);
    const properties = (list: readonly [string, string][]): [string, string][] =>
      list.filter(([name]) => !['ISTHMUS', 'BORN_TIMESTAMP'].includes(name)).sort((a, b) => a.join().localeCompare(b.join()));
    expect(properties(stored(batch, 'rmq-east'))).toEqual(properties(before));
  });
});

describe('the same properties of a message', () => {
  const properties: [string, string][] = [
    ['PULSAR_ORDERING_KEY', 'x'],
    ['PULSAR_KEY_BASE64', 'true'],
    ['PULSAR_CLUSTER', 'c'],
  ];

  it.each([
    ['that an application of a RocketMQ has written', undefined],
    ['that another RocketMQ had before', '1;rmq-west;t;broker-a:0;125;0'],
    ['whose mark is damaged', '1;pulsar-east;t;3;812:45:3'],
  ])('%s stay properties', (_, mark) => {
    const batch = readBack(mark === undefined ? properties : [...properties, ['ISTHMUS', mark]]);
    expect(rows(batch)).toEqual(properties);
    expect(fields(batch)).toEqual([undefined, undefined, 0]);
    expect(batch.nativeStart[0]).toBe(0);
  });

  it('whose mark has no genuine seal stay properties', () => {
    const sealed = { ...plainMarks, read: () => undefined };
    expect(rows(readBack([...properties, ['ISTHMUS', '1;pulsar-east;t;3;812:45:3;0']], sealed))).toEqual(properties);
  });

  it('stay as they are on the way to another RocketMQ, also where the record is put together anew', () => {
    const batch = readBack(properties);
    batch.nativeStart[0] = -1;
    expect(stored(batch).slice(0, 3)).toEqual(properties);
  });
});
