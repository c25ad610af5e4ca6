import type { KeyRule } from '../../model/mirror-spec.ts';
import { PROPERTY_ROW, type RecordBatch, RecordFlag } from '../../model/record-batch.ts';
import type { Stage } from '../../spi/stage.ts';
import { rowOf } from './property-bytes.ts';

const PROPERTY_OF = { 'sharding-key': '__SHARDINGKEY', keys: 'KEYS' } as const;
const SPACE = 0x20;

/** Chooses another property as the ordering key; `undefined` for the rule that the source driver has applied already. */
export function keyBy(rule: KeyRule): Stage | undefined {
  if (rule.kind === 'default') return undefined;
  const name = Buffer.from(rule.kind === 'property' ? rule.name : PROPERTY_OF[rule.kind]);
  return (batch) => {
    for (let i = 0; i < batch.count; i++) setKey(batch, i, name, rule.kind === 'keys');
  };
}

function setKey(batch: RecordBatch, i: number, name: Buffer, firstWord: boolean): void {
  const row = rowOf(batch, i, name);
  const at = row * PROPERTY_ROW;
  const start = row < 0 ? -1 : (batch.properties[at + 2] ?? -1);
  const end = row < 0 ? -1 : (batch.properties[at + 3] ?? -1);
  const space = firstWord && row >= 0 ? batch.bytes.subarray(start, end).indexOf(SPACE) : -1;
  const keyEnd = space < 0 ? end : start + space;
  if (batch.keyStart[i] === start && batch.keyEnd[i] === keyEnd) return;
  batch.keyStart[i] = start;
  batch.keyEnd[i] = keyEnd;
  // What the property says is text, and the record as its broker stored it has another key.
  batch.flags[i] = (batch.flags[i] ?? 0) & ~(RecordFlag.keyIsBase64 | RecordFlag.nullKey);
  batch.nativeStart[i] = -1;
}
