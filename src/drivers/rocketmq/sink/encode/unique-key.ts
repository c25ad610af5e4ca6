import { type LaneId, laneKey } from '../../../../model/lane.ts';
import type { RecordBatch } from '../../../../model/record-batch.ts';

/** Hex digits of a client message id. */
export const UNIQUE_KEY_BYTES = 32;

const HEX = Buffer.from('0123456789ABCDEF', 'latin1');
const TWO_32 = 0x100000000;

/**
 * Writes client message ids (UNIQ_KEY) for records that have none, so that they can be found by one in RocketMQ's tools. An id follows from where its record comes from:
 * written again after a doubt it is the same.
 *
 * 16 bytes in hex, as RocketMQ's own (MessageClientIDSetter): bytes 10 to 13 are the milliseconds since the month began, by which tools narrow their search. The others are a
 * hash of the source (3), ledger or offset (4), its upper part and entry (3), and the place in the entry (2).
 */
export class UniqueKeys {
  readonly #hash: number;
  #monthStart = 0;
  #monthEnd = 0;

  constructor(cluster: string, lane: LaneId) {
    this.#hash = hashText(`${cluster}/${laneKey(lane)}`);
  }

  /** Writes the id of record `i` at `at`; gives the place after it. */
  write(batch: RecordBatch, i: number, target: Buffer, at: number): number {
    const major = batch.major[i] ?? 0;
    const minor = Math.max(0, batch.minor[i] ?? 0);
    let to = writeHex(target, at, this.#hash >>> 8, 6);
    to = writeHex(target, to, (major % TWO_32) >>> 0, 8);
    to = writeHex(target, to, (minor ^ (Math.floor(major / TWO_32) << 20)) & 0xffffff, 6);
    to = writeHex(target, to, this.#monthMillis(batch.storeTime[i] ?? 0), 8);
    return writeHex(target, to, Math.max(0, batch.index[i] ?? 0) & 0xffff, 4);
  }

  #monthMillis(time: number): number {
    if (time < this.#monthStart || time >= this.#monthEnd) {
      const date = new Date(Math.max(0, Math.min(time, 8.64e15)));
      this.#monthStart = Date.UTC(date.getUTCFullYear(), date.getUTCMonth());
      this.#monthEnd = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1);
    }
    return Math.max(0, time - this.#monthStart) >>> 0;
  }
}

/** FNV-1a. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

function writeHex(target: Buffer, at: number, value: number, digits: number): number {
  let rest = value;
  for (let k = at + digits - 1; k >= at; k--) {
    target[k] = HEX[rest & 15] ?? 0;
    rest >>>= 4;
  }
  return at + digits;
}
