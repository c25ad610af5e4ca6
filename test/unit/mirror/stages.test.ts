import { describe, expect, it } from 'vitest';
import { makeBatch } from '../../../src/drivers/memory/batch.ts';
import type { MemoryMessage } from '../../../src/drivers/memory/queue-broker.ts';
import { PositionSet } from '../../../src/mirror/position-set.ts';
import { alreadyStored } from '../../../src/mirror/stages/already-stored.ts';
import { filterBy } from '../../../src/mirror/stages/filter.ts';
import { keyBy } from '../../../src/mirror/stages/key-by.ts';
import { loopCut } from '../../../src/mirror/stages/loop-cut.ts';
import { offsetPosition } from '../../../src/model/position.ts';
import { formatProvenance, parseProvenance, plainMarks } from '../../../src/model/provenance.ts';
import type { RecordBatch } from '../../../src/model/record-batch.ts';
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

  it('leaves alone what was dropped before', () => {
    expect(judge(filterBy({ tags: ['paid'], properties: {} }), batchOf({}, {}), ['loop', undefined])).toEqual(['loop', 'tag']);
  });
});

describe('the loop cut', () => {
  const mark = (cluster: string, ...passed: string[]): string =>
    formatProvenance({ cluster, topic: 't', lane: '0', runs: [{ first: offsetPosition(7), count: 1 }], time: 5, passed });

  it('drops what has been in the target cluster, as its origin or on its way', () => {
    const batch = batchOf({ mark: mark('west') }, { mark: mark('north', 'south', 'west') }, { mark: mark('north') }, {});
    expect(
      judge(
        loopCut('east', 'west', plainMarks, () => undefined),
        batch,
      ),
    ).toEqual(['loop', 'loop', undefined, undefined]);
  });

  it('keeps the mark of a record from elsewhere, with the source on its way', () => {
    const batch = batchOf({}, { mark: mark('north', 'south') });
    judge(
      loopCut('east', 'west', plainMarks, () => undefined),
      batch,
    );
    expect([...(batch.marks ?? [])].map(([i, text]) => [i, parseProvenance(text)])).toMatchObject([
      [1, { cluster: 'north', lane: '0', runs: [{ first: { major: 7 } }], passed: ['south', 'east'] }],
    ]);
  });

  it('takes a record with a damaged mark for a local one, and says so', () => {
    let damaged = 0;
    const batch = batchOf({ mark: 'nonsense' }, { mark: '' });
    expect(
      judge(
        loopCut('east', 'west', plainMarks, () => damaged++),
        batch,
      ),
    ).toEqual([undefined, undefined]);
    expect(damaged).toBe(2);
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

  it('is not a property whose name only begins alike', () => {
    const records = batchOf({ properties: { idx: 'no', i: 'no' } });
    judge(keyBy({ kind: 'property', name: 'id' }), records);
    expect(keysOf(records)).toEqual([undefined]);
  });
});
