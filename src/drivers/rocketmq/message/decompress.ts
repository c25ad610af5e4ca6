import { gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import { decodeLz4Frame } from './lz4-frame.ts';

/** More than any broker takes as a message, so only a bomb is larger. */
export const MAX_BODY_BYTES: number = 64 * 1024 * 1024;

const GZIP = 0x1f8b;
const LZ4 = 0x04224d18;
const ZSTD = 0x28b52ffd;
const ZLIB_DEFLATE = 0x78;

/**
 * A body whose sysFlag says "compressed". The format is told by the body itself, not by the flag's type bits: a gRPC producer's gzip is
 * stored under the bits of zlib (as the official gRPC client reads it). Throws with a reason.
 */
export function decompress(body: Buffer): Buffer {
  const options = { maxOutputLength: MAX_BODY_BYTES };
  if (body.length >= 4 && body.readUInt32BE(0) === LZ4) return decodeLz4Frame(body, MAX_BODY_BYTES);
  if (body.length >= 4 && body.readUInt32BE(0) === ZSTD) return zstdDecompressSync(body, options);
  if (body.length >= 2 && body.readUInt16BE(0) === GZIP) return gunzipSync(body, options);
  if (body[0] === ZLIB_DEFLATE) return inflateSync(body, options);
  throw new Error('it is marked as compressed but has no known format');
}
