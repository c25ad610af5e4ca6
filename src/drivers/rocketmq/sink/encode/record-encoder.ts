import type { EncodeRecord } from '../../../../lib/slab.ts';
import { copyBytes, MAX_DIGITS, RepeatedNumber } from '../../../../lib/write-bytes.ts';
import type { LaneId } from '../../../../model/lane.ts';
import type { MarkCodec } from '../../../../model/provenance.ts';
import type { RecordBatch } from '../../../../model/record-batch.ts';
import { INNER_BODY_AT, INNER_FLAG_AT } from '../../wire/send-message.ts';
import { MarkWriter } from './mark-writer.ts';
import { BORN_HOST_NAME, BORN_TIME_NAME, MARK_NAME, Seen, TIMER_OUT_NAME, UNIQUE_KEY_NAME } from './names.ts';
import { PropertyWriter } from './property-writer.ts';
import { BornHosts, copyProperties, isSpliced, nativeFlag, splicedSysFlag } from './splice.ts';
import { extrasBound, flagOf, transcodedBound, transcodeRefusal, writeTranscoded } from './transcode.ts';
import { UNIQUE_KEY_BYTES, UniqueKeys } from './unique-key.ts';

/** RocketMQ stores the length in 16 bits with a sign; a broker may append 20 bytes of its own (`__CRC32#`). */
export const MAX_PROPERTY_BYTES: number = 32_767 - 20;
/** So far from the born time of its batch a record may have been published that says no time of its own. */
const NEAR_MILLIS = 1_000;
/** What a writer adds beside the mark: unique key, born host (an address), born time and time of delivery. */
const ADDED_BYTES =
  UNIQUE_KEY_NAME.length +
  UNIQUE_KEY_BYTES +
  BORN_HOST_NAME.length +
  39 +
  BORN_TIME_NAME.length +
  TIMER_OUT_NAME.length +
  2 * MAX_DIGITS +
  MARK_NAME.length +
  5;

/**
 * Writes a record as one message of a batch body (see wire/send-message.ts), with all properties that it is to have: the broker adds nothing to a batch.
 *
 * A message of another RocketMQ is spliced: body and properties are copied as they were stored. Anything else is put together from the batch's columns.
 */
export class RecordEncoder {
  /** Milliseconds since 1970 that the batch at hand will have as born time; a record of another time says so in a property. */
  bornTime = 0;
  readonly #marks: MarkWriter;
  readonly #keys: UniqueKeys;
  readonly #hosts = new BornHosts();
  readonly #out: PropertyWriter;
  readonly #bornTimes = new RepeatedNumber(10);

  constructor(marks: MarkCodec, cluster: string, lane: LaneId, out: PropertyWriter = new PropertyWriter()) {
    this.#out = out;
    this.#marks = new MarkWriter(marks, cluster, lane);
    this.#keys = new UniqueKeys(cluster, lane);
  }

  /** Bits of sysFlag that a record's batch must have. */
  sysFlag(batch: RecordBatch, i: number): number {
    return isSpliced(batch, i) ? splicedSysFlag(batch, i) : 0;
  }

  /** Bytes of the body as it will be stored. */
  bodyBytes(batch: RecordBatch, i: number, sysFlag: number): number {
    return sysFlag === 0 ? batch.bodyLength(i) : (batch.bodyEnd[i] ?? 0) - (batch.bodyStart[i] ?? 0);
  }

  /** At least the bytes of the properties. */
  propertyBound(batch: RecordBatch, i: number): number {
    const added = ADDED_BYTES + this.#marks.bound(batch, i);
    if (!isSpliced(batch, i)) return added + transcodedBound(batch, i);
    // Everything but the body: a little more than its properties.
    const own = (batch.nativeEnd[i] ?? 0) - (batch.nativeStart[i] ?? 0) - ((batch.bodyEnd[i] ?? 0) - (batch.bodyStart[i] ?? 0));
    return batch.extras === undefined ? added + own : added + own + extrasBound(batch, i);
  }

  /** Why RocketMQ can never hold the record, whatever its size; `undefined` when it can. */
  refusal(batch: RecordBatch, i: number, propertyBound: number): string | undefined {
    if (propertyBound > MAX_PROPERTY_BYTES)
      return `its properties have up to ${propertyBound} bytes, RocketMQ takes ${MAX_PROPERTY_BYTES}`;
    return isSpliced(batch, i) ? undefined : transcodeRefusal(batch, i);
  }

  /** There must be room for `INNER_BYTES`, the body and `propertyBound`. */
  readonly encode: EncodeRecord = (batch, i, target, at) => {
    const spliced = isSpliced(batch, i);
    writeInt32(target, at + 4, 0);
    writeInt32(target, at + 8, 0);
    writeInt32(target, at + INNER_FLAG_AT, spliced ? nativeFlag(batch, i) : flagOf(batch, i));
    const bodyEnd = this.#writeBody(batch, i, target, at + INNER_BODY_AT);
    writeInt32(target, at + INNER_FLAG_AT + 4, bodyEnd - at - INNER_BODY_AT);
    const out = this.#out;
    out.begin(target, bodyEnd + 2);
    if (spliced) copyProperties(batch, i, out);
    else writeTranscoded(batch, i, out);
    this.#writeAdded(batch, i, spliced, out);
    const length = out.at - bodyEnd - 2;
    target[bodyEnd] = length >>> 8;
    target[bodyEnd + 1] = length;
    writeInt32(target, at, out.at - at);
    return out.at;
  };

  #writeBody(batch: RecordBatch, i: number, target: Buffer, at: number): number {
    const replaced = batch.bodies?.get(i);
    if (replaced !== undefined && this.sysFlag(batch, i) === 0) return at + replaced.copy(target, at);
    const start = batch.bodyStart[i] ?? 0;
    return copyBytes(batch.bytes, start, (batch.bodyEnd[i] ?? 0) - start, target, at);
  }

  /** When the record was made, 0 where its batch says it well enough: one without a time of its own must not get that of a neighbour from years ago. */
  #ownBornTime(batch: RecordBatch, i: number): number {
    const eventTime = batch.eventTime[i] ?? 0;
    if (eventTime > 0) return eventTime;
    const stored = Math.trunc(batch.storeTime[i] ?? 0);
    return Math.abs(stored - this.bornTime) > NEAR_MILLIS ? stored : 0;
  }

  #writeAdded(batch: RecordBatch, i: number, spliced: boolean, out: PropertyWriter): void {
    const { seen } = out;
    if ((seen & Seen.uniqueKey) === 0) {
      out.put(UNIQUE_KEY_NAME);
      out.at = this.#keys.write(batch, i, out.target, out.at);
      out.endValue();
    }
    if (spliced && (seen & Seen.bornHost) === 0) {
      out.put(BORN_HOST_NAME);
      this.#hosts.write(batch, i, out);
      out.endValue();
    }
    const bornTime = this.#ownBornTime(batch, i);
    if (bornTime > 0 && bornTime !== this.bornTime && (seen & Seen.bornTime) === 0) {
      out.put(BORN_TIME_NAME);
      out.at = this.#bornTimes.write(out.target, out.at, bornTime);
      out.endValue();
    }
    // A delay that has passed acts again when a broker sends the message once more, for a retry, unless this says that it was delivered.
    if ((seen & Seen.timer) !== 0) {
      out.put(TIMER_OUT_NAME);
      out.number(batch.storeTime[i] ?? 0);
      out.endValue();
    }
    out.put(MARK_NAME);
    out.at = this.#marks.write(batch, i, out.target, out.at);
    out.endValue();
  }
}

/** When the record was made, or stored at its source: milliseconds since 1970. */
export function bornTimeOf(batch: RecordBatch, i: number): number {
  const eventTime = batch.eventTime[i] ?? 0;
  return Math.trunc(eventTime > 0 ? eventTime : (batch.storeTime[i] ?? 0));
}

function writeInt32(target: Buffer, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}
