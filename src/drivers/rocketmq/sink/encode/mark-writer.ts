import { copyBytes, MAX_DIGITS, RepeatedNumber, writeNumber } from '../../../../lib/write-bytes.ts';
import type { LaneId } from '../../../../model/lane.ts';
import { offsetPosition } from '../../../../model/position.ts';
import { formatProvenance, formatVia, type MarkCodec, plainMarks } from '../../../../model/provenance.ts';
import type { RecordBatch } from '../../../../model/record-batch.ts';

/** `;!` and the tag of a sealed mark. */
const SEAL_BYTES = 13;
/** Position (three numbers) and time of a mark. */
const PLACE_BYTES = 4 * (MAX_DIGITS + 1);
const LATEST_MILLIS = 36 ** 10 - 1;
/** Bytes that a character of a text can take. */
const MAX_CHARACTER_BYTES = 3;
const COLON = 0x3a;
const SEMICOLON = 0x3b;

/** Writes the mark of each record that a lane's writer stores: on RocketMQ each message has one of its own. */
export class MarkWriter {
  readonly #marks: MarkCodec;
  readonly #cluster: string;
  readonly #lane: LaneId;
  /** What the marks of all local records begin with: version, cluster, topic and lane. */
  readonly #prefix: Buffer;
  readonly #time = new RepeatedNumber(36);

  constructor(marks: MarkCodec, cluster: string, lane: LaneId) {
    this.#marks = marks;
    this.#cluster = cluster;
    this.#lane = lane;
    const first = formatProvenance({ cluster, ...lane, runs: [{ first: offsetPosition(0), count: 1 }], time: 0, passed: [] });
    this.#prefix = Buffer.from(first.slice(0, first.lastIndexOf(';', first.length - 3) + 1));
  }

  /** At least the bytes that `write` will take. */
  bound(batch: RecordBatch, i: number): number {
    const foreign = batch.marks?.get(i);
    const longest = this.#prefix.length + PLACE_BYTES + SEAL_BYTES;
    return foreign === undefined ? longest : longest + MAX_CHARACTER_BYTES * foreign.length;
  }

  /** Writes the mark of record `i` at `at`; gives the place after it. */
  write(batch: RecordBatch, i: number, target: Buffer, at: number): number {
    const foreign = batch.marks?.get(i);
    if (foreign === undefined && this.#marks === plainMarks) return this.#writeLocal(batch, i, target, at);
    return at + target.write(this.#marks.seal(foreign === undefined ? this.#local(batch, i) : this.#via(foreign, batch, i)), at);
  }

  /** Without a string: this runs for each record. */
  #writeLocal(batch: RecordBatch, i: number, target: Buffer, at: number): number {
    let to = copyBytes(this.#prefix, 0, this.#prefix.length, target, at);
    const [minor, index] = [batch.minor[i] ?? -1, batch.index[i] ?? -1];
    to = writeNumber(target, to, batch.major[i] ?? -1, 10);
    if (minor >= 0) {
      target[to++] = COLON;
      to = writeNumber(target, to, minor, 10);
      if (index >= 0) {
        target[to++] = COLON;
        to = writeNumber(target, to, index, 10);
      }
    }
    target[to++] = SEMICOLON;
    return this.#time.write(target, to, Math.trunc(Math.min(Math.max((batch.storeTime[i] ?? 0) || 0, 0), LATEST_MILLIS)));
  }

  #local(batch: RecordBatch, i: number): string {
    const runs = [{ first: batch.positionAt(i), count: 1 }];
    return formatProvenance({ cluster: this.#cluster, ...this.#lane, runs, time: batch.storeTime[i] ?? 0, passed: [] });
  }

  #via(mark: string, batch: RecordBatch, i: number): string {
    return mark + formatVia({ ...this.#lane, runs: [{ first: batch.positionAt(i), count: 1 }] });
  }
}
