import type { FilterRule } from '../../model/mirror-spec.ts';
import { PROPERTY_ROW, type RecordBatch } from '../../model/record-batch.ts';
import type { Stage } from '../../spi/stage.ts';
import { isOneAt, rowOf } from './property-bytes.ts';

/** A property and what has to be true of it. */
interface Condition {
  readonly text: string;
  readonly name: Buffer;
  /** `undefined`: any value. */
  readonly texts: readonly string[] | undefined;
  readonly values: readonly Buffer[] | undefined;
  /** Whether the record must have it with one of these values, or must not. */
  readonly wanted: boolean;
}

function condition(name: string, texts: readonly string[] | undefined, wanted: boolean): Condition {
  return { text: name, name: Buffer.from(name), texts, values: texts?.map((text) => Buffer.from(text)), wanted };
}

function conditionsOf({ properties, except = {}, present = [], absent = [] }: FilterRule): Condition[] {
  return [
    ...present.map((name) => condition(name, undefined, true)),
    ...absent.map((name) => condition(name, undefined, false)),
    ...Object.entries(properties).map(([name, values]) => condition(name, values, true)),
    ...Object.entries(except).map(([name, values]) => condition(name, values, false)),
  ];
}

/** The stage of a mirror's filter rule, `undefined` when everything passes, so that a mirror without a filter pays nothing. */
export function filterBy(rule: FilterRule): Stage | undefined {
  const tags = rule.tags.map((tag) => Buffer.from(tag));
  const conditions = conditionsOf(rule);
  if (tags.length === 0 && conditions.length === 0) return undefined;
  return (batch, verdicts) => {
    for (let i = 0; i < batch.count; i++) {
      if (verdicts[i] !== undefined) continue;
      const tag = batch.tagStart[i] ?? -1;
      if (tags.length > 0 && (tag < 0 || !isOneAt(tags, batch.bytes, tag, batch.tagEnd[i] ?? tag))) verdicts[i] = 'tag';
      else if (!allHold(conditions, batch, i)) verdicts[i] = 'property';
    }
  };
}

function allHold(conditions: readonly Condition[], batch: RecordBatch, i: number): boolean {
  for (const each of conditions) if (has(each, batch, i) !== each.wanted) return false;
  return true;
}

/** Whether a record has the property, with one of the values. No string is made: it runs for each record. */
function has({ text, name, texts, values }: Condition, batch: RecordBatch, i: number): boolean {
  const added = batch.extras?.get(i)?.findLast(([key]) => key === text);
  if (added !== undefined) return texts === undefined || texts.includes(added[1]);
  const row = rowOf(batch, i, name);
  if (row < 0 || values === undefined) return row >= 0;
  const at = row * PROPERTY_ROW;
  return isOneAt(values, batch.bytes, batch.properties[at + 2] ?? 0, batch.properties[at + 3] ?? 0);
}
