/** Below this length a loop beats the call into native code. */
const LOOP_BYTES = 48;

/** Copies `length` bytes of `source` from `start` on to `at`; gives the place after them. */
export function copyBytes(source: Buffer, start: number, length: number, target: Buffer, at: number): number {
  if (length > LOOP_BYTES) return at + source.copy(target, at, start, start + length);
  for (let k = 0; k < length; k++) target[at + k] = source[start + k] ?? 0;
  return at + length;
}

/** Most digits of a safe integer, sign included. */
export const MAX_DIGITS = 17;

/** Writes numbers of which neighbours are often the same: times. */
export class RepeatedNumber {
  readonly #base: 10 | 36;
  readonly #digits: Buffer = Buffer.alloc(MAX_DIGITS);
  #value = -1;
  #length = 0;

  constructor(base: 10 | 36) {
    this.#base = base;
  }

  /** As `writeNumber`. */
  write(target: Buffer, at: number, value: number): number {
    if (value !== this.#value) {
      this.#length = writeNumber(this.#digits, 0, value, this.#base);
      this.#value = value;
    }
    return copyBytes(this.#digits, 0, this.#length, target, at);
  }
}

/** Writes a whole number of at most 2^53 in digits to the base of 10 or 36, as `String` does but without one; gives the place after it. */
export function writeNumber(target: Buffer, at: number, value: number, base: 10 | 36): number {
  let rest = value;
  let to = at;
  if (rest < 0) {
    target[to++] = 0x2d;
    rest = -rest;
  }
  let digits = 1;
  for (let limit = base; rest >= limit; limit *= base) digits++;
  for (let k = to + digits - 1; k >= to; k--) {
    const shorter = Math.floor(rest / base);
    const digit = rest - shorter * base;
    target[k] = digit < 10 ? 0x30 + digit : 0x57 + digit;
    rest = shorter;
  }
  return to + digits;
}
