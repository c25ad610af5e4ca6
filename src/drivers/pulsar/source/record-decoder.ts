import { crc32c } from '@node-rs/crc32';
import { PROVENANCE_PROPERTY } from '../../../model/provenance.ts';
import { PROPERTY_ROW, type RecordBatch, RecordFlag } from '../../../model/record-batch.ts';
import { type EntryHeader, isNamed } from '../wire/entry-header.ts';
import { COMPRESSION } from '../wire/message-metadata.ts';
import { ProtoReader } from '../wire/protobuf.ts';
import { decompress } from './decompress.ts';

const SIZE_BYTES = 4;
const NOTHING = Buffer.alloc(0);
const MARK_NAME = Buffer.from(PROVENANCE_PROPERTY);
/** Where our writers keep a RocketMQ tag. */
const TAG_NAME = Buffer.from('TAGS');

/** When the producer wants a message to be delivered, milliseconds since 1970: it has no place of its own in a record. */
export const DELIVER_AT_PROPERTY = 'PULSAR_DELIVER_AT';

/** An entry's place, and where its records lie in the batch's bytes. */
export interface PlacedEntry {
  readonly ledger: number;
  readonly entry: number;
  /** Where its payload begins and ends, decompressed. */
  readonly payloadStart: number;
  readonly payloadEnd: number;
  /** How far into the payload the records before `index` reach; 0 with index 0. */
  readonly at: number;
  readonly index: number;
}

/** Where decoding of an entry goes on; `undefined` when all its records are there. */
export interface Rest {
  readonly at: number;
  readonly index: number;
}

/** Why the payload of an entry cannot be read at all; `undefined` when it can, as far as is known without looking. */
export function unreadable(header: EntryHeader, bytes: Buffer): string | undefined {
  if (header.encrypted) return 'it is encrypted by its producer, and the mirror has no key';
  if (header.checked && crc32c(bytes.subarray(header.metadataStart, header.end)) !== header.checksum)
    return 'its checksum does not match its bytes';
  return undefined;
}

/** The payload of an entry (or of a chunked message) as its producer put it together; a view of `payload` when it is not compressed. Throws with a reason. */
export function payloadOf(header: EntryHeader, payload: Buffer): Buffer {
  if (header.compression === COMPRESSION.none) return payload;
  try {
    return decompress(header.compression, payload, header.uncompressedBytes);
  } catch (error) {
    throw new Error(`its payload does not decompress: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

/**
 * Turns entries into columns of a record batch, without a string or an object per record. Every column of every row is set, because batches are used again.
 *
 * SingleMessageMetadata: properties 1, partition_key 2, payload_size 3, compacted_out 4, event_time 5, partition_key_b64_encoded 6, ordering_key 7, sequence_id 8,
 * null_value 9, null_partition_key 10.
 *
 * Not reentrant: one decoder serves all lanes of a cluster, each call being finished before the next.
 */
export class RecordDecoder {
  #batch: RecordBatch | undefined;
  #rows = 0;
  readonly #reader = new ProtoReader(NOTHING);
  readonly #inner = new ProtoReader(NOTHING);
  #payloadSize = 0;
  #compactedOut = false;
  /** Whether marks of single records are ours; see `#property`. */
  #ownMarks = true;

  /** Begins an empty batch over `bytes`, which hold the entries and their decompressed payloads. */
  begin(batch: RecordBatch, bytes: Buffer): void {
    batch.bytes = bytes;
    batch.native = 'pulsar-entry';
    batch.propertyFirst[0] = 0;
    this.#batch = batch;
    this.#rows = 0;
  }

  /** Adds a whole entry as one row. */
  addWhole(header: EntryHeader, ledger: number, entry: number): void {
    const batch = this.#current();
    batch.whole = true;
    const i = this.#begin(batch, header, ledger, entry, -1);
    batch.records[i] = Math.max(1, header.messages);
    batch.bodyStart[i] = header.payloadStart;
    batch.bodyEnd[i] = header.end;
    batch.provenanceStart[i] = header.markStart;
    batch.provenanceEnd[i] = header.markEnd;
    batch.keyStart[i] = batch.keyEnd[i] = batch.orderingKeyStart[i] = batch.orderingKeyEnd[i] = -1;
    batch.producerStart[i] = batch.producerEnd[i] = batch.schemaStart[i] = batch.schemaEnd[i] = -1;
    batch.sequence[i] = -1;
    batch.flags[i] = 0;
  }

  /** Adds the record of an entry that is not in batch format, or of a chunked message: its header is that of the record. */
  addSingle(header: EntryHeader, place: PlacedEntry): void {
    const batch = this.#current();
    const i = this.#begin(batch, header, place.ledger, place.entry, -1);
    batch.bodyStart[i] = place.payloadStart;
    batch.bodyEnd[i] = place.payloadEnd;
    batch.provenanceStart[i] = header.markStart;
    batch.provenanceEnd[i] = header.markEnd;
    for (let row = 0; row < header.propertyCount; row++) {
      const at = row * PROPERTY_ROW;
      const { properties } = header;
      this.#row(batch, i, properties[at] ?? 0, properties[at + 1] ?? 0, properties[at + 2] ?? 0, properties[at + 3] ?? 0);
    }
    batch.propertyFirst[i + 1] = this.#rows;
    addExtras(batch, i, header);
  }

  /** Adds one row for what cannot be read: an entry, or what is left of a batch from `index` on (-1 for all of it). */
  addDamaged(header: EntryHeader | undefined, place: PlacedEntry, reason: string): void {
    const batch = this.#current();
    const i = this.#begin(batch, header, place.ledger, place.entry, place.index);
    batch.bodyStart[i] = place.payloadStart + place.at;
    batch.bodyEnd[i] = place.payloadEnd;
    batch.damaged ??= new Map();
    batch.damaged.set(i, reason);
  }

  /**
   * Adds the records of a batch from `place.index` on, as many as the batch has room for; those before `from` are passed over. What was compacted away is left out.
   */
  addBatch(header: EntryHeader, place: PlacedEntry, from: number): Rest | undefined {
    const batch = this.#current();
    const { bytes } = batch;
    const end = place.payloadEnd;
    let at = place.payloadStart + place.at;
    for (let index = place.index; index < header.messages; index++) {
      const metadataAt = at + SIZE_BYTES;
      const metadataEnd = metadataAt <= end ? metadataAt + bytes.readUInt32BE(at) : end + 1;
      if (metadataEnd > end) return this.#cutOff(header, place, at, index);
      const i = batch.count;
      const wanted = index >= from;
      if (wanted && i === batch.capacity) return { at: at - place.payloadStart, index };
      const rows = this.#rows;
      try {
        // Into the row that would come next: it only counts when the record does.
        this.#readSingle(batch, i, header, place, index, metadataAt, metadataEnd, wanted);
      } catch {
        this.#rows = rows;
        return this.#cutOff(header, place, at, index);
      }
      const bodyEnd = metadataEnd + this.#payloadSize;
      if (this.#payloadSize < 0 || bodyEnd > end) {
        this.#rows = rows;
        return this.#cutOff(header, place, at, index);
      }
      if (wanted && !this.#compactedOut) {
        batch.bodyStart[i] = metadataEnd;
        batch.bodyEnd[i] = bodyEnd;
        batch.propertyFirst[i + 1] = this.#rows;
        batch.count = i + 1;
        addExtras(batch, i, header);
      } else this.#rows = rows;
      at = bodyEnd;
    }
    return undefined;
  }

  #cutOff(header: EntryHeader, place: PlacedEntry, at: number, index: number): Rest | undefined {
    const batch = this.#current();
    if (batch.count === batch.capacity) return { at: at - place.payloadStart, index };
    const rest = { ...place, at: at - place.payloadStart, index };
    this.addDamaged(header, rest, `record ${index} of ${header.messages} in its batch is cut off`);
    return undefined;
  }

  #current(): RecordBatch {
    if (this.#batch === undefined) throw new Error('a decoder was used before it began a batch');
    return this.#batch;
  }

  /** Takes the next row and sets what the header says in all its columns. */
  #begin(batch: RecordBatch, header: EntryHeader | undefined, ledger: number, entry: number, index: number): number {
    const i = batch.count++;
    this.#place(batch, i, header, ledger, entry, index);
    batch.keyStart[i] = header?.keyStart ?? -1;
    batch.keyEnd[i] = header?.keyEnd ?? -1;
    batch.orderingKeyStart[i] = header?.orderingKeyStart ?? -1;
    batch.orderingKeyEnd[i] = header?.orderingKeyEnd ?? -1;
    batch.sequence[i] = header?.sequence ?? -1;
    batch.eventTime[i] = header?.eventTime ?? 0;
    batch.flags[i] =
      (header?.keyIsBase64 === true ? RecordFlag.keyIsBase64 : 0) |
      (header?.nullValue === true ? RecordFlag.nullValue : 0) |
      (header?.nullKey === true ? RecordFlag.nullKey : 0);
    batch.propertyFirst[i + 1] = this.#rows;
    return i;
  }

  /** What is the same for all records of an entry, and nothing for what they may have. */
  #place(batch: RecordBatch, i: number, header: EntryHeader | undefined, ledger: number, entry: number, index: number): void {
    batch.major[i] = ledger;
    batch.minor[i] = entry;
    batch.index[i] = index;
    batch.records[i] = 1;
    batch.tagStart[i] = batch.tagEnd[i] = -1;
    batch.provenanceStart[i] = batch.provenanceEnd[i] = -1;
    batch.provenanceOrdinal[i] = 0;
    batch.entryMarkStart[i] = batch.entryMarkEnd[i] = -1;
    if (header === undefined) {
      batch.storeTime[i] = 0;
      batch.producerStart[i] = batch.producerEnd[i] = batch.schemaStart[i] = batch.schemaEnd[i] = -1;
      batch.nativeStart[i] = batch.nativeEnd[i] = -1;
      return;
    }
    batch.storeTime[i] = header.brokerTime > 0 ? header.brokerTime : header.publishTime;
    batch.producerStart[i] = header.producerStart;
    batch.producerEnd[i] = header.producerEnd;
    batch.schemaStart[i] = header.schemaStart;
    batch.schemaEnd[i] = header.schemaEnd;
    batch.nativeStart[i] = header.nativeStart;
    batch.nativeEnd[i] = header.end;
    if (header.replicatedFromStart < 0) {
      // The row may have been begun for a record that did not count.
      batch.broughtFrom?.delete(i);
      return;
    }
    batch.broughtFrom ??= new Map();
    batch.broughtFrom.set(i, [batch.bytesAt(i).toString('utf8', header.replicatedFromStart, header.replicatedFromEnd)]);
  }

  #readSingle(
    batch: RecordBatch,
    i: number,
    header: EntryHeader,
    place: PlacedEntry,
    index: number,
    start: number,
    end: number,
    wanted: boolean,
  ): void {
    this.#payloadSize = -1;
    this.#compactedOut = false;
    const reader = this.#reader;
    reader.reset(batch.bytes, start, end);
    if (!wanted) {
      // Only where the next one begins.
      for (let field = reader.next(); field !== 0; field = reader.next()) {
        if (field === 3) this.#payloadSize = reader.int();
        else reader.skip();
      }
      return;
    }
    this.#place(batch, i, header, place.ledger, place.entry, index);
    batch.provenanceStart[i] = header.markStart;
    batch.provenanceEnd[i] = header.markEnd;
    batch.provenanceOrdinal[i] = index;
    this.#ownMarks = header.markStart < 0 || header.innerMarks;
    batch.keyStart[i] = batch.keyEnd[i] = batch.orderingKeyStart[i] = batch.orderingKeyEnd[i] = -1;
    batch.eventTime[i] = 0;
    batch.sequence[i] = -1;
    batch.flags[i] = 0;
    for (let field = reader.next(); field !== 0; field = reader.next()) this.#singleField(batch, i, field, reader);
    if (((batch.flags[i] ?? 0) & RecordFlag.nullKey) !== 0) batch.keyStart[i] = batch.keyEnd[i] = -1;
  }

  #singleField(batch: RecordBatch, i: number, field: number, reader: ProtoReader): void {
    switch (field) {
      case 1:
        reader.span();
        return this.#property(batch, i, reader.spanStart, reader.spanEnd);
      case 2:
        reader.span();
        batch.keyStart[i] = reader.spanStart;
        batch.keyEnd[i] = reader.spanEnd;
        return;
      case 3:
        this.#payloadSize = reader.int();
        return;
      case 4:
        this.#compactedOut = reader.bool();
        return;
      case 5:
        batch.eventTime[i] = reader.int();
        return;
      case 6:
        if (reader.bool()) batch.flags[i] = (batch.flags[i] ?? 0) | RecordFlag.keyIsBase64;
        return;
      case 7:
        reader.span();
        batch.orderingKeyStart[i] = reader.spanStart;
        batch.orderingKeyEnd[i] = reader.spanEnd;
        return;
      case 8:
        batch.sequence[i] = reader.int();
        return;
      case 9:
        if (reader.bool()) batch.flags[i] = (batch.flags[i] ?? 0) | RecordFlag.nullValue;
        return;
      case 10:
        if (reader.bool()) batch.flags[i] = (batch.flags[i] ?? 0) | RecordFlag.nullKey;
        return;
      default:
        reader.skip();
    }
  }

  #property(batch: RecordBatch, i: number, start: number, end: number): void {
    const reader = this.#inner;
    reader.reset(batch.bytes, start, end);
    let [nameStart, nameEnd, valueStart, valueEnd] = [end, end, end, end];
    for (let field = reader.next(); field !== 0; field = reader.next()) {
      if (field === 1) {
        reader.span();
        nameStart = reader.spanStart;
        nameEnd = reader.spanEnd;
      } else if (field === 2) {
        reader.span();
        valueStart = reader.spanStart;
        valueEnd = reader.spanEnd;
      } else reader.skip();
    }
    if (isNamed(batch.bytes, nameStart, nameEnd, MARK_NAME)) {
      // Its own mark says more of it than that of the entry. But where our mark of the entry says nothing of marks in it, an application wrote this one, and the entry was passed
      // on whole: taken for the record's, a mark of nonsense would make the record a local one, which goes back to where it was written.
      if (!this.#ownMarks) return;
      if ((batch.entryMarkStart[i] ?? -1) < 0) this.#keepEntryMark(batch, i);
      batch.provenanceStart[i] = valueStart;
      batch.provenanceEnd[i] = valueEnd;
      batch.provenanceOrdinal[i] = 0;
      return;
    }
    this.#row(batch, i, nameStart, nameEnd, valueStart, valueEnd);
  }

  /** The mark of the entry, before that of the record takes its place. */
  #keepEntryMark(batch: RecordBatch, i: number): void {
    batch.entryMarkStart[i] = batch.provenanceStart[i] ?? -1;
    batch.entryMarkEnd[i] = batch.provenanceEnd[i] ?? -1;
    batch.entryMarkOrdinal[i] = batch.provenanceOrdinal[i] ?? 0;
  }

  #row(batch: RecordBatch, i: number, nameStart: number, nameEnd: number, valueStart: number, valueEnd: number): void {
    const row = this.#rows++ * PROPERTY_ROW;
    if (row + PROPERTY_ROW > batch.properties.length) batch.reserveProperties(this.#rows);
    const { properties } = batch;
    properties[row] = nameStart;
    properties[row + 1] = nameEnd;
    properties[row + 2] = valueStart;
    properties[row + 3] = valueEnd;
    if (nameEnd - nameStart === TAG_NAME.length && valueEnd > valueStart && isNamed(batch.bytes, nameStart, nameEnd, TAG_NAME)) {
      batch.tagStart[i] = valueStart;
      batch.tagEnd[i] = valueEnd;
    }
  }
}

function addExtras(batch: RecordBatch, i: number, header: EntryHeader): void {
  if (header.deliverAtTime <= 0) return;
  batch.extras ??= new Map();
  batch.extras.set(i, [[DELIVER_AT_PROPERTY, String(header.deliverAtTime)]]);
}
