import { IsthmusError } from '../../../errors.ts';

/**
 * Reader and writer of protobuf (proto2) as far as Pulsar needs it. Integers are JavaScript numbers: ids, offsets and times stay
 * below 2^53, and -1 (which Pulsar writes as 2^64-1) is read and written as -1.
 */
const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

const TWO_28 = 2 ** 28;
const TWO_35 = 2 ** 35;
const TWO_36 = 2 ** 36;

function damaged(what: string): IsthmusError {
  return new IsthmusError('PROTOCOL_VIOLATION', `reading a protobuf message: ${what}`);
}

/** Bytes that `value` takes as a varint. */
export function varintLength(value: number): number {
  if (value < 0) return 10;
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
  return length;
}

/** Writes a non-negative safe integer and returns the place after it. The caller has made room. */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  let to = at;
  if (rest >= TWO_28) {
    // Bitwise operators hold 32 bits: the low 28 go first, four bytes of seven.
    const high = Math.floor(rest / TWO_28);
    let low = rest - high * TWO_28;
    for (let i = 0; i < 4; i++) {
      target[to++] = (low & 0x7f) | 0x80;
      low >>>= 7;
    }
    rest = high;
  }
  while (rest >= 0x80) {
    target[to++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[to++] = rest;
  return to;
}

/** Walks over the fields of a message; unknown ones are skipped. Throws PROTOCOL_VIOLATION for bytes that are no message. */
export class ProtoReader {
  #bytes: Buffer;
  #at: number;
  #end: number;
  #wireType: number = VARINT;
  /** What `span` has found: a place in the bytes that were given. */
  spanStart = 0;
  spanEnd = 0;

  constructor(bytes: Buffer, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Begins again with another message, for those who read one per record. */
  reset(bytes: Buffer, start: number, end: number): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** The next field's number, 0 at the end of the message. Each field must be read or skipped before the next call. */
  next(): number {
    if (this.#at >= this.#end) return 0;
    const tag = this.#varint();
    const field = Math.floor(tag / 8);
    if (field < 1 || field > 0x1fffffff) throw damaged(`field number ${field}`);
    this.#wireType = tag % 8;
    return field;
  }

  /** An unsigned or signed integer; values between 2^53 and 2^63 lose their low bits. */
  int(): number {
    this.#expect(VARINT);
    return this.#varint();
  }

  bool(): boolean {
    return this.int() !== 0;
  }

  string(): string {
    const [start, end] = this.#range();
    return this.#bytes.toString('utf8', start, end);
  }

  /** A view of the field's bytes. */
  bytes(): Buffer {
    const [start, end] = this.#range();
    return this.#bytes.subarray(start, end);
  }

  message(): ProtoReader {
    const [start, end] = this.#range();
    return new ProtoReader(this.#bytes, start, end);
  }

  /** Lets another reader begin at the field's message. */
  enter(inner: ProtoReader): void {
    this.span();
    inner.reset(this.#bytes, this.spanStart, this.spanEnd);
  }

  /** Where the field's bytes lie: `spanStart` and `spanEnd`, without making anything. */
  span(): void {
    this.#expect(LENGTH_DELIMITED);
    const length = this.#varint();
    this.spanStart = this.#at;
    this.#advance(length);
    this.spanEnd = this.#at;
  }

  skip(): void {
    switch (this.#wireType) {
      case VARINT:
        this.#varint();
        break;
      case FIXED64:
        this.#advance(8);
        break;
      case LENGTH_DELIMITED:
        this.#range();
        break;
      case FIXED32:
        this.#advance(4);
        break;
      default:
        throw damaged(`wire type ${this.#wireType}`);
    }
  }

  #expect(wireType: number): void {
    if (this.#wireType !== wireType) throw damaged(`wire type ${this.#wireType} where ${wireType} belongs`);
  }

  #range(): [start: number, end: number] {
    this.#expect(LENGTH_DELIMITED);
    const length = this.#varint();
    const start = this.#at;
    this.#advance(length);
    return [start, this.#at];
  }

  #advance(length: number): void {
    if (length < 0 || length > this.#end - this.#at) throw damaged('a field reaches past the end');
    this.#at += length;
  }

  /** 64 bits in two halves, the low 28 and the high 36, because doubles hold 53. */
  #varint(): number {
    const first = this.#at < this.#end ? (this.#bytes[this.#at] ?? 0) : 0x80;
    if (first < 0x80) {
      this.#at++;
      return first;
    }
    let low = 0;
    let high = 0;
    for (let i = 0; i < 10; i++) {
      if (this.#at >= this.#end) throw damaged('it ends inside a number');
      const byte = this.#bytes[this.#at++] ?? 0;
      if (i < 4) low |= (byte & 0x7f) << (7 * i);
      else high += (byte & 0x7f) * 2 ** (7 * (i - 4));
      if (byte >= 0x80) continue;
      if (high < TWO_35) return high * TWO_28 + low;
      return ((high % TWO_36) - TWO_36) * TWO_28 + low;
    }
    throw damaged('a number of more than 10 bytes');
  }
}

/** Writes a message into a buffer that grows. Mirror image of `ProtoReader`; every method returns the writer. */
export class ProtoWriter {
  #bytes: Buffer;
  #at = 0;

  constructor(capacity = 128) {
    this.#bytes = Buffer.allocUnsafe(capacity);
  }

  int(field: number, value: number): this {
    this.#reserve(16);
    this.#tag(field, VARINT);
    if (value >= 0) this.#at = writeVarint(this.#bytes, this.#at, value);
    else this.#negative(value);
    return this;
  }

  bool(field: number, value: boolean): this {
    return this.int(field, value ? 1 : 0);
  }

  string(field: number, value: string): this {
    const length = Buffer.byteLength(value);
    this.#reserve(length + 16);
    this.#tag(field, LENGTH_DELIMITED);
    this.#at = writeVarint(this.#bytes, this.#at, length);
    this.#at += this.#bytes.write(value, this.#at);
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.#reserve(value.length + 16);
    this.#tag(field, LENGTH_DELIMITED);
    this.#at = writeVarint(this.#bytes, this.#at, value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
    return this;
  }

  message(field: number, message: ProtoWriter): this {
    return this.bytes(field, message.finish());
  }

  /** What was written; a view that further writes may spoil. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  #tag(field: number, wireType: number): void {
    this.#at = writeVarint(this.#bytes, this.#at, field * 8 + wireType);
  }

  #negative(value: number): void {
    let rest = BigInt.asUintN(64, BigInt(value));
    while (rest >= 0x80n) {
      this.#bytes[this.#at++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#bytes[this.#at++] = Number(rest);
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + bytes));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }
}
