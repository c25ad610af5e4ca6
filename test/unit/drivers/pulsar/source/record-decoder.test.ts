import { zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fillRecords, fillWhole, type QueuedEntry } from '../../../../../src/drivers/pulsar/source/batch-filler.ts';
import { COMPRESSION } from '../../../../../src/drivers/pulsar/wire/message-metadata.ts';
import { ProtoWriter } from '../../../../../src/drivers/pulsar/wire/protobuf.ts';
import { entryPosition, formatPosition } from '../../../../../src/model/position.ts';
import { PROPERTY_ROW, type RecordBatch, RecordFlag } from '../../../../../src/model/record-batch.ts';
import { golden } from '../wire/golden.ts';
import { batchEntry, batchPayload, fillable, framed, queuedEntry, recordsOf, storedEntry, wholeOf } from './kit.ts';

function text(
  batch: RecordBatch,
  column: 'key' | 'orderingKey' | 'producer' | 'tag' | 'provenance' | 'schema',
  i: number,
): string | undefined {
  const start = batch[`${column}Start`][i] ?? -1;
  return start < 0 ? undefined : batch.bytesAt(i).toString('utf8', start, batch[`${column}End`][i]);
}

function properties(batch: RecordBatch, i: number): [string, string][] {
  const list: [string, string][] = [];
  for (let row = batch.propertyFirst[i] ?? 0; row < (batch.propertyFirst[i + 1] ?? 0); row++) {
    const [name, nameEnd, value, valueEnd] = batch.properties.subarray(row * PROPERTY_ROW, (row + 1) * PROPERTY_ROW);
    list.push([batch.text(name, nameEnd) ?? '', batch.text(value, valueEnd) ?? '']);
  }
  return list;
}

describe('an entry that is one record', () => {
  it('gives every column what its header says', () => {
    const batch = recordsOf(golden('singleEntry'));
    expect(batch.count).toBe(1);
    expect(formatPosition(batch.positionAt(0))).toBe('7:3');
    expect([text(batch, 'key', 0), batch.flags[0]]).toEqual(['AP8Q', RecordFlag.keyIsBase64]);
    expect([text(batch, 'producer', 0), batch.sequence[0]]).toEqual(['p', 77]);
    expect(batch.bytes.subarray(batch.orderingKeyStart[0], batch.orderingKeyEnd[0])).toEqual(Buffer.from('cafe', 'hex'));
    expect(batch.bytes.subarray(batch.schemaStart[0], batch.schemaEnd[0])).toEqual(Buffer.from('0000000000000003', 'hex'));
    expect([batch.eventTime[0], batch.storeTime[0]]).toEqual([1_763_750_000_001, 1_763_750_000_123]);
    expect(properties(batch, 0)).toEqual([
      ['note', 'grüße'],
      ['TAGS', 'paid'],
      ['note', ''],
    ]);
    expect([text(batch, 'tag', 0), text(batch, 'provenance', 0), batch.provenanceOrdinal[0]]).toEqual(['paid', 'mark', 0]);
    expect(batch.body(0).toString()).toBe('hello');
    expect(batch.extras?.get(0)).toEqual([['PULSAR_DELIVER_AT', '1763750009999']]);
    expect(batch.broughtFrom?.get(0)).toEqual(['west']);
    expect(batch.bytesAt(0).subarray(batch.nativeStart[0], batch.nativeEnd[0])).toEqual(golden('singleEntry'));
    expect(batch.damaged).toBeUndefined();
    batch.release();
  });

  it('has no key where its key is null, and says so', () => {
    const nothing = recordsOf(storedEntry({ nullPartitionKey: true, partitionKey: Buffer.from('left') }, 'b'));
    expect([text(nothing, 'key', 0), nothing.flags[0]]).toEqual([undefined, RecordFlag.nullKey]);
    nothing.release();
  });

  it('takes the broker’s own time where it is told, and leaves it out of the stored form', () => {
    const batch = recordsOf(golden('singleEntryFromBroker'));
    expect(batch.storeTime[0]).toBe(1_763_750_000_777);
    expect(batch.bytesAt(0).subarray(batch.nativeStart[0], batch.nativeEnd[0])).toEqual(golden('singleEntry'));
    batch.release();
  });
});

describe('an entry that is a batch', () => {
  it('gives a row for each record but for what was compacted away, with places by index', () => {
    const batch = recordsOf(golden('batchEntry'));
    expect([0, 1, 2].map((i) => formatPosition(batch.positionAt(i)))).toEqual(['7:3:0', '7:3:1', '7:3:3']);
    expect(batch.count).toBe(3);
    expect([0, 1, 2].map((i) => batch.body(i).toString())).toEqual(['one', '', 'four']);
    expect([0, 1, 2].map((i) => text(batch, 'key', i))).toEqual(['k1', 'a2V5', undefined]);
    expect([...batch.flags.subarray(0, 3)]).toEqual([0, RecordFlag.keyIsBase64 + RecordFlag.nullValue, 0]);
    expect([0, 1, 2].map((i) => [text(batch, 'provenance', i), batch.provenanceOrdinal[i]])).toEqual([
      ['of the entry', 0],
      ['of the entry', 1],
      ['own', 0],
    ]);
    expect([0, 1, 2].map((i) => properties(batch, i))).toEqual([
      [
        ['a', '1'],
        ['TAGS', 't'],
      ],
      [],
      [],
    ]);
    expect([...batch.sequence.subarray(0, 3)]).toEqual([10, 11, -1]);
    expect([...batch.eventTime.subarray(0, 3)]).toEqual([5, 0, 0]);
    expect([0, 1, 2].map((i) => text(batch, 'tag', i))).toEqual(['t', undefined, undefined]);
    batch.release();
  });

  it('gives records with a null key no key, and says so', () => {
    const single = new ProtoWriter().bytes(2, Buffer.from('left')).int(3, 1).bool(10, true).finish();
    const batch = recordsOf(storedEntry({ batch: { messages: 1, highestSequenceId: 1 } }, framed(single, 'b')));
    expect([text(batch, 'key', 0), batch.flags[0], batch.body(0).toString()]).toEqual([undefined, RecordFlag.nullKey, 'b']);
    batch.release();
  });

  it('of a mirror has no producer that would say something of its records, unless it was passed on whole', () => {
    const batch = { messages: 1, highestSequenceId: 1 };
    const mark: [string, string] = ['ISTHMUS', '1;east;t;0;7:3:0;0'];
    const producers = [[mark], [mark, ['ISTHMUS-PRODUCER', '4;shop'] as const], []].map((marked) => {
      const entry = recordsOf(storedEntry({ batch, properties: marked }, batchPayload(['x'])));
      const found = text(entry, 'producer', 0);
      entry.release();
      return found;
    });
    expect(producers).toEqual([undefined, 'shop', 'p']);
  });

  it('is begun inside where that is asked for', () => {
    const batch = recordsOf(batchEntry(['a', 'b', 'c']), entryPosition(7, 3, 2));
    expect([batch.count, formatPosition(batch.positionAt(0)), batch.body(0).toString()]).toEqual([1, '7:3:2', 'c']);
    batch.release();
  });

  it('that has more records than a batch of ours holds goes on in the next one', () => {
    const bodies = Array.from({ length: 10_000 }, (_, i) => `body ${i}`);
    const queued = queuedEntry(batchEntry(bodies));
    const seen: string[] = [];
    let next = entryPosition(7, 3);
    do {
      const batch = fillRecords([queued], next, fillable);
      for (let i = 0; i < batch.count; i++) {
        seen.push(`${batch.index[i]} ${batch.body(i).toString()}`);
      }
      next = entryPosition(7, 3, queued.rest?.index);
      batch.release();
    } while (queued.rest !== undefined);
    expect(seen).toEqual(bodies.map((body, i) => `${i} ${body}`));
  });

  it('keeps nothing of what its rows held before', () => {
    for (let i = 0; i < 20; i++) recordsOf(golden('singleEntry')).release();
    const batch = recordsOf(batchEntry(['x']));
    const columns = ['key', 'orderingKey', 'tag', 'provenance', 'schema'] as const;
    expect(columns.map((column) => text(batch, column, 0))).toEqual(columns.map(() => undefined));
    expect([batch.eventTime[0], batch.flags[0], batch.sequence[0], batch.records[0], batch.provenanceOrdinal[0]]).toEqual([
      0, 0, -1, 1, 0,
    ]);
    expect([batch.extras, batch.broughtFrom, batch.whole]).toEqual([undefined, undefined, false]);
    batch.release();
  });
});

describe('whole entries', () => {
  it('are rows with their mark, and nothing that would need a look inside', () => {
    const batch = wholeOf(golden('batchEntry'), golden('singleEntryFromBroker'));
    expect([batch.whole, batch.count, ...batch.records.subarray(0, 2)]).toEqual([true, 2, 4, 1]);
    expect([0, 1].map((i) => formatPosition(batch.positionAt(i)))).toEqual(['7:3', '7:4']);
    expect([0, 1].map((i) => text(batch, 'provenance', i))).toEqual(['of the entry', 'mark']);
    expect([0, 1].map((i) => text(batch, 'key', i))).toEqual([undefined, undefined]);
    expect([0, 1].map((i) => batch.bytesAt(i).subarray(batch.nativeStart[i], batch.nativeEnd[i]))).toEqual([
      golden('batchEntry'),
      golden('singleEntry'),
    ]);
    expect(batch.broughtFrom?.get(1)).toEqual(['west']);
    batch.release();
  });
});

describe('what cannot be read is a damaged record with a reason', () => {
  const zstd = (payload: Buffer, bytes: number): Buffer =>
    storedEntry({ compression: COMPRESSION.zstd, uncompressedBytes: bytes }, payload);

  it.each([
    [
      'a checksum that does not match',
      Buffer.from(golden('singleEntry')).fill(0x58, golden('singleEntry').length - 1),
      /checksum/,
    ],
    ['a payload that does not decompress', zstd(Buffer.from('nonsense'), 10), /does not decompress/],
    ['a payload of another size than it claims', zstd(zstdCompressSync(Buffer.from('12345')), 6), /5 bytes where it claims 6/],
    ['a payload that claims too much', zstd(zstdCompressSync(Buffer.from('12345')), 2 ** 31), /more than/],
    ['a compression that nobody knows', storedEntry({ compression: 9, uncompressedBytes: 1 }, 'x'), /compression 9/],
  ])('%s', (_, entry, reason) => {
    const batch = recordsOf(entry);
    expect([batch.count, formatPosition(batch.positionAt(0))]).toEqual([1, '7:3']);
    expect(batch.damaged?.get(0)).toMatch(reason);
    batch.release();
  });

  it('what follows the place in a batch where it is cut off, while the records before it are read', () => {
    const payload = batchPayload(['first', 'second', 'third']);
    const entry = storedEntry({ batch: { messages: 3, highestSequenceId: 3 } }, payload.subarray(0, payload.length - 4));
    const batch = recordsOf(entry);
    expect([batch.count, batch.body(1).toString(), batch.damaged?.get(2)]).toEqual([
      3,
      'second',
      'record 2 of 3 in its batch is cut off',
    ]);
    expect(formatPosition(batch.positionAt(2))).toBe('7:3:2');
    batch.release();
  });

  it('an entry of bytes that are no entry', () => {
    const nonsense: QueuedEntry = {
      ...queuedEntry(golden('singleEntry')),
      bytes: Buffer.from('0e01'),
      records: 1,
      inflatedBytes: 0,
    };
    const batch = fillRecords([nonsense], entryPosition(0, 0), fillable);
    expect([batch.count, batch.damaged?.size]).toEqual([1, 1]);
    batch.release();
  });
});

const EMPTY: QueuedEntry = {
  ledger: 1,
  entry: 2,
  bytes: Buffer.alloc(0),
  records: 4,
  inflatedBytes: 0,
  passable: true,
  chunked: false,
  rest: undefined,
};

describe('hostile entries', () => {
  const entries = [golden('singleEntryFromBroker'), golden('batchEntry'), golden('chunkEntry'), batchEntry(['a', 'bb', 'ccc'])];

  it('never throw, never make more rows than there is room for, and never point outside of their bytes', () => {
    const hostile = fc.tuple(
      fc.constantFrom(...entries),
      fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 6 }),
      fc.nat(300),
    );
    fc.assert(
      fc.property(hostile, fc.boolean(), ([entry, changes, cut], whole) => {
        const bytes = Buffer.from(entry.subarray(0, Math.max(1, entry.length - (cut % 7))));
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        // Without its checksum, or everything would end there.
        const open = bytes.readUInt16BE(0) === 0x0e01 ? bytes.subarray(6) : bytes;
        const queued: QueuedEntry = { ...EMPTY, bytes: open };
        const batch = whole ? fillWhole([queued], fillable) : fillRecords([queued], entryPosition(0, 0), fillable);
        const outside = (i: number): boolean =>
          [batch.bodyEnd, batch.keyEnd, batch.orderingKeyEnd, batch.producerEnd, batch.nativeEnd].some(
            (ends) => (ends[i] ?? 0) > batch.bytesAt(i).length,
          );
        let wrong = batch.count > batch.capacity;
        for (let i = 0; i < batch.count; i++) {
          wrong ||= outside(i) || batch.bodyLength(i) < 0;
          if (!whole) properties(batch, i);
        }
        expect(wrong).toBe(false);
        batch.release();
      }),
      { numRuns: 500 },
    );
  });
});
