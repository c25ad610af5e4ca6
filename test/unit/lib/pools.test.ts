import { beforeEach, describe, expect, it } from 'vitest';
import { BatchPool } from '../../../src/lib/batch-pool.ts';
import { FramePool } from '../../../src/lib/frame-pool.ts';

describe('the frame pool', () => {
  let pool: FramePool;

  beforeEach(() => {
    pool = new FramePool();
  });

  it('gives exactly the asked size and uses memory again', () => {
    const first = pool.take(12_000);
    expect(first).toHaveLength(12_000);
    pool.give(first);
    const second = pool.take(11_500);
    expect(second).toHaveLength(11_500);
    expect(second.buffer).toBe(first.buffer);
  });

  it('never hands out memory that is still in use', () => {
    const buffers = Array.from({ length: 50 }, () => pool.take(5_000));
    expect(new Set(buffers.map(({ buffer }) => buffer)).size).toBe(50);
  });

  it('takes a frame back by any view of it, and only once', () => {
    const frame = pool.take(5_000);
    pool.give(frame.subarray(100, 200));
    pool.give(frame);
    expect(pool.take(5_000).buffer).not.toBe(pool.take(5_000).buffer);
  });

  it('leaves foreign memory alone', () => {
    for (const foreign of [Buffer.alloc(8_192), Buffer.from('small'), Buffer.allocUnsafe(100)]) {
      pool.give(foreign);
      expect(pool.take(8_192).buffer).not.toBe(foreign.buffer);
    }
  });

  it.each([1_024, 4_096, 4_097, 65_537, 524_288])('wastes at most a quarter on a frame of %d bytes that it keeps', (bytes) => {
    const frame = pool.take(bytes);
    expect(frame).toHaveLength(bytes);
    pool.give(frame);
    const again = pool.take(bytes);
    expect(again.buffer).toBe(frame.buffer);
    expect(frame.buffer.byteLength).toBeLessThanOrEqual(Math.max(4_096, bytes * 1.25));
  });
});

describe('the batch pool', () => {
  it('gives batches of enough room and uses them again', () => {
    const pool = new BatchPool();
    for (const records of [0, 1, 8, 9, 32, 33, 1_000, 4_096]) {
      const batch = pool.take(records);
      expect(batch.capacity).toBeGreaterThanOrEqual(records);
      batch.release();
      expect(pool.take(records)).toBe(batch);
    }
  });

  it('says once when a batch is given back', () => {
    const pool = new BatchPool();
    const batch = pool.take(5);
    let released = 0;
    batch.onRelease = () => released++;
    batch.release();
    expect(released).toBe(1);
    expect(pool.take(5).onRelease).toBeUndefined();
  });

  it('refuses a batch that comes back twice', () => {
    const batch = new BatchPool().take(5);
    batch.release();
    expect(() => batch.release()).toThrow('released twice');
  });

  it('hands out a batch that holds nothing of its last use', () => {
    const pool = new BatchPool();
    const batch = pool.take(5);
    batch.count = 3;
    batch.damaged = new Map([[0, 'x']]);
    batch.bodies = new Map([[0, Buffer.from('x')]]);
    batch.release();
    const again = pool.take(5);
    expect([again.count, again.damaged, again.bodies, again.extras, again.bytes.length]).toEqual([
      0,
      undefined,
      undefined,
      undefined,
      0,
    ]);
  });
});
