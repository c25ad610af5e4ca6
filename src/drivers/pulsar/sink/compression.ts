import { constants, deflateSync, zstdCompressSync } from 'node:zlib';
import { compressSync as lz4CompressSync } from 'lz4-napi';
import { compressSync as snappyCompressSync } from 'snappy';
import type { Compression } from '../../../spi/sink.ts';
import { COMPRESSION } from '../wire/message-metadata.ts';

/** lz4-napi puts the uncompressed size in front of the block; Pulsar has it in `uncompressed_size` and wants the bare block. */
const LZ4_SIZE_BYTES = 4;

/** Fast settings: the mirror pays for them on every byte, and the brokers only store the result. */
const ZSTD_OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
const ZLIB_OPTIONS = { level: 1 };

export function compress(kind: Compression, bytes: Buffer): Buffer {
  switch (kind) {
    case 'none':
      return bytes;
    case 'lz4':
      return lz4CompressSync(bytes).subarray(LZ4_SIZE_BYTES);
    case 'zlib':
      return deflateSync(bytes, ZLIB_OPTIONS);
    case 'zstd':
      return zstdCompressSync(bytes, ZSTD_OPTIONS);
    case 'snappy':
      return snappyCompressSync(bytes);
  }
}

export function compressionCode(kind: Compression): number {
  return COMPRESSION[kind];
}
