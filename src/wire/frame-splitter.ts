import { IsthmusError } from '../errors.ts';

const LENGTH_BYTES = 4;

/**
 * Cuts a byte stream into frames `[u32 big-endian length][length bytes]`, as both RocketMQ and Pulsar write them.
 *
 * Each frame is copied once into a buffer of its own, so that the socket's read buffer can be reused at once. A frame
 * that claims more than `maxFrameBytes` is refused before anything is allocated for it.
 */
export class FrameSplitter {
  readonly #maxFrameBytes: number;
  readonly #onFrame: (frame: Buffer) => void;
  readonly #allocate: (bytes: number) => Buffer;
  #lengthSeen = 0;
  #length = 0;
  #frame: Buffer | undefined;
  #filled = 0;

  /** `onFrame` gets the bytes after the length and owns them. `allocate` may hand out pooled memory of exactly the asked size. */
  constructor(maxFrameBytes: number, onFrame: (frame: Buffer) => void, allocate?: (bytes: number) => Buffer) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#onFrame = onFrame;
    this.#allocate = allocate ?? ((bytes) => Buffer.allocUnsafe(bytes));
  }

  /** Takes the next `end` bytes of the stream. Throws FRAME_TOO_LARGE; the stream cannot be continued then. */
  push(chunk: Uint8Array, end: number = chunk.length): void {
    let at = 0;
    while (at < end) {
      if (this.#frame === undefined) {
        at = this.#readLength(chunk, at, end);
        if (this.#lengthSeen < LENGTH_BYTES) return;
        this.#begin();
        if (this.#length === 0) this.#finish();
        continue;
      }
      const take = Math.min(end - at, this.#length - this.#filled);
      this.#frame.set(chunk.subarray(at, at + take), this.#filled);
      this.#filled += take;
      at += take;
      if (this.#filled === this.#length) this.#finish();
    }
  }

  #readLength(chunk: Uint8Array, from: number, end: number): number {
    let at = from;
    while (this.#lengthSeen < LENGTH_BYTES && at < end) {
      this.#length = this.#length * 256 + (chunk[at++] ?? 0);
      this.#lengthSeen++;
    }
    return at;
  }

  #begin(): void {
    if (this.#length > this.#maxFrameBytes) {
      throw new IsthmusError(
        'FRAME_TOO_LARGE',
        `reading a frame: the peer announced ${this.#length} bytes, the limit is ${this.#maxFrameBytes}`,
      );
    }
    this.#frame = this.#allocate(this.#length);
    this.#filled = 0;
  }

  #finish(): void {
    const frame = this.#frame;
    this.#frame = undefined;
    this.#length = 0;
    this.#lengthSeen = 0;
    if (frame !== undefined) this.#onFrame(frame);
  }
}
