/**
 * A 64-bit hash in two halves, for finding what differs by accident; it keeps no forger out. Two different mixers of the murmur3 kind run side by side, because
 * 32 bits alone would call some pair of a million records equal.
 */
export class Hash64 {
  #a = 0;
  #b = 0;

  /** The halves, unsigned; valid after `finish`. */
  low = 0;
  high = 0;

  reset(): void {
    this.#a = 0x2f8a1c6d;
    this.#b = 0x61c88647;
  }

  word(word: number): void {
    this.#a = mixA(this.#a, word);
    this.#b = mixB(this.#b, word);
  }

  /** A safe integer; also negative. */
  integer(value: number): void {
    this.word(value | 0);
    this.word(Math.floor(value / 0x1_0000_0000) | 0);
  }

  /** The length counts as well, so that what follows cannot be taken for a part of it. */
  bytes(bytes: Uint8Array, start: number, end: number): void {
    let a = mixA(this.#a, end - start);
    let b = mixB(this.#b, end - start);
    let i = start;
    for (; i + 4 <= end; i += 4) {
      const word = (bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8) | ((bytes[i + 2] ?? 0) << 16) | ((bytes[i + 3] ?? 0) << 24);
      a = mixA(a, word);
      b = mixB(b, word);
    }
    if (i < end) {
      let word = 0;
      for (let shift = 0; i < end; i++, shift += 8) word |= (bytes[i] ?? 0) << shift;
      a = mixA(a, word);
      b = mixB(b, word);
    }
    this.#a = a;
    this.#b = b;
  }

  finish(): void {
    const a = avalanche((this.#a + this.#b) | 0);
    const b = avalanche((this.#b + a) | 0);
    this.low = (a + b) >>> 0;
    this.high = b >>> 0;
  }
}

function mixA(state: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const mixed = state ^ k;
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

function mixB(state: number, word: number): number {
  let k = Math.imul(word, 0x239b961b);
  k = Math.imul((k << 16) | (k >>> 16), 0xab0e9789);
  const mixed = state ^ k;
  return (Math.imul((mixed << 17) | (mixed >>> 15), 9) + 0x38b34ae5) | 0;
}

function avalanche(value: number): number {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
