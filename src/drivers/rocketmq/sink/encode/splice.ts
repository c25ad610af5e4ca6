import { PROPERTY_ROW, type RecordBatch } from '../../../../model/record-batch.ts';
import { SENT_FLAGS } from '../../wire/send-message.ts';
import { FLAG_FACT, NAME_END } from './names.ts';
import type { PropertyWriter } from './property-writer.ts';

/*
 * Places in a stored message (see message/decode.ts): the last byte of sysFlag at 39, user flag at 16, born host at 48.
 */
const FLAG_AT = 16;
const SYS_FLAG_AT = 36;
const BORN_HOST_AT = 48;
const COMPRESSED = 0x1;
const BORN_IPV6 = 0x10;
const KIND = 0x700;
const ZLIB_KINDS: ReadonlySet<number> = new Set([0, 0x300]);
const LZ4 = 0x100;
const ZSTD = 0x200;
const ZLIB_HEAD = 0x78;
const LZ4_HEAD = 0x04224d18;
const ZSTD_HEAD = 0x28b52ffd;

/** Whether record `i` is copied as another RocketMQ has stored it. */
export function isSpliced(batch: RecordBatch, i: number): boolean {
  return batch.native === 'rocketmq-message' && (batch.nativeStart[i] ?? -1) >= 0;
}

/**
 * The sysFlag that a spliced record keeps: its compression, if the body really has that format. A gRPC producer's gzip stands under the bits of zlib, and a body that does not
 * decompress hides all that follows it in an answer from Java clients; so that one is stored as it was written, without compression.
 */
export function splicedSysFlag(batch: RecordBatch, i: number): number {
  const { bytes } = batch;
  const sysFlagAt = (batch.nativeStart[i] ?? 0) + SYS_FLAG_AT;
  if (((bytes[sysFlagAt + 3] ?? 0) & COMPRESSED) === 0) return 0;
  const sysFlag = bytes.readInt32BE(sysFlagAt);
  const start = batch.bodyStart[i] ?? 0;
  const length = (batch.bodyEnd[i] ?? 0) - start;
  if (length < 4) return 0;
  const head = bytes.readUInt32BE(start);
  const kind = sysFlag & KIND;
  const honest =
    kind === LZ4 ? head === LZ4_HEAD : kind === ZSTD ? head === ZSTD_HEAD : ZLIB_KINDS.has(kind) && head >>> 24 === ZLIB_HEAD;
  return honest ? sysFlag & SENT_FLAGS : 0;
}

export function nativeFlag(batch: RecordBatch, i: number): number {
  return batch.bytes.readInt32BE((batch.nativeStart[i] ?? 0) + FLAG_AT);
}

/** Copies the properties that stay (the batch's rows), neighbours together, and adds what the source tells beside them. */
export function copyProperties(batch: RecordBatch, i: number, out: PropertyWriter): void {
  const { bytes, properties, propertyFirst } = batch;
  const last = (propertyFirst[i + 1] ?? 0) * PROPERTY_ROW;
  let from = -1;
  let end = -2;
  for (let row = (propertyFirst[i] ?? 0) * PROPERTY_ROW; row < last; row += PROPERTY_ROW) {
    const start = properties[row] ?? 0;
    out.note(bytes, start, properties[row + 1] ?? 0);
    if (start !== end + 1) {
      if (from >= 0) copyRun(bytes, from, end, out);
      from = start;
    }
    end = properties[row + 3] ?? 0;
  }
  if (from >= 0) copyRun(bytes, from, end, out);
  // The flag is stored as a flag again.
  for (const [name, value] of batch.extras?.get(i) ?? []) {
    if (name === FLAG_FACT) continue;
    out.text(name);
    out.byte(NAME_END);
    out.text(value);
    out.endValue();
  }
}

function copyRun(bytes: Buffer, from: number, end: number, out: PropertyWriter): void {
  out.copy(bytes, from, end);
  out.endValue();
}

/** Writes where a record was made. Neighbours mostly come from one producer, so the text of the last one is kept. */
export class BornHosts {
  #last: Buffer = Buffer.alloc(0);
  #text: Buffer = Buffer.alloc(0);

  write(batch: RecordBatch, i: number, out: PropertyWriter): void {
    const { bytes } = batch;
    const start = batch.nativeStart[i] ?? 0;
    const length = ((bytes[start + SYS_FLAG_AT + 3] ?? 0) & BORN_IPV6) === 0 ? 4 : 16;
    if (!this.#isLast(bytes, start + BORN_HOST_AT, length)) {
      this.#last = Buffer.from(bytes.subarray(start + BORN_HOST_AT, start + BORN_HOST_AT + length));
      this.#text = Buffer.from(formatAddress(this.#last), 'latin1');
    }
    out.put(this.#text);
  }

  #isLast(bytes: Buffer, start: number, length: number): boolean {
    if (this.#last.length !== length) return false;
    for (let k = 0; k < length; k++) if (bytes[start + k] !== this.#last[k]) return false;
    return true;
  }
}

function formatAddress(address: Buffer): string {
  if (address.length === 4) return address.join('.');
  const groups: string[] = [];
  for (let at = 0; at < address.length; at += 2) groups.push(address.readUInt16BE(at).toString(16));
  return groups.join(':');
}
