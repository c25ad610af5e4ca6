import { describe, expect, it } from 'vitest';
import { consistentHash, javaHash, queueOfKey } from '../../../../../src/drivers/rocketmq/sink/queue-hash.ts';
import { batchOf } from '../../../../kit/pulsar-writing.ts';

const hashOf = (text: string): number => javaHash(Buffer.from(text), 0, Buffer.byteLength(text));

/** Guava's algorithm word for word, in 64-bit numbers. */
function slowly(input: number, buckets: number): number {
  let state = BigInt.asUintN(64, BigInt(input));
  for (let candidate = 0; ; ) {
    state = BigInt.asUintN(64, state * 2862933555777941757n + 1n);
    const next = Math.trunc((candidate + 1) / ((Number(state >> 33n) + 1) / 2 ** 31));
    if (next >= buckets) return candidate;
    candidate = next;
  }
}

describe('the queue of a message group', () => {
  it.each([
    ['order-1', [3, 3, 3]],
    ['user:42', [1, 7, 7]],
    ['k', [1, 1, 11]],
    ['ключ', [2, 5, 5]],
    ['abc123', [1, 1, 14]],
  ])('%s is the one that the proxy chooses, for 4, 8 and 16 queues', (key, queues) => {
    expect([4, 8, 16].map((n) => consistentHash(hashOf(key), n))).toEqual(queues);
  });

  it('is that of the algorithm in 64-bit numbers for any hash and any number of queues', () => {
    let seed = 12345;
    for (let k = 0; k < 20_000; k++) {
      seed = (Math.imul(seed, 1103515245) + 12345) | 0;
      const queues = (k % 300) + 1;
      expect(consistentHash(seed, queues)).toBe(slowly(seed, queues));
    }
    for (const edge of [0, 1, -1, 0x7fffffff, -0x80000000]) expect(consistentHash(edge, 97)).toBe(slowly(edge, 97));
  });

  it('is the same whatever the text is, as Java hashes it', () => {
    expect(hashOf('polygenelubricants')).toBe(-2147483648);
    expect(hashOf('🌍')).toBe(31 * 0xd83c + 0xdf0d);
    expect(hashOf('')).toBe(0);
  });

  it('is none without a key, or with an empty one', () => {
    const batch = batchOf([
      { offset: 0, body: 'x' },
      { offset: 1, body: 'x', key: '' },
      { offset: 2, body: 'x', key: 'order-1' },
    ]);
    expect([0, 1, 2].map((i) => queueOfKey(batch, i, 8))).toEqual([undefined, undefined, 3]);
  });
});
