import type { MarkCodec } from '../../../../model/provenance.ts';
import type { DeadLetter } from '../../../../spi/sink.ts';
import { INNER_BODY_AT, INNER_BYTES, INNER_FLAG_AT } from '../../wire/send-message.ts';
import { NAME_END, VALUE_END } from './names.ts';
import { PropertyWriter } from './property-writer.ts';
import { bornTimeOf, RecordEncoder } from './record-encoder.ts';
import { isSpliced } from './splice.ts';

/** A separator takes three characters where it is escaped. */
const MOST_ESCAPED = 3;

/** Characters that separate properties, as %01 and %02: a dead letter must not be refused again. */
export function escapeSeparators(text: string): string {
  return text.replace(/[\u0001\u0002]/g, (c) => `%0${c.charCodeAt(0)}`);
}

/** Writes what no message can hold otherwise than it is. */
class EscapingWriter extends PropertyWriter {
  /** Of a message of a RocketMQ names and values are copied with the separators between them; inside it has none. */
  readonly #copiesWhole: boolean;

  constructor(copiesWhole: boolean) {
    super();
    this.#copiesWhole = copiesWhole;
  }

  override copy(bytes: Buffer, start: number, end: number): void {
    if (this.#copiesWhole) return super.copy(bytes, start, end);
    let from = start;
    for (let at = start; at < end; at++) {
      const byte = bytes[at];
      if (byte !== NAME_END && byte !== VALUE_END) continue;
      super.copy(bytes, from, at);
      super.text(`%0${byte}`);
      from = at + 1;
    }
    super.copy(bytes, from, end);
  }

  override text(text: string): void {
    super.text(escapeSeparators(text));
  }
}

/** What a dead letter has of its record beside the body. */
export interface LetterMessage {
  /** The user flag. */
  readonly flag: number;
  /** Milliseconds since 1970. */
  readonly bornTime: number;
  /** With the mark; as stored, and perhaps more than a message can hold. */
  readonly properties: Buffer;
}

/**
 * A refused record as a mirror would have written it: what RocketMQ uses for itself is left out or renamed, or a broker would lose the letter, or consumers get it late; and the
 * fields of a Pulsar are there, which a reader of the letter makes fields again.
 */
export function letterMessage({ sourceCluster, lane, batch, i }: DeadLetter, marks: MarkCodec): LetterMessage {
  const encoder = new RecordEncoder(marks, sourceCluster, lane, new EscapingWriter(isSpliced(batch, i)));
  encoder.bornTime = bornTimeOf(batch, i);
  const bodyBytes = encoder.bodyBytes(batch, i, encoder.sysFlag(batch, i));
  const target = Buffer.alloc(INNER_BYTES + bodyBytes + MOST_ESCAPED * encoder.propertyBound(batch, i));
  const end = encoder.encode(batch, i, target, 0);
  return {
    flag: target.readInt32BE(INNER_FLAG_AT),
    bornTime: encoder.bornTime,
    // Without the length before them, which has too few bytes for what is too long.
    properties: target.subarray(INNER_BODY_AT + bodyBytes + 2, end),
  };
}
