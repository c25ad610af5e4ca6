import type { PooledBatch } from '../../../lib/batch-pool.ts';
import type { Position } from '../../../model/position.ts';
import { COMPRESSION } from '../wire/message-metadata.ts';
import { type PlacedEntry, payloadOf, type Rest, unreadable } from './record-decoder.ts';
import type { SourceShared } from './shared.ts';

/** An entry as it came, and what had to be known of it at once. */
export interface QueuedEntry {
  readonly ledger: number;
  readonly entry: number;
  readonly bytes: Buffer;
  /** Records, as its header says. */
  readonly records: number;
  /** What its payload takes beside it when it is decompressed; 0 where that is not needed or not possible. */
  readonly inflatedBytes: number;
  /** May be delivered whole. */
  readonly passable: boolean;
  /** Part of a message that was cut into pieces. */
  readonly chunked: boolean;
  /** Where taking it apart goes on; `undefined` for an entry of which nothing was taken, or all. */
  rest: Rest | undefined;
}

const NOTHING: Buffer = Buffer.alloc(0);

type Fillable = Pick<SourceShared, 'frames' | 'batches' | 'decoder' | 'header'>;

/** Entries as rows of one batch, not looked into, and left where they came to lie: they are the batch's until it is released. */
export function fillWhole(entries: readonly QueuedEntry[], { batches, decoder, header }: Fillable): PooledBatch {
  const batch = batches.take(entries.length);
  decoder.begin(batch, NOTHING);
  batch.layApart(entries.map(({ bytes }) => bytes));
  batch.whole = true;
  for (const { ledger, entry, bytes } of entries) {
    try {
      header.read(bytes, 0, bytes.length);
      decoder.addWhole(header, ledger, entry);
    } catch (error) {
      decoder.addDamaged(undefined, placed(ledger, entry, 0, bytes.length), reasonOf(error));
    }
  }
  return batch;
}

/** The records of entries, from `next` on, as many as one batch holds; of the last entry there may be a rest. */
export function fillRecords(entries: readonly QueuedEntry[], next: Position, shared: Fillable): PooledBatch {
  const { frames, batches, decoder } = shared;
  const sum = (of: (entry: QueuedEntry) => number): number => entries.reduce((total, entry) => total + of(entry), 0);
  const bytes = frames.take(sum((entry) => entry.bytes.length + entry.inflatedBytes));
  const batch = batches.take(sum((entry) => Math.max(1, entry.records)));
  decoder.begin(batch, bytes);
  try {
    let at = 0;
    for (const entry of entries) {
      const from = entry.ledger === next.major && entry.entry === next.minor ? Math.max(0, next.index) : 0;
      at = addEntry(entry, bytes, at, from, shared);
    }
  } catch (error) {
    batch.release();
    throw error;
  }
  return batch;
}

/** A message that was put together from pieces, as a batch of its own; its header is that of the last piece. */
export function fillChunked(
  queued: QueuedEntry,
  payload: Buffer | string,
  { frames, batches, decoder, header }: Fillable,
): PooledBatch {
  const { ledger, entry, bytes: frame } = queued;
  header.read(frame, 0, frame.length);
  let whole: Buffer | string = payload;
  try {
    if (typeof whole !== 'string') whole = payloadOf(header, whole);
  } catch (error) {
    whole = reasonOf(error);
  }
  const bytes = frames.take(frame.length + (typeof whole === 'string' ? 0 : whole.length));
  const batch = batches.take(1);
  decoder.begin(batch, bytes);
  const end = frame.copy(bytes, 0);
  header.read(bytes, 0, end);
  if (typeof whole === 'string') decoder.addDamaged(header, placed(ledger, entry, header.payloadStart, end), whole);
  else decoder.addSingle(header, placed(ledger, entry, end, end + whole.copy(bytes, end)));
  // What is stored is the last piece alone.
  batch.nativeStart[0] = batch.nativeEnd[0] = -1;
  return batch;
}

/** Adds an entry, whose bytes are put at `at`; gives the place after what it needs. */
function addEntry(queued: QueuedEntry, bytes: Buffer, at: number, from: number, { decoder, header }: Fillable): number {
  const { ledger, entry, rest } = queued;
  const end = at + queued.bytes.copy(bytes, at);
  const next = end + queued.inflatedBytes;
  queued.rest = undefined;
  try {
    header.read(bytes, at, end);
  } catch (error) {
    decoder.addDamaged(undefined, placed(ledger, entry, at, end), reasonOf(error));
    return next;
  }
  const raw = placed(ledger, entry, header.payloadStart, end);
  const reason = unreadable(header, bytes);
  if (reason !== undefined) {
    decoder.addDamaged(header, raw, reason);
    return next;
  }
  let place = raw;
  try {
    const payload = payloadOf(header, bytes.subarray(header.payloadStart, end));
    if (header.compression !== COMPRESSION.none) {
      payload.copy(bytes, end);
      place = placed(ledger, entry, end, end + payload.length);
    }
  } catch (error) {
    decoder.addDamaged(header, raw, reasonOf(error));
    return next;
  }
  if (header.batched)
    queued.rest = decoder.addBatch(header, rest === undefined ? { ...place, index: 0 } : { ...place, ...rest }, from);
  else decoder.addSingle(header, place);
  return next;
}

function placed(ledger: number, entry: number, payloadStart: number, payloadEnd: number): PlacedEntry {
  return { ledger, entry, payloadStart, payloadEnd, at: 0, index: -1 };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
