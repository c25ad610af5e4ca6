import type { StoredRecord } from './entry-broker.ts';

interface EntryContent {
  readonly records: readonly StoredRecord[];
  readonly batched?: boolean | undefined;
}

/** An entry's content as bytes, so that it passes through a batch as those of a real broker do. */
export function encodeEntry({ records, batched }: EntryContent): Buffer {
  return Buffer.from(
    JSON.stringify({ batched, records: records.map((each) => ({ ...each, body: each.body.toString('base64') })) }),
  );
}

export function decodeEntry(bytes: Buffer): EntryContent {
  const { batched, records } = JSON.parse(bytes.toString()) as {
    batched?: boolean;
    records: (Omit<StoredRecord, 'body'> & { body: string })[];
  };
  return { batched, records: records.map((each) => ({ ...each, body: Buffer.from(each.body, 'base64') })) };
}
