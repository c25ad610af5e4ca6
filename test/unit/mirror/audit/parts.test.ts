import { describe, expect, it } from 'vitest';
import { Blocks } from '../../../../src/mirror/audit/blocks.ts';
import { Hash64 } from '../../../../src/mirror/audit/hash.ts';
import { KeyOrder } from '../../../../src/mirror/audit/key-order.ts';
import { Ranges } from '../../../../src/mirror/audit/ranges.ts';
import { RecordHash } from '../../../../src/mirror/audit/record-hash.ts';
import { entryPosition, offsetPosition } from '../../../../src/model/position.ts';
import { RecordFlag } from '../../../../src/model/record-batch.ts';
import { SeededRandom } from '../../../simulation/random.ts';
import { batchOf, type FakeRecord } from './kit.ts';

function hashOf(record: Partial<FakeRecord>, change: (batch: ReturnType<typeof batchOf>) => void = () => undefined): string {
  const batch = batchOf([{ position: offsetPosition(1), body: 'body', ...record }]);
  change(batch);
  const hash = new RecordHash(undefined);
  hash.take(batch, 0, 1, -1, -1);
  return `${hash.high}:${hash.low}`;
}

describe('the hash of a record', () => {
  const usual = { key: 'k', body: 'body', properties: { a: '1', b: '2' } };

  it.each<[string, Partial<FakeRecord>]>([
    ['body', { body: 'bodY' }],
    ['an empty body', { body: '' }],
    ['key', { key: 'l' }],
    ['no key', { key: undefined }],
    ['an empty key', { key: '' }],
    ['value of a property', { properties: { a: '1', b: '3' } }],
    ['name of a property', { properties: { a: '1', c: '2' } }],
    ['one property less', { properties: { a: '1' } }],
    ['values exchanged', { properties: { a: '2', b: '1' } }],
    ['bytes moved from a name to its value', { properties: { a: '1', b2: '' } }],
    ['bytes moved from the body to the key', { key: 'kb', body: 'ody' }],
  ])('differs with another %s', (_, changes) => {
    expect(hashOf({ ...usual, ...changes })).not.toBe(hashOf(usual));
  });

  it('is the same whatever the order of the properties, and wherever they stand', () => {
    expect(hashOf({ ...usual, properties: { b: '2', a: '1' } })).toBe(hashOf(usual));
    const extra = hashOf({ ...usual, properties: { a: '1' } }, (batch) => {
      batch.extras = new Map([[0, [['b', '2']]]]);
    });
    expect(extra).toBe(hashOf(usual));
    const replaced = hashOf({ ...usual, body: 'compressed' }, (batch) => {
      batch.bodies = new Map([[0, Buffer.from('body')]]);
    });
    expect(replaced).toBe(hashOf(usual));
  });

  it('tells no value from an empty one', () => {
    const nothing = hashOf({ body: '' }, (batch) => {
      batch.flags[0] = RecordFlag.nullValue;
    });
    expect(nothing).not.toBe(hashOf({ body: '' }));
  });

  it('spreads over 64 bits: of 50,000 short texts no two meet, and each bit is set in half of them', () => {
    const hash = new Hash64();
    const seen = new Set<string>();
    const set = Array.from({ length: 64 }, () => 0);
    for (let i = 0; i < 50_000; i++) {
      const bytes = Buffer.from(i.toString(36));
      hash.reset();
      hash.bytes(bytes, 0, bytes.length);
      hash.finish();
      seen.add(`${hash.high}:${hash.low}`);
      for (let bit = 0; bit < 32; bit++) {
        set[bit] = (set[bit] ?? 0) + ((hash.low >>> bit) & 1);
        set[32 + bit] = (set[32 + bit] ?? 0) + ((hash.high >>> bit) & 1);
      }
    }
    expect(seen.size).toBe(50_000);
    for (const count of set) expect(Math.abs(count - 25_000)).toBeLessThan(800);
  });
});

describe('blocks', () => {
  it('keep their number whatever the length of the lane, and sums add up as they merge', () => {
    const random = new SeededRandom(1);
    const blocks = new Blocks(8, 4);
    const hashes = Array.from(
      { length: 1_000 },
      () => [random.next() * 2 ** 32, random.next() * 2 ** 32].map(Math.floor) as [number, number],
    );
    for (const [i, [low, high]] of hashes.entries()) blocks.addSource(i * 3, -1, -1, low, high);
    expect(blocks.length).toBeLessThanOrEqual(8);
    for (const [i, [low, high]] of [...hashes.entries()].reverse()) blocks.addTarget(blocks.blockOf(i * 3, -1, -1), low, high);
    const all = Array.from({ length: blocks.length }, (_, block) => block);
    expect(all.map((block) => blocks.equal(block))).toEqual(all.map(() => true));
    expect(all.reduce((sum, block) => sum + blocks.sourceCount(block), 0)).toBe(1_000);
    blocks.addTarget(blocks.blockOf(1_500, -1, -1), 1, 0);
    expect(all.filter((block) => !blocks.equal(block))).toEqual([blocks.blockOf(1_500, -1, -1)]);
  });

  it('give a position between two records to the block before it, and one before all to the first', () => {
    const blocks = new Blocks(8, 2);
    for (const at of [10, 20, 30, 40]) blocks.addSource(at, -1, -1, 0, 0);
    expect([5, 10, 25, 30, 99].map((at) => blocks.blockOf(at, -1, -1))).toEqual([0, 0, 0, 1, 1]);
  });
});

describe('the order of keys', () => {
  it('is watched per lane and key, across ledgers', () => {
    const order = new KeyOrder(16);
    expect(order.take(0, 1, 5, 9, 3)).toBe(true);
    expect(order.take(0, 1, 6, 0, 0)).toBe(true);
    expect(order.take(0, 2, 5, 0, 0)).toBe(true);
    expect(order.take(1, 1, 5, 0, 0)).toBe(true);
    expect(order.take(0, 1, 5, 9, 4)).toBe(false);
    expect(order.behind).toEqual(entryPosition(6, 0, 0));
    expect(order.take(0, 1, 6, 0, 0)).toBe(true);
  });

  it('remembers the newest keys for sure, and forgets old ones in the end', () => {
    const most = 64;
    const order = new KeyOrder(most);
    order.take(0, -1, 1_000, -1, -1);
    for (let key = 0; key < most - 1; key++) order.take(0, key, 1, -1, -1);
    expect(order.take(0, -1, 999, -1, -1)).toBe(false);
    for (let key = 0; key < 3 * most; key++) order.take(0, 10_000 + key, 1, -1, -1);
    expect(order.take(0, -1, 999, -1, -1)).toBe(true);
  });

  it('goes on watching a key that is used again and again among very many others', () => {
    const order = new KeyOrder(64);
    for (let i = 0; i < 10_000; i++) {
      expect(order.take(0, -1, 1_000 + i, -1, -1)).toBe(true);
      order.take(0, i, 1, -1, -1);
    }
    expect(order.take(0, -1, 999, -1, -1)).toBe(false);
  });
});

describe('ranges', () => {
  it('know what lies in them, in whatever order they came and however they overlap', () => {
    const ranges = new Ranges();
    const inside = new Set<number>();
    const random = new SeededRandom(3);
    for (let i = 0; i < 60; i++) {
      const from = Math.floor(random.next() * 1_000);
      const to = from + Math.floor(random.next() * 20);
      ranges.add(offsetPosition(from), offsetPosition(to));
      for (let at = from; at < to; at++) inside.add(at);
    }
    const all = Array.from({ length: 1_050 }, (_, at) => at);
    expect(all.filter((at) => ranges.has(offsetPosition(at)))).toEqual(all.filter((at) => inside.has(at)));
  });

  it('hold all records of an entry, and end before the next', () => {
    const ranges = new Ranges();
    ranges.add(entryPosition(4, 7), entryPosition(4, 8));
    expect([0, 3, 900].map((index) => ranges.has(entryPosition(4, 7, index)))).toEqual([true, true, true]);
    expect([entryPosition(4, 6, 9), entryPosition(4, 8, 0)].map((at) => ranges.has(at))).toEqual([false, false]);
  });
});
