import type { KeyRule } from '../../model/mirror-spec.ts';
import { PROPERTY_ROW, type RecordBatch } from '../../model/record-batch.ts';
import type { Stage } from '../../spi/stage.ts';

const PROPERTY_OF = { 'sharding-key': '__SHARDINGKEY', keys: 'KEYS' } as const;

/** Chooses another property as the ordering key; `undefined` for the rule that the source driver has applied already. */
export function keyBy(rule: KeyRule): Stage | undefined {
  if (rule.kind === 'default') return undefined;
  const name = Buffer.from(rule.kind === 'property' ? rule.name : PROPERTY_OF[rule.kind]);
  return (batch) => {
    for (let i = 0; i < batch.count; i++) setKey(batch, i, name, rule.kind === 'keys');
  };
}

function setKey(batch: RecordBatch, i: number, name: Buffer, firstWord: boolean): void {
  batch.keyStart[i] = -1;
  batch.keyEnd[i] = -1;
  for (let row = batch.propertyFirst[i] ?? 0; row < (batch.propertyFirst[i + 1] ?? 0); row++) {
    const [nameStart = 0, nameEnd = 0, start = 0, end = 0] = batch.properties.subarray(
      row * PROPERTY_ROW,
      (row + 1) * PROPERTY_ROW,
    );
    if (nameEnd - nameStart !== name.length || name.compare(batch.bytes, nameStart, nameEnd) !== 0) continue;
    const space = firstWord ? batch.bytes.subarray(start, end).indexOf(0x20) : -1;
    batch.keyStart[i] = start;
    batch.keyEnd[i] = space < 0 ? end : start + space;
  }
}
