import type { Position } from './position.ts';

/** A property that a source driver has to add because the source keeps the fact outside its properties (for example RocketMQ's `flag`). */
export type ExtraProperty = readonly [name: string, value: string];

/**
 * `rocketmq-message`: a message as a broker stores it (total size first). `pulsar-entry`: what follows the command in a MESSAGE frame, from the checksum's magic
 * number on: checksum, metadata, payload; records of one entry share the range.
 */
export type NativeForm = 'rocketmq-message' | 'pulsar-entry';

/** Facts about a record that are neither bytes nor numbers. */
export const RecordFlag = {
  /** The key stands for bytes, written in base64. */
  keyIsBase64: 1,
  /** No value at all, which is not an empty one: a tombstone. */
  nullValue: 2,
  /** The key of a pair of key and value is null, which is not the same as having none. */
  nullKey: 4,
} as const;

const EMPTY: Buffer = Buffer.alloc(0);

/** Number of ints a property row holds: name start, name end, value start, value end; all are places in `bytes`. */
export const PROPERTY_ROW = 4;

/**
 * Records as the bytes that came from the broker, plus where each thing begins.
 *
 * Columns instead of an object per record: a reply of 32 messages would otherwise cost some 300 small objects. Nothing
 * is decoded until a stage asks. Ranges are `[start, end)` in `bytes`; a range that is absent has start -1.
 * A batch belongs to a pool of its driver: whoever gets one calls `release` exactly once and touches it no more after.
 */
export class RecordBatch {
  #bytes: Buffer = EMPTY;
  #apart: readonly Buffer[] | undefined;
  count = 0;
  /** Bytes held in memory by this batch, as charged to the reader's budget. */
  heldBytes = 0;

  major: Float64Array;
  minor: Float64Array;
  index: Int32Array;
  /** Milliseconds since 1970; when the producer made the record. */
  eventTime: Float64Array;
  /** Milliseconds since 1970; when the source stored the record. */
  storeTime: Float64Array;
  bodyStart: Int32Array;
  bodyEnd: Int32Array;
  /** The ordering key: sharding key, else the first of KEYS; a partition key on Pulsar (as text, also where `flags` says that it stands for bytes). */
  keyStart: Int32Array;
  keyEnd: Int32Array;
  /** Pulsar's second key, by which Key_Shared shares out where it is set. */
  orderingKeyStart: Int32Array;
  orderingKeyEnd: Int32Array;
  /** The producer's own id of the record, where the source keeps it apart from the properties: its name, and `sequence` (-1 = none). */
  producerStart: Int32Array;
  producerEnd: Int32Array;
  sequence: Float64Array;
  /** The version of the schema at the source, as bytes that only the source's registry understands. */
  schemaStart: Int32Array;
  schemaEnd: Int32Array;
  /** Bits of `RecordFlag`. */
  flags: Uint8Array;
  tagStart: Int32Array;
  tagEnd: Int32Array;
  /** The mark that speaks of this record: its own `ISTHMUS` property (left out of the property rows), else that of the entry it came in. */
  provenanceStart: Int32Array;
  provenanceEnd: Int32Array;
  /** The how-maniest record of the mark's runs this one is: 0 for a mark of its own. */
  provenanceOrdinal: Int32Array;
  /**
   * The mark of the entry that a record came in, where the record has one of its own as well (start -1 otherwise), and the how-maniest record of its runs this one
   * is. Only the entry's mark says where its writer has read such a record.
   */
  entryMarkStart: Int32Array;
  entryMarkEnd: Int32Array;
  entryMarkOrdinal: Int32Array;
  /**
   * The record as its broker stored it, where `native` says what that is: a sink of the same kind may copy it instead of putting it together again.
   * Whoever changes a record (another key, other properties) sets its start to -1.
   */
  native: NativeForm | undefined;
  nativeStart: Int32Array;
  nativeEnd: Int32Array;
  /**
   * True: a row is a whole stored entry, not looked into, and `records` says how many records it holds. Only positions, times, marks, `records` and the native
   * range are set then, and the position's index is -1.
   */
  whole = false;
  records: Int32Array;
  /** Rows of record i: `propertyFirst[i]` up to `propertyFirst[i + 1]`, each `PROPERTY_ROW` ints of `properties`. */
  propertyFirst: Int32Array;
  properties: Int32Array;
  /** Bodies that had to be decompressed, by record number; they replace the body range. */
  bodies: Map<number, Buffer> | undefined;
  extras: Map<number, ExtraProperty[]> | undefined;
  /** Records that the source driver could not turn into a record (for example a body that does not decompress), with the reason. */
  damaged: Map<number, string> | undefined;
  /**
   * Marks to be kept with single records, by record number: set by the provenance stage for records that came from
   * elsewhere before. All others are spoken for by the mark of their target batch.
   */
  marks: Map<number, string> | undefined;

  /** Records that another replicator has brought to the source (Pulsar's own, RocketMQ's), by record number: the clusters they have been in, as it calls them. */
  broughtFrom: Map<number, readonly string[]> | undefined;
  /** Where reading goes on after the last row, where a driver knows better than `Source.next`: at the next entry, when the last record of an entry was the last row. */
  end: Position | undefined;

  #free: ((batch: RecordBatch) => void) | undefined;

  constructor(capacity: number, free?: (batch: RecordBatch) => void) {
    this.major = new Float64Array(capacity);
    this.minor = new Float64Array(capacity).fill(-1);
    this.index = new Int32Array(capacity).fill(-1);
    this.eventTime = new Float64Array(capacity);
    this.storeTime = new Float64Array(capacity);
    this.bodyStart = new Int32Array(capacity);
    this.bodyEnd = new Int32Array(capacity);
    this.keyStart = new Int32Array(capacity);
    this.keyEnd = new Int32Array(capacity);
    this.tagStart = new Int32Array(capacity);
    this.tagEnd = new Int32Array(capacity);
    this.provenanceStart = new Int32Array(capacity);
    this.provenanceEnd = new Int32Array(capacity);
    this.provenanceOrdinal = new Int32Array(capacity);
    this.entryMarkStart = new Int32Array(capacity).fill(-1);
    this.entryMarkEnd = new Int32Array(capacity).fill(-1);
    this.entryMarkOrdinal = new Int32Array(capacity);
    this.orderingKeyStart = new Int32Array(capacity).fill(-1);
    this.orderingKeyEnd = new Int32Array(capacity).fill(-1);
    this.producerStart = new Int32Array(capacity).fill(-1);
    this.producerEnd = new Int32Array(capacity).fill(-1);
    this.sequence = new Float64Array(capacity).fill(-1);
    this.schemaStart = new Int32Array(capacity).fill(-1);
    this.schemaEnd = new Int32Array(capacity).fill(-1);
    this.flags = new Uint8Array(capacity);
    this.nativeStart = new Int32Array(capacity).fill(-1);
    this.nativeEnd = new Int32Array(capacity).fill(-1);
    this.records = new Int32Array(capacity).fill(1);
    this.propertyFirst = new Int32Array(capacity + 1);
    this.properties = new Int32Array(capacity * PROPERTY_ROW * 12);
    this.#free = free;
  }

  /** What ranges are places in, for all rows alike. Throws where `layApart` was called: a range would be read in the memory of another row. */
  get bytes(): Buffer {
    if (this.#apart !== undefined) throw new Error('a batch whose rows lie apart was read as one');
    return this.#bytes;
  }

  set bytes(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Whole entries may lie where they came to lie, each for itself: ranges of row i are places in `rows[i]`. */
  layApart(rows: readonly Buffer[]): void {
    this.#apart = rows;
  }

  /** What the ranges of a row are places in, however the rows lie. */
  bytesAt(i: number): Buffer {
    return this.#apart?.[i] ?? this.#bytes;
  }

  get capacity(): number {
    return this.major.length;
  }

  positionAt(i: number): Position {
    return { major: this.major[i] ?? -1, minor: this.minor[i] ?? -1, index: this.index[i] ?? -1 };
  }

  /** The body as the application wrote it; a view, valid until `release`. */
  body(i: number): Buffer {
    return this.bodies?.get(i) ?? this.bytesAt(i).subarray(this.bodyStart[i], this.bodyEnd[i]);
  }

  bodyLength(i: number): number {
    const replaced = this.bodies?.get(i);
    return replaced === undefined ? (this.bodyEnd[i] ?? 0) - (this.bodyStart[i] ?? 0) : replaced.length;
  }

  /** A range as text, `undefined` when absent. For stages and reports; the data path copies bytes instead. */
  text(start: number | undefined, end: number | undefined): string | undefined {
    return start === undefined || start < 0 ? undefined : this.bytes.toString('utf8', start, end);
  }

  /** The value of a property by its name, `undefined` when the record has none. The last one wins, as in RocketMQ. */
  property(i: number, name: string): string | undefined {
    const extra = this.extras?.get(i)?.findLast(([key]) => key === name);
    if (extra !== undefined) return extra[1];
    for (let row = (this.propertyFirst[i + 1] ?? 0) - 1; row >= (this.propertyFirst[i] ?? 0); row--) {
      const at = row * PROPERTY_ROW;
      if (this.text(this.properties[at], this.properties[at + 1]) === name) {
        return this.text(this.properties[at + 2], this.properties[at + 3]);
      }
    }
    return undefined;
  }

  /** Makes room for `rows` property rows in all; called by drivers while they decode. */
  reserveProperties(rows: number): void {
    if (rows * PROPERTY_ROW <= this.properties.length) return;
    const grown = new Int32Array(rows * PROPERTY_ROW * 2);
    grown.set(this.properties);
    this.properties = grown;
  }

  /** Gives the batch back to its pool. */
  release(): void {
    this.#bytes = EMPTY;
    this.#apart = undefined;
    this.count = 0;
    this.bodies = undefined;
    this.extras = undefined;
    this.damaged = undefined;
    this.marks = undefined;
    this.broughtFrom = undefined;
    this.end = undefined;
    this.native = undefined;
    this.whole = false;
    this.#free?.(this);
  }
}
