import type { Row } from './row.ts';

/** Every copy after the first of a message, in the order given. */
export function doubled(rows: readonly Row[]): readonly Row[] {
  const seen = new Set<string>();
  return rows.filter((row) => {
    if (row.id === null) return false;
    const again = seen.has(row.id);
    seen.add(row.id);
    return again;
  });
}
