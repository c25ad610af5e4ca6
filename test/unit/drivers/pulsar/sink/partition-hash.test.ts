import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { javaStringHash, partitionOfKey } from '../../../../../src/drivers/pulsar/sink/partition-hash.ts';
import { batchOf } from '../../../../kit/pulsar-writing.ts';

const hash = (text: string): number => javaStringHash(Buffer.from(text), 0, Buffer.byteLength(text));

describe('the partition of a key', () => {
  // Values of String.hashCode() & Integer.MAX_VALUE on a JVM.
  it.each([
    ['keykeykeykeykey1', 434058482],
    ['keykeykey2', 42978643],
    ['schlüssel 🌍', 589377762],
    ['', 0],
  ])('comes from the hash that Java gives "%s"', (text, expected) => {
    expect(hash(text)).toBe(expected);
  });

  it('is within the partitions, and the same wherever the key lies', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 1000 }), (key, partitions) => {
        const batch = batchOf([
          { offset: 0, body: 'x', key },
          { offset: 1, body: 'y', key },
        ]);
        const partition = partitionOfKey(batch, 1, partitions);
        expect(partition).toBe(hash(key) % partitions);
        expect(partitionOfKey(batch, 0, partitions)).toBe(partition);
      }),
    );
  });

  it('is left open for a record without a key', () => {
    expect(partitionOfKey(batchOf([{ offset: 0, body: 'x' }]), 0, 4)).toBeUndefined();
  });
});
