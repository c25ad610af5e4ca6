import type { Position } from '../../model/position.ts';
import { offsetPosition } from '../../model/position.ts';
import { PROPERTY_ROW, RecordBatch } from '../../model/record-batch.ts';
import type { StoredMessage } from './queue-broker.ts';

/** A record, or a whole entry whose content is its body. */
export interface BatchRow {
  readonly position: Position;
  readonly storeTime: number;
  readonly body: Buffer;
  readonly key?: string | undefined;
  readonly tag?: string | undefined;
  readonly properties?: Readonly<Record<string, string>> | undefined;
  /** The mark that speaks of it, which rows of one entry share, and the how-maniest of its records this one is. */
  readonly mark?: { readonly text: string; readonly ordinal: number } | undefined;
  readonly damage?: string | undefined;
  /** How many records a whole entry has. */
  readonly records?: number;
}

export interface BatchOptions {
  readonly whole?: boolean;
  /** Where reading goes on, where that is known better than by the last position. */
  readonly end?: Position | undefined;
  /** Gets the bytes when the batch is released. */
  readonly free: (bytes: Buffer) => void;
}

/** A batch of messages, laid out as bytes and places like a broker's answer. `free` gets the bytes when the batch is released. */
export function makeBatch(messages: readonly StoredMessage[], free: (bytes: Buffer) => void): RecordBatch {
  return layOut(messages.map(rowOf), { free });
}

export function rowOf({ offset, mark, ...message }: StoredMessage): BatchRow {
  return { ...message, position: offsetPosition(offset), mark: mark === undefined ? undefined : { text: mark, ordinal: 0 } };
}

/** What a record has beside its body and its mark. */
export function fieldsOf(
  batch: RecordBatch,
  i: number,
): Pick<BatchRow, 'tag' | 'properties'> & { readonly key: string | undefined } {
  const properties: Record<string, string> = {};
  for (let row = batch.propertyFirst[i] ?? 0; row < (batch.propertyFirst[i + 1] ?? 0); row++) {
    const [nameStart, nameEnd, start, end] = batch.properties.subarray(row * PROPERTY_ROW, (row + 1) * PROPERTY_ROW);
    properties[batch.text(nameStart, nameEnd) ?? ''] = batch.text(start, end) ?? '';
  }
  return {
    key: batch.text(batch.keyStart[i], batch.keyEnd[i]),
    tag: batch.text(batch.tagStart[i], batch.tagEnd[i]),
    ...(Object.keys(properties).length === 0 ? {} : { properties }),
  };
}

/** Lays rows out as bytes and places. */
export function layOut(rows: readonly BatchRow[], { whole = false, end, free }: BatchOptions): RecordBatch {
  const bytes = new Bytes();
  let memory: Buffer = Buffer.alloc(0);
  const batch = new RecordBatch(rows.length, () => free(memory));
  batch.count = rows.length;
  batch.whole = whole;
  batch.end = end;
  batch.native = whole ? 'pulsar-entry' : undefined;
  let properties = 0;
  rows.forEach((row, i) => {
    batch.major[i] = row.position.major;
    batch.minor[i] = row.position.minor;
    batch.index[i] = row.position.index;
    batch.eventTime[i] = row.storeTime;
    batch.storeTime[i] = row.storeTime;
    batch.records[i] = row.records ?? 1;
    const body = bytes.put(row.body);
    [batch.bodyStart[i], batch.bodyEnd[i]] = body;
    if (whole) [batch.nativeStart[i], batch.nativeEnd[i]] = body;
    [batch.keyStart[i], batch.keyEnd[i]] = bytes.put(row.key);
    [batch.tagStart[i], batch.tagEnd[i]] = bytes.put(row.tag);
    const shared = i > 0 && (row.mark?.ordinal ?? 0) > 0 && rows[i - 1]?.mark?.text === row.mark?.text;
    const mark = shared ? [batch.provenanceStart[i - 1] ?? -1, batch.provenanceEnd[i - 1] ?? -1] : bytes.put(row.mark?.text);
    [batch.provenanceStart[i], batch.provenanceEnd[i]] = [mark[0] ?? -1, mark[1] ?? -1];
    batch.provenanceOrdinal[i] = row.mark?.ordinal ?? 0;
    batch.propertyFirst[i] = properties;
    for (const [name, value] of Object.entries(row.properties ?? {})) {
      batch.reserveProperties(properties + 1);
      batch.properties.set([...bytes.put(name), ...bytes.put(value)], properties * PROPERTY_ROW);
      properties++;
    }
    batch.propertyFirst[i + 1] = properties;
    if (row.damage !== undefined) (batch.damaged ??= new Map()).set(i, row.damage);
  });
  memory = bytes.all();
  batch.bytes = memory;
  return batch;
}

class Bytes {
  readonly #parts: Buffer[] = [];
  #length = 0;

  /** Where the part begins and ends; -1 when there is none. */
  put(part: Buffer | string | undefined): readonly [number, number] {
    if (part === undefined) return [-1, -1];
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return [this.#length - bytes.length, this.#length];
  }

  all(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
