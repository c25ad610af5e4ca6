import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeBatch } from '../../../src/drivers/memory/batch.ts';
import type { MemoryMessage } from '../../../src/drivers/memory/queue-broker.ts';
import { globMatchesAt } from '../../../src/mirror/stages/property-bytes.ts';
import { transformBy } from '../../../src/mirror/stages/transform.ts';
import type { TransformRule } from '../../../src/model/mirror-spec.ts';
import { PROPERTY_ROW, type RecordBatch } from '../../../src/model/record-batch.ts';
import { matchesGlob } from '../../../src/model/topic-name.ts';
import type { Verdicts } from '../../../src/spi/stage.ts';

type Properties = NonNullable<MemoryMessage['properties']>;

function batchOf(...properties: Properties[]): RecordBatch {
  const batch = makeBatch(
    properties.map((each, i) => ({ body: Buffer.from(`body ${i}`), key: `key ${i}`, properties: each, offset: i, storeTime: 0 })),
    () => undefined,
  );
  batch.nativeStart.fill(0);
  return batch;
}

const rule = (changes: Partial<TransformRule>): TransformRule => ({ drop: [], rename: {}, set: {}, ...changes });

function transformed(batch: RecordBatch, changes: Partial<TransformRule>, verdicts: Verdicts = []): RecordBatch {
  transformBy(rule(changes))?.(batch, verdicts);
  return batch;
}

/** All properties of a record, those of its rows first. */
function propertiesOf(batch: RecordBatch, i: number): [string, string][] {
  const rows = Array.from(batch.properties.subarray(0, (batch.propertyFirst[i + 1] ?? 0) * PROPERTY_ROW));
  const found: [string, string][] = [];
  for (let at = (batch.propertyFirst[i] ?? 0) * PROPERTY_ROW; at < rows.length; at += PROPERTY_ROW) {
    const [name, value] = [batch.text(rows[at], rows[at + 1]), batch.text(rows[at + 2], rows[at + 3])];
    found.push([name ?? '', value ?? '']);
  }
  return [...found, ...(batch.extras?.get(i) ?? []).map(([name, value]): [string, string] => [name, value])];
}

const all = (batch: RecordBatch): Properties[] =>
  Array.from({ length: batch.count }, (_, i) => Object.fromEntries(propertiesOf(batch, i)));
const changed = (batch: RecordBatch): boolean[] => Array.from(batch.nativeStart.subarray(0, batch.count), (start) => start < 0);

describe('a transform', () => {
  it('costs nothing when it changes nothing', () => {
    expect(transformBy(rule({}))).toBeUndefined();
  });

  it('leaves properties out by name and by glob, and tells which records were changed', () => {
    const batch = transformed(
      batchOf({ a: '1', 'debug-x': '2', b: '3' }, { a: '1' }, {}, { 'debug-y': '4', trace: '5', c: '6' }),
      {
        drop: ['debug-*', 'trace'],
      },
    );
    expect(all(batch)).toEqual([{ a: '1', b: '3' }, { a: '1' }, {}, { c: '6' }]);
    expect(changed(batch)).toEqual([true, false, false, true]);
  });

  it('makes no list for records that only lose properties', () => {
    expect(transformed(batchOf({ a: '1' }, { b: '2' }), { drop: ['a'] }).extras).toBeUndefined();
  });

  it('leaves bodies and keys alone', () => {
    const batch = transformed(batchOf({ a: '1' }, { b: '2' }), { drop: ['*'], set: { c: '3' } });
    expect(
      Array.from({ length: 2 }, (_, i) => [batch.body(i).toString(), batch.text(batch.keyStart[i], batch.keyEnd[i])]),
    ).toEqual([
      ['body 0', 'key 0'],
      ['body 1', 'key 1'],
    ]);
  });

  it('gives other names, in place of what had them', () => {
    const batch = transformed(batchOf({ old: 'ü', new: 'x', a: '1' }, { new: 'y' }, { old: '' }), { rename: { old: 'new' } });
    expect(all(batch)).toEqual([{ a: '1', new: 'ü' }, { new: 'y' }, { new: '' }]);
    expect(propertiesOf(batch, 0)).toHaveLength(2);
    expect(changed(batch)).toEqual([true, false, true]);
  });

  it('gives names on, each to the next', () => {
    expect(all(transformed(batchOf({ a: '1', b: '2', c: '3' }), { rename: { a: 'b', b: 'c' } }))).toEqual([{ b: '1', c: '2' }]);
  });

  it('sets properties on every record, with one list for most of them', () => {
    const batch = transformed(batchOf({ a: '1', zone: 'x' }, {}, { b: '2' }), { set: { zone: 'east', by: 'mirror' } });
    const set = { zone: 'east', by: 'mirror' };
    expect(all(batch)).toEqual([{ a: '1', ...set }, set, { b: '2', ...set }]);
    expect(propertiesOf(batch, 0)).toHaveLength(3);
    expect(batch.extras?.get(0)).toBe(batch.extras?.get(2));
  });

  it('drops before it renames, and renames before it sets', () => {
    const changes = { drop: ['gone'], rename: { gone: 'kept', a: 'z' }, set: { z: 'set' } };
    expect(all(transformed(batchOf({ gone: '1', a: '2', kept: '3' }), changes))).toEqual([{ kept: '3', z: 'set' }]);
  });

  it('sees what the source driver has added', () => {
    const batch = batchOf({ a: '1' }, {});
    batch.extras = new Map([
      [0, [['FLAG', '7']]],
      [1, [['FLAG', '8']]],
    ]);
    expect(all(transformed(batch, { rename: { FLAG: 'flag' } }))).toEqual([{ a: '1', flag: '7' }, { flag: '8' }]);
    expect(all(transformed(batch, { drop: ['f*'] }))).toEqual([{ a: '1' }, {}]);
  });

  it('leaves records alone that are dropped anyway', () => {
    const batch = transformed(batchOf({ a: '1' }, { a: '2', b: '3' }, { a: '4' }), { drop: ['a'] }, [
      undefined,
      'loop',
      undefined,
    ]);
    expect(all(batch)).toEqual([{}, { a: '2', b: '3' }, {}]);
    expect(changed(batch)).toEqual([true, false, true]);
  });

  it('is what its rule says, whatever the records are', () => {
    const name = fc.constantFrom('a', 'b', 'ab', 'é', 'c');
    const properties = fc.dictionary(name, fc.string({ maxLength: 3 }), { maxKeys: 4 });
    const rules = fc.record({
      drop: fc.array(fc.constantFrom('a', 'a*', '?', 'x'), { maxLength: 2 }),
      rename: fc
        .dictionary(name, name, { maxKeys: 2 })
        .filter((names) => new Set(Object.values(names)).size === Object.keys(names).length),
      set: fc.dictionary(name, fc.string({ maxLength: 2 }), { maxKeys: 2 }),
    });
    const expected = (record: Properties, { drop, rename, set }: TransformRule): Properties => {
      const kept = Object.entries(record).filter(([key]) => !drop.some((glob) => matchesGlob(glob, key)));
      const renames = new Map(Object.entries(rename));
      const moved = kept.flatMap(([key, value]) => (renames.has(key) ? [[renames.get(key) ?? '', value] as const] : []));
      return Object.fromEntries([...kept.filter(([key]) => !renames.has(key)), ...moved, ...Object.entries(set)]);
    };
    fc.assert(
      fc.property(fc.array(properties, { minLength: 1, maxLength: 5 }), rules, (records, changes) => {
        const batch = transformed(batchOf(...records), changes);
        expect(all(batch)).toEqual(records.map((record) => expected(record, changes)));
        for (let i = 0; i < batch.count; i++)
          expect(propertiesOf(batch, i)).toHaveLength(Object.keys(expected(records[i] ?? {}, changes)).length);
      }),
    );
  });
});

describe('a glob over bytes', () => {
  it('matches what it matches as text', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?', 'é', '語'), maxLength: 6 });
    fc.assert(
      fc.property(text, text, (glob, name) => {
        const bytes = Buffer.from(`<${name}>`);
        expect(globMatchesAt(Buffer.from(glob), bytes, 1, bytes.length - 1)).toBe(matchesGlob(glob, name));
      }),
      { numRuns: 2_000 },
    );
  });
});
