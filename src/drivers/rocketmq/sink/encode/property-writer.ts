import { copyBytes, writeNumber } from '../../../../lib/write-bytes.ts';
import { seenBit, VALUE_END } from './names.ts';

const NOTHING: Buffer = Buffer.alloc(0);

/** Writes properties, one after the other, and remembers which of those it has seen that a writer may have to add. One for all records of a writer. */
export class PropertyWriter {
  target: Buffer = NOTHING;
  at = 0;
  /** Bits of `Seen`. */
  seen = 0;

  begin(target: Buffer, at: number): void {
    this.target = target;
    this.at = at;
    this.seen = 0;
  }

  /** Notes a name that passes. */
  note(bytes: Buffer, start: number, end: number): void {
    this.seen |= seenBit(bytes, start, end - start);
  }

  copy(bytes: Buffer, start: number, end: number): void {
    this.at = copyBytes(bytes, start, end - start, this.target, this.at);
  }

  /** A name with its separator, or any other bytes. */
  put(name: Buffer): void {
    this.at = copyBytes(name, 0, name.length, this.target, this.at);
  }

  text(text: string): void {
    this.at += this.target.write(text, this.at);
  }

  number(value: number): void {
    this.at = writeNumber(this.target, this.at, value, 10);
  }

  byte(value: number): void {
    this.target[this.at++] = value;
  }

  endValue(): void {
    this.target[this.at++] = VALUE_END;
  }
}
