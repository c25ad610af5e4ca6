const SMALLEST_BYTES = 4 * 1024;
const LARGEST_BYTES = 512 * 1024;
/** Sizes of each power of two: a buffer is at most a quarter larger than what is asked for. */
const STEPS = 4;
/** What the pool keeps for later, over all sizes. */
const MAX_KEPT_BYTES = 16 * 1024 * 1024;

/**
 * Memory of frames, used again.
 *
 * Without it each answer of some 12 KiB is a fresh allocation outside the heap that only a garbage collection frees, and
 * resident memory follows the collector's mood instead of the budget. What is never given back is simply collected.
 */
export class FramePool {
  readonly #free = new Map<number, ArrayBuffer[]>();
  /** Memory that was taken and not given back: nothing else is ever kept, and nothing twice. */
  readonly #lent = new WeakSet<ArrayBuffer>();
  #keptBytes = 0;

  /** Memory with unspecified content, of exactly the asked size. */
  take(bytes: number): Buffer {
    if (bytes > LARGEST_BYTES || bytes < SMALLEST_BYTES / 4) return Buffer.allocUnsafe(bytes);
    const size = sizeFor(bytes);
    let memory = this.#free.get(size)?.pop();
    // A new ArrayBuffer would be filled with zeros, which costs more than all else that is done with a frame.
    if (memory === undefined) memory = Buffer.allocUnsafeSlow(size).buffer;
    else this.#keptBytes -= size;
    this.#lent.add(memory);
    return Buffer.from(memory, 0, bytes);
  }

  /** Takes back what `take` gave (or any view of it); nobody may look at it any more. Foreign memory is left alone. */
  give(buffer: Buffer): void {
    const memory = buffer.buffer;
    if (!(memory instanceof ArrayBuffer) || !this.#lent.delete(memory)) return;
    const size = memory.byteLength;
    if (this.#keptBytes + size > MAX_KEPT_BYTES) return;
    this.#keptBytes += size;
    const free = this.#free.get(size);
    if (free === undefined) this.#free.set(size, [memory]);
    else free.push(memory);
  }
}

function sizeFor(bytes: number): number {
  if (bytes <= SMALLEST_BYTES) return SMALLEST_BYTES;
  const step = 2 ** (32 - Math.clz32(bytes - 1)) / 2 / STEPS;
  return Math.ceil(bytes / step) * step;
}
