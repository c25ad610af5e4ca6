import type { RecordBatch } from '../../../model/record-batch.ts';

/**
 * The partition that Java and Go producers choose by default: signSafeMod(JavaStringHash(key), partitions), where the hash is Java's
 * `String.hashCode` over UTF-16 units with the sign bit cleared. C++ and Node clients hash otherwise unless told.
 */
export function partitionOfKey(batch: RecordBatch, i: number, partitions: number): number | undefined {
  const start = batch.keyStart[i] ?? -1;
  if (start < 0) return undefined;
  const end = batch.keyEnd[i] ?? start;
  return javaStringHash(batch.bytes, start, end) % partitions;
}

/** Java's hash of the UTF-8 text in `bytes` from `start` to `end`, sign bit cleared. */
export function javaStringHash(bytes: Buffer, start: number, end: number): number {
  let hash = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    // One byte is one UTF-16 unit only in ASCII.
    if (byte >= 0x80) return hashText(bytes.toString('utf8', start, end));
    hash = (Math.imul(31, hash) + byte) | 0;
  }
  return hash & 0x7fffffff;
}

function hashText(text: string): number {
  let hash = 0;
  for (let at = 0; at < text.length; at++) hash = (Math.imul(31, hash) + text.charCodeAt(at)) | 0;
  return hash & 0x7fffffff;
}
