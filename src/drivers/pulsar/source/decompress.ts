import { constants, inflateSync, zstdDecompressSync } from 'node:zlib';
import { uncompressSync as lz4UncompressSync } from 'lz4-napi';
import { uncompressSync as snappyUncompressSync } from 'snappy';
import { COMPRESSION } from '../wire/message-metadata.ts';

/** More than any broker takes as an entry, and than a chunked message should have: only a bomb is larger. */
export const MAX_PAYLOAD_BYTES: number = 64 * 1024 * 1024;

/** lz4-napi wants the size in front of the block; Pulsar has it in `uncompressed_size`. */
const LZ4_SIZE_BYTES = 4;

/** A payload as its producer put it together. `bytes` is the size that the entry claims, which has to be true. Throws with a reason. */
export function decompress(compression: number, payload: Buffer, bytes: number): Buffer {
  if (bytes > MAX_PAYLOAD_BYTES) throw new Error(`it claims ${bytes} bytes, more than ${MAX_PAYLOAD_BYTES}`);
  const inflated = inflate(compression, payload, bytes);
  if (inflated.length !== bytes) throw new Error(`it has ${inflated.length} bytes where it claims ${bytes}`);
  return inflated;
}

function inflate(compression: number, payload: Buffer, bytes: number): Buffer {
  // zlib's limit must not be 0.
  const options = { maxOutputLength: bytes + 1 };
  switch (compression) {
    case COMPRESSION.lz4: {
      const sized = Buffer.allocUnsafe(LZ4_SIZE_BYTES + payload.length);
      sized.writeUInt32LE(bytes, 0);
      payload.copy(sized, LZ4_SIZE_BYTES);
      return lz4UncompressSync(sized);
    }
    case COMPRESSION.zlib:
      // Pulsar's Java client flushes a stream and does not end it; that all of it is there is told by the length.
      return inflateSync(payload, { ...options, finishFlush: constants.Z_SYNC_FLUSH });
    case COMPRESSION.zstd:
      return zstdDecompressSync(payload, options);
    case COMPRESSION.snappy:
      // The block says by itself how large it will be, and is believed by who unpacks it.
      if (snappySize(payload) !== bytes) throw new Error(`it says ${snappySize(payload)} bytes where the entry claims ${bytes}`);
      return Buffer.from(snappyUncompressSync(payload, { asBuffer: true }));
    default:
      throw new Error(`compression ${compression} is unknown`);
  }
}

/** The length in front of a snappy block, a varint. */
function snappySize(payload: Buffer): number {
  let size = 0;
  for (let k = 0; k < 5; k++) {
    const byte = payload[k] ?? 0;
    size += (byte & 0x7f) * 128 ** k;
    if (byte < 0x80) break;
  }
  return size;
}
