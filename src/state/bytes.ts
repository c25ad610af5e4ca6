/** Whole numbers up to 2^53 as bytes, seven bits each, lowest first. Arithmetic instead of shifts: those end at 32 bits. */
export class ByteWriter {
  readonly #bytes: number[] = [];

  get size(): number {
    return this.#bytes.length;
  }

  byte(value: number): void {
    this.#bytes.push(value);
  }

  /** 0 to 2^53. */
  varint(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.#bytes.push((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    this.#bytes.push(rest);
  }

  /** -2^53 to 2^53. The sign is bit 6 of the first byte; doubling the value instead would leave the range of exact numbers. */
  signed(value: number): void {
    const size = Math.abs(value);
    const first = (size % 64) + (value < 0 ? 64 : 0);
    const rest = Math.floor(size / 64);
    this.#bytes.push(rest === 0 ? first : first + 128);
    if (rest > 0) this.varint(rest);
  }

  finish(): Buffer {
    return Buffer.from(this.#bytes);
  }
}

/** The mirror image of ByteWriter. Fails with what `fail` makes when the bytes end early or a number is too large. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #fail: () => Error;
  #at = 0;

  constructor(bytes: Uint8Array, fail: () => Error) {
    this.#bytes = bytes;
    this.#fail = fail;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    const value = this.#bytes[this.#at++];
    if (value === undefined) throw this.#fail();
    return value;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let byte = this.byte(); ; byte = this.byte()) {
      value += (byte % 128) * scale;
      if (value > 2 ** 53) throw this.#fail();
      if (byte < 128) return value;
      scale *= 128;
    }
  }

  signed(): number {
    const first = this.byte();
    const size = (first % 64) + (first >= 128 ? this.varint() * 64 : 0);
    if (size > 2 ** 53) throw this.#fail();
    return first % 128 >= 64 ? -size : size;
  }

  /** Little-endian. */
  uint32(): number {
    const bytes = this.take(4);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  }

  take(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw this.#fail();
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }
}
