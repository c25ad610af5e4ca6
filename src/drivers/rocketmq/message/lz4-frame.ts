/**
 * A decoder of LZ4 frames that never writes more than it is allowed to: the one of the `lz4-napi` package takes no limit, and a frame of
 * 4 MiB may claim a gigabyte. Checksums are skipped over, as the broker has its own.
 *
 * Frame: magic, flags, block descriptor, [content size], [dictionary id], header checksum, then blocks { u32 length (top bit: stored),
 * bytes, [checksum] } up to a length of 0, [content checksum]. All numbers little endian.
 */
const MAGIC = 0x184d2204;
const STORED_BIT = 0x80000000;
const MIN_MATCH = 4;
const LONG_LENGTH = 15;

/** Throws with a reason when the frame is damaged or needs more than `maxBytes`. */
export function decodeLz4Frame(frame: Buffer, maxBytes: number): Buffer {
  if (frame.length < 7 || frame.readUInt32LE(0) !== MAGIC) throw new Error('it is no LZ4 frame');
  const flags = frame[4] ?? 0;
  if (flags >>> 6 !== 1) throw new Error(`LZ4 frame version ${flags >>> 6} is unknown`);
  if ((flags & 1) !== 0) throw new Error('it needs a dictionary');
  const blockChecksum = (flags & 0x10) !== 0 ? 4 : 0;
  let at = 7 + ((flags & 8) !== 0 ? 8 : 0);
  const output = new Output(Math.min(maxBytes, Math.max(1024, frame.length * 4)), maxBytes);
  for (;;) {
    if (at + 4 > frame.length) throw new Error('it ends early');
    const length = frame.readUInt32LE(at);
    at += 4;
    if (length === 0) return output.done();
    const end = at + (length & ~STORED_BIT);
    if (end < at || end + blockChecksum > frame.length) throw new Error('a block is cut off');
    if ((length & STORED_BIT) !== 0) output.append(frame, at, end);
    else decodeBlock(frame, at, end, output);
    at = end + blockChecksum;
  }
}

/** Grows as needed, up to its limit. */
class Output {
  bytes: Buffer;
  length = 0;
  readonly #maxBytes: number;

  constructor(bytes: number, maxBytes: number) {
    this.bytes = Buffer.allocUnsafe(bytes);
    this.#maxBytes = maxBytes;
  }

  reserve(more: number): void {
    const wanted = this.length + more;
    if (wanted <= this.bytes.length) return;
    if (wanted > this.#maxBytes) throw new Error(`it is larger than ${this.#maxBytes} bytes`);
    const grown = Buffer.allocUnsafe(Math.min(this.#maxBytes, Math.max(wanted, this.bytes.length * 2)));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }

  append(source: Buffer, start: number, end: number): void {
    this.reserve(end - start);
    source.copy(this.bytes, this.length, start, end);
    this.length += end - start;
  }

  /** Repeats `count` bytes from `distance` back; they may overlap what is being written. */
  repeat(distance: number, count: number): void {
    if (distance === 0 || distance > this.length) throw new Error('a match points before the beginning');
    this.reserve(count);
    const { bytes } = this;
    let from = this.length - distance;
    for (let to = this.length; to < this.length + count; to++) bytes[to] = bytes[from++] ?? 0;
    this.length += count;
  }

  done(): Buffer {
    return this.bytes.subarray(0, this.length);
  }
}

function decodeBlock(block: Buffer, start: number, end: number, output: Output): void {
  let at = start;
  const longLength = (length: number): number => {
    if (length !== LONG_LENGTH) return length;
    let total = length;
    let more: number;
    do {
      if (at >= end) throw new Error('a length is cut off');
      more = block[at++] ?? 0;
      total += more;
    } while (more === 255);
    return total;
  };
  while (at < end) {
    const token = block[at++] ?? 0;
    const literals = longLength(token >>> 4);
    if (at + literals > end) throw new Error('literals are cut off');
    output.append(block, at, at + literals);
    at += literals;
    // The last sequence of a block has no match.
    if (at === end) return;
    if (at + 2 > end) throw new Error('a match is cut off');
    const distance = block.readUInt16LE(at);
    at += 2;
    output.repeat(distance, longLength(token & 15) + MIN_MATCH);
  }
}
