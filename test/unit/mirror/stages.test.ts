import { describe, expect, it } from 'vitest';
import { makeBatch } from '../../../src/drivers/memory/batch.ts';
import type { MemoryMessage } from '../../../src/drivers/memory/queue-broker.ts';
import { PositionSet } from '../../../src/mirror/position-set.ts';
import { alreadyStored } from '../../../src/mirror/stages/already-stored.ts';
import { filterBy } from '../../../src/mirror/stages/filter.ts';
import { keyBy } from '../../../src/mirror/stages/key-by.ts';
import { loopCut } from '../../../src/mirror/stages/loop-cut.ts';
import { offsetPosition } from '../../../src/model/position.ts';
import { formatProvenance, type MarkCodec, plainMarks } from '../../../src/model/provenance.ts';
import { type RecordBatch, RecordFlag } from '../../../src/model/record-batch.ts';
import type { Stage, Verdicts } from '../../../src/spi/stage.ts';

const BODY = Buffer.from('body');

function batchOf(...messages: Omit<MemoryMessage, 'body'>[]): RecordBatch {
  return makeBatch(
    messages.map((message, i) => ({ body: BODY, ...message, offset: 10 + i, storeTime: 0 })),
    () => undefined,
  );
}

function judge(stage: Stage | undefined, batch: RecordBatch, verdicts: Verdicts = Array.from({ length: batch.count })): Verdicts {
  stage?.(batch, verdicts);
  return verdicts;
}

const keysOf = (batch: RecordBatch): (string | undefined)[] =>
  Array.from({ length: batch.count }, (_, i) => batch.text(batch.keyStart[i], batch.keyEnd[i]));

describe('the filter', () => {
  it('costs nothing when it lets everything pass', () => {
    expect(filterBy({ tags: [], properties: {} })).toBeUndefined();
  });

  it('passes records with one of the tags, the whole of it', () => {
    const batch = batchOf({ tag: 'paid' }, { tag: 'paid2' }, {}, { tag: '' }, { tag: 'open' });
    expect(judge(filterBy({ tags: ['paid', 'open'], properties: {} }), batch)).toEqual([
      undefined,
      'tag',
      'tag',
      'tag',
      undefined,
    ]);
  });

  it('asks for one of the values of each property', () => {
    const rule = { tags: [], properties: { zone: ['a', 'b'], kind: ['x'] } };
    const batch = batchOf(
      { properties: { zone: 'b', kind: 'x' } },
      { properties: { zone: 'c', kind: 'x' } },
      { properties: { zone: 'a' } },
      {},
      { properties: { Zone: 'a', kind: 'x' } },
    );
    expect(judge(filterBy(rule), batch)).toEqual([undefined, 'property', 'property', 'property', 'property']);
  });

  it('reads the last of two properties of one name, and one that the driver has added', () => {
    const batch = batchOf({ properties: { zone: 'a' } }, { properties: { zone: 'c' } });
    batch.extras = new Map([[0, [['zone', 'c']]]]);
    expect(judge(filterBy({ tags: [], properties: { zone: ['c'] } }), batch)).toEqual([undefined, undefined]);
  });

  it('asks for values that a property must not have, and passes a record without it', () => {
    const batch = batchOf({ properties: { kind: 'test' } }, { properties: { kind: 'real' } }, {});
    expect(judge(filterBy({ tags: [], properties: {}, except: { kind: ['test', 'load'] } }), batch)).toEqual([
      'property',
      undefined,
      undefined,
    ]);
  });

  it('asks for properties that are there, or are not, with any value', () => {
    const batch = batchOf({ properties: { id: '' } }, { properties: { id: '1', debug: '' } }, { properties: { debug: 'x' } }, {});
    const here = { tags: [], properties: {} };
    expect(judge(filterBy({ ...here, present: ['id'] }), batch)).toEqual([undefined, undefined, 'property', 'property']);
    expect(judge(filterBy({ ...here, absent: ['debug'] }), batch)).toEqual([undefined, 'property', 'property', undefined]);
    expect(judge(filterBy({ ...here, present: ['id'], absent: ['debug'] }), batch)).toEqual([
      undefined,
      'property',
      'property',
      'property',
    ]);
  });

  it('leaves alone what was dropped before', () => {
    expect(judge(filterBy({ tags: ['paid'], properties: {} }), batchOf({}, {}), ['loop', undefined])).toEqual(['loop', 'tag']);
  });
});

describe('the loop cut', () => {
  const mark = (cluster: string, ...passed: string[]): string =>
    formatProvenance({ cluster, topic: 't', lane: '0', runs: [{ first: offsetPosition(7), count: 1 }], time: 5, passed });

  /** A cut from `east` to `west`, and how many records it says have a damaged mark. */
  function cut(batch: RecordBatch, marks: MarkCodec = plainMarks): { verdicts: Verdicts; damaged: number } {
    let damaged = 0;
    const onDamagedMarks = (records: number): void => {
      damaged += records;
    };
    const verdicts = judge(loopCut({ sourceCluster: 'east', targetCluster: 'west', marks, onDamagedMarks }), batch);
    return { verdicts, damaged };
  }

  const marksOf = (batch: RecordBatch): (string | undefined)[] =>
    Array.from({ length: batch.count }, (_, i) => batch.marks?.get(i));

  /** Gives all records the mark of the entry that they came in. */
  function inEntry(batch: RecordBatch, text: string): RecordBatch {
    const bytes = Buffer.concat([batch.bytes, Buffer.from(text)]);
    for (let i = 0; i < batch.count; i++) {
      batch.provenanceStart[i] = batch.bytes.length;
      batch.provenanceEnd[i] = bytes.length;
      batch.provenanceOrdinal[i] = i;
    }
    batch.bytes = bytes;
    return batch;
  }

  it('drops what has been in the target cluster, as its origin or on its way', () => {
    const batch = batchOf({ mark: mark('west') }, { mark: mark('north', 'south', 'west') }, { mark: mark('north') }, {});
    expect(cut(batch).verdicts).toEqual(['loop', 'loop', undefined, undefined]);
  });

  it('keeps the mark of a record from elsewhere, with the source on its way', () => {
    const batch = batchOf({}, { mark: mark('north', 'south') });
    cut(batch);
    expect(marksOf(batch)).toEqual([undefined, '1;north;t;0;7;5;south>east']);
  });

  it('takes a record with a damaged mark for a local one, and counts it', () => {
    const batch = batchOf({ mark: 'nonsense' }, { mark: '' }, { mark: mark('north') });
    expect(cut(batch)).toEqual({ verdicts: [undefined, undefined, undefined], damaged: 2 });
    expect(marksOf(batch).slice(0, 2)).toEqual([undefined, undefined]);
  });

  it('gives each record of an entry its own origin, and reads the mark that they share once', () => {
    const batch = inEntry(batchOf({}, {}, {}, {}), '1;north;t;0;7+2,20+2;5');
    let reads = 0;
    const counting: MarkCodec = { ...plainMarks, read: (text) => (reads++, plainMarks.read(text)) };
    cut(batch, counting);
    expect(marksOf(batch)).toEqual([
      '1;north;t;0;7;5;east',
      '1;north;t;0;8;5;east',
      '1;north;t;0;20;5;east',
      '1;north;t;0;21;5;east',
    ]);
    expect(reads).toBe(1);
  });

  it('tells the records of an entry apart that was passed on whole, without what its writer has read', () => {
    const batch = inEntry(batchOf({}, {}), '1;north;t;0;812:45;5;south;t2;1;9:3');
    cut(batch);
    expect(marksOf(batch)).toEqual(['1;north;t;0;812:45:0;5;south>east', '1;north;t;0;812:45:1;5;south>east']);
  });

  it('takes records for local ones of which the mark of their entry does not speak', () => {
    const batch = inEntry(batchOf({}, {}, {}), '1;north;t;0;7+2;5');
    expect(cut(batch).damaged).toBe(1);
    expect(marksOf(batch)[2]).toBeUndefined();
  });

  it('keeps all that the mark of a whole entry says, and counts its records', () => {
    const whole = (text: string): RecordBatch => {
      const batch = inEntry(batchOf({}), text);
      batch.whole = true;
      batch.records[0] = 33;
      return batch;
    };
    const foreign = whole('1;north;t;0;7+2,20+31;5');
    cut(foreign);
    expect(marksOf(foreign)).toEqual(['1;north;t;0;7+2,20+31;5;east']);
    expect(cut(whole('1;west;t;0;7+33;5')).verdicts).toEqual(['loop']);
    expect(cut(whole('nonsense'))).toEqual({ verdicts: [undefined], damaged: 33 });
  });

  it('drops what another replicator has brought from the target cluster', () => {
    const batch = batchOf({}, {}, {});
    batch.broughtFrom = new Map([
      [0, ['elsewhere', 'west']],
      [2, ['elsewhere', 'westward']],
    ]);
    expect(cut(batch).verdicts).toEqual(['loop', undefined, undefined]);
  });
});

describe('what a look at the target has found', () => {
  it('is left out once, and forgotten when the lane has come past it', () => {
    const found = new PositionSet();
    found.add({ first: offsetPosition(11), count: 2 });
    const stage = alreadyStored(found);
    expect(judge(stage, batchOf({}, {}, {}, {}))).toEqual([undefined, 'duplicate', 'duplicate', undefined]);
    expect(found.empty).toBe(true);
  });
});

describe('the key for routing', () => {
  const batch = (): RecordBatch =>
    batchOf(
      { key: 'default', properties: { KEYS: 'k1 k2', __SHARDINGKEY: 's', id: 'first' } },
      { key: 'default', properties: {} },
      { key: 'default', properties: { KEYS: 'only', id: '' } },
    );

  it.each([
    [{ kind: 'sharding-key' }, ['s', undefined, undefined]],
    [{ kind: 'keys' }, ['k1', undefined, 'only']],
    [{ kind: 'property', name: 'id' }, ['first', undefined, '']],
  ] as const)('is what %j says', (rule, keys) => {
    const records = batch();
    judge(keyBy(rule), records);
    expect(keysOf(records)).toEqual(keys);
  });

  it('is the one that the driver chose, at no cost, by default', () => {
    expect(keyBy({ kind: 'default' })).toBeUndefined();
  });

  it('takes the record away from its stored form where it is another key, and only there', () => {
    const records = batchOf({ properties: { id: 'a' } }, { properties: {} });
    records.nativeStart.fill(0);
    records.flags.fill(RecordFlag.keyIsBase64 | RecordFlag.nullValue);
    judge(keyBy({ kind: 'property', name: 'id' }), records);
    expect([records.nativeStart[0], records.nativeStart[1]]).toEqual([-1, 0]);
    expect([records.flags[0], records.flags[1]]).toEqual([RecordFlag.nullValue, RecordFlag.keyIsBase64 | RecordFlag.nullValue]);
  });

  it('is not a property whose name only begins alike', () => {
    const records = batchOf({ properties: { idx: 'no', i: 'no' } });
    judge(keyBy({ kind: 'property', name: 'id' }), records);
    expect(keysOf(records)).toEqual([undefined]);
  });
});
