import type { MessageOptions } from 'rocketmq-client-nodejs';
import type { LaneId } from '../../../model/lane.ts';
import { formatProvenance, formatVia, type MarkCodec, PROVENANCE_PROPERTY } from '../../../model/provenance.ts';
import { PROPERTY_ROW, type RecordBatch, RecordFlag } from '../../../model/record-batch.ts';

export interface MarkedRecord {
  readonly topic: string;
  readonly sourceCluster: string;
  readonly lane: LaneId;
  readonly batch: RecordBatch;
  readonly i: number;
  readonly marks: MarkCodec;
}

/** Names that the client has a place of its own for. */
const OWN_PLACE: ReadonlySet<string> = new Set(['TAGS', 'KEYS', '__SHARDINGKEY']);
const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** The record as the official client sends it, or why the target cannot hold it. Records without a key share a message group per lane, so that they stay in order. */
export function messageOf({
  topic,
  sourceCluster,
  lane,
  batch,
  i,
  marks,
}: MarkedRecord): MessageOptions | { readonly refused: string } {
  const body = Buffer.from(batch.body(i));
  if (((batch.flags[i] ?? 0) & RecordFlag.nullValue) !== 0)
    return { refused: 'a record without a value cannot be a RocketMQ message' };
  if (body.length === 0) return { refused: 'a proxy takes no message with an empty body' };
  if (body.length > MAX_BODY_BYTES)
    return { refused: `its body of ${body.length} bytes is larger than the 4 MiB that a proxy takes` };
  const runs = [{ first: batch.positionAt(i), count: 1 }];
  const foreign = batch.marks?.get(i);
  const mark =
    foreign === undefined
      ? formatProvenance({ cluster: sourceCluster, ...lane, runs, time: batch.storeTime[i] ?? 0, passed: [] })
      : foreign + formatVia({ ...lane, runs });
  const properties = propertiesOf(batch, i);
  const tag = properties.get('TAGS');
  const keys = properties
    .get('KEYS')
    ?.split(' ')
    .filter((key) => key !== '');
  const group = batch.text(batch.keyStart[i], batch.keyEnd[i]) ?? properties.get('__SHARDINGKEY') ?? `${lane.topic}#${lane.lane}`;
  for (const name of OWN_PLACE) properties.delete(name);
  properties.set(PROVENANCE_PROPERTY, marks.seal(mark));
  return {
    topic,
    body,
    messageGroup: group,
    properties,
    ...(tag === undefined ? {} : { tag }),
    ...(keys === undefined ? {} : { keys }),
  };
}

function propertiesOf(batch: RecordBatch, i: number): Map<string, string> {
  const found = new Map<string, string>();
  for (let row = batch.propertyFirst[i] ?? 0; row < (batch.propertyFirst[i + 1] ?? 0); row++) {
    const at = row * PROPERTY_ROW;
    const name = batch.text(batch.properties[at], batch.properties[at + 1]);
    const value = batch.text(batch.properties[at + 2], batch.properties[at + 3]);
    if (name !== undefined && value !== undefined && name !== 'UNIQ_KEY') found.set(name, value);
  }
  for (const [name, value] of batch.extras?.get(i) ?? []) found.set(name, value);
  return found;
}
