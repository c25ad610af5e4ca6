import type { FilterRule } from '../../model/mirror-spec.ts';
import type { Stage } from '../../spi/stage.ts';

/** The stage of a mirror's filter rule, `undefined` when everything passes, so that a mirror without a filter pays nothing. */
export function filterBy(rule: FilterRule): Stage | undefined {
  const tags = new Set(rule.tags);
  const properties = Object.entries(rule.properties).map(([name, values]) => [name, new Set(values)] as const);
  if (tags.size === 0 && properties.length === 0) return undefined;
  return (batch, verdicts) => {
    for (let i = 0; i < batch.count; i++) {
      if (verdicts[i] !== undefined) continue;
      const tag = tags.size === 0 ? undefined : batch.text(batch.tagStart[i], batch.tagEnd[i]);
      if (tags.size > 0 && (tag === undefined || !tags.has(tag))) verdicts[i] = 'tag';
      else if (!properties.every(([name, values]) => holds(values, batch.property(i, name)))) verdicts[i] = 'property';
    }
  };
}

function holds(values: ReadonlySet<string>, value: string | undefined): boolean {
  return value !== undefined && values.has(value);
}
