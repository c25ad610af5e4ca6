import { hash } from 'node:crypto';
import { type IdBlock, KEY_BYTES, type WindowIds } from '../../lib/window-ids.ts';
import type { Position } from '../../model/position.ts';
import { Verdict } from '../../spi/dedup-window.ts';

/**
 * How windows see ids: as cells. The cell of a key is the key itself; the cell of positions holds 256 neighbours of a space. A cell is found by its name:
 *
 *   key    = kind or length, 16 bytes                                                        (see WindowIds)
 *   offset = 0x41, space (12 bytes), offset / 256
 *   entry  = 0x42, space (12 bytes), ledger, entry / 256
 *   index  = 0x43, space (12 bytes), ledger, entry, index / 256      (numbers as signed varints: few bytes)
 *
 * A space is told by the first 96 bits of its SHA-256.
 */
export const CELL_SIZE = 256;

export const NAME_BYTES = 12;

/** The place of a record as claims keep it: the leading parts that are used, and the last one, which counts up. */
export interface Place {
  /** `PLACE_BYTES` bytes: the leading parts. */
  readonly lead: Buffer;
  readonly last: number;
}

export const PLACE_BYTES = 12;

export interface CellVisitor {
  /** `count` keys from byte `start` of `keys` on, read at neighbouring places from `place` on. */
  keys(keys: Buffer, start: number, count: number, place: Place): void;
  /** `count` positions from number `start` of a cell on. `name` is valid during the call. */
  positions(name: Buffer, start: number, count: number, place: Place): void;
}

/** Shows ids to the visitor in their order: all of them, or those that were given to the caller (`fresh` or `ours`). */
export function visitCells(ids: WindowIds, which: 'all' | 'given', visitor: CellVisitor): void {
  const { verdicts } = ids;
  for (let i = 0; i < ids.blockCount; i++) {
    const block = ids.block(i);
    if (which === 'all') {
      visitStretch(ids, block, 0, block.count, visitor);
      continue;
    }
    for (let at = 0; at < block.count; ) {
      const given = isGiven(verdicts[block.from + at]);
      let end = at + 1;
      while (end < block.count && isGiven(verdicts[block.from + end]) === given) end++;
      if (given) visitStretch(ids, block, at, end, visitor);
      at = end;
    }
  }
}

function isGiven(verdict: number | undefined): boolean {
  return verdict === Verdict.fresh || verdict === Verdict.ours;
}

function visitStretch(ids: WindowIds, block: IdBlock, from: number, to: number, visitor: CellVisitor): void {
  const { lead, last } = placeOf(block.place);
  if (block.space === undefined) {
    visitor.keys(ids.keys, block.keyStart + from * KEY_BYTES, to - from, { lead, last: last + from });
    return;
  }
  const first = lastPart(block.first) + from;
  const space = shortDigest(block.space);
  for (let at = first, end = first + to - from; at < end; ) {
    const cell = Math.floor(at / CELL_SIZE);
    const next = Math.min(end, (cell + 1) * CELL_SIZE);
    visitor.positions(cellName(space, block.first, cell), at - cell * CELL_SIZE, next - at, {
      lead,
      last: last + from + at - first,
    });
    at = next;
  }
}

function lastPart({ major, minor, index }: Position): number {
  return index >= 0 ? index : minor >= 0 ? minor : major;
}

const NO_LEAD = Buffer.alloc(PLACE_BYTES);

function placeOf(place: Position): Place {
  if (place.minor < 0) return { lead: NO_LEAD, last: place.major };
  const lead = Buffer.alloc(PLACE_BYTES);
  lead.writeUIntBE(place.major, 0, 6);
  // One more than the entry: nothing is "no entry".
  if (place.index >= 0) lead.writeUIntBE(place.minor + 1, 6, 6);
  return { lead, last: lastPart(place) };
}

const MOST_NAME_BYTES = 1 + NAME_BYTES + 3 * 8;
const scratch = Buffer.alloc(MOST_NAME_BYTES);

function cellName(space: Buffer, { major, minor, index }: Position, cell: number): Buffer {
  scratch[0] = 0x41 + (minor >= 0 ? 1 : 0) + (index >= 0 ? 1 : 0);
  let end = 1 + space.copy(scratch, 1);
  if (minor >= 0) end = writeSigned(scratch, end, major);
  if (index >= 0) end = writeSigned(scratch, end, minor);
  end = writeSigned(scratch, end, cell);
  return scratch.subarray(0, end);
}

/** Whole numbers of up to 52 bits, lowest bit = sign, seven bits each, lowest first. */
function writeSigned(to: Buffer, at: number, value: number): number {
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  let end = at;
  while (rest >= 128) {
    to[end++] = (rest % 128) + 128;
    rest = Math.floor(rest / 128);
  }
  to[end++] = rest;
  return end;
}

/** Names met lately. A lane has one space mostly, so this is small; past the limit it begins anew. */
const MOST_DIGESTS = 10_000;
const digests = new Map<string, Buffer>();

/** What tells names of any length apart in `NAME_BYTES` bytes. */
export function shortDigest(name: string): Buffer {
  let digest = digests.get(name);
  if (digest === undefined) {
    digest = hash('sha256', name, 'buffer').subarray(0, NAME_BYTES);
    if (digests.size >= MOST_DIGESTS) digests.clear();
    digests.set(name, digest);
  }
  return digest;
}
