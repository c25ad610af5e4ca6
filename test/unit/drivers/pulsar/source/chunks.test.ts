import { describe, expect, it } from 'vitest';
import { type Chunk, ChunkStore, MAX_SPAN_ENTRIES, type Placed } from '../../../../../src/drivers/pulsar/source/chunks.ts';
import { ByteBudget } from '../../../../../src/lib/byte-budget.ts';

function chunk(uuid: string, index: number, more: Partial<Chunk> = {}): Chunk {
  const payload = Buffer.from(`${uuid}${index}`);
  return { uuid, index, count: 3, totalBytes: 100, payload, at: { ledger: 1, entry: index }, publishTime: 1_000, ...more };
}

function kinds(placed: readonly Placed[]): string[] {
  return placed.map((each) => (each.kind === 'done' ? each.payload.toString() : each.kind));
}

describe('messages in pieces', () => {
  it('are put together, also when several come at a time, and hold nothing after', () => {
    const budget = new ByteBudget(10);
    const store = new ChunkStore(budget);
    const come = [chunk('a', 0), chunk('b', 0), chunk('b', 1), chunk('a', 1), chunk('a', 2), chunk('b', 2)];
    expect(kinds(come.map((each) => store.add(each)))).toEqual(['kept', 'kept', 'kept', 'kept', 'a0a1a2', 'b0b1b2']);
    expect([budget.usedBytes, store.oldest(1_000)]).toEqual([0, undefined]);
  });

  it('start over with a first piece, and pass over a piece that is there', () => {
    const store = new ChunkStore(new ByteBudget(10));
    const come = [chunk('a', 0), chunk('a', 1), chunk('a', 1), chunk('a', 0), chunk('a', 1), chunk('a', 2)];
    expect(kinds(come.map((each) => store.add(each)))).toEqual(['kept', 'kept', 'kept', 'kept', 'kept', 'a0a1a2']);
  });

  it('are told when their beginning, or a piece between, is not there', () => {
    const store = new ChunkStore(new ByteBudget(10));
    const come = [chunk('a', 1), chunk('a', 2), chunk('b', 0), chunk('b', 2)];
    expect(kinds(come.map((each) => store.add(each)))).toEqual(['orphan', 'orphan', 'kept', 'orphan']);
  });

  it('keep their place at the source until they are whole', () => {
    const store = new ChunkStore(new ByteBudget(10));
    store.add(chunk('a', 0, { at: { ledger: 1, entry: 5 } }));
    store.add(chunk('b', 0, { at: { ledger: 1, entry: 6 } }));
    expect(store.oldest(1_000)).toEqual({ ledger: 1, entry: 5 });
    for (const index of [1, 2]) store.add(chunk('a', index));
    expect(store.oldest(1_000)).toEqual({ ledger: 1, entry: 6 });
  });

  it('are given up when they never will be whole', () => {
    const budget = new ByteBudget(10);
    const store = new ChunkStore(budget);
    store.add(chunk('a', 0));
    expect(store.oldest(1_000 + 11 * 60_000)).toBeUndefined();
    store.add(chunk('b', 0));
    store.passed(MAX_SPAN_ENTRIES + 1);
    expect([store.oldest(1_000), budget.usedBytes]).toEqual([undefined, 0]);
  });

  it('say why where they are too much to be held', () => {
    const store = new ChunkStore(new ByteBudget(10));
    const huge = [0, 1, 2].map((index) => store.add(chunk('a', index, { totalBytes: 2 ** 30 })));
    expect(huge.at(-1)).toMatchObject({ kind: 'broken', reason: /1073741824 bytes/ });
    const lying = [0, 1, 2].map((index) => store.add(chunk('b', index, { totalBytes: 3 })));
    expect(lying.at(-1)).toMatchObject({ kind: 'broken', reason: /more than the 3 bytes/ });
  });
});
