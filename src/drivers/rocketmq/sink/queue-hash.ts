import type { RecordBatch } from '../../../model/record-batch.ts';

/*
 * The queue that a RocketMQ proxy chooses for a message group: Guava's consistentHash over Java's hash of the group's text, over the queues by broker name, then number.
 */

/**
 * The number of the queue that a record belongs to by its key, `undefined` without one. An empty text is no message group: RocketMQ has no such thing.
 */
export function queueOfKey(batch: RecordBatch, i: number, queues: number): number | undefined {
  const start = batch.keyStart[i] ?? -1;
  const end = batch.keyEnd[i] ?? -1;
  return start < 0 || end <= start ? undefined : consistentHash(javaHash(batch.bytes, start, end), queues);
}

/** Java's `String.hashCode` of the UTF-8 text in `bytes` from `start` to `end`. */
export function javaHash(bytes: Buffer, start: number, end: number): number {
  let hash = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    // One byte is one UTF-16 unit only in ASCII.
    if (byte >= 0x80) return hashText(bytes.toString('utf8', start, end));
    hash = (Math.imul(31, hash) + byte) | 0;
  }
  return hash;
}

function hashText(text: string): number {
  let hash = 0;
  for (let at = 0; at < text.length; at++) hash = (Math.imul(31, hash) + text.charCodeAt(at)) | 0;
  return hash;
}

/** 2862933555777941757, in two halves. */
const FACTOR_HIGH = 0x27bb2ee6;
const FACTOR_LOW = 0x87b0b0fd;
const TWO_31 = 0x80000000;

/** Guava's `Hashing.consistentHash(long, int)` of a number of 32 bits (which Java widens with its sign); 64-bit arithmetic in halves, because BigInt takes a hundred times longer. */
export function consistentHash(input: number, buckets: number): number {
  let low = input | 0;
  let high = input < 0 ? -1 : 0;
  for (let candidate = 0; ; ) {
    const product = multiplyHigh(low, FACTOR_LOW) + Math.imul(low, FACTOR_HIGH) + Math.imul(high, FACTOR_LOW);
    low = Math.imul(low, FACTOR_LOW);
    high = product | 0;
    low = (low + 1) | 0;
    if (low === 0) high = (high + 1) | 0;
    const draw = ((high >>> 1) + 1) / TWO_31;
    const next = Math.trunc((candidate + 1) / draw);
    if (next >= buckets || next < 0) return candidate;
    candidate = next;
  }
}

/** The upper 32 bits of the product of two unsigned numbers of 32 bits. */
function multiplyHigh(a: number, b: number): number {
  const [aHigh, aLow, bHigh, bLow] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const middle = aHigh * bLow + Math.floor((aLow * bLow) / 0x10000);
  const other = aLow * bHigh + (middle % 0x10000);
  return aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(other / 0x10000);
}
